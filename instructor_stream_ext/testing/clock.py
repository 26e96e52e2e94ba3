"""Time as an argument: a clock that a test moves, and the pace at which a cassette is played."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FakeClock", "Pace"]


class FakeClock:
    """A clock that stands still until it is moved. Pass it as `wrap(..., clock=clock)`.

    Args:
        now: Where it stands, in seconds.
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = float(now)

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by this many seconds.

        Raises:
            ValueError: Time would run backwards.
        """
        if not seconds >= 0:
            raise ValueError(f"a clock cannot be moved by {seconds!r} seconds")
        self.now += seconds

    def __repr__(self) -> str:
        return f"FakeClock({self.now:g})"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a cassette is played.

    Args:
        speed: 1 is the original pace, 2 twice as fast, 0 (or infinity) without any pause.
        clock: Moved in place of waiting.
    """

    speed: float = 0.0
    clock: FakeClock | None = None

    def __post_init__(self) -> None:
        if not self.speed >= 0:
            raise ValueError(f"speed must be 0 (no pause) or more, not {self.speed!r}")

    @classmethod
    def of(cls, speed: float | FakeClock | None, clock: FakeClock | None = None) -> Pace:
        """Convert a caller's arguments: a fake clock in place of the speed means the original pace."""
        if isinstance(speed, FakeClock):
            return cls(1.0, speed)
        return cls((0.0 if clock is None else 1.0) if speed is None else speed, clock)

    @property
    def pauses(self) -> bool:
        """True if there is any waiting, or moving of a clock."""
        return 0 < self.speed < math.inf

    def start(self) -> Callable[[float], float]:
        """Start playing now; returns a function from an instant of the cassette to the seconds left until then."""
        if not self.pauses:
            return lambda _: 0.0
        now: Callable[[], float] = time.monotonic if self.clock is None else self.clock
        began, speed = now(), self.speed
        return lambda at: max(0.0, began + at / speed - now())

    def wait(self, seconds: float) -> None:
        """Let this many seconds pass."""
        if self.clock is not None:
            self.clock.advance(seconds)
        elif seconds:
            time.sleep(seconds)

    async def await_(self, seconds: float) -> None:
        """Let this many seconds pass, in an event loop."""
        if self.clock is not None:
            self.clock.advance(seconds)
            await asyncio.sleep(0)
        elif seconds:
            await asyncio.sleep(seconds)
