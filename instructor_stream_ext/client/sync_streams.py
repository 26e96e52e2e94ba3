"""Streams without an event loop."""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from types import GeneratorType, TracebackType
from typing import Any, Self, cast

from instructor_stream_ext.client.picks import (
    CutTextPick,
    ItemPartials,
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
from instructor_stream_ext.session.drive import NOTHING, drive

__all__ = ["ItemStream", "PartialStream", "TextStream"]


class _SyncStream(Stream[V_co, F_co]):
    """A stream without an event loop."""

    _driver: GeneratorType[Any, None, None] | None = None
    _lent: weakref.ref[GeneratorType[Any, None, None]] | None = None

    def _drive(self) -> GeneratorType[Any, None, None] | None:
        """The driver, whoever holds it; None once its holder has left."""
        if self._driver is None and self._lent is not None:
            return self._lent()
        if self._driver is None and not self._closed:
            self._driver = cast("GeneratorType[Any, None, None]", drive(self._session, self._lens))
        return self._driver

    def _lend(self) -> Iterator[Any]:
        """Hand out the driver, so that it ends when the loop that holds it is left."""
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
        """Iterate over everything that happens, in order, instead of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("events")
        self._listen(whole, deltas=True, transitions=True, reasoning=True)
        return self._lend()

    def text_stream(self) -> Iterator[str]:
        """Iterate over the model's text, delta by delta, instead of the values.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("text")
        self._listen(delta, deltas=True)
        return self._lend()

    def text_of(self, path: str | Path) -> Iterator[str]:
        """Iterate over the text added to one string field, instead of the values. `debounce` decides how often.

        How often a piece comes is the business of `debounce`, as with partials.

        Args:
            path: As in `state`.

        Raises:
            StreamMisuse: There is no such field, it is no string, or the stream is already being read.
        """
        self._text_of(path)
        return self._lend()

    def get_final_response(self) -> F_co:
        """Read to the end and return the validated result. Further calls return the same object.

        Raises:
            StreamError: As the stream ended. Further calls raise the same error.
            StreamStopped: It was left early.
        """
        if self._session.error is None:
            self._drains()
            driver = self._drive()
            if driver is not None and driver.gi_running:
                raise StreamMisuse(BEING_READ)
            for _ in driver or ():
                pass
        return self._result()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection; the provider notices at once. Closing twice is allowed."""
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


def _after(first: object, driver: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """Yield what was read before the loop began, then the rest."""
    yield first
    yield from driver


class PartialStream(_SyncStream[T_co, T_co]):
    """Partials of `T` and, last and exactly once, the validated `T`."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, values)


class ItemStream(_SyncStream[T, list[T]], Items[T]):
    """List items, each validated once, as soon as it is complete; the final response is the list of them."""

    def __init__(self, session: Session, messages: list[Any]) -> None:
        super().__init__(session, messages, items(session))

    def partials(self) -> Iterator[tuple[int, T]]:
        """Iterate over the items while they are written: `(number, partial)`, instead of the values.

        A number comes again with each change of its item; the last time it comes with the validated item. How often
        partials come is the business of `debounce`. After a restart numbers begin anew.

        Raises:
            StreamMisuse: The stream is already being read.
        """
        self._claim("partials")
        pick = ItemPartials(self._session)
        self._listen(pick, transitions=True)
        return _spread(self._lend(), pick)


class TextStream(_SyncStream[str, str]):
    """Plain text, piece by piece; the final response is the whole text."""

    def __init__(self, session: Session, messages: list[Any], pieces: Pieces | None = None) -> None:
        self._text_pick = TextPick() if pieces is None else CutTextPick(pieces)
        super().__init__(session, messages, self._text_pick)

    def _lend(self) -> Iterator[Any]:
        found = super()._lend()
        return _spread(found, self._text_pick) if isinstance(self._text_pick, CutTextPick) else found

    def __next__(self) -> str:
        pick = self._text_pick
        if not isinstance(pick, CutTextPick):
            return super().__next__()
        while not pick.waiting:
            pick.waiting += super().__next__()
        return pick.next()


def _spread(found: Iterator[Any], pick: Spread) -> Generator[Any, None, None]:
    """Yield one value at a time where an event gave several."""
    while pick.waiting:
        yield pick.next()
    for value in found:
        if type(value) is Several:
            pick.waiting += value
            while pick.waiting:
                yield pick.next()
        else:
            yield value
