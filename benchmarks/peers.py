"""This package beside its peers: CPU over the bare SDK, growth, first partial and memory, in one run.

    .venv/bin/python benchmarks/peers.py [--quick] [--only ours,pydantic-ai] [--write]

Each library reads the same answers, a list of objects in pieces of 16 characters, one HTTP chunk each, from one server
on this machine; each cell is a process of its own (`peer.py`, `js/bench/peer.mjs`). The cost is a multiple of what the
bare openai SDK costs in the same process, just before and just after. A partial for every chunk is asked for where a
library has the choice. Growth is the exponent between the last two sizes that were measured: 1 is linear, 2 quadratic.
The first partial is looked at in another run, whose events come 10 ms apart.

Python's peers live in `.venv-peers` and `.venv-peers-2` (`make peers`), those of Node in `js/bench` (npm). What is not
there is left out with a line that says so. `--write` puts the table into docs/performance.md and the plot into
docs/peers.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from end_to_end import USAGE, Handler, chunked, event, pieces_of, serve
from plot import plot
from shapes import text_of

ROOT = Path(__file__).resolve().parent.parent
FIRST, SECOND, NODE = ROOT / ".venv-peers", ROOT / ".venv-peers-2", ROOT / "js" / "bench"
CHUNK = 16
SIZES = (1, 4, 16, 64)
PACED = (2, 10)
"""Kilobytes, and milliseconds between two events."""
PATIENCE = 60.0
"""Seconds that a cell may take."""
PEERS = {
    "ours": FIRST,
    "ours, debounced": FIRST,
    "instructor": FIRST,
    "instructor, sync": FIRST,
    "openai SDK's helper": FIRST,
    "pydantic-ai": FIRST,
    "pydantic-ai, debounced": FIRST,
    "LangChain": FIRST,
    "BAML": FIRST,
    "Mirascope": SECOND,
    "LlamaIndex": SECOND,
    "Vercel AI SDK": NODE,
}
PACKAGES = {
    FIRST: ("openai", "instructor", "pydantic-ai-slim", "langchain-openai", "baml-py"),
    SECOND: ("openai", "mirascope", "llama-index-core"),
}


class PeerHandler(Handler):
    """Answers those who ask for a tool with its arguments, and all others with text; at a pace if the path says so."""

    def do_POST(self) -> None:  # noqa: N802  http.server names it
        if "-paced-" not in self.path:
            super().do_POST()
            self.close_connection = self.close_connection or "-cut/" in self.path
            return
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        spec, _, pace = self.path.split("/")[1].partition("-paced-")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        body = self.render(spec, request)
        while body:
            size, _, rest = body.partition(b"\r\n")
            stop = len(size) + 4 + int(size, 16)
            self.wfile.write(body[:stop])
            self.wfile.flush()
            body = body[stop:] if rest else b""
            time.sleep(int(pace) / 1000)

    def render(self, spec: str, request: dict[str, Any]) -> bytes:
        damage = spec.rpartition("-")[2]
        if damage in DAMAGES:
            return damaged(spec, damage, request)
        if request.get("tools"):
            return super().render(spec, request)
        shape, size, chunk, *_ = spec.split("-")
        text, length = text_of(shape, int(size)), int(chunk)
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces_of(text, length)]
        events = [*(event(delta, None) for delta in deltas), event({}, "stop"), USAGE, "[DONE]"]
        return chunked(f"data: {one}\n\n" for one in events)


DAMAGES = {
    "limit": "cut by the token limit",
    "filter": "cut by a content filter",
    "stopped": "just ends, without a finish reason",
    "cut": "the connection breaks",
    "wrong": "whole, but one price is a word",
    "refusal": "a refusal",
}
"""What can be wrong with an answer; its JSON is half but for the last two."""


def damaged(spec: str, damage: str, request: dict[str, Any]) -> bytes:
    """A body with something wrong in it, as a tool's arguments where a tool was asked for."""
    shape, size, chunk, *_ = spec.split("-")
    text, length = text_of(shape, int(size)), int(chunk)
    if damage == "wrong":
        content = json.loads(text)
        content["entries"][0]["price"] = "cheap"
        text = json.dumps(content)
    elif damage != "refusal":
        text = text[: len(text) // 2]
    pieces = pieces_of(text, length)
    deltas: list[dict[str, Any]] = [{"content": piece} for piece in pieces]
    if damage == "refusal":
        deltas = [{"role": "assistant", "content": ""}, {"refusal": "I cannot help with that."}]
    elif request.get("tools"):
        function = {"name": request["tools"][0]["function"]["name"], "arguments": ""}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        deltas = [{"role": "assistant", "tool_calls": [call]}]
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces]
    finishes = {"limit": "length", "filter": "content_filter", "wrong": "stop", "refusal": "stop"}
    events = [event(delta, None) for delta in deltas]
    if damage in finishes:
        events += [event({}, finishes[damage]), "[DONE]"]
    body = chunked(f"data: {one}\n\n" for one in events)
    return body.removesuffix(b"0\r\n\r\n") if damage == "cut" else body


