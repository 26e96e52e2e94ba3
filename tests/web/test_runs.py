"""Runs over real HTTP: left, come back to, shared, cancelled; within a process and over a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from instructor_stream_ext import StreamMisuse
from instructor_stream_ext.web import MemoryRelay, RedisRelay, Relay, Runs, UnknownRun
from tests.server import Answer, ScriptedServer, Signal, Wait, reply, sends
from tests.twins import ASYNC
from tests.web.serving import Frame, frames_of, serving

DOCUMENT = '{"name": "Ada", "age": 36}'
FINAL = {"name": "Ada", "age": 36}
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "who?"}]}


class Person(BaseModel):
    name: str
    age: int


@contextlib.contextmanager
def redis_server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A Redis of one's own on a free port: its address, and its process."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "Ready to accept connections" in line:
                break
        try:
            yield f"redis://127.0.0.1:{port}", server
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as (url, _):
        yield url


@contextlib.asynccontextmanager
async def relays(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Relay, Relay]]:
    """The relay as the owner has it, and as another process has it."""
    if kind == "memory":
        one = MemoryRelay()
        yield one, one
        await one.aclose()
        return
    url = request.getfixturevalue("redis_url")
    owner, other = RedisRelay(url), RedisRelay(url)
    yield owner, other
    await owner.aclose()
    await other.aclose()


everywhere = pytest.mark.parametrize("kind", ["memory", "redis"])


def held(gate: Signal) -> Any:
    return reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), Wait(gate), sends(chunks[6:])])


async def frames_from(runs: Runs, run_id: str, last: str = "", **asked: Any) -> list[Frame]:
    """All that a reader gets, through the response's own ASGI interface."""
    return frames_of(await body_of(await runs.respond(run_id, last_event_id=last, compress=False, **asked)))


async def body_of(response: Response) -> bytes:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    await response({"type": "http", "headers": []}, receive, send)
    return b"".join(sent)


@everywhere
async def test_a_run_is_read_by_many_and_asked_once(
    server: ScriptedServer, kind: str, request: pytest.FixtureRequest
) -> None:
    gate = Signal()
    server.add(held(gate))
    async with relays(kind, request) as (owner, other):
        runs, elsewhere = Runs(owner), Runs(other)
        run_id = await runs.start(ASYNC.client(server).create_partial(Person, **ASK))
        assert len(run_id) >= 22  # 128 bits
        reading = [asyncio.ensure_future(frames_from(each, run_id)) for each in (runs, elsewhere) for _ in range(100)]
        await asyncio.sleep(0)
        gate.set()
        all_frames = await asyncio.gather(*reading)
        assert len(server.requests) == 1
        for frames in all_frames:
            assert frames[-1].event == "final"
            assert frames[-1].data == FINAL
        await runs.aclose()


@everywhere
async def test_going_on_behind_the_last_event(
    server: ScriptedServer, kind: str, request: pytest.FixtureRequest
) -> None:
    server.add(reply(DOCUMENT))
    async with relays(kind, request) as (owner, other):
        runs, elsewhere = Runs(owner), Runs(other)
        run_id = await runs.start(ASYNC.client(server).create_partial(Person, **ASK))
        whole = [one async for one in other.read(run_id)]
        for at, (entry_id, _) in enumerate(whole):
            assert [one async for one in other.read(run_id, entry_id)] == whole[at + 1 :]
        frames = await frames_from(elsewhere, run_id)
        assert (await frames_from(elsewhere, run_id, frames[-2].id))[-1] == frames[-1]
        assert (await elsewhere.respond(run_id, last_event_id=whole[-1][0])).status_code == 204
        await runs.aclose()


@everywhere
async def test_leaving_does_not_cancel_and_cancelling_does(
    server: ScriptedServer, kind: str, request: pytest.FixtureRequest
) -> None:
    server.add(held(Signal()))
    async with relays(kind, request) as (owner, other):
        runs, elsewhere = Runs(owner), Runs(other)
        run_id = await runs.start(ASYNC.client(server).create_partial(Person, **ASK))
        left = asyncio.ensure_future(frames_from(elsewhere, run_id))
        staying = asyncio.ensure_future(frames_from(elsewhere, run_id))
        async for _, entry in other.read(run_id):
            if b'"partial"' in entry:
                break
        left.cancel()
        await asyncio.wait((left,))
        await elsewhere.cancel(run_id)
        frames = await staying
        assert frames[-1].event == "error"
        assert frames[-1].data["type"] == "cancelled"
        assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)
        await elsewhere.cancel(run_id)  # over already
        await runs.aclose()


@everywhere
async def test_a_name_is_taken_once(server: ScriptedServer, kind: str, request: pytest.FixtureRequest) -> None:
    server.always(reply(DOCUMENT))
    client = ASYNC.client(server)
    async with relays(kind, request) as (owner, other):
        runs, elsewhere = Runs(owner), Runs(other)
        await runs.start(client.create_partial(Person, **ASK), f"mine-{kind}")
        again = client.create_partial(Person, **ASK)
        with pytest.raises(StreamMisuse, match="exists already"):
            await elsewhere.start(again, f"mine-{kind}")
        await again.aclose()
        with pytest.raises(UnknownRun):
            await elsewhere.respond("nobody's")
        await runs.aclose()


