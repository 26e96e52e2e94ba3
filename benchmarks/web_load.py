"""What serving many clients costs: CPU of one worker, beside responses that send the same bytes.

    python benchmarks/web_load.py [--clients 500] [--seconds 10]

Each client gets ten events a second. "bytes" sends prepared bytes, "by hand" loops over the stream and formats the
events itself, "ours" is `stream_response`, "run" is one run that all of them read. CPU is that of the worker's process,
of the streams alone; late is how much later than ten a second an event came (99 of 100 come sooner).
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
from collections.abc import AsyncIterator
from typing import Any

EVENTS_A_SECOND = 10


def serve(port: int, seconds: float) -> None:
    """The worker."""
    import uvicorn
    from pydantic import BaseModel
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route

    from instructor_stream_ext.testing import fake_client
    from instructor_stream_ext.web import Runs, stream_response

    class Note(BaseModel):
        text: str

    count = round(seconds * EVENTS_A_SECOND)
    text = '{"text": "' + "word " * count + '"}'
    pace = 1 / EVENTS_A_SECOND
    frames = [f'event: partial\nid: {n}\ndata: {{"text":"{"word " * n}"}}\n\n'.encode() for n in range(1, count + 1)]
    client = fake_client([text] * 100_000, async_client=True, chunk_size=5, delay=pace)
    runs, shared = Runs(), []

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

    async def ours(_: Request) -> Response:
        return await stream_response(stream(), compress=False, slow_reader=3)

    async def run(_: Request) -> Response:
        if not shared:
            shared.append(await runs.start(stream()))
        return await runs.respond(shared[0], compress=False)

    async def used(_: Request) -> Response:
        shared.clear()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return JSONResponse([time.process_time(), memory / 1024, len(asyncio.all_tasks())])

    routes = [("/bytes", prepared), ("/by-hand", by_hand), ("/ours", ours), ("/run", run), ("/used", used)]
    app = Starlette(routes=[Route(path, endpoint) for path, endpoint in routes])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", timeout_graceful_shutdown=1)


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


async def used(port: int) -> list[float]:
    """CPU seconds, MB and tasks of the worker so far."""
    import httpx

    async with httpx.AsyncClient() as client:
        found: list[float] = (await client.get(f"http://127.0.0.1:{port}/used")).json()
        return found


async def measure(port: int, clients: int) -> None:
    """Print the table."""
    while True:
        with contextlib.suppress(Exception):
            await used(port)
            break
        await asyncio.sleep(0.1)
    paths = ("/bytes", "/by-hand", "/ours", "/run")
    await asyncio.gather(*(asked(port, path, []) for path in paths))  # what is imported and compiled once
    print("| response | CPU s | over bytes | late, 99 % | MB at most |\n|---|--:|--:|--:|--:|")
    base = None
    for path in paths:
        late: list[float] = []
        before = await used(port)
        await asyncio.gather(*(asked(port, path, late) for _ in range(clients)))
        after = await used(port)
        cpu = after[0] - before[0]
        base = base or cpu
        p99 = sorted(late)[int(len(late) * 0.99)] * 1000 if late else 0.0
        print(f"| {path} | {cpu:.2f} | {cpu / base:.2f} | {p99:.0f} ms | {after[1]:.0f} |", flush=True)


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
        finally:
            worker.terminate()


if __name__ == "__main__":
    main()
