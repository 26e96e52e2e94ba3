"""Record the project's own cassettes from real servers on this machine: llama.cpp, and litellm's proxy in front of it.

    make record

llama.cpp's own OpenAI-compatible server runs a model that is made on the spot. Its weights are random, so JSON schemas
with enumerations (and for prose a grammar) say what it may write; which phrases it takes, in which tokens and at what
pace is its own. litellm's proxy runs in an environment of its own, as a program of its own. What the openai SDK, sync
and async, gets from them is recorded as `use_cassette` records any stream.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import openai  # noqa: E402 - the path comes first
from pydantic import BaseModel  # noqa: E402

from instructor_stream_ext.testing import use_cassette  # noqa: E402
from instructor_stream_ext.testing.cassette import load_cassette  # noqa: E402
from instructor_stream_ext.testing.payload import text_of  # noqa: E402
from instructor_stream_ext.testing.sidecar import sidecar_of  # noqa: E402
from tests.testing.cassette_models import Card, Catalogue  # noqa: E402
from tools.tiny_model import TOOL_TEMPLATE, Size, words_of, write_model  # noqa: E402

FOLDER = ROOT / "tests" / "cassettes" / "recorded"
MODEL = "random-weights"
SIZE = Size(layers=4, width=256, heads=4, hidden=704)
TOOL_MODEL = "random-weights-tools"
ENGINE, PROXY, TOOL_ENGINE = 18080, 18081, 18082
PATIENCE = 120.0

NAMES = ["Ada Lovelace", "Émilie du Châtelet", "关孝和", "Sofja Kowalewskaja"]
CITIES = ["London", "Cirey-sur-Blaise", "江戸", "Стокгольм"]
LANGUAGES = ["English", "français", "日本語", "русский", "svenska"]
TITLES = [
    "Hex bolt, zinc plated, metric thread",
    "Spur gear, 24 teeth, “quiet” series",
    "Compression spring with closed and ground ends",
    "Countersunk bolt for façade panels",
]
NOTES = [
    (
        "Keep dry, and do not tighten it beyond the torque that is printed on the bag; the thread is cut, not rolled. "
        "Where it sits next to aluminium, put a plastic washer between the two, or the next person to open the case "
        "will need a drill. The coating is thin at the edges, as it is on all parts of this size, and turns dull with "
        "time."
    ),
    (
        "Replaces the older part of the same number. Grease it once a year, more often where sand or salt get in, and "
        "write the date on the inside of the lid: nobody remembers. If it begins to sing, it is too late for grease, "
        "and the one beside it should be changed together with it."
    ),
    (
        "Sold in bags of twenty; the supplier in Zürich says “two weeks”, which has so far meant three.\nAsk before "
        "you order, for the minimum is five bags, and what is left over cannot be sent back once a bag has been opened."
    ),
    (
        "The drawing shows the left-hand version. For the right-hand one mirror it: holes, chamfers and all 🔩. "
        "Measure twice, because the scale on the drawing is that of the first edition, and the hole on the far side "
        "has moved."
    ),
]
PARTS = 210
KEYS = ['{"number":', '},{"number":', ',"title":"', '","kind":"', '","note":"', '","grams":', ',"parts":[{"number":']
REFUSAL = "I am sorry, but I cannot help with that request."


@dataclass(frozen=True)
class Plan:
    """One cassette.

    Attributes:
        name: Of its file.
        port: Of the server to ask.
        request: What differs from the ordinary request.
        model: What the answer is to be; None for prose.
        error: What reading it as that ends in; "" if it goes well.
        is_async: With which client it is recorded.
        leave_after: The client leaves after so many chunks.
        kill_after: The proxy is killed after so many chunks.
        about: For people.
    """

    name: str
    port: int
    request: dict[str, Any]
    model: type[BaseModel] | None
    about: str
    error: str = ""
    is_async: bool = False
    leave_after: int = 0
    kill_after: int = 0


def one_of(values: list[Any]) -> dict[str, Any]:
    """Give the schema of a value that is one of these."""
    return {"enum": values}


def record_of(**fields: dict[str, Any]) -> dict[str, Any]:
    """Give the schema of an object that has just these keys, in order."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def card_schema() -> dict[str, Any]:
    """Give the schema of all cards that the model may write."""
    languages = {"type": "array", "items": one_of(LANGUAGES), "minItems": 2, "maxItems": 3}
    since = one_of([1955, 1987, 2001])
    return record_of(
        name=one_of(NAMES), city=one_of(CITIES), languages=languages, since=since, active=one_of([True, False])
    )