async def test_a_run_whose_owner_died_ends_with_an_error(redis_url: str) -> None:
    relay = RedisRelay(redis_url, lease=1)
    dead = RedisRelay(redis_url, lease=1)
    assert await dead.claim("orphan", 60)
    await dead.append("orphan", b'{"kind":"partial","at":0.0,"attempt":1,"partial":{},"sequence":1,"json":"{"}')
    await dead.aclose()  # and nobody renews its lease
    frames = await frames_from(Runs(relay), "orphan")
    assert [frame.event for frame in frames] == ["partial", "error"]
    assert frames[-1].data["type"] == "run_lost"
    assert frames[-1].data["retryable"]
    await relay.aclose()


async def test_a_redis_that_is_gone_ends_the_reading() -> None:
    """One of its own, which is killed in mid-run."""
    with redis_server() as (url, process):
        relay = RedisRelay(url, lease=30)
        await relay.claim("run", 60)
        await relay.append("run", b'{"kind":"partial","at":0.0,"attempt":1,"partial":{},"sequence":1,"json":"{"}')
        reading = asyncio.ensure_future(frames_from(Runs(relay), "run"))
        async for _ in relay.read("run"):
            break
        process.send_signal(signal.SIGKILL)
        frames = await asyncio.wait_for(reading, 60)
        assert [frame.event for frame in frames] == ["partial", "error"]
        await relay.aclose()


async def test_over_http(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT))
    clock = [0.0]
    runs = Runs(MemoryRelay(clock=lambda: clock[0]), ttl=60, authorize=lambda request, _: "me" in request.headers)
    client = ASYNC.client(server)

    async def start(request: Request) -> Response:
        return JSONResponse(await runs.start(client.create_partial(Person, **ASK)))

    async with serving(start, *runs.routes()) as url, httpx.AsyncClient(headers={"me": "1"}) as asking:
        run_id = (await asking.post(url)).json()
        answer = await asking.get(f"{url}/runs/{run_id}")
        frames = frames_of(answer.content)
        assert answer.headers["instructor-stream-run"] == run_id
        assert frames[-1].data == FINAL
        resumed = await asking.get(f"{url}/runs/{run_id}", headers={"last-event-id": frames[0].id})
        assert frames_of(resumed.content)[-1] == frames[-1]
        after = str(int(frames[-1].id) + 1)
        assert (await asking.get(f"{url}/runs/{run_id}?last_event_id={after}")).status_code == 204
        assert (await asking.get(f"{url}/runs/{run_id}?last_event_id=one")).status_code == 400
        assert (await asking.get(f"{url}/runs/{run_id}?protocol=soap")).status_code == 400
        assert (await asking.get(f"{url}/runs/nobody")).status_code == 404
        assert (await asking.delete(f"{url}/runs/nobody")).status_code == 404
        assert (await asking.delete(f"{url}/runs/{run_id}")).status_code == 204
        clock[0] = 1000
        gone = await asking.get(f"{url}/runs/{run_id}")
        assert gone.status_code == 410
        assert gone.headers["content-type"] == "application/problem+json"
        async with httpx.AsyncClient() as stranger:
            assert (await stranger.get(f"{url}/runs/{run_id}")).status_code == 403
            assert (await stranger.delete(f"{url}/runs/{run_id}")).status_code == 403
    await runs.aclose()


async def test_a_provider_that_refuses_is_a_status_here_too(server: ScriptedServer) -> None:
    server.always(Answer(b'{"error": {"message": "no"}}', status=401))
    runs = Runs()
    run_id = await runs.start(ASYNC.client(server).create_partial(Person, **ASK, max_retries=0))
    response = await runs.respond(run_id)
    assert response.status_code == 401
    await runs.aclose()


@pytest.mark.parametrize("limit", [{"max_bytes": 200}, {"max_seconds": 0.5}])
async def test_limits_of_a_run(server: ScriptedServer, limit: dict[str, Any]) -> None:
    server.add(held(Signal()))
    runs = Runs(**limit)
    run_id = await runs.start(ASYNC.client(server).create_partial(Person, **ASK))
    frames = await frames_from(runs, run_id)
    assert frames[-1].data["type"] == "limit_exceeded"
    assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)
    await runs.aclose()


async def test_no_more_runs_than_allowed(server: ScriptedServer) -> None:
    server.always(held(Signal()))
    client = ASYNC.client(server)
    runs = Runs(max_runs=1)
    await runs.start(client.create_partial(Person, **ASK))
    more = client.create_partial(Person, **ASK)
    with pytest.raises(StreamMisuse, match="max_runs=1"):
        await runs.start(more)
    await more.aclose()
    await runs.aclose()


def test_without_redis_the_message_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['redis'] = sys.modules['redis.asyncio'] = None\n"
        "from instructor_stream_ext.web import RedisRelay\n"
        "RedisRelay('redis://localhost')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=root)
    assert "pip install 'instructor_stream_ext[redis]'" in done.stderr
