"""Fakes for unit tests: a wrapped client without HTTP, and all events of a stream as a list.

`fake_client` puts a function in the place of the provider's SDK. Everything above it is real: instructor prepares the
request, this package streams, validates, re-asks and calls the hooks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal, overload

from pydantic import BaseModel
from pydantic_core import to_json

from instructor_stream_ext._instructor.facts import Mode, instructor_over
from instructor_stream_ext.client.aio import AsyncStreamClient
from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.client.sync_streams import ItemStream, PartialStream, TextStream
from instructor_stream_ext.client.wrap import wrap
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import StreamEvent, Usage
from instructor_stream_ext.testing.clock import FakeClock

__all__ = ["FakeAnswer", "chat_chunk", "fake_client", "record_events"]

_MODEL = "fake-model"
_WRAPPERS = frozenset({"content", "tasks"})
"""The fields that instructor puts around an answer that is not an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    """One answer with settings of its own; what is None is as given to `fake_client`.

    Args:
        answer: An object, JSON text, plain text or an exception.
        chunk_size: Characters of a piece.
        delay: Seconds before each piece.
        fail_at: The connection breaks when so many pieces have come.
        usage: Tokens.
        finish_reason: The word of the provider; "" for a stream that just stops.

    Raises:
        ValueError: A size, a number or a time is out of range; `usage` tells no tokens.
    """

    answer: Any
    chunk_size: int | None = None
    delay: float | None = None
    fail_at: int | None = None
    usage: Any = None
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that no answer can have."""
        if (self.chunk_size is not None and self.chunk_size < 1) or (self.delay is not None and not self.delay >= 0):
            raise ValueError("chunk_size is 1 or more characters, delay 0 or more seconds")
        if self.fail_at is not None and self.fail_at < 0:
            raise ValueError(f"fail_at={self.fail_at!r}: must be 0 or more pieces")
        usage = self.usage
        if isinstance(usage, (Mapping, Usage, type(None))):
            return
        if isinstance(usage, Sequence) and len(usage) == 2:  # noqa: PLR2004 - sent and made
            return
        raise ValueError(f"usage={usage!r}: must be a Usage, (input, output) or the provider's own dict")


@overload
def fake_client(
    answers: Any,
    chunk_size: int = 4,
    delay: float = 0,
    fail_at: int | None = None,
    *,
    usage: Any = None,
    finish_reason: str | None = None,
    async_client: Literal[False] = False,
    mode: Mode = Mode.JSON_SCHEMA,
    clock: Any = None,
    **wrap_arguments: Any,
) -> StreamClient: ...


@overload
def fake_client(
    answers: Any,
    chunk_size: int = 4,
    delay: float = 0,
    fail_at: int | None = None,
    *,
    usage: Any = None,
    finish_reason: str | None = None,
    async_client: Literal[True],
    mode: Mode = Mode.JSON_SCHEMA,
    clock: Any = None,
    **wrap_arguments: Any,
) -> AsyncStreamClient: ...


@overload
def fake_client(
    answers: Any,
    chunk_size: int = 4,
    delay: float = 0,
    fail_at: int | None = None,
    *,
    usage: Any = None,
    finish_reason: str | None = None,
    async_client: bool,
    mode: Mode = Mode.JSON_SCHEMA,
    clock: Any = None,
    **wrap_arguments: Any,
) -> StreamClient | AsyncStreamClient: ...


def fake_client(
    answers: Any,
    chunk_size: int = 4,
    delay: float = 0,
    fail_at: int | None = None,
    *,
    usage: Any = None,
    finish_reason: str | None = None,
    async_client: bool = False,
    mode: Mode = Mode.JSON_SCHEMA,
    clock: Any = None,
    **wrap_arguments: Any,
) -> StreamClient | AsyncStreamClient:
    """Return a wrapped client with these answers, one per request; `client.requests` lists the requests.

    Args:
        answers: A list of them, or one. Models, dataclasses, dicts and lists are sent as JSON; text is sent as it is;
            an exception is raised in place of an answer, as an SDK raises one before the first byte; a `FakeAnswer`
            has settings of its own.
        chunk_size: Characters of a piece.
        delay: Seconds before each piece; a `FakeClock` given as `clock` is moved in place of waiting.
        fail_at: The connection breaks when so many pieces have come.
        usage: Tokens, as `Usage`, `(input, output)` or the provider's own dict; by default a piece counts as a token.
        finish_reason: Of the provider, such as "length"; by default as for a good answer; "" for a stream that just
            stops.
        async_client: Whether to give an `AsyncStreamClient`.
        mode: How instructor asks for structure; in tool modes the answer comes as a tool's arguments.
        clock: As in `wrap`.
        wrap_arguments: All others of `wrap`.

    Raises:
        ValueError: A size or a time is out of range.
    """
    default = FakeAnswer(
        answer=None, chunk_size=chunk_size, delay=delay, fail_at=fail_at, usage=usage, finish_reason=finish_reason
    )
    provider = _Provider(_listed(answers), default, clock)
    function = provider.acreate if async_client else provider.create
    client = wrap(instructor_over(function, mode), clock=clock, **wrap_arguments)
    vars(client)["requests"] = provider.requests
    return client


def _listed(answers: Any) -> list[Any]:
    single = isinstance(answers, str | bytes | BaseModel | Mapping | BaseException | FakeAnswer | type)
    return [answers] if single or is_dataclass(answers) or not isinstance(answers, Iterable) else list(answers)


@dataclass
class _Provider:
    """A stand-in for an SDK that answers as OpenAI's chat completions do."""

    answers: list[Any]
    default: FakeAnswer
    clock: Any
    requests: list[dict[str, Any]] = field(default_factory=list)

    def create(self, *_: Any, **request: Any) -> Any:
        plan = self._next(request)
        return self._stream(plan) if request.get("stream") else _completion(plan)

    async def acreate(self, *_: Any, **request: Any) -> Any:
        plan = self._next(request)
        return self._astream(plan) if request.get("stream") else _completion(plan)

    def _next(self, request: dict[str, Any]) -> _Plan:
        self.requests.append(request)
        number = len(self.requests)
        if number > len(self.answers):
            raise StreamMisuse(
                f"the fake client was asked {number} times and was given {len(self.answers)} answers; "
                f"give it one for each request, re-asks too"
            )
        answer = self.answers[number - 1]
        given = answer if isinstance(answer, FakeAnswer) else FakeAnswer(answer=answer)
        content = given.answer
        if isinstance(content, BaseException) or (isinstance(content, type) and issubclass(content, BaseException)):
            raise content
        return _plan(given, self.default, request)

    def _pause(self, seconds: float) -> float:
        """Move the fake clock, or return how long to wait."""
        if isinstance(self.clock, FakeClock):
            self.clock.advance(seconds)
            return 0.0
        return seconds

    def _stream(self, plan: _Plan) -> Iterator[Any]:
        for delay, chunk in plan.chunks():
            if seconds := self._pause(delay):
                time.sleep(seconds)
            yield chunk
        plan.end()

    async def _astream(self, plan: _Plan) -> AsyncIterator[Any]:
        for delay, chunk in plan.chunks():
            if seconds := self._pause(delay):
                await asyncio.sleep(seconds)
            yield chunk
        plan.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One answer, ready to be sent."""

    text: str
    tool: str | None
    chunk_size: int
    delay: float
    fail_at: int | None
    usage: dict[str, Any]
    finish_reason: str

    def pieces(self) -> list[str]:
        starts = range(0, len(self.text), self.chunk_size)
        found = [self.text[start : start + self.chunk_size] for start in starts]
        return found if self.fail_at is None else found[: self.fail_at]

    def chunks(self) -> Iterator[tuple[float, Any]]:
        """Yield the SDK's chunks, each with the seconds before it."""
        found = self.pieces()
        first: dict[str, Any] = {"role": "assistant", "content": None if self.tool else ""}
        if self.tool:
            first["tool_calls"] = [_call(self.tool)]
        yield 0.0, chat_chunk([{"index": 0, "delta": first}])
        for piece in found:
            delta = {"tool_calls": [_call(None, piece)]} if self.tool else {"content": piece}
            yield self.delay, chat_chunk([{"index": 0, "delta": delta}])
        if self.fail_at is None:
            if self.finish_reason:
                yield 0.0, chat_chunk([{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
            yield 0.0, chat_chunk([], self.usage)

    def end(self) -> None:
        if self.fail_at is not None:
            raise ConnectionResetError(f"the fake connection broke after {len(self.pieces())} pieces")


def _plan(given: FakeAnswer, default: FakeAnswer, request: dict[str, Any]) -> _Plan:
    size, delay = (
        getattr(default if getattr(given, name) is None else given, name) for name in ("chunk_size", "delay")
    )
    fail_at, usage, reason = (
        getattr(default if getattr(given, name) is None else given, name)
        for name in ("fail_at", "usage", "finish_reason")
    )
    tools = request.get("tools") or []
    tool = tools[0]["function"]["name"] if tools else None
    text = _text(given.answer, _schema(request))
    pieces = -(-len(text) // size)
    return _Plan(
        text=text,
        tool=tool,
        chunk_size=size,
        delay=delay,
        fail_at=fail_at,
        usage=_usage(usage, request, pieces),
        finish_reason=("tool_calls" if tool else "stop") if reason is None else reason,
    )


def _schema(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema in the request."""
    if tools := request.get("tools"):
        found = tools[0]["function"].get("parameters")
    else:
        found = ((request.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return found if isinstance(found, dict) else {}


def _text(answer: Any, schema: Mapping[str, Any]) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, bytes):
        return answer.decode()
    text = to_json(answer, by_alias=True).decode()
    named = set(schema.get("properties") or ())
    if len(named) == 1 and named <= _WRAPPERS and not text.startswith("{"):
        return json.dumps({named.pop(): json.loads(text)}, ensure_ascii=False)
    if named and named <= _WRAPPERS and len(named) == 1 and not named & set(json.loads(text)):
        return json.dumps({named.pop(): json.loads(text)}, ensure_ascii=False)
    return text


def _usage(usage: Any, request: Mapping[str, Any], pieces: int) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    if isinstance(usage, Usage):
        sent, made = usage.input_tokens, usage.output_tokens
    elif isinstance(usage, Sequence):
        sent, made = usage
    else:
        sent, made = len(json.dumps(request.get("messages"), default=str)) // 4, pieces
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def _call(name: str | None, arguments: str = "") -> dict[str, Any]:
    if name is None:
        return {"index": 0, "function": {"arguments": arguments}}
    return {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> Any:
    """Return a chunk as the openai SDK does."""
    from openai.types.chat import ChatCompletionChunk

    head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": _MODEL}
    return ChatCompletionChunk.model_validate(head | {"choices": choices, "usage": usage})


def _completion(plan: _Plan) -> Any:
    from openai.types.chat import ChatCompletion

    plan.end()
    message: dict[str, Any] = {"role": "assistant", "content": plan.text}
    if plan.tool:
        call = _call(plan.tool, plan.text)
        message |= {"content": None, "tool_calls": [{key: call[key] for key in ("id", "type", "function")}]}
    choice = {"index": 0, "message": message, "finish_reason": plan.finish_reason or "stop"}
    head = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 0, "model": _MODEL}
    return ChatCompletion.model_validate(head | {"choices": [choice], "usage": plan.usage})


@overload
def record_events(
    stream: PartialStream[Any] | ItemStream[Any] | TextStream, limit: int | None = None
) -> list[StreamEvent]: ...


@overload
def record_events(
    stream: AsyncPartialStream[Any] | AsyncItemStream[Any] | AsyncTextStream, limit: int | None = None
) -> Awaitable[list[StreamEvent]]: ...


def record_events(stream: Any, limit: int | None = None) -> Any:
    """Read a stream and return everything that happened, in order. Await it for an async stream.

    An error of the stream is not raised: it is in the `StreamFailed` at the end of the list, as its stats are in the
    `StreamEnded`. What is raised before there is any event, such as a `StreamMisuse`, is.

    Args:
        stream: Of a wrapped client.
        limit: Leave the stream after so many events.
    """
    return _arecorded(stream, limit) if hasattr(stream, "__aiter__") else _recorded(stream, limit)


def _recorded(stream: Any, limit: int | None) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    try:
        for event in itertools.islice(stream.events(), limit):
            events.append(event)  # noqa: PERF402 - kept although it may end with an error
    except Exception:
        if not events:
            raise
    finally:
        stream.close()
    return events


async def _arecorded(stream: Any, limit: int | None) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    try:
        async for event in stream.events():
            events.append(event)
            if len(events) == limit:
                break
    except Exception:
        if not events:
            raise
    finally:
        await stream.aclose()
    return events