def catalogue_schema(parts: int) -> dict[str, Any]:
    """Give the schema of all catalogues with so many parts."""
    numbered = [
        record_of(
            number=one_of([number]),
            title=one_of(TITLES),
            kind=one_of(["bolt", "gear", "spring"]),
            note=one_of(NOTES),
            grams=one_of([1.5, 12.25, 250.0]),
        )
        for number in range(1, parts + 1)
    ]
    listed = {"type": "array", "prefixItems": numbered, "minItems": parts, "maxItems": parts}
    return record_of(name=one_of(["Parts and prices", "Ersatzteile für Übermorgen"]), parts=listed)


def form(model: type[BaseModel], schema: dict[str, Any]) -> dict[str, Any]:
    """Give the request's part that asks for an answer of this schema."""
    named = {"name": model.__name__, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


CARD = form(Card, card_schema())
TOOL = {
    "model": TOOL_MODEL,
    "tools": [{"type": "function", "function": {"name": "Card", "parameters": card_schema()}}],
    "tool_choice": {"type": "function", "function": {"name": "Card"}},
}
# The engine ends each call with this word; a model without sense goes on with another call, unless stopped there.
ONE_CALL = {**TOOL, "extra_body": {"parallel_tool_calls": False}, "stop": ["</tool_call>"]}
CALL = '<tool_call>\n{"name": "Card", "arguments": {'
PLANS = [
    Plan("llamacpp_object_sync", ENGINE, CARD, Card, "a small object"),
    Plan("llamacpp_object_async", ENGINE, {**CARD, "seed": 5}, Card, "a small object", is_async=True),
    Plan("llamacpp_tools_sync", TOOL_ENGINE, ONE_CALL, Card, "a tool call"),
    Plan("llamacpp_tools_async", TOOL_ENGINE, {**ONE_CALL, "seed": 3}, Card, "a tool call", is_async=True),
    Plan("proxy_tools_sync", PROXY, {**ONE_CALL, "seed": 5}, Card, "a tool call"),
    Plan("proxy_tools_async", PROXY, {**ONE_CALL, "seed": 7}, Card, "a tool call", is_async=True),
    Plan(
        "llamacpp_tools_unclosed_sync",
        TOOL_ENGINE,
        {**ONE_CALL, "stop": ["}}"]},
        Card,
        "a stop word takes the last brace of a tool call, and the finish reason is `tool_calls`",
        error="OutputTruncated",
    ),
    Plan(
        "llamacpp_tools_length_sync",
        TOOL_ENGINE,
        {**TOOL, "max_tokens": 20},
        Card,
        "a tool call; `max_tokens` is reached in the middle of its arguments",
        error="OutputTruncated",
    ),
    Plan(
        "llamacpp_tools_several_async",
        TOOL_ENGINE,
        {**TOOL, "max_tokens": 160},
        Card,
        "the same tool called several times; `max_tokens` is reached in the last call",
        error="OutputTruncated",
        is_async=True,
    ),
    Plan(
        "proxy_tools_length_async",
        PROXY,
        {**TOOL, "max_tokens": 20},
        Card,
        "a tool call; `max_tokens` is reached in the middle of its arguments",
        error="OutputTruncated",
        is_async=True,
    ),
    Plan(
        "proxy_tools_several_sync",
        PROXY,
        {**TOOL, "max_tokens": 160},
        Card,
        "the same tool called several times; `max_tokens` is reached in the last call",
        error="OutputTruncated",
    ),
    Plan(
        "llamacpp_list_64k_sync",
        ENGINE,
        form(Catalogue, catalogue_schema(PARTS)),
        Catalogue,
        "one object of over 64 KB",
    ),
    Plan("llamacpp_list_async", ENGINE, form(Catalogue, catalogue_schema(24)), Catalogue, "a list", is_async=True),
    Plan(
        "llamacpp_length_sync",
        ENGINE,
        {**form(Catalogue, catalogue_schema(24)), "max_tokens": 90},
        Catalogue,
        "`max_tokens` is reached in the middle of the object",
        error="OutputTruncated",
    ),
    Plan(
        "llamacpp_stop_word_sync",
        ENGINE,
        {**CARD, "stop": ["languages"]},
        Card,
        "a stop word ends it in the middle of the object, and the finish reason is `stop`",
        error="OutputTruncated",
    ),
    Plan(
        "llamacpp_refusal_sync",
        ENGINE,
        {"extra_body": {"grammar": f'root ::= "{REFUSAL}"'}},
        Card,
        "one sentence of prose in place of an object, as models refuse",
        error="NoOutput",
    ),
    Plan(
        "llamacpp_refusal_async",
        ENGINE,
        {"extra_body": {"grammar": f'root ::= "{REFUSAL}"'}},
        Card,
        "the same, async",
        error="NoOutput",
        is_async=True,
    ),
    Plan(
        "llamacpp_left_early_sync",
        ENGINE,
        form(Catalogue, catalogue_schema(24)),
        Catalogue,
        "the client leaves after twelve chunks",
        error="left",
        leave_after=12,
    ),
    Plan(
        "llamacpp_bad_request_sync",
        ENGINE,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "Card", "schema": {"type": "nothing"}}}},
        Card,
        "a schema that the engine refuses",
        error="BadRequestError",
    ),
    Plan("proxy_object_sync", PROXY, CARD, Card, "a small object"),
    Plan("proxy_object_async", PROXY, {**CARD, "seed": 7}, Card, "a small object", is_async=True),
    Plan("proxy_list_sync", PROXY, form(Catalogue, catalogue_schema(40)), Catalogue, "a list"),
    Plan(
        "proxy_length_async",
        PROXY,
        {**form(Catalogue, catalogue_schema(24)), "max_tokens": 90},
        Catalogue,
        "`max_tokens` is reached in the middle of the object",
        error="OutputTruncated",
        is_async=True,
    ),
    Plan(
        "proxy_unknown_model_sync",
        PROXY,
        {**CARD, "model": "nobody-knows-it"},
        Card,
        "a model that the proxy does not have",
        error="BadRequestError",
    ),
    Plan(
        "proxy_killed_async",
        PROXY,
        form(Catalogue, catalogue_schema(PARTS)),
        Catalogue,
        "the proxy's process is killed in mid-stream",
        error="StreamInterrupted",
        is_async=True,
        kill_after=25,
    ),
]


