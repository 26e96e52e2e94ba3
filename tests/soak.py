"""Good and faulty streams for as long as one likes, in threads and tasks that share a client: nothing may grow.

    .venv/bin/python -m tests.soak [--seconds 600] [--threads 8] [--tasks 40] [--every 30]     (`make soak`)

A server in a process of its own answers as the model's name asks: well, cut off, reset, with an error among the events,
with a refused request, with what is no JSON, with silence. Each answer carries the number that was asked for, so that
results that were mixed up are found. Threads share two sync clients, one with bounds in time and one without; tasks
share two async ones, and some of them are cancelled or leave in the midst. Those with bounds use TLS. Memory, threads,
file descriptors, tasks and classes are looked at as it goes; the exit status is 1 if a result was wrong or one of them
has grown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import http.server
import json
import logging
import multiprocessing
import random
import socket
import ssl
import struct
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import instructor
import openai
import trustme
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import StreamError, Timeouts, wrap

__all__ = ["KINDS", "Soak", "serving"]

PATIENCE = 1.0
"""Seconds of silence that the clients with bounds take."""
PIECE = 7
MEMORY = 1.1
"""How much more memory than after the beginning is not yet growth: allocators keep some of what was freed."""


class Person(BaseModel):
    name: str
    number: int


# ------------------------------------------------------------------ the server's process


def document(number: int) -> str:
    return json.dumps({"name": f"Ann {number} " + "of the Fens " * 8, "number": number})


def events(text: str, finish: str | None = "stop") -> list[bytes]:
    """Server-sent events with a text in small pieces."""

    def event(delta: dict[str, Any], end: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": end}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n".encode()

    found = [event({"content": text[at : at + PIECE]}) for at in range(0, len(text), PIECE)]
    return found if finish is None else [*found, event({}, finish), b"data: [DONE]\n\n"]


KINDS: dict[str, tuple[str, ...]] = {
    "good": ("right",),
    "slow": ("right",),
    "truncated": ("OutputTruncated",),
    "stopped": ("OutputTruncated",),
    "broken": ("StreamInterrupted",),
    "reset": ("StreamInterrupted",),
    "error": ("StreamInterrupted",),
    "garbled": ("InvalidJSON",),
    "refused": ("RateLimitError",),
    "silent": ("StreamTimeout",),
}
"""What is asked for, and what may come of it; silence is only for the clients with bounds."""
BY_THE_LOAD = ("StreamTimeout", "APIConnectionError", "APITimeoutError")
"""What may come of anything where the machine is busy: a bound that was met, ours or the SDK's, a full queue."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the model's name asks, with the number at the end of the prompt."""

    protocol_version = "HTTP/1.1"
    gone = threading.Event()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        number = asked["messages"][-1]["content"].split()[-1]
        with contextlib.suppress(OSError):
            self.answer(asked["model"], document(int(number)))

    def answer(self, kind: str, text: str) -> None:
        if kind == "refused":
            self.send_response(429)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        half = text[: len(text) // 2]
        if kind in ("good", "slow"):
            self.send(events(text), pause=0.002 if kind == "slow" else 0.0)
        elif kind == "truncated":
            self.send(events(half, "length"))
        elif kind == "garbled":
            self.send(events(half.replace('"name"', "name")))
        elif kind == "error":
            self.send([*events(half, None), b'data: {"error": {"message": "overloaded"}}\n\n'])
        else:
            self.send(events(half, None), end=kind == "stopped")
            if kind == "silent":
                self.gone.wait(PATIENCE * 3)
            if kind != "stopped":
                self.close_connection = True
                linger = struct.pack("ii", 1, 0 if kind == "reset" else 1)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def send(self, chunks: list[bytes], *, pause: float = 0.0, end: bool = True) -> None:
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            if pause:
                self.gone.wait(pause)
        if end:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_: Any) -> None:
        """Clients that leave are no error."""


class TLSServer(Server):
    """The same over TLS."""

    context: ssl.SSLContext

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


@dataclass(frozen=True)
class Addresses:
    """Of the servers, and the certificate of the authority that the one with TLS has its own from."""

    plain: str
    secured: str
    authority: str


def serve(addresses: Any) -> None:
    """The servers' process."""
    authority = trustme.CA()
    TLSServer.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(TLSServer.context)
    plain, secured = Server(("127.0.0.1", 0), Handler), TLSServer(("127.0.0.1", 0), Handler)
    urls = f"http://127.0.0.1:{plain.server_port}", f"https://127.0.0.1:{secured.server_port}"
    addresses.send(Addresses(*urls, authority.cert_pem.bytes().decode()))
    threading.Thread(target=secured.serve_forever, daemon=True).start()
    plain.serve_forever()


