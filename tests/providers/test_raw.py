"""Events taken as the JSON they are say what the SDKs' objects say, and only the SDKs' own streams are asked for it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.raw import read_as_json, read_leniently
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.failures import words_of
from instructor_stream_ext.testing import load_cassette
from tests.providers.chunks import http_over, raw
from tests.recordings import Recording, recordings
from tests.testing.test_corpus import CASSETTES

CHUNK = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def _chat(body: bytes, **options: Any) -> Any:
    client = openai.OpenAI(api_key="none", http_client=http_over("openai", body), max_retries=0, **options)
    return client.chat.completions.create(model="any", messages=[], stream=True)


def _responses(body: bytes) -> Any:
    client = openai.OpenAI(api_key="none", http_client=http_over("openai", body), max_retries=0)
    return client.responses.create(model="any", input="", stream=True)


def _messages(body: bytes, **options: Any) -> Any:
    client = anthropic.Anthropic(api_key="none", http_client=http_over("anthropic", body), max_retries=0, **options)
    return client.messages.create(model="any", max_tokens=1, messages=[], stream=True)


APIS: dict[str, tuple[str, Callable[[bytes], Any]]] = {
    "chat": ("openai", _chat),
    "responses": ("openai", _responses),
    "messages": ("anthropic", _messages),
}


def _told(reader: Reader, chunks: Iterator[Any]) -> list[Any]:
    """Everything a reader says of a stream, up to an event that cannot be read."""
    told: list[Any] = []
    try:
        for chunk in chunks:
            told.append((reader.read(chunk), list(reader.aside), reader.alive, reader.switched, reader.error))
            reader.aside.clear()
    except (openai.APIError, anthropic.APIError) as error:
        told.append(repr(error))
    except (AttributeError, LookupError, TypeError, ValueError):
        told.append("not to be read")
    told += [reader.finish(), reader.end, reader.refusal, reader.model, reader.response_id, reader.usage]
    return [*told, reader.completion().model_dump(exclude_none=True, warnings=False)]


def _check_that_both_agree(api: str, body: bytes, tools: frozenset[str]) -> None:
    provider, connect = APIS[api]
    mode = "responses_tools" if api == "responses" else "tool_call" if tools else "json_mode"
    usual, plain = connect(body), connect(body)
    read_as_json(plain)
    told = [
        _told(reader_for(provider, mode, tools=tools or None), stream) for stream in (iter(usual), _plain(plain, body))
    ]
    assert told[1] == told[0]


def _plain(stream: Any, body: bytes) -> Iterator[Any]:
    for chunk in stream:
        assert not hasattr(chunk, "__pydantic_fields_set__"), body
        yield chunk


@pytest.mark.parametrize(
    "recording",
    [one for one in recordings() if one.api in APIS and not one.mode.startswith("invoke")],
    ids=lambda one: str(one.file.rpartition(".")[0]),
)
def test_a_recording_says_the_same_either_way(recording: Recording) -> None:
    _check_that_both_agree(recording.api, recording.sse, frozenset(name for name, _ in recording.calls))


@pytest.mark.parametrize("cassette_file", CASSETTES, ids=lambda cassette_file: cassette_file.stem)
def test_a_cassette_says_the_same_either_way(cassette_file: Any) -> None:
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    tools = frozenset({"Card", "Catalogue"}) if b'"tools"' in interaction.request_body else frozenset[str]()
    _check_that_both_agree("chat", interaction.body, tools)


TEXTS = ('{"na', 'me": "A', 'da"}')
ITEM = {"type": "function_call", "id": "f", "call_id": "c", "name": "Card", "arguments": "", "status": "in_progress"}
RESPONSE = {
    "id": "r",
    "object": "response",
    "model": "m",
    "status": "completed",
    "output": [{**ITEM, "arguments": "{}"}],
}
START: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": []}
COUNTED = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
EVENTS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        raw(
            {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "Card", "arguments": ""}}]}
        ),
        raw({"content": "so"}),
        *(raw({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}) for text in TEXTS),
        raw({"reasoning_content": "hm"}),
        raw({}, "tool_calls"),
        raw(choices=[], usage=COUNTED),
    ],
    "responses": [
        {"type": "response.created", "response": {**RESPONSE, "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": ITEM},
        *(
            {"type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 0, "delta": text}
            for text in TEXTS
        ),
        {"type": "response.function_call_arguments.done", "item_id": "f", "output_index": 0, "arguments": "{}"},
        {"type": "response.output_item.done", "output_index": 0, "item": {**ITEM, "arguments": "{}"}},
        {"type": "response.completed", "response": {**RESPONSE, "usage": COUNTED}},
    ],
    "messages": [
        {"type": "message_start", "message": {**START, "usage": COUNTED}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "Card", "input": {}},
        },
        *(
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": text}}
            for text in TEXTS
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ],
}
JUNK: list[Any] = [None, 0, 1, "", "x", [], {}, [None], [{}], True, 1.5, {"a": 1}]


def _places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place within a JSON value."""
    for step in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, step)
        yield from _places(value[step], *path, step)


