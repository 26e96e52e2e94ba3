"""The scripted server does what it says, seen through the bare SDKs."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
from typing import Any

import anthropic
import httpx
import httpx2
import instructor
import openai
import pytest
from google.genai import types as genai_types
from pydantic import BaseModel

from tests.bounds import NOTICED_WITHIN
from tests.server import (
    Answer,
    Cut,
    Forever,
    KeepAlive,
    Reset,
    ScriptedServer,
    Signal,
    Silent,
    Start,
    Status,
    Trickle,
    Wait,
    gated,
    reply,
    sends,
)
from tests.server.clients import (
    anthropic_client,
    async_anthropic_client,
    async_genai_client,
    async_litellm_client,
    async_openai_client,
    bare_anthropic,
    bare_async_anthropic,
    bare_async_openai,
    bare_genai,
    bare_openai,
    genai_client,
    litellm_client,
    openai_client,
)
from tests.server.wire_format import (
    anthropic_error,
    anthropic_text,
    anthropic_tools,
    chat,
    chat_calls,
    chat_choices,
    chat_content,
    chat_error,
    chat_refusal,
    gemini_error,
    gemini_text,
    gemini_tools,
    responses_error,
    responses_refusal,
    responses_text,
    responses_tools,
)

DOCUMENT = '{"name": "Žofie", "tags": ["a", "b"], "n": -12.5e3}'
ASK: dict[str, Any] = {"model": "test-model", "messages": [{"role": "user", "content": "go"}]}
TOLD: dict[str, Any] = ASK | {"max_tokens": 100}


def contents(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


# -- gates: nothing is sent before the test says so -----------------------------------------------------------------


def test_first_chunk_arrives_before_the_second_is_sent(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(gated(chat_content("abcdefgh", size=4), [gate], every=2))
    stream = iter(bare_openai(server).chat.completions.create(**ASK, stream=True))
    assert next(stream).choices[0].delta.role == "assistant"
    assert next(stream).choices[0].delta.content == "abcd"
    assert server.exchanges[0].sent == 2
    assert not server.exchanges[0].finished.is_set()
    gate.set()
    assert contents(stream) == "efgh"
    server.exchanges[0].finished.wait()
    assert server.exchanges[0].completed


async def test_first_chunk_arrives_before_the_second_is_sent_async(server: ScriptedServer) -> None:
    gate = Signal()
    chunks = chat_content("abcdefgh", size=4)
    server.add(sends(chunks[:2]), Wait(gate), sends(chunks[2:]))
    stream = await bare_async_openai(server).chat.completions.create(**ASK, stream=True)
    assert (await anext(stream)).choices[0].delta.role == "assistant"
    assert (await anext(stream)).choices[0].delta.content == "abcd"
    assert server.exchanges[0].sent == 2
    gate.set()
    rest = [chunk.choices[0].delta.content async for chunk in stream]
    assert "".join(filter(None, rest)) == "efgh"


# -- clients that leave ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [Wait(Signal()), Forever(chat_content("x")[1:2]), Trickle()], ids=type)
def test_leaving_is_noticed_whatever_the_script_does(server: ScriptedServer, ending: Any) -> None:
    server.add(sends(chat_content("abcd")[:2]), ending)
    stream = bare_openai(server).chat.completions.create(**ASK, stream=True)
    next(iter(stream))
    exchange = server.exchange()
    assert not exchange.disconnected.is_set()
    left = Signal()
    left.set()
    stream.close()
    assert exchange.disconnected.wait() - left.wait() < NOTICED_WITHIN
    exchange.finished.wait()
    assert not exchange.completed


async def test_cancelling_is_noticed(server: ScriptedServer) -> None:
    server.add(Silent())
    task = asyncio.create_task(bare_async_openai(server).chat.completions.create(**ASK))
    exchange = await server.exchange_async()
    assert not exchange.disconnected.is_set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await exchange.disconnected.wait_async()
    await exchange.finished.wait_async()
    assert not exchange.completed


def test_a_half_closed_connection_counts_as_left(server: ScriptedServer) -> None:
    server.add(Silent())
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        exchange = server.exchange()
        raw.shutdown(socket.SHUT_WR)
        exchange.disconnected.wait()


def test_a_client_that_stays_has_not_left(server: ScriptedServer) -> None:
    server.always(Answer({}))
    with httpx.Client() as client:
        client.get(server.url)
        client.get(server.url)
        for exchange in server.exchanges:
            exchange.finished.wait()  # the client has its answer a moment before that
        assert [exchange.completed for exchange in server.exchanges] == [True, True]
        assert not any(exchange.disconnected.is_set() for exchange in server.exchanges)
    for exchange in server.exchanges:
        exchange.disconnected.wait()


# -- bad endings ----------------------------------------------------------------------------------------------------


# What openai's SDK lets through of the library below it, which is another in its version 2.
BROKEN = (httpx.TransportError, httpx2.TransportError, openai.APIConnectionError)


def test_reset_is_an_error(server: ScriptedServer) -> None:
    server.add(sends(chat_content("abcd")[:2]), Reset())
    with pytest.raises(BROKEN):
        list(bare_openai(server).chat.completions.create(**ASK, stream=True))


def test_reset_reaches_a_plain_socket(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(b"x", Wait(gate), Reset())
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        received = b""
        while not received.endswith(b"1\r\nx\r\n"):
            received += raw.recv(4096)
        gate.set()
        with pytest.raises(ConnectionResetError):
            raw.recv(4096)


def test_cut_is_an_error(server: ScriptedServer) -> None:
    server.add(sends(chat_content("abcd")[:2]), Cut())
    with pytest.raises(BROKEN, match="incomplete chunked read"):
        list(bare_openai(server).chat.completions.create(**ASK, stream=True))


@pytest.mark.parametrize("script", [[], [Start(chunked=False), Cut()]], ids=["ended body", "unframed body"])
def test_clean_end_in_mid_stream_is_no_error(server: ScriptedServer, script: list[Any]) -> None:
    server.add(script[:1], sends(chat_content("abcdefgh")[:2]), script[1:])
    assert contents(bare_openai(server).chat.completions.create(**ASK, stream=True)) == "abcd"


def test_silence_is_a_timeout(server: ScriptedServer) -> None:
    server.add(Silent())
    with pytest.raises(openai.APITimeoutError):
        bare_openai(server, timeout=0.05).chat.completions.create(**ASK)
    server.exchange().disconnected.wait()


def test_status(server: ScriptedServer) -> None:
    server.add(Status(429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError, match="scripted status 429") as caught:
        bare_openai(server).chat.completions.create(**ASK)
    assert caught.value.response.headers["retry-after"] == "7"


# -- requests and scripts -------------------------------------------------------------------------------------------


def test_requests_are_recorded(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT))
    bare_openai(server).chat.completions.create(**ASK, extra_query={"a": "ž"})
    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/chat/completions", {"a": ["ž"]})
    assert request.headers["authorization"] == "Bearer test-key"
    assert request.json == ASK


def test_chunked_request_body(server: ScriptedServer) -> None:
    server.add(Answer({}))
    httpx.post(server.url, content=iter([b'{"a":', b" 1}"]))
    assert server.requests[0].json == {"a": 1}


def test_scripts_are_taken_in_order_and_by_match(server: ScriptedServer) -> None:
    server.add(Answer("for b"), match=lambda request: request.path == "/b")
    server.add(Answer("first")).add(Answer("second"))
    server.always(Answer("rest"))
    answers = [httpx.get(server.url + path).json() for path in ("/a", "/b", "/c", "/d")]
    assert answers == ["first", "for b", "second", "rest"]
    assert server.scripts_left == 0


def test_no_script_left(server: ScriptedServer) -> None:
    answer = httpx.get(server.url + "/x")
    assert (answer.status_code, answer.json()["error"]["message"]) == (501, "no script for GET /x")


def test_a_failing_script_is_reported_when_the_server_stops() -> None:
    def script(_: object) -> Answer:
        raise LookupError("wrong")

    server = ScriptedServer().add(script)
    with pytest.raises(LookupError, match="wrong"), server:
        assert httpx.get(server.url).status_code == 500


def test_trickle_until_and_keep_alives(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(KeepAlive(2), Trickle(every=0.001, until=gate), sends(chat_content("abcd")))
    stream = bare_openai(server).chat.completions.create(**ASK, stream=True)
    gate.set()
    assert contents(stream) == "abcd"
    assert server.exchanges[0].sent >= 2 + 4


def test_stopping_closes_connections_that_wait() -> None:
    with ScriptedServer() as server:
        server.add(Silent())
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        server.exchange()
    with raw:
        assert raw.recv(1) == b""


@pytest.mark.parametrize("passes", range(6))
def test_stopping_loses_no_connection_that_is_just_coming_in(passes: int) -> None:
    """Whatever pass of the loop it has reached: a connection that was not taken care of would warn when collected."""
    server = ScriptedServer()

    async def serve_a_little() -> None:
        await server._listen()
        for raw in [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]:
            raw.close()
        for _ in range(passes):
            await asyncio.sleep(0)
        await server._shut_down()

    server._loop.run_until_complete(serve_a_little())
    assert asyncio.all_tasks(server._loop) == set()
    server._loop.close()
    gc.collect()


# -- signals --------------------------------------------------------------------------------------------------------


async def test_signal_gives_up() -> None:
    signal = Signal()
    with pytest.raises(TimeoutError):
        await signal.wait_async(0)
    with pytest.raises(TimeoutError, match="within 0 s"):
        signal.wait(0)
    signal.set()
    assert await signal.wait_async(0) == signal.wait(0) == signal.at


# -- wire formats, read by the SDKs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 4, None])
def test_chat_tools(server: ScriptedServer, size: int | None) -> None:
    server.add(sends(chat(DOCUMENT, size, name="Thing", usage=True)))
    with bare_openai(server).chat.completions.stream(**ASK) as stream:
        completion = stream.get_final_completion()
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    assert [call.function.arguments for call in choice.message.tool_calls] == [DOCUMENT]
    assert choice.message.tool_calls[0].function.name == "Thing"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 18


@pytest.mark.parametrize("interleaved", [False, True])
def test_chat_calls(server: ScriptedServer, interleaved: bool) -> None:
    chunks = chat_calls([("A", '{"a": 1}'), ("B", '{"b": 22222}')], interleaved=interleaved)
    server.add(sends(chunks))
    arguments = {0: "", 1: ""}
    order: list[int] = []
    for chunk in bare_openai(server).chat.completions.create(**ASK, stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            arguments[call.index] += call.function.arguments or ""
            order.append(call.index)
    assert arguments == {0: '{"a": 1}', 1: '{"b": 22222}'}
    assert (order == sorted(order)) is not interleaved


@pytest.mark.parametrize("kind", ["content", "tools"])
def test_chat_choices(server: ScriptedServer, kind: Any) -> None:
    server.add(sends(chat_choices(["abcdefgh", "xy"], kind=kind)))
    texts = {0: "", 1: ""}
    for chunk in bare_openai(server).chat.completions.create(**ASK, n=2, stream=True):
        delta = chunk.choices[0].delta
        for call in delta.tool_calls or []:
            assert call.function is not None
            texts[chunk.choices[0].index] += call.function.arguments or ""
        texts[chunk.choices[0].index] += delta.content or ""
    assert texts == {0: "abcdefgh", 1: "xy"}


def test_chat_refusal_and_finish_reasons(server: ScriptedServer) -> None:
    server.add(sends(chat_refusal("No, sorry.")))
    with bare_openai(server).chat.completions.stream(**ASK) as stream:
        assert stream.get_final_completion().choices[0].message.refusal == "No, sorry."
    for reason in ("length", "content_filter"):
        server.add(sends(chat(DOCUMENT[:9], finish=reason)))
        chunks = list(bare_openai(server).chat.completions.create(**ASK, stream=True))
        assert chunks[-1].choices[0].finish_reason == reason


@pytest.mark.parametrize("named", [False, True])
def test_chat_error_in_mid_stream(server: ScriptedServer, named: bool) -> None:
    server.add(sends(chat(DOCUMENT)[:5]), chat_error("broke", named=named))
    with pytest.raises(openai.APIError, match="broke"):
        list(bare_openai(server).chat.completions.create(**ASK, stream=True))


@pytest.mark.parametrize("only_in_done", [False, True])
def test_responses_tools(server: ScriptedServer, only_in_done: bool) -> None:
    server.add(sends(responses_tools(DOCUMENT, only_in_done=only_in_done)))
    events = list(bare_openai(server).responses.create(model="m", input="go", stream=True))
    deltas = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    assert deltas == ("" if only_in_done else DOCUMENT)
    last = events[-1]
    assert last.type == "response.completed"
    (item,) = last.response.output
    assert item.type == "function_call"
    assert item.arguments == DOCUMENT
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        ("completed", "response.completed"),
        ("incomplete", "response.incomplete"),
        ("content_filter", "response.incomplete"),
        ("failed", "response.failed"),
        ("error", "error"),
        (None, "response.output_item.done"),
    ],
)
def test_responses_text(server: ScriptedServer, ending: Any, expected: str) -> None:
    server.add(sends(responses_text("abcdefgh", ending=ending)))
    seen: list[Any] = []
    stream = bare_openai(server).responses.create(model="m", input="go", stream=True)
    try:
        seen.extend(stream)
        assert seen[-1].type == expected
    except openai.APIError:  # openai 3 raises for an `error` event, earlier ones give it as an event
        assert expected == "error"
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == "abcdefgh"


def test_responses_refusal_and_error(server: ScriptedServer) -> None:
    server.add(sends(responses_refusal("No.")))
    events: list[Any] = list(bare_openai(server).responses.create(model="m", input="go", stream=True))
    assert [event.refusal for event in events if event.type == "response.refusal.done"] == ["No."]
    server.add(responses_error("broke"))
    with pytest.raises(openai.APIError, match="broke"):
        raise_error_event(bare_openai(server).responses.create(model="m", input="go", stream=True))


def raise_error_event(stream: Any) -> None:
    for event in stream:
        if event.type == "error":
            raise openai.APIError(event.message, request=httpx2.Request("POST", "http://x"), body=None)


@pytest.mark.parametrize(("stop", "text"), [("tool_use", ""), ("max_tokens", "Let me see."), ("refusal", "")])
def test_anthropic_tools(server: ScriptedServer, stop: str, text: str) -> None:
    server.add(sends(anthropic_tools(DOCUMENT, stop=stop, text=text)))
    with bare_anthropic(server).messages.stream(**TOLD) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == stop
    *prose, call = message.content
    assert [block.text for block in prose if block.type == "text"] == ([text] if text else [])
    assert call.type == "tool_use"
    assert call.input == json.loads(DOCUMENT)
    assert message.usage.output_tokens == 7


async def test_anthropic_text_async(server: ScriptedServer) -> None:
    server.add(sends(anthropic_text("Hello there", thinking="hm")))
    async with bare_async_anthropic(server).messages.stream(**TOLD) as stream:
        assert "".join([text async for text in stream.text_stream]) == "Hello there"
        message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text"]


def test_anthropic_error_in_mid_stream(server: ScriptedServer) -> None:
    server.add(sends(anthropic_text("abcdefgh")[:4]), anthropic_error())
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        list(bare_anthropic(server).messages.create(**TOLD, stream=True))


def test_gemini_text(server: ScriptedServer) -> None:
    server.add(sends(gemini_text("abcdefgh", finish="MAX_TOKENS", thoughts="hm")))
    chunks = list(bare_genai(server).models.generate_content_stream(model="m", contents="go"))
    assert [chunk.text for chunk in chunks][-2:] == ["abcd", "efgh"]
    assert server.requests[0].query == {"alt": ["sse"]}
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is genai_types.FinishReason.MAX_TOKENS


async def test_gemini_tools_async(server: ScriptedServer) -> None:
    server.add(sends(gemini_tools(DOCUMENT)))
    client = bare_genai(server)
    stream = await client.aio.models.generate_content_stream(model="m", contents="go")
    calls = [call for chunk in [chunk async for chunk in stream] for call in chunk.function_calls or []]
    await client.aio.aclose()
    assert [call.args for call in calls] == [json.loads(DOCUMENT)]


def test_gemini_error_in_mid_stream(server: ScriptedServer) -> None:
    from google.genai import errors

    server.add(sends(gemini_text("abcdefgh")[:1]), gemini_error())
    with pytest.raises(errors.APIError, match="overloaded"):
        list(bare_genai(server).models.generate_content_stream(model="m", contents="go"))


# -- instructor's clients -------------------------------------------------------------------------------------------


class Thing(BaseModel):
    name: str
    tags: list[str]
    n: float


THING = {"name": "Žofie", "tags": ["a", "b"], "n": -12500.0}
SYNC = {
    "openai tools": (openai_client, instructor.Mode.TOOLS, "gpt-4o"),
    "openai schema": (openai_client, instructor.Mode.JSON_SCHEMA, "gpt-4o"),
    "responses": (openai_client, instructor.Mode.RESPONSES_TOOLS, "gpt-4o"),
    "anthropic tools": (anthropic_client, instructor.Mode.TOOLS, "claude"),
    "genai tools": (genai_client, instructor.Mode.TOOLS, "gemini"),
    "genai json": (genai_client, instructor.Mode.JSON, "gemini"),
    "litellm": (litellm_client, instructor.Mode.TOOLS, "openai/gpt-4o"),
}
ASYNC = {
    "openai tools": (async_openai_client, instructor.Mode.TOOLS, "gpt-4o"),
    "openai schema": (async_openai_client, instructor.Mode.JSON_SCHEMA, "gpt-4o"),
    "responses": (async_openai_client, instructor.Mode.RESPONSES_TOOLS, "gpt-4o"),
    "anthropic tools": (async_anthropic_client, instructor.Mode.TOOLS, "claude"),
    "genai tools": (async_genai_client, instructor.Mode.TOOLS, "gemini"),
    "genai json": (async_genai_client, instructor.Mode.JSON, "gemini"),
    "litellm": (async_litellm_client, instructor.Mode.TOOLS, "openai/gpt-4o"),
}


def call(name: str, model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": "go"}]
    limit = {"max_tokens": 100} if name.startswith("anthropic") else {}
    return {"model": model, "messages": messages, "response_model": Thing, "max_retries": 0} | limit


@pytest.mark.parametrize("name", SYNC)
def test_create(server: ScriptedServer, name: str) -> None:
    make, mode, model = SYNC[name]
    server.add(reply(DOCUMENT))
    answer = make(server, mode).create(**call(name, model))
    assert answer.model_dump() == THING


@pytest.mark.parametrize("name", ASYNC)
async def test_create_async(server: ScriptedServer, name: str) -> None:
    make, mode, model = ASYNC[name]
    server.add(reply(DOCUMENT))
    answer = await make(server, mode).create(**call(name, model))
    assert answer.model_dump() == THING