def strings_in(value: Any) -> list[str]:
    """Give every string of a JSON value, keys too."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() for text in [key, *strings_in(item)]]
        case list():
            return [text for item in value for text in strings_in(item)]
        case _:
            return [str(value)]


def vocabulary() -> list[str]:
    """Give the model's words; whole phrases are tokens too, so that a long answer takes few events."""
    texts = [*strings_in(card_schema()), *strings_in(catalogue_schema(4)), REFUSAL]
    phrases = [part for note in NOTES for part in re.split(r"(?<=[,;:.”])|\n", note) if part]
    return sorted({*words_of(texts), *phrases, *TITLES, *KEYS})


def tool_vocabulary() -> list[str]:
    """Give the words of the model that calls a tool, the beginning of a call among them."""
    return sorted({*words_of(strings_in(card_schema())), CALL, "</tool_call>"})


def serve(model: Path, name: str, port: int) -> Any:
    """Start llama.cpp's own HTTP server; it lives as long as the object that is returned."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model)
    parameters.model_alias = {name}
    parameters.port = port
    parameters.n_ctx = 16384
    parameters.n_parallel = 1
    parameters.n_gpu_layers = 0
    parameters.use_jinja = True
    parameters.cpuparams.n_threads = 1
    parameters.warmup = True
    return xllamacpp.Server(parameters)


@contextlib.contextmanager
def proxy(command: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run litellm's proxy in front of the engine."""
    config = folder / "proxy.yaml"
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "none-needed",
            },
        }
        for name, port in ((MODEL, ENGINE), (TOOL_MODEL, TOOL_ENGINE))
    ]
    settings = {"model_list": models, "litellm_settings": {"telemetry": False, "num_retries": 0}}
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_OFFLINE_MODE": "true", "NO_PROXY": "*"}
    log = (folder / "proxy.log").open("wb")
    arguments = [str(command.absolute()), "--config", str(config), "--host", "127.0.0.1", "--port", str(PROXY)]
    process = subprocess.Popen(arguments, stdout=log, stderr=log, env={**os.environ, **offline}, cwd=folder)
    try:
        begun = time.monotonic()
        while not listens(PROXY):
            if process.poll() is not None or time.monotonic() - begun > PATIENCE:
                raise SystemExit(f"the proxy did not start:\n{(folder / 'proxy.log').read_text()[-3000:]}")
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait()
        log.close()


