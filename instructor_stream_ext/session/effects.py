"""Effects: the closed union of what a session asks for; both drivers carry them out.

A session is a generator. It yields effects and is sent the answer, and it yields events, which are for the consumer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from instructor_stream_ext.core.events import Event

__all__ = [
    "END",
    "LOOK",
    "READ",
    "TICK",
    "Call",
    "Close",
    "Departed",
    "Effect",
    "Open",
    "Read",
    "Signal",
    "Steps",
    "Told",
]


class Signal(Enum):
    """What a driver or a step answers in place of a value."""

    END = "end"
    TICK = "tick"
    LOOK = "look"


END: Final = Signal.END
"""The provider's chunks have ended."""
TICK: Final = Signal.TICK
"""The machine's deadline has passed."""
LOOK: Final = Signal.LOOK
"""The session itself must handle the chunk that its step was given."""


class Read(NamedTuple):
    """Read on: give each chunk to the session's `step`, and what that returns to the consumer, until it says `LOOK`.

    The answer is `LOOK`, `END`, or `TICK` when the machine's deadline has come.
    """


READ: Final = Read()


class Call(NamedTuple):
    """Call a function, and await the result if async. The answer is what it returns."""

    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012  never written to


class Close(NamedTuple):
    """Close the connection, whatever is being read from it, and await that if async."""

    fn: Callable[[], Any]


class Open(NamedTuple):
    """Connect before the machine's deadline. The answer is a `Connection`, or `TICK` if the deadline has passed.

    Attributes:
        connect: Takes the seconds that are left, `math.inf` where they are not those of the machine's own clock.
        deadline: In the clock's seconds; `math.inf` for none.
    """

    connect: Callable[[float], Any]
    deadline: float


class Told(NamedTuple):
    """Several events for the consumer, one after the other, where nobody else is to be told of them in between."""

    events: Sequence[Event]


class Departed(BaseException):
    """Thrown into a session when the consumer has left. The session closes the connection and reports the end."""


Effect: TypeAlias = Read | Open | Call | Close | Told | Event

R = TypeVar("R")
Steps: TypeAlias = Generator[Effect, Any, R]
"""A part of a session. The driver's answers enter at each `yield`."""
