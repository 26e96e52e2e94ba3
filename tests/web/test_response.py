"""A response over real HTTP: from a scripted provider through the client, Starlette and uvicorn to an HTTP client."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from instructor_stream_ext import StreamMisuse
from instructor_stream_ext.web import stream_response
from tests.server import Answer, ScriptedServer, Signal, Wait, reply, sends
from tests.server.wire_format import chat_content
from tests.twins import ASYNC
from tests.web.serving import frames_of, serving

DOCUMENT = '{"name": "Ada </script>\u2028", "age": 36}'
SHOWN = {"name": "Ada </script>\u2028", "age": 36}
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "who?"}], "max_retries": 1}


class Person(BaseModel):
    name: str
    age: int


def held(gate: Signal) -> Any:
    """An answer that is held back after its first pieces."""
    return reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), Wait(gate), sends(chunks[6:])])


def endpoint(server: ScriptedServer, ask: dict[str, Any] | None = None, **given: Any) -> Any:
    client = ASYNC.client(server)

    async def people(request: Request) -> Response:
        del request
        return await stream_response(client.create_partial(Person, **ASK, **(ask or {})), **given)

    return people


async def fetched(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url, headers={"accept-encoding": "identity", **headers})


async def test_partials_and_the_final(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT))
    async with serving(endpoint(server)) as url:
        answer = await fetched(url)
    frames = frames_of(answer.content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert frames[0].event == "partial"
    assert frames[-1].event == "final"
    assert frames[-1].data == SHOWN
    assert [int(frame.id) for frame in frames] == sorted({int(frame.id) for frame in frames})


async def test_it_comes_while_the_rest_is_held_back(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(held(gate))
    async with (
        serving(endpoint(server)) as url,
        httpx.AsyncClient() as client,
        client.stream("GET", url, headers={"accept-encoding": "gzip"}) as answer,
    ):
        assert answer.headers["content-encoding"] == "gzip"
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if b'"Ada' in body:
                break
        gate.set()


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_an_error_before_the_first_event_is_a_status(server: ScriptedServer, status: int) -> None:
    secret = b'{"error": {"message": "key sk-1234 is bad", "type": "error"}}'
    server.always(Answer(secret, status=status))
    async with serving(endpoint(server)) as url:
        answer = await fetched(url)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["type"] == "provider_error"
    assert told["retryable"] is (status != 401)
    assert "sk-1234" not in answer.text


async def test_a_status_of_ones_own(server: ScriptedServer) -> None:
    server.always(Answer(b"{}", status=401))
    async with serving(endpoint(server, status_of=lambda error: 418)) as url:
        assert (await fetched(url)).status_code == 418


async def test_a_later_error_is_an_event(server: ScriptedServer) -> None:
    server.always(reply('{"name": "Ada"'))
    async with serving(endpoint(server)) as url:
        frames = frames_of((await fetched(url)).content)
    assert frames[-1].event == "error"
    assert frames[-1].data == {
        "type": "output_truncated",
        "message": "the answer was cut off",
        "attempt": 1,
        "retryable": False,
        "partial": {"name": "Ada", "age": None},
    }


async def test_a_re_ask_resets_what_was_shown(server: ScriptedServer) -> None:
    server.add(reply('{"name": "Ada", "age": "many"}'))
    server.add(reply(DOCUMENT))
    async with serving(endpoint(server)) as url:
        frames = frames_of((await fetched(url)).content)
    (restart,) = [frame for frame in frames if frame.event == "restart"]
    assert restart.data == {"reason": "reask", "attempt": 2, "from_model": None, "to_model": None}
    assert frames[-1].data == SHOWN


async def test_items(server: ScriptedServer) -> None:
    server.add(reply('{"tasks": [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 1}]}'))
    client = ASYNC.client(server)

    async def people(request: Request) -> Response:
        return await stream_response(client.create_iterable(Person, **ASK))

    async with serving(people) as url:
        frames = frames_of((await fetched(url)).content)
    assert [frame.data for frame in frames if frame.event == "item"] == [
        {"path": [0], "item": {"name": "Ada", "age": 36}},
        {"path": [1], "item": {"name": "Bob", "age": 1}},
    ]
    assert frames[-1].data == [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 1}]


async def test_text(server: ScriptedServer) -> None:
    server.add(sends(chat_content("Hello, world")))
    client = ASYNC.client(server)

    async def hello(request: Request) -> Response:
        return await stream_response(client.stream_text("hi", model="m"))

    async with serving(hello) as url:
        assert frames_of((await fetched(url)).content)[-1].data == "Hello, world"


async def test_a_client_that_leaves_cancels_the_model_call(server: ScriptedServer) -> None:
    server.add(held(Signal()))
    async with serving(endpoint(server)) as url:
        async with httpx.AsyncClient() as client, client.stream("GET", url) as answer:
            async for _ in answer.aiter_bytes():
                break
        assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)


async def test_a_sign_of_life_while_the_model_is_silent(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(held(gate))
    async with (
        serving(endpoint(server, heartbeat=0.05)) as url,
        httpx.AsyncClient() as client,
        client.stream("GET", url, headers={"accept-encoding": "identity"}) as answer,
    ):
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if body.count(b": ping\n\n") >= 2:
                break
        assert body.count(b": ping\n\n") >= 2
        gate.set()


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
async def test_compression(server: ScriptedServer, encoding: str) -> None:
    server.add(reply(DOCUMENT))
    async with serving(endpoint(server)) as url:
        answer = await fetched(url, **{"accept-encoding": f"{encoding}, identity;q=0.5"})
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert frames_of(answer.content)[-1].data == SHOWN
        server.add(reply(DOCUMENT))
        assert "content-encoding" not in (await fetched(url)).headers


async def test_a_slow_client_gets_the_newest_partial_and_the_final(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT))
    response = await stream_response(ASYNC.client(server).create_partial(Person, **ASK), compress=False)
    sent: list[bytes] = []
    may_go_on = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            await may_go_on.wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    running = asyncio.ensure_future(response({"type": "http", "headers": []}, receive, send))
    async with asyncio.timeout(10):
        while not response.outbox.is_over:  # type: ignore[attr-defined]  # noqa: ASYNC110  there is nothing to wait for
            await asyncio.sleep(0)
    may_go_on.set()
    await running
    frames = frames_of(b"".join(sent))
    assert [frame.event for frame in frames] in (["partial", "partial", "final"], ["partial", "final"])
    assert frames[-1].data == SHOWN


async def test_a_client_that_takes_nothing_is_left(server: ScriptedServer) -> None:
    server.add(held(Signal()))
    client = ASYNC.client(server)
    response = await stream_response(client.create_partial(Person, **ASK), slow_reader=0.05)

    async def never(*_: Any) -> Any:
        await asyncio.Event().wait()

    await response({"type": "http", "headers": []}, never, never)
    assert await asyncio.to_thread(server.exchanges[0].disconnected.wait, 10)


async def test_what_cannot_be_served(server: ScriptedServer) -> None:
    client = ASYNC.client(server)
    unread = client.create_partial(Person, **ASK)
    with pytest.raises(StreamMisuse, match="must be one of sse, ai-sdk-object"):
        await stream_response(unread, protocol="soap")
    await unread.aclose()
    with pytest.raises(StreamMisuse, match="needs a stream of an async client"):
        await stream_response(iter(()))  # type: ignore[arg-type]
    server.add(reply(DOCUMENT))
    stream = client.create_partial(Person, **ASK)
    await stream.get_final_response()
    with pytest.raises(StreamMisuse, match="a stream is read once"):
        await stream_response(stream)
    with pytest.raises(StreamMisuse, match="heartbeat=0"):
        await stream_response(stream, heartbeat=0)
