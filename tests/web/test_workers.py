"""Two uvicorn workers over one real Redis: either may die, and nothing is lost, doubled or left waiting."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server import ScriptedServer, Signal, Wait, reply, sends
from tests.web.serving import Frame, frames_of
from tests.web.test_runs import redis_url  # noqa: F401  a fixture

ROOT = Path(__file__).parents[2]
DOCUMENT = '{"name": "Ada Lovelace", "age": 36}'


@contextlib.contextmanager
def workers(redis: str, provider: str) -> Iterator[list[tuple[str, subprocess.Popen[bytes]]]]:
    """Two workers: their addresses and processes."""
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(2):
            with socket.create_server(("127.0.0.1", 0)) as listening:  # handed on, so that nobody else gets the port
                port, number = listening.getsockname()[1], listening.fileno()
                command = [sys.executable, "-m", "tests.web.worker", str(number), redis, f"{provider}/v1"]
                process = stack.enter_context(subprocess.Popen(command, cwd=ROOT, pass_fds=[number]))
            stack.callback(process.kill)
            started.append((f"http://127.0.0.1:{port}", process))
        yield started


async def until_ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{url}/ready")).status_code == 204:
                    return
            await asyncio.sleep(0.05)


async def some_of(url: str, run_id: str, count: int) -> list[Frame]:
    """The first events of a run, then the connection is left."""
    body = b""
    headers = {"accept-encoding": "identity"}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", f"{url}/runs/{run_id}", headers=headers) as answer,
    ):
        async for piece in answer.aiter_bytes():
            body += piece
            if body.count(b"\n\n") >= count:
                break
    return frames_of(body[: body.rindex(b"\n\n")])[:count]


async def the_rest(url: str, run_id: str, last: str) -> list[Frame]:
    async with httpx.AsyncClient(timeout=60) as client:
        return frames_of((await client.get(f"{url}/runs/{run_id}", headers={"last-event-id": last})).content)


@pytest.mark.usefixtures("redis_url")
@pytest.mark.parametrize("dies", ["the reader's", "the owner's"])
async def test_a_worker_dies(server: ScriptedServer, redis_url: str, dies: str) -> None:  # noqa: F811  the fixture
    gate = Signal()
    server.add(reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), Wait(gate), sends(chunks[6:])]))
    with workers(redis_url, server.url) as ((owner, owning), (reader, reading)):
        await asyncio.gather(until_ready(owner), until_ready(reader))
        async with httpx.AsyncClient(timeout=30) as client:
            run_id: Any = (await client.post(owner)).json()
        first = await some_of(reader, run_id, 1)
        killed, alive = (reading, owner) if dies == "the reader's" else (owning, reader)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        if dies == "the reader's":
            gate.set()
        rest = await the_rest(alive, run_id, first[-1].id)
        ids = [frame.id for frame in [*first, *rest]]
        assert ids == sorted(set(ids), key=lambda one: tuple(map(int, one.split("-"))))
        if dies == "the reader's":
            assert rest[-1].event == "final"
            assert rest[-1].data == {"name": "Ada Lovelace", "age": 36}
            again = await the_rest(alive, run_id, first[-1].id)
            assert again[-1] == rest[-1]  # a second reader gets the same, though it may miss partials in between
        else:
            assert rest[-1].event == "error"
            assert rest[-1].data["type"] == "run_lost"
        assert len(server.requests) == 1