def listens(port: int) -> bool:
    """Say whether somebody listens on this port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def request(plan: Plan) -> dict[str, Any]:
    """Give the arguments of the SDK's method."""
    prompt = "Write a visiting card." if plan.model is Card else "Write a catalogue of spare parts."
    ordinary = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "seed": 11, "temperature": 1.0}
    return {**ordinary, "stream": True, "stream_options": {"include_usage": True}, **plan.request}


def record(plan: Plan, kill: Callable[[], None]) -> Path:
    """Record one cassette."""
    path = FOLDER / f"{plan.name}.yaml"
    options: dict[str, Any] = {
        "base_url": f"http://127.0.0.1:{plan.port}/v1",
        "api_key": "none-needed",
        "max_retries": 0,
    }
    with use_cassette(path, record_mode="all"), contextlib.suppress(openai.APIError, ConnectionError):
        if plan.is_async:
            asyncio.run(_read_async(plan, openai.AsyncOpenAI(**options), kill))
        else:
            _read(plan, openai.OpenAI(**options))
    return path


def _read(plan: Plan, client: openai.OpenAI) -> None:
    with client, client.chat.completions.create(**request(plan)) as stream:
        for number, _ in enumerate(stream, start=1):
            if number == plan.leave_after:
                break


async def _read_async(plan: Plan, client: openai.AsyncOpenAI, kill: Callable[[], None]) -> None:
    answer: Awaitable[Any] = client.chat.completions.create(**request(plan))
    async with client, await answer as stream:
        number = 0
        with contextlib.suppress(Exception):  # the proxy is killed in one of them
            async for _ in stream:
                number += 1
                if number == plan.kill_after:
                    kill()


def note(plan: Plan, path: Path) -> str:
    """Check a cassette, write what it is to give beside it, and describe it in a row."""
    (interaction,) = load_cassette(path, sidecar=True).interactions
    text = text_of(interaction.body, interaction.content_type)
    expected: dict[str, Any] = {"response_model": plan.model.__name__ if plan.model else None}
    if plan.error:
        expected |= {"error": plan.error, "text": text}
    else:
        if plan.model is None:
            raise SystemExit(f"{plan.name}: prose has no object")
        expected |= {"final": json.loads(text)}
        plan.model.model_validate_json(text)
    beside = path.with_suffix(".json")
    beside.write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    kind = "async" if plan.is_async else "sync"
    size = f"{len(text.encode())} bytes" if text else "no text"
    chunks = f"{len(interaction.chunks)} chunks in {interaction.duration:.2f} s"
    gives = plan.error or "a valid object"
    return f"| `{path.name}` | {kind} | {plan.about} | {size} | {chunks} | {interaction.end} | {gives} |"


