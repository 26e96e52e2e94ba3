"""What the caller holds: streams of partials, of items, of text, sync and async.

A stream is lazy, is read once, and closes its connection when it is left, whichever way. The sync and the async class
are the same few loops around a driver; what is shown of the events is decided by three small functions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from instructor_stream_ext.core.errors import Path, StreamMisuse, StreamStopped
from instructor_stream_ext.core.events import (
    DeltaReceived,
    Event,
    FieldState,
    ItemCompleted,
    PartialEmitted,
    StreamCompleted,
    StreamEvent,
    StreamStats,
    Usage,
)
from instructor_stream_ext.core.machine import State
from instructor_stream_ext.core.partials import parse_path
from instructor_stream_ext.drivers import adrive, drive
from instructor_stream_ext.script import Script

__all__ = [
    "AsyncItemStream",
    "AsyncPartialStream",
    "AsyncTextStream",
    "ItemStream",
    "PartialStream",
    "TextStream",
]

T = TypeVar("T")

_NOTHING = object()
Pick = Callable[[Event], Any]


class _Stream(Generic[T]):
    """What all streams can be asked; the answers hold for the moment."""

    def __init__(self, script: Script, messages: list[Any]) -> None:
        self._script = script
        self._machine = script.machine
        self._conversation = messages
        self._reading_as: str | None = None
        self._closed = False

    @property
    def text(self) -> str:
        """All answer text of this attempt so far, prose included, reasoning not."""
        return self._machine.text

    @property
    def json_text(self) -> str:
        """The JSON document within the text, as far as it has come."""
        return self._machine.json_text

    @property
    def partial(self) -> T | None:
        """The latest value; the final one once the stream is complete."""
        partial: T | None = self._machine.partial
        return partial

    @property
    def is_final(self) -> bool:
        """Whether `partial` is the validated final object."""
        return self._machine.is_final

    def state(self, path: str | Path) -> FieldState:
        """How far one place of the document has come.

        Args:
            path: A tuple of attribute names, keys and indices, or text such as "items[3].name".

        Raises:
            StreamMisuse: The response model has no such place.
        """
        return self._machine.state_of(parse_path(path) if isinstance(path, str) else path)

    @property
    def attempt(self) -> int:
        """The running attempt, from 1."""
        return self._machine.attempt

    @property
    def usage(self) -> Usage | None:
        """Tokens over all attempts; None if the provider sent none."""
        reader = self._script.reader
        if reader is not None and self._machine.state is State.STREAMING:
            self._machine.note_usage(reader.usage)
        return self._machine.usage

    @property
    def completion(self) -> Any:
        """The provider's answer put together from its chunks, in its SDK's type; None before the first chunk."""
        return None if self._script.reader is None else self._script.reader.completion()

    @property
    def stats(self) -> StreamStats:
        """Times and counts so far."""
        return self._machine.stats

    @property
    def messages(self) -> list[Any]:
        """The conversation so far with this answer appended, ready for the next turn."""
        return [*self._conversation, {"role": "assistant", "content": self.text}]

    def _pick(self, event: Event) -> Any:
        raise StreamMisuse("a stream must say which of its events it shows")

    def _claim(self, reading_as: str) -> None:
        """The stream is about to be read in one way; it cannot be read in another, nor twice."""
        if self._reading_as is not None or self._closed:
            before = f"it is already read as {self._reading_as}" if self._reading_as else "it was closed"
            raise StreamMisuse(f"a stream is read once: {before}; make another call for another pass")
        self._reading_as = reading_as

    def _listen(self, *, deltas: bool = False, transitions: bool = False) -> None:
        machine = self._machine
        machine.wants_deltas = machine.wants_deltas or deltas
        if transitions and not machine.wants_transitions:
            machine.wants_transitions = True
            if machine.parser is not None:
                machine.parser.transitions = True

    def _result(self) -> Any:
        """The final object, or the error that stands in its place."""
        if self._machine.is_final:
            return self._machine.partial
        if self._script.error is not None:
            raise self._script.error
        stopped = StreamStopped("the stream was closed before it began: there is no final object")
        self._script.error = stopped
        raise stopped


def _whole(event: Event) -> Any:
    return event


def _delta(event: Event) -> Any:
    return event.text if type(event) is DeltaReceived else _NOTHING


class _PartialPick:
    """Shows partials and, last, the final."""

    def _pick(self, event: Event) -> Any:
        if type(event) is PartialEmitted:
            return event.partial
        return event.result if type(event) is StreamCompleted else _NOTHING


class _ItemPick:
    """Shows list items, each validated once."""

    _script: Script

    def _pick(self, event: Event) -> Any:
        if type(event) is ItemCompleted:
            return self._script.taken(event, _NOTHING)
        return _NOTHING


class _TextPick:
    """Shows the text, piece by piece; the pieces joined are the whole."""

    _shown = 0

    def _pick(self, event: Event) -> Any:
        if type(event) is PartialEmitted:
            whole: str = event.partial
        elif type(event) is StreamCompleted:
            whole = event.result
        else:
            return _NOTHING
        piece = whole[self._shown :]
        self._shown = len(whole)
        return piece or _NOTHING


class _SyncStream(_Stream[T]):
    """A stream without an event loop."""

    _driver: Generator[Event, None, None] | None = None
    _first: Event | None = None

    def _next_event(self) -> Event | None:
        if self._closed:
            return None
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._driver is None:
            self._driver = drive(self._script)
        return next(self._driver, None)

    def _view(self, pick: Pick) -> Generator[Any, None, None]:
        """A pass over the events that closes the stream when it is left."""
        try:
            while (event := self._next_event()) is not None:
                value = pick(event)
                if value is not _NOTHING:
                    yield value
        finally:
            self.close()

    def __iter__(self) -> Iterator[T]:
        if self._reading_as != "single values":  # a loop may go on where next() stopped
            self._claim("values")
        self._reading_as = "values"
        return self._view(self._pick)

    def __next__(self) -> T:
        if self._reading_as != "single values":
            self._claim("single values")
        while (event := self._next_event()) is not None:
            value = self._pick(event)
            if value is not _NOTHING:
                return value  # type: ignore[no-any-return]
        raise StopIteration

    def events(self) -> Iterator[StreamEvent]:
        """Everything that happens, in order, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(deltas=True, transitions=True)
        return self._view(_whole)

    def text_stream(self) -> Iterator[str]:
        """The pieces of the model's text, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(deltas=True)
        return self._view(_delta)

    def get_final_response(self) -> T:
        """Read to the end and give the validated result; asked again, the same object.

        Raises:
            StreamError: As the stream ended; asked again, the same error.
            StreamStopped: It was left early.
        """
        if self._script.error is None:
            while self._next_event() is not None:
                pass
        return self._result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection; the provider sees it at once. Closing twice is no error."""
        if self._driver is not None and self._driver.gi_running:
            self._script.interrupt()  # from a hook, or from another thread
            return
        if not self._closed and self._driver is not None:
            self._driver.close()
        self._closed = True

    def __enter__(self) -> Self:
        if self._driver is None and not self._closed:
            self._driver = drive(self._script)
            self._first = next(self._driver, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PartialStream(_PartialPick, _SyncStream[T]):
    """Partials of `T` and, last and exactly once, the validated `T`."""


class ItemStream(_ItemPick, _SyncStream[T]):
    """List items, each validated once, as soon as it is closed; the final response is the list of all."""


class TextStream(_TextPick, _SyncStream[str]):
    """Plain text, piece by piece; the final response is the whole."""


class _AsyncStream(_Stream[T]):
    """A stream in an event loop."""

    _driver: AsyncGenerator[Event, None] | None = None
    _first: Event | None = None

    async def _next_event(self) -> Event | None:
        if self._closed:
            return None
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._driver is None:
            self._driver = adrive(self._script)
        return await anext(self._driver, None)

    async def _view(self, pick: Pick) -> AsyncGenerator[Any, None]:
        """A pass over the events that closes the stream when it is left."""
        try:
            while (event := await self._next_event()) is not None:
                value = pick(event)
                if value is not _NOTHING:
                    yield value
        finally:
            await self.aclose()

    def __aiter__(self) -> AsyncIterator[T]:
        if self._reading_as != "single values":  # a loop may go on where anext() stopped
            self._claim("values")
        self._reading_as = "values"
        return self._view(self._pick)

    async def __anext__(self) -> T:
        if self._reading_as != "single values":
            self._claim("single values")
        while (event := await self._next_event()) is not None:
            value = self._pick(event)
            if value is not _NOTHING:
                return value  # type: ignore[no-any-return]
        raise StopAsyncIteration

    def __await__(self) -> Generator[Any, None, Self]:
        """Awaiting a stream gives the stream, for callers used to `await client.create_iterable(...)`."""
        yield from ()
        return self

    def events(self) -> AsyncIterator[StreamEvent]:
        """Everything that happens, in order, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(deltas=True, transitions=True)
        return self._view(_whole)

    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of the model's text, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(deltas=True)
        return self._view(_delta)

    async def get_final_response(self) -> T:
        """Read to the end and give the validated result; asked again, the same object.

        Raises:
            StreamError: As the stream ended; asked again, the same error.
            StreamStopped: It was left early.
        """
        if self._script.error is None:
            while await self._next_event() is not None:
                pass
        return self._result()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the connection; the provider sees it at once. Closing twice is no error."""
        if self._driver is not None and self._driver.ag_running:
            interrupted = self._script.interrupt()  # from a hook, or from another task
            if interrupted is not None:
                await interrupted
            return
        if not self._closed and self._driver is not None:
            self._closed = True
            await self._driver.aclose()
        self._closed = True

    async def close(self) -> None:
        """As `aclose`."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        if self._driver is None and not self._closed:
            self._driver = adrive(self._script)
            self._first = await anext(self._driver, None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncPartialStream(_PartialPick, _AsyncStream[T]):
    """Partials of `T` and, last and exactly once, the validated `T`."""


class AsyncItemStream(_ItemPick, _AsyncStream[T]):
    """List items, each validated once, as soon as it is closed; the final response is the list of all."""


class AsyncTextStream(_TextPick, _AsyncStream[str]):
    """Plain text, piece by piece; the final response is the whole."""
