"""Picks: small functions from an event to what the consumer receives for it."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from instructor_stream_ext.core.errors import StreamError
from instructor_stream_ext.core.events import (
    DeltaReceived,
    Event,
    ItemCompleted,
    PartialEmitted,
    Path,
    StreamCancelled,
    StreamCompleted,
    StreamFailed,
    StreamRestarted,
)
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.text_splitter import Pieces
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.drive import NOTHING, Pick

__all__ = [
    "CutTextPick",
    "ItemPartials",
    "Lens",
    "Several",
    "Spread",
    "TextPick",
    "delta",
    "growth",
    "items",
    "values",
    "whole",
]


class Lens:
    """Maps events to what the consumer receives. The driver holds it instead of the stream.

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
        """Return what the consumer receives for an event."""
        if self.priming:
            self.priming = False
            self.first = event
            return event
        return self.pick(event)


def whole(event: Event) -> Any:
    """Return the event itself."""
    return event


def delta(event: Event) -> Any:
    """Return the text of a delta."""
    return event.text if type(event) is DeltaReceived else NOTHING


def values(event: Event) -> Any:
    """Return partials and, last, the final."""
    if type(event) is PartialEmitted:
        return event.partial
    return event.result if type(event) is StreamCompleted else NOTHING


def items(session: Session) -> Pick:
    """Return list items, each validated once."""

    def pick(event: Event) -> Any:
        taken = session.taken(event) if type(event) is ItemCompleted else ()
        return taken[0] if taken else NOTHING

    return pick


class Several(list[Any]):
    """Several values for the consumer from one event."""


class Spread(Protocol):
    """A pick that may find several values in one event and hands them out one at a time."""

    waiting: deque[Any]

    def next(self) -> Any:
        """Return the next waiting value."""
        ...


class ItemPartials:
    """The items of a list while they are written, each with its number; last of each, the validated item."""

    def __init__(self, session: Session) -> None:
        self.waiting: deque[tuple[int, Any]] = deque()
        self._session = session
        self._clear()

    def _clear(self) -> None:
        self._seen: list[Any] = []
        self._done: set[int] = set()

    def __call__(self, event: Event) -> Any:
        """Return the items that have changed."""
        if type(event) is StreamRestarted:
            self._clear()
            self.waiting.clear()
        elif type(event) is ItemCompleted:
            taken = self._session.taken(event)
            if taken:
                number = event.path[0]
                assert isinstance(number, int)  # noqa: S101
                if number == 0 and self._done:  # the list came again
                    self._clear()
                self._done.add(number)
                return Several([(number, taken[0])])
        elif type(event) is PartialEmitted:
            before, self._seen = self._seen, event.partial
            known = len(before)
            changed = [
                (number, item)
                for number, item in enumerate(event.partial)
                if item is not None and number not in self._done and not (number < known and before[number] is item)
            ]
            return Several(changed) if changed else NOTHING
        return NOTHING

    def next(self) -> tuple[int, Any]:
        """Return the next waiting item."""
        return self.waiting.popleft()


class TextPick:
    """The text, piece by piece. The pieces joined are the whole; after a failure, what is left comes before the error.

    Attributes:
        seen: Characters of this attempt that the consumer was given.
    """

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, event: Event) -> Any:
        """Return the text that is new to the consumer."""
        if type(event) is PartialEmitted:
            text = event.partial
        elif type(event) is StreamCompleted:
            text = event.result
        elif type(event) is StreamFailed and isinstance(event.error, StreamError):
            text = event.error.text
        else:
            if type(event) is StreamRestarted:
                self.seen = 0
            return NOTHING
        piece = text[self.seen :]
        self.seen = len(text)
        return piece or NOTHING


class CutTextPick(TextPick):
    """The text in words, sentences or lines. Held-back text is returned before the end, whatever the end is."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._whole = TextPick()
        self._pieces = pieces
        self.waiting: deque[str] = deque()

    def __call__(self, event: Event) -> Any:
        """Return the pieces that are complete."""
        if type(event) is StreamRestarted:
            self._pieces.clear()
            self.waiting.clear()
            self.seen = 0
        piece = self._whole(event)
        cut = [] if piece is NOTHING else self._pieces.feed(piece)
        if type(event) in (StreamCompleted, StreamFailed, StreamCancelled):
            cut += self._pieces.finish()
        return Several(cut) if cut else NOTHING

    def next(self) -> str:
        """Return the next waiting piece."""
        piece = self.waiting.popleft()
        self.seen += len(piece)
        return piece


def growth(machine: StreamMachine, path: Path) -> Pick:
    """Pick the text that was added to one string of the document."""
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