def read_me(rows: list[str], versions: str) -> str:
    """Give the text of the cassettes' README."""
    head = f"""# The project's own cassettes

Recorded by `make record` (`tools/record_cassettes.py`), the last of them on {datetime.now(UTC):%Y-%m-%d}; none is
written by hand.

Servers: {versions}.
Both ran on the machine that recorded; the proxy stood in front of the engine.
The engine's model is made on the spot (`tools/tiny_model.py`): llama architecture, random weights, no download.
JSON schemas with enumerations say which phrases it may write, and a grammar does for the refusals; which of them it
takes, the tokens and the pace are its own.
The client was the openai SDK, sync or async, on httpx2.

Each cassette is a vcrpy cassette with its sidecar (`.timing.json`); the `.json` beside it says what it is to give: the
final object, or the error and the text up to it.
For the tool calls the model's template is one of a model that calls tools, and the beginning of a call is one token.
Such a model never stops calling: the cassettes with one whole call were ended by a stop word behind it, the others at
`max_tokens`.
Nothing was edited. `instructor-stream check tests/cassettes` finds nothing on them.

| cassette | client | what | text | arrived | end | gives |
|---|---|---|---|---|---|---|
"""
    return head + "\n".join(rows) + "\n"


def with_others(rows: list[str], before: str) -> list[str]:
    """Give these rows and those of the cassettes that were not recorded anew, in the order of the plans."""
    known = {row.split("`")[1]: row for row in [*re.findall(r"^\| `.*", before, re.MULTILINE), *rows]}
    return [known[name] for plan in PLANS if (name := f"{plan.name}.yaml") in known]


def main() -> None:
    """Make the model, start the servers, record and check every cassette."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--proxy", type=Path, required=True, help="the command litellm of an environment with litellm[proxy]"
    )
    options.add_argument("--only", default="", help="only cassettes whose name begins so; several with commas")
    arguments = options.parse_args()
    chosen = [plan for plan in PLANS if plan.name.startswith(tuple(arguments.only.split(",")))]
    if not arguments.only:
        shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        model, tool_model = Path(folder) / "model.gguf", Path(folder) / "tools.gguf"
        write_model(model, vocabulary(), SIZE)
        write_model(tool_model, tool_vocabulary(), SIZE, template=TOOL_TEMPLATE)
        servers = [serve(model, MODEL, ENGINE), serve(tool_model, TOOL_MODEL, TOOL_ENGINE)]
        with proxy(arguments.proxy, Path(folder)) as process:

            def kill() -> None:
                process.send_signal(signal.SIGKILL)

            rows = []
            for plan in chosen:
                rows.append(note(plan, record(plan, kill)))
                sys.stderr.write(rows[-1] + "\n")
        servers.clear()
    python = arguments.proxy.absolute().parent / "python"
    asked = [python, "-c", "import importlib.metadata as m; print(m.version('litellm'))"]
    litellm = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    engine = importlib.metadata.version("xllamacpp")
    versions = f"llama.cpp by xllamacpp {engine}, and litellm's proxy server {litellm}; openai {openai.__version__}"
    about = FOLDER.parent / "README.md"
    if arguments.only:
        rows = with_others(rows, about.read_text(encoding="utf-8"))
    about.write_text(read_me(rows, versions), encoding="utf-8", newline="\n")
    unexpected = [path for path in FOLDER.glob("*.yaml") if not sidecar_of(path).exists()]
    if unexpected:
        raise SystemExit(f"without a sidecar: {unexpected}")


if __name__ == "__main__":
    main()