@contextlib.contextmanager
def serving() -> Iterator[Addresses]:
    """The addresses of servers in a process of their own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()
        here.close()
        there.close()


# ------------------------------------------------------------------ the clients


@dataclass
class Held:
    """What this process holds."""

    kilobytes: int
    threads: int
    files: int
    tasks: int
    classes: int

    @classmethod
    def now(cls, tasks: int = 0) -> Held:
        """Look, when what is unreachable has gone."""
        for _ in range(2):
            gc.collect()
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        held = next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
        files = len(list(Path("/proc/self/fd").iterdir())) if lines else 0
        classes = sum(1 for thing in gc.get_objects() if isinstance(thing, type))
        return cls(held, threading.active_count(), files, tasks, classes)


@dataclass
class Soak:
    """Streams of all kinds, over and over.

    Args:
        servers: Where they are.
        seed: Of what is asked when.
    """

    servers: Addresses
    seed: int = 1
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._bare: list[openai.OpenAI] = []
        self._abare: list[openai.AsyncOpenAI] = []
        self._sync: list[Any] = []
        self._async: list[Any] = []
        trusted = ssl.create_default_context(cadata=self.servers.authority)
        http: dict[str, Any] = {"trust_env": False, "verify": trusted}
        for url, bounds in ((self.servers.plain, Timeouts()), (self.servers.secured, Timeouts(idle=PATIENCE))):
            options: dict[str, Any] = {"base_url": url, "api_key": "k", "max_retries": 0}
            bare = openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(**http))
            abare = openai.AsyncOpenAI(**options, http_client=openai.DefaultAsyncHttpxClient(**http))
            self._bare.append(bare)
            self._abare.append(abare)
            self._sync.append(wrap(instructor.from_openai(bare, mode=Mode.JSON), timeouts=bounds))
            self._async.append(wrap(instructor.from_openai(abare, mode=Mode.JSON), timeouts=bounds))

    def _asked(self, rng: random.Random, *, is_bound: bool) -> tuple[str, int]:
        kind = rng.choice([name for name in KINDS if is_bound or name != "silent"])
        return kind, rng.randrange(10**6)

    def _note(self, kind: str, number: int, got: Any) -> None:
        """What came of a stream."""
        if isinstance(got, Person):
            end = "right" if got.number == number and got.name.startswith(f"Ann {number} ") else "mixed up"
        else:
            end = type(got).__name__
            text = getattr(got, "text", "")
            if text and kind != "garbled" and not document(number).startswith(text):
                end = "mixed up"
        self.outcomes[f"{kind}: {end}"] += 1
        if end not in KINDS[kind] and end not in BY_THE_LOAD:
            self.wrong.append(f"{kind}-{number}: {end} {got}"[:300])

    def _ask(self, kind: str, number: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"the person number {number}"}]
        return {"model": kind, "messages": messages, "max_retries": 0}

    def thread(self, seed: int, rounds: int) -> None:
        """Read streams one after the other."""
        rng = random.Random(f"{self.seed} {seed}")
        for _ in range(rounds):
            is_bound = rng.random() < 0.5
            kind, number = self._asked(rng, is_bound=is_bound)
            stream = self._sync[is_bound].create_partial(Person, **self._ask(kind, number))
            if rng.random() < 0.2:
                with contextlib.suppress(StreamError, openai.OpenAIError), stream:
                    next(stream, None)
                self.outcomes[f"{kind}: left"] += 1
                continue
            try:
                got: Any = stream.get_final_response()
            except Exception as error:  # noqa: BLE001  whatever it is, it is looked at
                got = error
            self._note(kind, number, got)

    async def task(self, seed: int, rounds: int) -> None:
        """Read streams one after the other, in an event loop; some are left, some cancelled."""
        rng = random.Random(f"{self.seed} task {seed}")
        for _ in range(rounds):
            is_bound = rng.random() < 0.5
            kind, number = self._asked(rng, is_bound=is_bound)
            stream = self._async[is_bound].create_partial(Person, **self._ask(kind, number))
            chance = rng.random()
            if chance < 0.2:
                reading = asyncio.ensure_future(stream.get_final_response())
                await asyncio.wait((reading,), timeout=rng.random() * 0.02)
                reading.cancel()
                with contextlib.suppress(StreamError, openai.OpenAIError, asyncio.CancelledError):
                    await reading
                self.outcomes[f"{kind}: cancelled"] += 1
                continue
            if chance < 0.4:
                with contextlib.suppress(StreamError, openai.OpenAIError):
                    async with stream:
                        await anext(stream, None)
                self.outcomes[f"{kind}: left"] += 1
                continue
            try:
                got: Any = await stream.get_final_response()
            except Exception as error:  # noqa: BLE001  whatever it is, it is looked at
                got = error
            self._note(kind, number, got)

    async def turn(self, turn: int, *, threads: int, tasks: int, rounds: int) -> None:
        """All threads and all tasks, so many streams each."""
        working = [asyncio.to_thread(self.thread, turn * 1000 + number, rounds) for number in range(threads)]
        working += [self.task(turn * 1000 + number, rounds) for number in range(tasks)]
        await asyncio.gather(*working)

    @property
    def in_pools(self) -> int:
        """Requests that the clients' pools hold; none, once all streams have ended."""
        clients: list[Any] = [*self._bare, *self._abare]
        return sum(len(client._client._transport._pool._requests) for client in clients)

    async def aclose(self) -> None:
        """Close the SDKs' clients."""
        for bare, abare in zip(self._bare, self._abare, strict=True):
            bare.close()
            await abare.close()