@dataclass
class Row:
    """What was measured of a library."""

    ratios: dict[int, float] = field(default_factory=dict)
    gave_up_at: int | None = None
    partials: int = 0
    kilobytes: int = 0
    first: float | None = None
    whole: float = 0.0

    @property
    def growth(self) -> float | None:
        """The exponent between the last two sizes."""
        *_, small, large = [None, *sorted(self.ratios)] if len(self.ratios) > 1 else (None, None)
        if small is None or large is None:
            return None
        # the SDK's own cost is linear, so the ratio grows by what is beyond that
        return 1 + math.log(self.ratios[large] / self.ratios[small]) / math.log(large / small)


def command(name: str, port: int, size: int, reps: int, paced: int) -> list[str]:
    """What measures a cell."""
    where = PEERS[name]
    if where == NODE:
        cell = [name, port, size, CHUNK, reps, PATIENCE / 4, paced]
        return ["node", str(NODE / "peer.mjs"), *map(str, cell)]
    cell = [name, port, "list", size, CHUNK, "--reps", reps, "--seconds", PATIENCE / 4, "--paced", paced]
    return [str(where / "bin" / "python"), str(Path(__file__).parent / "peer.py"), *map(str, cell)]


def missing(name: str) -> str:
    """Why a library cannot be measured, "" if it can."""
    where = PEERS[name]
    if where == NODE:
        there = shutil.which("node") and (NODE / "node_modules").is_dir()
        return "" if there else "npm --prefix js/bench ci"
    return "" if (where / ".dev").exists() else "make peers"


def cell(name: str, port: int, size: int, reps: int, paced: int = 0) -> dict[str, Any] | str:
    """The figures of a cell, or why there are none."""
    try:
        done = subprocess.run(
            command(name, port, size, reps, paced),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONWARNINGS": "ignore"},
        )
    except subprocess.TimeoutExpired:
        return f"more than {PATIENCE:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["failed"])[-1]
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def measured(name: str, port: int, sizes: tuple[int, ...], *, quick: bool) -> Row:
    """All cells of a library; larger ones than one that took too long are left out."""
    row = Row()
    for size in sizes:
        got = cell(name, port, size * 1024, 2 if quick else 3)
        if isinstance(got, str):
            print(f"{name}: {size} KB: {got}", flush=True)
            row.gave_up_at = size
            break
        row.ratios[size] = got["ratio"]
        row.partials, row.kilobytes = got["partials"], got["kilobytes"]
        print(f"{name}: {size} KB: {got['ratio']:.2f} of the SDK, {got['partials']} partials", flush=True)
    size, pace = PACED
    got = cell(name, port, size * 1024, 1, pace)
    if not isinstance(got, str):
        row.first, row.whole = got["first"], got["all"]
    return row


def outcomes(name: str, port: int) -> list[str]:
    """What comes of each damaged answer."""
    found = []
    whole = len(json.loads(text_of("list", 2048))["entries"])
    for damage in DAMAGES:
        asked = [*command(name, port, 2048, 1, 0), *(["--damage", damage] if PEERS[name] != NODE else [])]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "DAMAGE": damage}
        done = subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
        lines = done.stdout.strip().splitlines()
        said = json.loads(lines[-1])["outcome"] if lines else (done.stderr.strip().splitlines() or ["?"])[-1]
        found.append(said.replace(" entries", f" of {whole} entries"))
    print(f"{name}: {'; '.join(found)}", flush=True)
    return found


