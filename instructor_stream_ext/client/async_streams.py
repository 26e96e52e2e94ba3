"""Streams in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Generator
from types import AsyncGeneratorType, TracebackType
from typing import Any, Generic, Self, cast

from instructor_stream_ext.client.picks import (
    CutTextPick,
    ItemPartials,
    Lens,
    Several,
    Spread,
    TextPick,
    delta,
    items,
    values,
    whole,
)
from instructor_stream_ext.client.stream import BEING_READ, F_co, Items, Stream, T, T_co, V_co
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Path, StreamEvent
from instructor_stream_ext.core.text_splitter import Pieces
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.drive import NOTHING, Pick, adrive, check_loop
from instructor_stream_ext.session.shielding import shielded

__all__ = ["AsyncItemStream", "AsyncPartialStream", "AsyncTextStream"]


class _Pass(Generic[T]):
    """One loop over an async stream. If it is dropped early, its event loop closes the stream."""

    __slots__ = ("_driver", "_lens", "_loop", "_next", "_seen")

    def __init__(self, driver: AsyncGeneratorType[Any, None], lens: Lens) -> None:
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
"""Closings under way. An event loop holds its tasks only weakly."""


class _AsyncStream(Stream[V_co, F_co]):
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
        """Return the stream itself, for callers used to `await client.create_iterable(...)`."""
        yield from ()
        return self

    def events(self) -> AsyncIterator[StreamEvent[F_co]]:
        """Iterate over everything that happens, in order, instead of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(whole, deltas=True, transitions=True, reasoning=True)
        return self._pass()

    def picked(self, pick: Pick) -> AsyncIterator[Any]:
        """Iterate over what a function makes of each event, reasoning included, instead of the values.

        Args:
            pick: Maps an event to the value to yield, or to `NOTHING`. Called within the stream. Deltas and transitions
                are included only if something else listens for them.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(pick, reasoning=True)
        return self._pass()

    def text_stream(self) -> AsyncIterator[str]:
        """Iterate over the model's text, delta by delta, instead of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(delta, deltas=True)
        return self._pass()

    def text_of(self, path: str | Path) -> AsyncIterator[str]:
        """Iterate over the text added to one string field, instead of the values. `debounce` decides how often.

        How often a piece comes is the business of `debounce`, as with partials.

        Args:
            path: As in `state`.

        Raises:
            StreamMisuse: There is no such field, it is no string, or the stream is already being read.
        """
        self._text_of(path)
        return self._pass()

    async def get_final_response(self) -> F_co:
        """Read to the end and return the validated result. Further calls return the same object.

        Raises:
            StreamError: As the stream ended. Further calls raise the same error.
            StreamStopped: It was left early.
        """
        if self._lens.left:
            await self.aclose()
        elif self._session.error is None and not self._closed:
            if self._driver is not None and self._driver.ag_running:
                raise StreamMisuse(BEING_READ)
            self._drains()
            async for _ in self._drive():
                pass
        return self._result()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """Close the connection; the provider notices at once. Closing twice is allowed."""
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
        super().__init__(session, messages, values)


class AsyncItemStream(_AsyncStream[T, list[T]], Items[T]):
    """List items, each validated once, as soon as it is complete; the final response is the list of them."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, items(session))

    def partials(self) -> AsyncIterator[tuple[int, T]]:
        """Iterate over the items while they are written: `(number, partial)`, instead of the values.

        A number comes again with each change of its item; the last time it comes with the validated item. How often
        partials come is the business of `debounce`. After a restart numbers begin anew.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("partials")
        pick = ItemPartials(self._session)
        self._listen(pick, transitions=True)
        return _Spread(self._pass(), pick)


class AsyncTextStream(_AsyncStream[str, str]):
    """Plain text, piece by piece; the final response is the whole text."""

    def __init__(self, session: Session, messages: list[Any], pieces: Pieces | None = None) -> None:
        self._text_pick = TextPick() if pieces is None else CutTextPick(pieces)
        super().__init__(session, messages, self._text_pick)

    def _pass(self) -> AsyncIterator[Any]:
        found = super()._pass()
        return _Spread(found, self._text_pick) if isinstance(self._text_pick, CutTextPick) else found

    async def __anext__(self) -> str:
        pick = self._text_pick
        if not isinstance(pick, CutTextPick):
            return await super().__anext__()
        while not pick.waiting:
            pick.waiting += await super().__anext__()
        return pick.next()


class _Spread:
    """As `_spread`, in an event loop."""

    def __init__(self, found: AsyncIterator[Any], pick: Spread) -> None:
        self._found = found
        self._pick = pick

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        pick = self._pick
        while not pick.waiting:
            value = await anext(self._found)
            if type(value) is not Several:
                return value
            pick.waiting += value
        return pick.next()