def grown(before: Held, after: Held, *, pooled: int) -> list[str]:
    """What has grown; as many connections as there are streams at once may be kept open."""
    found = [name for name in ("threads", "tasks", "classes") if getattr(after, name) > getattr(before, name)]
    found += ["files"] * (after.files > before.files + pooled)
    return found + ["kilobytes"] * (after.kilobytes > before.kilobytes * MEMORY)


async def soak(options: argparse.Namespace, servers: Addresses) -> int:
    """Go on for so many seconds; returns the exit status."""
    made = Soak(servers)
    began = shown = time.monotonic()
    looks: list[Held] = []
    print(f"{'s':>6} {'streams':>8} {'MB':>7} {'threads':>8} {'files':>6} {'tasks':>6} {'classes':>8}")
    turn, last = 0, False
    while not last:
        last = time.monotonic() - began >= options.seconds
        await made.turn(turn, threads=options.threads, tasks=options.tasks, rounds=8)
        turn += 1
        now = time.monotonic()
        if last or now - shown >= options.every:
            held = Held.now(len(asyncio.all_tasks()))
            looks.append(held)
            shown = now
            cells = f"{held.kilobytes / 1024:>7.1f} {held.threads:>8} {held.files:>6} {held.tasks:>6} {held.classes:>8}"
            print(f"{now - began:>6.0f} {sum(made.outcomes.values()):>8} {cells}", flush=True)
    kept = made.in_pools
    await made.aclose()
    for name, count in sorted(made.outcomes.items()):
        print(f"{count:>8} {name}")
    # SDKs import some of their types late, so the first half is the beginning
    more = grown(looks[len(looks) // 2], looks[-1], pooled=2 * (options.threads + options.tasks))
    print(*(f"wrong: {each}" for each in made.wrong[:20]), *(f"grown: {each}" for each in more), sep="\n")
    print(f"requests that pools still hold: {kept}")
    return int(bool(made.wrong or more or kept))


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two looks")
    warnings.simplefilter("error", ResourceWarning)
    # httpcore2 leaves a connection to the garbage collector if it is cancelled in TLS's handshake; `files` counts them
    warnings.filterwarnings("ignore", "unclosed (transport|<socket)", ResourceWarning)
    logging.getLogger("instructor").setLevel(logging.CRITICAL)  # which says of each refused request that it was refused
    with serving() as servers:
        return asyncio.run(soak(parser.parse_args(), servers))


if __name__ == "__main__":
    sys.exit(main())