def table(rows: dict[str, Row], sizes: tuple[int, ...]) -> list[str]:
    """The rows as Markdown."""
    heads = [f"{size} KB" for size in sizes]
    lines = [
        f"| CPU over the bare SDK | {' | '.join(heads)} | growth | partials | memory | first partial |",
        f"|---{'|---' * (len(sizes) + 4)}|",
    ]
    for name, row in rows.items():
        cells = [f"{row.ratios[size]:.2f}" if size in row.ratios else "" for size in sizes]
        if row.gave_up_at in sizes:
            cells[sizes.index(row.gave_up_at)] = f"> {PATIENCE:.0f} s"
        growth = "" if row.growth is None else f"{row.growth:.1f}"
        first = "" if row.first is None else f"{row.first * 1000:.0f} of {row.whole * 1000:.0f} ms"
        memory = f"{row.kilobytes / 1024:.1f} MB" if row.ratios else ""
        lines.append(f"| {name} | {' | '.join(cells)} | {growth} | {row.partials or ''} | {memory} | {first} |")
    return lines


def versions() -> str:
    """What was measured."""
    found = [f"instructor-stream-ext {version('instructor-stream-ext')}"]
    for where, names in PACKAGES.items():
        if not (where / ".dev").exists():
            continue
        ask = f"import importlib.metadata as m\nfor n in {names}: print(n, m.version(n))"
        python = str(where / "bin" / "python")
        said = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout
        found += [line for line in said.splitlines() if line not in found]
    if (NODE / "node_modules" / "ai").exists():
        package = json.loads((NODE / "node_modules" / "ai" / "package.json").read_text(encoding="utf-8"))
        found.append(f"ai {package['version']} (Node)")
    return ", ".join(found)


BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def write(lines: list[str], rows: dict[str, Row]) -> None:
    """Put the table and the plot into the documentation."""
    page = ROOT / "docs" / "performance.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + "\n".join([BEGIN, *lines, END]) + after, encoding="utf-8")
    drawn = plot({name: row.ratios for name, row in rows.items() if row.ratios}, "KB of JSON", "CPU over the bare SDK")
    (ROOT / "docs" / "peers.svg").write_text(drawn, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1 and 4 KB only")
    parser.add_argument("--only", default="", help="libraries, with semicolons between them")
    parser.add_argument("--outcomes", action="store_true", help="say what comes of damaged answers instead")
    parser.add_argument("--write", action="store_true", help="put the table and the plot into docs/")
    options = parser.parse_args()
    chosen = [name.strip() for name in options.only.split(";") if name.strip()] or list(PEERS)
    sizes = SIZES[:2] if options.quick else SIZES
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, PeerHandler), daemon=True)
    server.start()
    port = here.recv()
    rows: dict[str, Row] = {}
    ends: dict[str, list[str]] = {}
    for name in chosen:
        if why := missing(name):
            print(f"{name}: left out; `{why}` installs it")
            continue
        if options.outcomes:
            ends[name] = outcomes(name, port)
            continue
        rows[name] = measured(name, port, sizes, quick=options.quick)
    server.terminate()
    if options.outcomes:
        print(f"\n| {' | '.join(['', *DAMAGES.values()])} |", f"|{'---|' * (len(DAMAGES) + 1)}", sep="\n")
        print(*(f"| {name} | {' | '.join(each)} |" for name, each in ends.items()), f"\n{versions()}", sep="\n")
        return
    day = datetime.now(tz=UTC).date().isoformat()
    said = f"Measured on {day}, CPython {platform.python_version()}, {os.cpu_count()} cores: {versions()}."
    lines = [*table(rows, sizes), "", said]
    print("", *lines, sep="\n")
    if options.write:
        write(lines, rows)


if __name__ == "__main__":
    main()
