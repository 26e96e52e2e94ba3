"""Many async streams in one process: the time from the server's write to the partial in the caller's hands.

    .venv/bin/python benchmarks/many.py [--streams 300,1000] [--rate 10] [--seconds 6] [--sides sdk,ours]

A server in a process of its own waits until all streams are open, and then sends each a chunk so many times a second,
not in step with the others, with the time of the write in it; the
client notes how old each is when it has it. Beside ours stands the bare openai SDK with the same load, one after the
other, each in a process of its own; and both (`-gc`) with what was there at the start frozen and the collector at work
less often, as servers with many long-lived objects do it: `gc.freeze()`, `gc.set_threshold(50_000, 50, 50)`. `-uvloop`
and `-aiohttp` (openai's client over aiohttp, `pip install "openai[aiohttp]"`) are measured where they are installed.
CPU is that of the client's process, memory what it holds at its peak
beyond the start, per stream.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import multiprocessing
import random
import resource
import statistics
import sys
import time
import warnings
from typing import Any

import instructor
import openai
from pydantic import BaseModel

from instructor_stream_ext import wrap

SIDES = ("sdk", "ours", "sdk-gc", "ours-gc", "ours-gc-uvloop", "ours-gc-aiohttp")
NEEDED = {"uvloop": "uvloop", "aiohttp": "httpx_aiohttp"}
"""What a way needs beside this package's own."""


class Ticks(BaseModel):
    times: list[float]


# ------------------------------------------------------------------ the server's process


def event(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    data = f"data: {json.dumps(chunk)}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


WAITING: dict[int, asyncio.Event] = {}
HERE: dict[int, int] = {}


async def gathered(streams: int) -> None:
    """Wait until as many streams are open: what is measured are streams that run, and not their beginning."""
    HERE[streams] = HERE.get(streams, 0) + 1
    event = WAITING.setdefault(streams, asyncio.Event())
    if HERE[streams] == streams:
        event.set()
        del HERE[streams], WAITING[streams]
    await event.wait()
    await asyncio.sleep(1)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rate: float, seconds: float) -> None:
    """One stream: times of writing, evenly apart."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length"))
    await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    writer.write(event('{"times": [0.0'))
    await gathered(int(head.split(b"/")[1]))
    loop = asyncio.get_running_loop()
    due = loop.time() + random.random() / rate  # streams of many users are not in step
    for _ in range(int(rate * seconds)):
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        writer.write(event(f",{time.monotonic():.6f}, 0.0"))
    writer.write(event("]}") + event("", "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
    await writer.drain()
    writer.close()


def serve(port: Any, rate: float, seconds: float) -> None:
    """The server's process."""

    async def run() -> None:
        server = await asyncio.start_server(lambda r, w: answer(r, w, rate, seconds), "127.0.0.1", 0, backlog=2048)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


# ------------------------------------------------------------------ the client's process


async def by_sdk(client: openai.AsyncOpenAI, ages: list[float]) -> None:
    messages: Any = [{"role": "user", "content": "go"}]
    async for chunk in await client.chat.completions.create(model="m", messages=messages, stream=True):
        said = chunk.choices[0].delta.content if chunk.choices else None
        if said and said[0] == ",":
            ages.append(time.monotonic() - float(said[1:].partition(",")[0]))


async def by_ours(client: Any, ages: list[float]) -> None:
    seen = 1
    async for partial in client.create_partial(Ticks, [{"role": "user", "content": "go"}], model="m"):
        times = partial.times or ()
        if len(times) > seen and times[-1] != 0.0:
            seen = len(times)
            ages.append(time.monotonic() - times[-1])


async def run(side: str, port: int, streams: int) -> dict[str, float]:
    """All streams of one side."""
    url = f"http://127.0.0.1:{port}/{streams}"
    kind: Any = openai.DefaultAioHttpClient if side.endswith("-aiohttp") else openai.DefaultAsyncHttpxClient
    http = kind(limits=_limits(streams), timeout=120, trust_env=False)
    async with openai.AsyncOpenAI(base_url=url, api_key="k", max_retries=0, http_client=http) as bare:
        ages: list[float] = []
        ours: Any = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON))
        one = (lambda: by_sdk(bare, ages)) if side.startswith("sdk") else (lambda: by_ours(ours, ages))
        if "-gc" in side:
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 50, 50)
        began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.gather(*(one() for _ in range(streams)))
        took, after = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cuts = statistics.quantiles(ages, n=100)
        return {
            "p50": cuts[49] * 1000,
            "p99": cuts[98] * 1000,
            "cpu": took,
            "kilobytes": (after - before) / streams,
            "seen": len(ages),
        }


def _limits(streams: int) -> Any:
    module = sys.modules[openai.DefaultAsyncHttpxClient.__mro__[1].__module__]
    return module.Limits(max_connections=streams + 10, max_keepalive_connections=10)


def measure(found: Any, side: str, port: int, streams: int) -> None:
    """One side's process."""
    warnings.simplefilter("ignore")
    if side.endswith("-uvloop"):
        import uvloop  # type: ignore[import-not-found, unused-ignore]

        found.send(uvloop.run(run(side, port, streams)))
        return
    found.send(asyncio.run(run(side, port, streams)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", default="300,1000")
    parser.add_argument("--rate", type=float, default=10.0, help="chunks a second, of each stream")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--sides", default=",".join(SIDES))
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, options.rate, options.seconds), daemon=True)
    server.start()
    port = here.recv()
    print(f"{options.rate:g} chunks a second for {options.seconds:g} s; ms from the server's write to the caller")
    print(f"{'streams':>8} {'side':<16} {'p50':>8} {'p99':>8} {'CPU s':>8} {'KB each':>8} {'seen':>8}")
    for streams in map(int, options.streams.split(",")):
        for side in options.sides.split(","):
            need = NEEDED.get(side.rpartition("-")[2])
            if need and importlib.util.find_spec(need) is None:
                print(f"{streams:>8} {side:<16} left out: {need} is not installed")
                continue
            end, found = multiprocessing.Pipe()
            process = multiprocessing.Process(target=measure, args=(found, side, port, streams))
            process.start()
            got = end.recv()
            process.join()
            cells = f"{got['p50']:>8.1f} {got['p99']:>8.1f} {got['cpu']:>8.2f} {got['kilobytes']:>8.1f}"
            print(f"{streams:>8} {side:<16} {cells} {got['seen']:>8.0f}", flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
