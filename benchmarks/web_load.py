"""What serving many clients costs: CPU of one worker, beside responses that send the same bytes.

    python benchmarks/web_load.py [--clients 500] [--seconds 10]

Each client gets ten events a second. "bytes" sends prepared bytes. "events" are partials without a model behind them,
which our response encodes and sends. "by hand" loops over the stream and formats the events itself, "ours" is
`stream_response`, "run" is one run that all of them read. CPU is that of the worker's process, of the streams alone;
late is how much later than ten a second an event came (99 of 100 come sooner).

Last, as many clients ask and never read: `slow_reader` has to end their model calls, and memory must not grow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

EVENTS_A_SECOND = 10
SLOW_READER = 3
"""Seconds."""


def serve(port: int, seconds: float) -> None:  # noqa: PLR0915  one endpoint after the other
    """The worker."""
    import uvicorn
    from pydantic import BaseModel
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    from instructor_stream_ext import wrap
    from instructor_stream_ext.testing import fake_client
    from instructor_stream_ext.web import Runs, stream_response
    from instructor_stream_ext.web.encoders import Shown
    from instructor_stream_ext.web.feed import Numbered
    from instructor_stream_ext.web.protocols.sse import ServerSentEvents
    from instructor_stream_ext.web.response import StreamResponse

    class Note(BaseModel):
        text: str

    count = round(seconds * EVENTS_A_SECOND)
    text = '{"text": "' + "word " * count + '"}'
    pace = 1 / EVENTS_A_SECOND
    frames = [f'event: partial\nid: {n}\ndata: {{"text":"{"word " * n}"}}\n\n'.encode() for n in range(1, count + 1)]
    client = fake_client([text] * 100_000, async_client=True, chunk_size=5, delay=pace)
    runs, shared = Runs(), []
    ends: Counter[str] = Counter()
    longer = ['{"text": "' + "word " * 8_000 + '"}'] * 100_000
    slow = fake_client(longer, async_client=True, chunk_size=500, delay=pace)
    slow = wrap(slow, on_end=lambda event: ends.update([event.outcome.value]))

    def stream() -> Any:
        return client.create_partial(Note, "go")

    async def prepared(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for frame in frames:
                await asyncio.sleep(pace)
                yield frame

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def by_hand(_: Request) -> Response:
        async def pieces() -> AsyncIterator[str]:
            async for partial in stream():
                yield f"event: partial\ndata: {partial.model_dump_json()}\n\n"

        return StreamingResponse(pieces(), media_type="text/event-stream")

    async def events(_: Request) -> Response:
        class Source:
            async def __aiter__(self) -> AsyncIterator[Numbered]:
                for n in range(1, count + 1):
                    await asyncio.sleep(pace)
                    yield Numbered(str(n), Shown(at=0.0, attempt=1, partial={"text": "word " * n}, sequence=n))

            async def aclose(self) -> None:
                pass

        return StreamResponse(Source(), ServerSentEvents(), slow_reader=SLOW_READER, compress=False)

    async def ours(_: Request) -> Response:
        return await stream_response(stream(), compress=False, slow_reader=SLOW_READER)

    async def stalled(_: Request) -> Response:
        stream = slow.create_partial(Note, "go")
        return await stream_response(stream, compress=False, slow_reader=SLOW_READER)

    async def run(_: Request) -> Response:
        if not shared:
            shared.append(await runs.start(stream()))
        return await runs.respond(shared[0], compress=False)

    def used(_: Request) -> Response:
        shared.clear()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        now = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
        return JSONResponse({"cpu": time.process_time(), "peak": peak, "memory": now, "ends": ends})

    routes = [
        ("/bytes", prepared),
        ("/by-hand", by_hand),
        ("/events", events),
        ("/ours", ours),
        ("/run", run),
        ("/stalled", stalled),
        ("/used", used),
    ]
    app = Starlette(routes=[Route(path, endpoint) for path, endpoint in routes])
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)  # so that a client that stalls is soon felt
        listening.bind(("127.0.0.1", port))
        listening.listen(2048)
        uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)).run(sockets=[listening])


async def asked(port: int, path: str, late: list[float]) -> None:
    """One client: reads all, notes how late each event comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    last = None
    while line := await reader.readline():
        if line.startswith(b"data:"):
            now = time.monotonic()
            if last is not None:
                late.append(now - last - 1 / EVENTS_A_SECOND)
            last = now
    writer.close()


async def used(port: int) -> dict[str, Any]:
    """What the worker took so far: CPU seconds, MB at most and now, and how long streams ended."""
    import httpx

    async with httpx.AsyncClient() as client:
        found: dict[str, Any] = (await client.get(f"http://127.0.0.1:{port}/used")).json()
        return found


async def measure(port: int, clients: int) -> None:
    """Print the table."""
    while True:
        with contextlib.suppress(Exception):
            await used(port)
            break
        await asyncio.sleep(0.1)
    paths = ("/bytes", "/events", "/by-hand", "/ours", "/run")
    await asyncio.gather(*(asked(port, path, []) for path in paths))  # what is imported and compiled once
    print("| response | CPU s | over bytes | late, 99 % | MB at most |\n|---|--:|--:|--:|--:|")
    base = None
    for path in paths:
        late: list[float] = []
        before = await used(port)
        await asyncio.gather(*(asked(port, path, late) for _ in range(clients)))
        after = await used(port)
        cpu = after["cpu"] - before["cpu"]
        base = base or cpu
        p99 = sorted(late)[int(len(late) * 0.99)] * 1000 if late else 0.0
        print(f"| {path} | {cpu:.2f} | {cpu / base:.2f} | {p99:.0f} ms | {after['peak']:.0f} |", flush=True)


async def stall(port: int, clients: int) -> None:
    """Ask and never read; print what becomes of the model calls and of the memory."""
    sockets = []
    before = await used(port)
    for _ in range(clients):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /stalled HTTP/1.1\r\nhost: x\r\n\r\n")
        sockets.append(one)
    most = before["memory"]
    began = time.monotonic()
    for _ in range(10 * SLOW_READER):
        await asyncio.sleep(1)
        now = await used(port)
        most = max(most, now["memory"])
        ended = Counter(now["ends"]) - Counter(before["ends"])
        if ended.total() == clients:
            break
    print(
        f"\n{clients} clients that read nothing: after {time.monotonic() - began:.0f} s their model calls had ended as "
        f"{dict(ended)}; memory {before['memory']:.0f} MB before, {most:.0f} MB at most"
    )
    for one in sockets:
        one.close()


def main() -> None:
    """Start a worker, and measure it; or be it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=500)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.port:
        serve(chosen.port, chosen.seconds)
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    print(f"{chosen.clients} clients, {EVENTS_A_SECOND} events a second each, {chosen.seconds:.0f} s")
    with subprocess.Popen([sys.executable, __file__, "--port", str(port), "--seconds", str(chosen.seconds)]) as worker:
        try:
            asyncio.run(measure(port, chosen.clients))
            for _ in range(2):
                asyncio.run(stall(port, chosen.clients))
        finally:
            worker.terminate()


if __name__ == "__main__":
    main()
