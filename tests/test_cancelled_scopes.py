"""Leaving by a cancelled scope, which cancels each further await: closed, told once, nothing left."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import httpx
import httpx2
import openai
import pytest
import uvicorn
from instructor import Mode
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from instructor_stream_ext import (
    AsyncStreamClient,
    Conversation,
    StreamClient,
    StreamInterrupted,
    StreamMisuse,
    StreamTimeout,
    Timeouts,
    TransitionLog,
)
from instructor_stream_ext.session.failures import is_read_timeout
from tests.playing import arguments_for, client_for
from tests.server import Forever, ScriptedServer, Signal, Wait, sends
from tests.server.wire_format import chat_chunk, chat_content
from tests.twins import ASYNC, SYNC, Twin, both

PATIENCE = 10


class Person(BaseModel):
    name: str


def endless(server: ScriptedServer) -> None:
    server.always([sends(chat_content('{"name": "A', done=False, finish=None)), Wait(Signal())])


class Heard:
    """What a client-wide set of hooks hears of a stream that is left; its async hooks take their time."""

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self.events: list[str] = []

    async def ended(self, event: Any) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        self.ends.append(event)

    def seen(self, event: Any) -> None:
        self.events.append(type(event).__name__)


async def _nothing_but_this_task() -> None:
    for _ in range(50):
        if asyncio.all_tasks() == {asyncio.current_task()}:
            return
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def _by_anyio(read: Any, started: asyncio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await started.wait()
        group.cancel_scope.cancel()


async def _by_task(read: Any, started: asyncio.Event) -> None:
    task = asyncio.ensure_future(read())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _by_timeout(read: Any, started: asyncio.Event) -> None:
    async def leave(scope: asyncio.Timeout) -> None:
        await started.wait()
        scope.reschedule(asyncio.get_running_loop().time())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as scope, asyncio.TaskGroup() as group:
            group.create_task(leave(scope))
            await read()


@pytest.mark.parametrize("leave", [_by_anyio, _by_task, _by_timeout])
@pytest.mark.parametrize(
    "options", [{}, {"debounce": 0.01}, {"timeouts": Timeouts(idle=60)}], ids=["plain", "debounced", "bounded"]
)
async def test_a_cancelled_scope_is_a_leaving_like_any_other(
    server: ScriptedServer, leave: Any, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    endless(server)
    heard, started = Heard(), asyncio.Event()
    hooks: dict[str, Any] = {"on_end": heard.ended, "on_event": [heard.seen, TransitionLog()]}
    client = ASYNC.client(server, Mode.JSON, **options, **hooks)
    talk = Conversation(client)

    async def read() -> None:
        stream: Any = talk.say("Hi.", Person, model="m")
        async for partial in stream:
            if partial.name:
                started.set()

    with caplog.at_level(logging.INFO, "instructor_stream_ext"):
        await leave(read, started)
    assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, PATIENCE)
    assert [end.outcome for end in heard.ends] == ["cancelled"]
    assert heard.events[-2:] == ["StreamCancelled", "StreamEnded"]
    assert [record.__dict__["transition"] for record in caplog.records][-1] == "end"
    assert talk.messages[-1]["interrupted"] is True
    assert heard.ends[0].text == talk.messages[-1]["content"]
    await _nothing_but_this_task()


async def _left_by_a_browser(answer: Any) -> None:
    """Serve it with Starlette and uvicorn, and leave when the first text has come."""
    config = uvicorn.Config(Starlette(routes=[Route("/", answer)]), port=0, log_level="critical", lifespan="off")
    web = uvicorn.Server(config)
    serving = asyncio.ensure_future(web.serve())
    while not web.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.001)
    port = web.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient() as browser, browser.stream("GET", f"http://127.0.0.1:{port}/") as page:
        async for _ in page.aiter_text():
            break
    web.should_exit = True
    await serving


async def test_a_client_of_starlette_that_leaves_ends_the_model_call(server: ScriptedServer) -> None:
    server.always([Forever([chat_chunk({"content": "on and "})])])
    heard = Heard()
    client: AsyncStreamClient = ASYNC.client(server, Mode.JSON, on_end=heard.ended)

    async def answer(_: Request) -> StreamingResponse:
        return StreamingResponse(client.stream_text("go", model="m"))

    await _left_by_a_browser(answer)
    assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, PATIENCE)
    while not heard.ends:  # noqa: ASYNC110  the server's task is at it
        await asyncio.sleep(0)
    assert [end.outcome for end in heard.ends] == ["cancelled"]


async def test_a_sync_stream_in_a_response_is_closed_by_its_background_task(server: ScriptedServer) -> None:
    """Starlette reads a sync iterator in a thread, and closes it nowhere when the client leaves."""
    server.always([Forever([chat_chunk({"content": "on and "})])])
    ends: list[Any] = []
    client: StreamClient = SYNC.client(server, Mode.JSON, on_end=ends.append)

    async def answer(_: Request) -> Response:
        stream = client.stream_text("go", model="m")
        return ClosingResponse(stream)

    await _left_by_a_browser(answer)
    assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, PATIENCE)
    while not ends:  # noqa: ASYNC110  a thread is at it
        await asyncio.sleep(0.001)
    assert [end.outcome for end in ends] == ["cancelled"]


class ClosingResponse(StreamingResponse):
    """The recipe of docs/outcomes.md."""

    def __init__(self, stream: Any, **options: Any) -> None:
        super().__init__(stream, **options)
        self.stream = stream

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.stream.close()


def test_without_a_loop_a_stream_says_what_it_needs(server: ScriptedServer) -> None:
    """As under trio, whose tasks are no asyncio tasks."""
    client = ASYNC.client(server, Mode.JSON)
    steps: list[Any] = [lambda stream: stream.get_final_response(), anext, lambda stream: anext(aiter(stream))]
    for step in steps:
        stream = client.create_partial(Person, "go", model="m")
        with pytest.raises(StreamMisuse, match=r"needs a running asyncio loop"):
            step(stream).__await__().send(None)
    assert server.requests == []


@both
async def test_the_sdks_own_read_timeout_in_mid_stream_is_a_timeout(server: ScriptedServer, twin: Twin) -> None:
    endless(server)
    client: Any = client_for(server, "openai", Mode.JSON, is_async=twin.is_async)
    arguments = {**arguments_for("openai"), "timeout": 0.2, "max_retries": 0}
    with pytest.raises(TimeoutError) as caught:
        await twin.final(client.create_partial(Person, **arguments))
    assert isinstance(caught.value, StreamTimeout)
    assert caught.value.kind == "read"
    assert caught.value.text == '{"name": "A'
    assert caught.value.partial.name == "A"


def test_read_timeouts_are_known_by_the_names_of_all_transports() -> None:
    request = httpx2.Request("GET", "http://127.0.0.1")
    assert is_read_timeout(openai.APITimeoutError(request=request))
    assert is_read_timeout(httpx2.ReadTimeout("slow"))
    assert is_read_timeout(httpx.ReadTimeout("slow"))
    assert is_read_timeout(TimeoutError())
    wrapped = StreamInterrupted("broken")
    wrapped.__cause__ = httpx2.ReadTimeout("slow")
    assert is_read_timeout(wrapped)
    assert not is_read_timeout(httpx2.ReadError("gone"))
