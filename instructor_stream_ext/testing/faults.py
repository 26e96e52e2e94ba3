"""Faults: changes to a recorded stream, as values that are combined with `|`. Those in time are in `pacing`.

`Trickle(7) | CutOff(after=3)` first cuts the body into pieces of seven bytes and then breaks the connection after the
third event. Events are those of the stream's format (server-sent events, JSON lines, AWS's binary messages), counted
from 0.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from typing_extensions import override

from instructor_stream_ext.testing.cassette import Chunk, End, Interaction
from instructor_stream_ext.testing.fault import Fault
from instructor_stream_ext.testing.retaking import arriving, edited, ended, ends_of, inserted, recut

__all__ = [
    "CutOff",
    "Drop",
    "Duplicate",
    "EndEarly",
    "ErrorEvent",
    "FailFirst",
    "Garbage",
    "Resplit",
    "ResplitAtEvents",
    "Trickle",
]

# ------------------------------------------------------------------ how the body is cut into pieces


@dataclass(frozen=True, slots=True)
class Resplit(Fault):
    """Moves the chunk boundaries to these offsets, or to random ones. A piece arrives with its last byte.

    Args:
        at: Offsets of the body.
        count: How many random offsets to use in place of `at`.
        seed: The seed of the random offsets.
    """

    at: tuple[int, ...] = ()
    count: int = 0
    seed: int = 0

    def happens(self, interaction: Interaction) -> bool:
        """Return whether there is a place to cut."""
        size = len(interaction.body)
        return any(0 < place < size for place in self.at) if self.at else size > 0

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        size = len(interaction.body)
        chosen = self.at
        if self.count and size > 1:
            chosen = tuple(random.Random(self.seed).sample(range(1, size), min(self.count, size - 1)))  # noqa: S311
        return recut(interaction, chosen)


@dataclass(frozen=True, slots=True)
class ResplitAtEvents(Fault):
    """Makes each chunk hold a number of whole events."""

    events: int = 1

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return recut(interaction, ends_of(interaction)[self.events - 1 :: self.events])


@dataclass(frozen=True, slots=True)
class Trickle(Fault):
    """Sends a few bytes at a time.

    Args:
        size: Bytes of a piece.
        every: Seconds between two pieces; None leaves the arrivals as they are.
    """

    size: int = 1
    every: float | None = None

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        interaction = recut(interaction, range(self.size, len(interaction.body), self.size))
        if self.every is None:
            return interaction
        first = interaction.chunks[0].at if interaction.chunks else 0.0
        return arriving(interaction, [first + number * self.every for number in range(len(interaction.chunks))])


# ------------------------------------------------------------------ how it ends


@dataclass(frozen=True, slots=True)
class CutOff(Fault):
    """The network breaks the connection.

    Args:
        after: After this many events; None counts bytes.
        at_byte: At this offset.
    """

    after: int | None = None
    at_byte: int | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _one_place(self)

    def happens(self, interaction: Interaction) -> bool:
        """Return whether the body goes on to that place."""
        return _place(interaction, self) <= len(interaction.body)

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return ended(interaction, self.after, self.at_byte, End.CUT, "ReadError: connection reset by peer")


@dataclass(frozen=True, slots=True)
class EndEarly(Fault):
    """The body ends normally, but too early. Its arguments are those of `CutOff`."""

    after: int | None = None
    at_byte: int | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _one_place(self)

    def happens(self, interaction: Interaction) -> bool:
        """Return whether the body goes on beyond that place: at its very end nothing is too early."""
        return _place(interaction, self) < len(interaction.body)

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return ended(interaction, self.after, self.at_byte, End.COMPLETE, "")


def _place(interaction: Interaction, fault: CutOff | EndEarly) -> int:
    """Return the byte at which the interaction ends; one beyond it if there are not enough events."""
    if fault.after is None:
        return fault.at_byte or 0
    ends = [0, *ends_of(interaction)]
    return ends[fault.after] if fault.after < len(ends) else len(interaction.body) + 1


def _one_place(fault: CutOff | EndEarly) -> None:
    if (fault.after is None) == (fault.at_byte is None):
        raise ValueError(f"{type(fault).__name__} needs either after= (so many events) or at_byte=")


@dataclass(frozen=True, slots=True)
class FailFirst(Fault):
    """The first requests are refused; then the cassette is played.

    Args:
        status: Such as 429 or 500.
        times: How many requests.
        message: In the body, in the form that OpenAI and Anthropic use.
        headers: Such as `(("retry-after", "0"),)`.
    """

    status: int = 429
    times: int = 1
    message: str = "try again"
    headers: tuple[tuple[str, str], ...] = ()

    def happens(self, interaction: Interaction) -> bool:
        """Return False: it affects requests, not interactions."""
        del interaction
        return False

    def refuse(self, request: int) -> Interaction | None:
        """Return a refusal for the first requests."""
        if request >= self.times:
            return None
        error = {"type": "error", "error": {"type": "refused", "message": self.message, "code": self.status}}
        return Interaction(
            status=self.status,
            headers=(("content-type", "application/json"), *self.headers),
            chunks=(Chunk(0.0, json.dumps(error).encode()),),
        )


# ------------------------------------------------------------------ what comes


@dataclass(frozen=True, slots=True)
class Drop(Fault):
    """One event is lost."""

    event: int

    @override
    def happens(self, interaction: Interaction) -> bool:
        return self.event < len(ends_of(interaction))

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return edited(interaction, lambda events: [*events[: self.event], *events[self.event + 1 :]])


@dataclass(frozen=True, slots=True)
class Duplicate(Fault):
    """One event comes twice."""

    event: int

    @override
    def happens(self, interaction: Interaction) -> bool:
        return self.event < len(ends_of(interaction))

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return edited(interaction, lambda events: [*events[: self.event + 1], *events[self.event :]])


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Bytes outside any event, before event `before`. By default a comment, which clients skip."""

    data: bytes = b": keep-alive\n\n"
    before: int = 1

    def happens(self, interaction: Interaction) -> bool:
        """Return whether there is such an event; before the end is a place, too."""
        return self.before <= len(ends_of(interaction))

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        return inserted(interaction, self.before, self.data)


@dataclass(frozen=True, slots=True)
class ErrorEvent(Fault):
    """The provider reports an error after some events, and nothing follows."""

    after: int = 1
    message: str = "overloaded"
    kind: str = "server_error"

    @override
    def happens(self, interaction: Interaction) -> bool:
        return self.after <= len(ends_of(interaction))

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        error = {"type": "error", "error": {"type": self.kind, "message": self.message}}
        event = b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"
        return inserted(EndEarly(after=self.after)(interaction), self.after, event)
