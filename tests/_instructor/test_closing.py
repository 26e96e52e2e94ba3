from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from instructor_stream_ext._instructor.closing import aclose, close, own_socket
from instructor_stream_ext._instructor.sockets import OwnSocket
from tests.providers.chunks import raw
from tests.server import ScriptedServer, Signal, Wait, sends
from tests.server.clients import bare_async_openai
from tests.server.wire_format import chat_content

WAIT = 10.0

CHAT = raw({"role": "assistant", "content": "x"})
START: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [],
    "stop_reason": None,
}
MESSAGE = [
    {"type": "message_start", "message": {**START, "usage": {"input_tokens": 1, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
]
CONTENT = {"candidates": [{"content": {"role": "model", "parts": [{"text": "x"}]}, "index": 0}], "responseId": "r"}


class Silent:
    """Answers with a few events, then stays silent with the connection open, and notes when the client has gone."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self._events = events
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            self._connections.append(connection)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            for event in self._events:
                name = f"event: {event['type']}\n" if "type" in event else ""
                connection.sendall(f"{name}data: {json.dumps(event)}\n\n".encode())
            while connection.recv(1024):
                pass
        self.gone.set()

    def stop(self) -> None:
        for held in (self._listener, *self._connections):
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT)
        for held in (self._listener, *self._connections):
            held.close()


@pytest.fixture(name="serve")
def _serve() -> Iterator[Any]:
    servers: list[Silent] = []

    def start(events: list[dict[str, Any]]) -> Silent:
        servers.append(Silent(events))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def _own(stream: Any) -> OwnSocket:
    own = OwnSocket()
    own_socket(stream, own)
    return own


def _openai(port: int) -> tuple[Any, Any]:
    import openai

    client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    return client, client.chat.completions.create(model="m", messages=[], stream=True)


def _anthropic(port: int) -> tuple[Any, Any]:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="none", base_url=f"http://127.0.0.1:{port}", max_retries=0)
    return client, client.messages.create(model="m", max_tokens=1, messages=[], stream=True)


def _genai(port: int) -> tuple[Any, Any]:
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options=genai.types.HttpOptions(base_url=f"http://127.0.0.1:{port}"))
    return client, client.models.generate_content_stream(model="m", contents="x")


def _litellm(port: int, model: str, path: str) -> tuple[Any, Any]:
    litellm = pytest.importorskip("litellm")
    stream = litellm.completion(
        model=model,
        messages=[{"role": "user", "content": "x"}],
        stream=True,
        api_key="none",
        api_base=f"http://127.0.0.1:{port}{path}",
        num_retries=0,
    )
    return None, stream


SYNC = [
    pytest.param(_openai, [CHAT], id="openai"),
    pytest.param(_anthropic, MESSAGE, id="anthropic"),
    pytest.param(_genai, [CONTENT], id="genai"),
    pytest.param(lambda port: _litellm(port, "openai/m", "/v1"), [CHAT, CHAT], id="litellm-openai"),
    pytest.param(lambda port: _litellm(port, "anthropic/m", "/v1/messages"), MESSAGE, id="litellm-anthropic"),
]


@pytest.mark.parametrize(("connect", "events"), SYNC)
def test_the_server_notices_that_a_sync_stream_was_closed(connect: Any, events: list[Any], serve: Any) -> None:
    server = serve(events)
    client, stream = connect(server.port)
    next(iter(stream))
    close(stream)
    assert server.gone.wait(WAIT)
    close(stream)
    if client is not None:
        client.close()


@pytest.mark.parametrize(("connect", "events"), SYNC)
def test_shutting_the_socket_down_ends_a_read_that_blocks(connect: Any, events: list[Any], serve: Any) -> None:
    server = serve(events)
    client, stream = connect(server.port)
    iterator = iter(stream)
    next(iterator)
    own = _own(stream)
    assert own.is_known
    ended = threading.Event()

    def drain() -> None:
        with suppress(Exception):
            for _ in iterator:
                pass
        ended.set()

    reading = threading.Thread(target=drain, daemon=True)
    reading.start()
    assert own.shut_down()
    assert ended.wait(WAIT)
    reading.join(WAIT)
    close(stream)
    assert not own.shut_down(), "it was forgotten when the response was closed"
    if client is not None:
        client.close()


async def _aopenai(port: int) -> tuple[Any, Any]:
    import openai

    client = openai.AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
    return client.close, await client.chat.completions.create(model="m", messages=[], stream=True)


async def _aanthropic(port: int) -> tuple[Any, Any]:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.AsyncAnthropic(api_key="none", base_url=f"http://127.0.0.1:{port}", max_retries=0)
    return client.close, await client.messages.create(model="m", max_tokens=1, messages=[], stream=True)


async def _agenai(port: int) -> tuple[Any, Any]:
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="none", http_options=genai.types.HttpOptions(base_url=f"http://127.0.0.1:{port}"))
    return client.aio.aclose, await client.aio.models.generate_content_stream(model="m", contents="x")


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
@pytest.mark.parametrize(
    ("connect", "events"),
    [
        pytest.param(_aopenai, [CHAT], id="openai"),
        pytest.param(_aanthropic, MESSAGE, id="anthropic"),
        pytest.param(_agenai, [CONTENT], id="genai"),
    ],
)
@pytest.mark.asyncio
async def test_the_server_notices_that_an_async_stream_was_closed(connect: Any, events: list[Any], serve: Any) -> None:
    server = serve(events)
    shut, stream = await connect(server.port)
    await anext(aiter(stream))
    await aclose(stream)
    assert await asyncio.to_thread(server.gone.wait, WAIT)
    await aclose(stream)
    await shut()


def test_a_generator_is_closed_with_the_generators_it_reads_from() -> None:
    closed = []

    def inner() -> Iterator[int]:
        try:
            yield from (1, 2)
        finally:
            closed.append("inner")

    def outer() -> Iterator[int]:
        for item in inner():
            try:
                yield item
            finally:
                closed.append("outer")

    stream = outer()
    next(stream)
    close(stream)
    assert closed == ["outer", "inner"]
    assert not _own(stream).is_known


@pytest.mark.asyncio
async def test_an_async_generator_is_closed_with_the_generators_it_reads_from() -> None:
    closed = []

    async def inner() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            closed.append("inner")

    async def outer() -> AsyncIterator[int]:
        async for item in inner():
            try:
                yield item
            finally:
                closed.append("outer")

    stream = outer()
    await anext(stream)
    await aclose(stream)
    assert closed == ["outer", "inner"]


class _Closable:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.mark.asyncio
async def test_anything_with_a_close_is_closed_and_anything_else_left_alone() -> None:
    one, other = _Closable(), _Closable()
    close(one)
    await aclose(other)
    assert (one.closed, other.closed) == (1, 1)
    close([1])
    await aclose([1])
    assert not _own([1]).is_known


async def test_the_pool_forgets_a_request_whose_closing_was_cancelled(server: ScriptedServer) -> None:
    server.add([*sends(chat_content("x")[:2]), Wait(Signal())])
    bare = bare_async_openai(server)
    messages: Any = [{"role": "user", "content": "go"}]
    stream = await bare.chat.completions.create(model="m", messages=messages, stream=True)
    await anext(stream)
    transport: Any = bare._client._transport
    network = stream.response.extensions["network_stream"]
    closes, begun = network.aclose, asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    network.aclose = never
    closing = asyncio.ensure_future(stream.response.aclose())
    await begun.wait()
    closing.cancel()
    await asyncio.wait((closing,))
    assert len(transport._pool._requests) == 1  # it is closed, and the pool does not know
    network.aclose = closes
    await aclose(stream, is_left=True)
    assert transport._pool._requests == []
    await server.exchanges[0].disconnected.wait_async()
