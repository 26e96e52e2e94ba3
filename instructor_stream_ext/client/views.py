"""What the caller holds: streams of partials, of items, of text, sync and async.

A stream is lazy, is read once, and closes its connection when it is left, whichever way. The sync and the async class
are the same few loops around a driver; what is shown of the events is decided by three small functions.
"""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from types import AsyncGeneratorType, GeneratorType, TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from instructor_stream_ext.core.document.snapshots import parse_path
from instructor_stream_ext.core.errors import StreamError, StreamMisuse, StreamStopped
from instructor_stream_ext.core.events import (
    DeltaReceived,
    Event,
    FieldState,
    ItemCompleted,
    PartialEmitted,
    Path,
    SkippedItem,
    StreamCancelled,
    StreamCompleted,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStats,
    Usage,
)
from instructor_stream_ext.core.machine import State, StreamMachine
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.text_splitter import Pieces
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.drive import NOTHING, Pick, adrive, check_loop, drive, shielded

__all__ = [
    "AsyncItemStream",
    "AsyncPartialStream",
    "AsyncTextStream",
    "ItemStream",
    "PartialStream",
    "TextStream",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V_co = TypeVar("V_co", covariant=True)
"""What a loop over a stream gives."""
F_co = TypeVar("F_co", covariant=True)
"""What a stream is in the end, and what its partials are on the way there."""


class _Stream(Generic[V_co, F_co]):
    """What all streams can be asked; the answers hold for the moment."""

    def __init__(self, session: Session, messages: list[Any], pick: Pick) -> None:
        self._session = session
        self._machine = session.machine
        self._lens = _Lens(pick)
        self._conversation = messages
        self._reading_as: str | None = None
        self._closed = False

    def __del__(self) -> None:
        machine = getattr(self, "_machine", None)  # none where making it failed
        if machine is not None and machine.state is State.NEW and not self._closed and self._reading_as is None:
            said = "a stream was never read, so that nothing was sent: iterate over it, or call get_final_response()"
            warnings.warn(said, ResourceWarning, stacklevel=2, source=self)

    @property
    def text(self) -> str:
        """All answer text of this attempt so far, prose included, reasoning not."""
        return self._machine.text

    @property
    def json_text(self) -> str:
        """The JSON document within the text, as far as it has come."""
        return self._machine.json_text

    @property
    def partial(self) -> F_co | None:
        """The newest partial, still unvalidated; the final object once the stream is complete."""
        partial: F_co | None = self._machine.partial
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
        reader = self._session.reader
        if reader is not None and self._machine.state is State.STREAMING:
            self._machine.note_usage(reader.usage)
        return self._machine.usage

    @property
    def cost(self) -> float | None:
        """US dollars over all attempts and models; None where the price is unknown, or the client is not of `routing`.

        While an attempt runs, and for one that was left before the provider had told its tokens, they are counted here;
        `stats.cost_estimated` says whether that is so in the end.
        """
        cost = self._session.cost
        return None if cost is None else cost.dollars

    @property
    def completion(self) -> Any:
        """The provider's answer put together from its chunks, in its SDK's type; None before the first chunk."""
        return self._session.completion

    @property
    def stats(self) -> StreamStats:
        """Times and counts so far."""
        return self._machine.stats

    @property
    def messages(self) -> list[Any]:
        """The conversation so far with this answer appended, ready for the next turn."""
        return [*self._conversation, {"role": "assistant", "content": self.text}]

    @property
    def limits(self) -> Limits:
        """The bounds in size that hold for this stream."""
        return self._machine.limits

    def _text_of(self, path: str | Path) -> None:
        """Read the stream as the text of one field from here."""
        path = parse_path(path) if isinstance(path, str) else path
        self._machine.check_text(path)
        self._claim("the text of a field")
        self._listen(_growth(self._machine, path), deltas=True)

    def _claim(self, reading_as: str) -> None:
        """The stream is about to be read in one way; it cannot be read in another, nor twice."""
        before = self._reading_as
        if self._closed or (before is not None and (before, reading_as) not in _MAY_GO_ON):
            reason = f"it is already read as {before}" if before else "it was closed"
            raise StreamMisuse(f"a stream is read once: {reason}; make another call for another pass")
        self._reading_as = reading_as

    def _drains(self) -> None:
        """All that is left is read for the final object: a loop after that would be a second pass."""
        self._reading_as = self._reading_as or "its final response"

    def _listen(self, pick: Pick, *, deltas: bool = False, transitions: bool = False) -> None:
        self._lens.pick = pick
        machine = self._machine
        machine.wants_deltas = machine.wants_deltas or deltas
        if transitions and not machine.wants_transitions:
            machine.wants_transitions = True
            if machine.parser is not None:
                machine.parser.transitions = True

    def _result(self) -> Any:
        """The final object, or the error that stands in its place."""
        if self._session.error is not None:
            raise self._session.error
        if self._machine.is_final:
            return self._machine.partial
        stopped = StreamStopped("the stream was closed before it began: there is no final object")
        self._session.error = stopped
        raise stopped


_BEING_READ = "the stream is being read at this moment, by another task or thread or around this hook"

_MAY_GO_ON = {("single values", "single values"), ("single values", "values")}
"""A loop may go on where `next` stopped."""


class _Lens:
    """Decides what the consumer sees of an event. The driver holds it, and never the stream.

    Attributes:
        pick: The decision; replaced when the stream is read as events or as text.
        first: The first event, while the stream was entered and is not yet read.
        left: Whether an async loop over the stream was left before the end; the loop will close the stream in a moment.
    """

    def __init__(self, pick: Pick) -> None:
        self.pick = pick
        self.priming = False
        self.first: Event | None = None
        self.left = False

    def __call__(self, event: Event) -> Any:
        if self.priming:
            self.priming = False
            self.first = event
            return event
        return self.pick(event)


def _whole(event: Event) -> Any:
    return event


def _delta(event: Event) -> Any:
    return event.text if type(event) is DeltaReceived else NOTHING


def _values(event: Event) -> Any:
    """Partials and, last, the final."""
    if type(event) is PartialEmitted:
        return event.partial
    return event.result if type(event) is StreamCompleted else NOTHING


def _items(session: Session) -> Pick:
    """List items, each validated once."""

    def pick(event: Event) -> Any:
        taken = session.taken(event) if type(event) is ItemCompleted else ()
        return taken[0] if taken else NOTHING

    return pick


class _Several(list[str]):
    """More than one value for the consumer, out of one event."""


class _TextPick:
    """The text, piece by piece; joined, the pieces are the whole. What is left at a failure comes before the error.

    Attributes:
        seen: Characters of this attempt that the consumer was given.
    """

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, event: Event) -> Any:
        if type(event) is PartialEmitted:
            whole = event.partial
        elif type(event) is StreamCompleted:
            whole = event.result
        elif type(event) is StreamFailed and isinstance(event.error, StreamError):
            whole = event.error.text
        else:
            if type(event) is StreamRestarted:
                self.seen = 0
            return NOTHING
        piece = whole[self.seen :]
        self.seen = len(whole)
        return piece or NOTHING


