"""Fakes for unit tests: a wrapped client without HTTP, and all events of a stream as a list.

`fake_client` puts a function in the place of the provider's SDK. Everything above it is real: instructor prepares the
request, this package streams, validates, re-asks and calls the hooks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal, overload

from pydantic import BaseModel

from instructor_stream_ext._instructor.facts import Mode, instructor_over
from instructor_stream_ext.client.aio import AsyncStreamClient
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.client.wrap import wrap
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.testing.clock import FakeClock
from instructor_stream_ext.testing.fake_answers import FakeAnswer, FakePlan, completion_of, plan_of

__all__ = ["fake_client"]


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
        return self._stream(plan) if request.get("stream") else completion_of(plan)

    async def acreate(self, *_: Any, **request: Any) -> Any:
        plan = self._next(request)
        return self._astream(plan) if request.get("stream") else completion_of(plan)

    def _next(self, request: dict[str, Any]) -> FakePlan:
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
        return plan_of(given, self.default, request)

    def _pause(self, seconds: float) -> float:
        """Move the fake clock, or return how long to wait."""
        if isinstance(self.clock, FakeClock):
            self.clock.advance(seconds)
            return 0.0
        return seconds

    def _stream(self, plan: FakePlan) -> Iterator[Any]:
        for delay, chunk in plan.chunks():
            if seconds := self._pause(delay):
                time.sleep(seconds)
            yield chunk
        plan.end()

    async def _astream(self, plan: FakePlan) -> AsyncIterator[Any]:
        for delay, chunk in plan.chunks():
            if seconds := self._pause(delay):
                await asyncio.sleep(seconds)
            yield chunk
        plan.end()