@st.composite
def _spoilt(draw: st.DrawFn, events: list[dict[str, Any]]) -> list[Any]:
    """Events with something missing or of another kind in one or two places."""
    spoilt: list[Any] = copy.deepcopy(events)
    for _ in range(draw(st.integers(1, 2))):
        *above, last = draw(st.sampled_from(list(_places(spoilt))))
        held: Any = spoilt
        for step in above:
            held = held[step]
        if above and draw(st.booleans()):
            del held[last]
        else:
            held[last] = copy.deepcopy(draw(st.sampled_from(JUNK)))
    return spoilt


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=settings().max_examples * 3 // 5)
@given(data=st.data())
def test_odd_events_are_taken_alike(api: str, data: st.DataObject) -> None:
    """As far as an object can say what the event was."""
    body = b""
    for event in data.draw(_spoilt(EVENTS[api])):
        kind = event.get("type") if isinstance(event, dict) else "x"
        body += f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()
    _check_that_both_agree(api, body, frozenset({"Card"}))


@pytest.mark.parametrize("connect", [_chat, _responses, _messages])
def test_one_event_of_each_is_plain_data(connect: Any) -> None:
    stream = connect(STOP if connect is _messages else CHUNK + DONE)
    read_as_json(stream)
    assert [type(event) for event in stream] == [dict]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_async_streams_give_plain_data_too(provider: str) -> None:
    http = http_over(provider, STOP if provider == "anthropic" else CHUNK + DONE, "AsyncClient")
    stream: Any
    if provider == "openai":
        client = openai.AsyncOpenAI(api_key="none", http_client=http, max_retries=0)
        stream = await client.chat.completions.create(model="any", messages=[], stream=True)
    else:
        other = anthropic.AsyncAnthropic(api_key="none", http_client=http, max_retries=0)
        stream = await other.messages.create(model="any", max_tokens=1, messages=[], stream=True)
    read_as_json(stream)
    assert [type(event) async for event in stream] == [dict]


def test_an_error_among_the_events_is_raised_as_ever() -> None:
    stream = _chat(CHUNK + b'data: {"error": {"message": "overloaded"}}\n\n')
    read_as_json(stream)
    assert type(next(stream)) is dict
    with pytest.raises(openai.APIError, match="overloaded"):
        next(stream)


@pytest.mark.parametrize(
    "line",
    [
        '{"code": 400, "message": "the context is full", "type": "invalid_request_error"}',
        '{"detail": "the context is full", "error": {"message": "the context is full"}}',
        '{"error": "the context is full"}',
        "the context is full",
    ],
)
def test_an_error_in_a_field_of_its_own_is_raised(line: str) -> None:
    stream = _chat(CHUNK + f"error: {line}\n\n".encode() + DONE)
    read_leniently(stream)
    assert next(stream).id == "1"
    with pytest.raises(openai.APIError) as caught:
        next(stream)
    assert "the context is full" in words_of(caught.value)


def test_done_behind_anthropics_last_event_is_skipped() -> None:
    stream = _messages(STOP + b"event: data\ndata: [DONE]\n\n")
    read_leniently(stream)
    assert [event.type for event in stream] == ["message_stop"]


class _Traced(openai.Stream[openai.types.chat.ChatCompletionChunk]):
    """A stream that a tracing library put in the place of the SDK's."""


def _wrapped(stream: Any) -> Any:
    """A stream whose events somebody else reads as well."""
    inner = stream._iterator
    stream._iterator = (event for event in inner)
    return stream


@pytest.mark.parametrize(
    "stream",
    [
        lambda: _wrapped(_chat(CHUNK + DONE)),
        lambda: _chat(CHUNK + DONE, _strict_response_validation=True),
        lambda: openai.OpenAI(api_key="none", http_client=http_over("openai", CHUNK + DONE)).post(
            "/chat/completions", cast_to=openai.types.chat.ChatCompletionChunk, stream=True, stream_cls=_Traced
        ),
        lambda: openai.OpenAI(api_key="none", http_client=http_over("openai", CHUNK + DONE)).completions.create(
            model="m", prompt="p", stream=True
        ),
        lambda: iter([openai.types.chat.ChatCompletionChunk.construct()]),
    ],
    ids=["wrapped", "strict", "another class", "another type", "no stream of an SDK"],
)
def test_others_are_left_alone(stream: Any) -> None:
    found = stream()
    read_as_json(found)
    kinds = {type(event) for event in found}
    assert kinds
    assert dict not in kinds


def test_one_that_is_listened_to_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Listener:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def begin(self) -> None: ...

        def item(self, item: Any) -> None:
            self.heard.append(item)

        def end(self, *_: Any) -> None: ...

    stream, listener = _messages(STOP), Listener()
    if not hasattr(type(stream), "_observer"):
        pytest.skip("nobody can listen to the streams of this anthropic")
    monkeypatch.setattr(type(stream), "_observer", listener)
    read_as_json(stream)
    assert len(list(stream)) == 1
    assert [type(event) for event in listener.heard] == [anthropic.types.RawMessageStopEvent]