class _CutTextPick(_TextPick):
    """The text in words, sentences or lines. What is held back comes before the end, whatever the end is."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._whole = _TextPick()
        self._pieces = pieces
        self.waiting: deque[str] = deque()

    def __call__(self, event: Event) -> Any:
        if type(event) is StreamRestarted:
            self._pieces.clear()
            self.waiting.clear()
            self.seen = 0
        piece = self._whole(event)
        cut = [] if piece is NOTHING else self._pieces.feed(piece)
        if type(event) in (StreamCompleted, StreamFailed, StreamCancelled):
            cut += self._pieces.finish()
        return _Several(cut) if cut else NOTHING

    def next(self) -> str:
        """The next of the pieces that wait."""
        piece = self.waiting.popleft()
        self.seen += len(piece)
        return piece


def _growth(machine: StreamMachine, path: Path) -> Pick:
    """What was added to one string of the document."""
    shown = 0

    def pick(event: Event) -> Any:
        nonlocal shown
        if type(event) is StreamRestarted:
            shown = 0
        if type(event) not in (PartialEmitted, StreamCompleted, StreamFailed):
            return NOTHING
        text = machine.text_at(path)
        piece, shown = text[shown:], len(text)
        return piece or NOTHING

    return pick


class _SyncStream(_Stream[V_co, F_co]):
    """A stream without an event loop."""

    _driver: GeneratorType[Any, None, None] | None = None
    _lent: weakref.ref[GeneratorType[Any, None, None]] | None = None

    def _drive(self) -> GeneratorType[Any, None, None] | None:
        """The driver, whoever holds it; None if whoever held it has left."""
        if self._driver is None and self._lent is not None:
            return self._lent()
        if self._driver is None and not self._closed:
            self._driver = cast("GeneratorType[Any, None, None]", drive(self._session, self._lens))
        return self._driver

    def _lend(self) -> Iterator[Any]:
        """Give the driver away, so that it ends when the loop that holds it is left."""
        driver = self._drive()
        if driver is None:
            return iter(())
        self._driver, self._lent = None, weakref.ref(driver)
        first = self._lens.first
        seen = NOTHING if first is None else self._lens.pick(first)
        return driver if seen is NOTHING else _after(seen, driver)

    def __iter__(self) -> Iterator[V_co]:
        self._claim("values")
        return self._lend()

    def __next__(self) -> V_co:
        self._claim("single values")
        driver = self._drive()
        if driver is None:
            raise StopIteration
        return next(driver)  # type: ignore[no-any-return]

    def events(self) -> Iterator[StreamEvent[F_co]]:
        """Everything that happens, in order, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(_whole, deltas=True, transitions=True)
        return self._lend()

    def text_stream(self) -> Iterator[str]:
        """The pieces of the model's text, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(_delta, deltas=True)
        return self._lend()

    def text_of(self, path: str | Path) -> Iterator[str]:
        """What is added to one string field, piece by piece, in place of the values.

        How often a piece comes is the business of `debounce`, as with partials.

        Args:
            path: As in `state`.

        Raises:
            StreamMisuse: There is no such field, it is no string, or the stream is already being read.
        """
        self._text_of(path)
        return self._lend()

    def get_final_response(self) -> F_co:
        """Read to the end and give the validated result; asked again, the same object.

        Raises:
            StreamError: As the stream ended; asked again, the same error.
            StreamStopped: It was left early.
        """
        if self._session.error is None:
            self._drains()
            driver = self._drive()
            if driver is not None and driver.gi_running:
                raise StreamMisuse(_BEING_READ)
            for _ in driver or ():
                pass
        return self._result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection; the provider sees it at once. Closing twice is no error."""
        driver = self._driver or (self._lent() if self._lent is not None else None)
        if driver is not None and driver.gi_running:
            self._session.interrupt()  # from a hook, or from another thread
            return
        self._closed = True
        if driver is not None:
            driver.close()

    def __enter__(self) -> Self:
        if self._driver is None and self._lent is None:
            self._lens.priming = True
            next(self._drive() or iter(()), None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _after(first: Any, driver: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """What was seen before the loop began, then the rest."""
    yield first
    yield from driver


class PartialStream(_SyncStream[T_co, T_co]):
    """Partials of `T` and, last and exactly once, the validated `T`."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, _values)


class _Items(_Stream[T, list[T]]):
    """What only a stream of items can be asked."""

    @property
    def skipped(self) -> list[SkippedItem]:
        """With `on_bad_item="skip"`, the items so far that did not validate and were left out."""
        return self._session.skipped


class ItemStream(_SyncStream[T, list[T]], _Items[T]):
    """List items, each validated once, as soon as it is closed; the final response is the list of all."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, _items(session))


class TextStream(_SyncStream[str, str]):
    """Plain text, piece by piece; the final response is the whole."""

    def __init__(self, session: Session, messages: list[Any], pieces: Pieces | None = None) -> None:
        self._text_pick = _TextPick() if pieces is None else _CutTextPick(pieces)
        super().__init__(session, messages, self._text_pick)

    def _lend(self) -> Iterator[Any]:
        values = super()._lend()
        return _spread(values, self._text_pick) if isinstance(self._text_pick, _CutTextPick) else values

    def __next__(self) -> str:
        pick = self._text_pick
        if not isinstance(pick, _CutTextPick):
            return super().__next__()
        while not pick.waiting:
            pick.waiting += super().__next__()
        return pick.next()


def _spread(values: Iterator[Any], pick: _CutTextPick) -> Generator[Any, None, None]:
    """One value at a time, where one event gave several."""
    while pick.waiting:
        yield pick.next()
    for value in values:
        if type(value) is _Several:
            pick.waiting += value
            while pick.waiting:
                yield pick.next()
        else:
            yield value


class _Pass(Generic[T]):
    """One loop over an async stream. When it is dropped before the end, the stream is closed by the loop it ran in."""

    __slots__ = ("_driver", "_lens", "_loop", "_next", "_seen")

    def __init__(self, driver: AsyncGeneratorType[Any, None], lens: _Lens) -> None:
        self._driver = driver
        self._lens = lens
        self._next = driver.__anext__
        self._seen = NOTHING if lens.first is None else lens.pick(lens.first)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[T]:
        if self._loop is None:
            check_loop()
            self._loop = asyncio.get_running_loop()
            if self._seen is not NOTHING:
                return self._first()
        return self._next()

    async def _first(self) -> Any:
        return self._seen

    async def aclose(self) -> None:
        """Close the stream, as a generator's `aclose` does."""
        await self._driver.aclose()

    def __del__(self) -> None:
        driver, loop = self._driver, self._loop
        self._lens.left = driver.ag_frame is not None
        if driver.ag_frame is not None and not driver.ag_running and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(_close_soon, loop, driver)


def _close_soon(loop: asyncio.AbstractEventLoop, driver: AsyncGeneratorType[Any, None]) -> None:
    if driver.ag_frame is not None and not driver.ag_running:
        task = loop.create_task(_close(driver))
        _closing.add(task)
        task.add_done_callback(_closing.discard)


async def _close(driver: AsyncGeneratorType[Any, None]) -> None:
    if not driver.ag_running:  # else somebody has asked for the final response meanwhile, and closes it
        await driver.aclose()


_closing: set[asyncio.Task[None]] = set()
"""Closings under way: a loop holds its tasks only weakly."""


class _AsyncStream(_Stream[V_co, F_co]):
    """A stream in an event loop."""

    _driver: AsyncGeneratorType[Any, None] | None = None

    def _drive(self) -> AsyncGeneratorType[Any, None]:
        if self._driver is None:
            self._driver = cast("AsyncGeneratorType[Any, None]", adrive(self._session, self._lens))
        return self._driver

    def _pass(self) -> AsyncIterator[Any]:
        return _Pass(self._drive(), self._lens)

    def __aiter__(self) -> AsyncIterator[V_co]:
        self._claim("values")
        return self._pass()

    async def __anext__(self) -> V_co:
        self._claim("single values")
        return await anext(self._drive())

    def __await__(self) -> Generator[Any, None, Self]:
        """Awaiting a stream gives the stream, for callers used to `await client.create_iterable(...)`."""
        yield from ()
        return self

    def events(self) -> AsyncIterator[StreamEvent[F_co]]:
        """Everything that happens, in order, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(_whole, deltas=True, transitions=True)
        return self._pass()

    def text_stream(self) -> AsyncIterator[str]:
        """The pieces of the model's text, in place of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(_delta, deltas=True)
        return self._pass()

    def text_of(self, path: str | Path) -> AsyncIterator[str]:
        """What is added to one string field, piece by piece, in place of the values.

        How often a piece comes is the business of `debounce`, as with partials.

        Args:
            path: As in `state`.

        Raises:
            StreamMisuse: There is no such field, it is no string, or the stream is already being read.
        """
        self._text_of(path)
        return self._pass()

    async def get_final_response(self) -> F_co:
        """Read to the end and give the validated result; asked again, the same object.

        Raises:
            StreamError: As the stream ended; asked again, the same error.
            StreamStopped: It was left early.
        """
        if self._lens.left:
            await self.aclose()
        elif self._session.error is None and not self._closed:
            if self._driver is not None and self._driver.ag_running:
                raise StreamMisuse(_BEING_READ)
            self._drains()
            async for _ in self._drive():
                pass
        return self._result()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the connection; the provider sees it at once. Closing twice is no error."""
        if self._driver is not None and self._driver.ag_running:
            interrupted = self._session.interrupt()  # from a hook, or from another task
            if interrupted is not None:
                await shielded(interrupted)
            return
        self._closed = True
        if self._driver is not None:
            await self._driver.aclose()

    async def close(self) -> None:
        """As `aclose`."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        if self._driver is None and not self._closed:
            self._lens.priming = True
            await anext(self._drive(), None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class AsyncPartialStream(_AsyncStream[T_co, T_co]):
    """Partials of `T` and, last and exactly once, the validated `T`."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, _values)


class AsyncItemStream(_AsyncStream[T, list[T]], _Items[T]):
    """List items, each validated once, as soon as it is closed; the final response is the list of all."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, _items(session))


class AsyncTextStream(_AsyncStream[str, str]):
    """Plain text, piece by piece; the final response is the whole."""

    def __init__(self, session: Session, messages: list[Any], pieces: Pieces | None = None) -> None:
        self._text_pick = _TextPick() if pieces is None else _CutTextPick(pieces)
        super().__init__(session, messages, self._text_pick)

    def _pass(self) -> AsyncIterator[Any]:
        values = super()._pass()
        return _Spread(values, self._text_pick) if isinstance(self._text_pick, _CutTextPick) else values

    async def __anext__(self) -> str:
        pick = self._text_pick
        if not isinstance(pick, _CutTextPick):
            return await super().__anext__()
        while not pick.waiting:
            pick.waiting += await super().__anext__()
        return pick.next()


class _Spread:
    """As `_spread`, in an event loop."""

    def __init__(self, values: AsyncIterator[Any], pick: _CutTextPick) -> None:
        self._values = values
        self._pick = pick

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        pick = self._pick
        while not pick.waiting:
            value = await anext(self._values)
            if type(value) is not _Several:
                return value
            pick.waiting += value
        return pick.next()
