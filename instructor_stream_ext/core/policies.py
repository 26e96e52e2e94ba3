"""When a partial is shown. A policy is one number: the instant at which the pending text is due.

`math.inf` means wait for more, anything not later than `pending.now` means at once. So "whichever is first" is `min`,
"whichever is last" is `max`, and an async driver's timeout is that number. Policies decide how many partials appear,
never the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "Debounce",
    "EmissionPolicy",
    "EveryDelta",
    "EveryN",
    "FinalOnly",
    "Growth",
    "OnItem",
    "OnTransition",
    "Pending",
    "Throttle",
]


@dataclass(slots=True, kw_only=True)
class Pending:
    """The text that has arrived since the last partial. Read-only, and valid only during the call.

    Attributes:
        now: The instant of asking, in the clock's seconds.
        since: When the oldest pending delta arrived.
        last_delta_at: When the newest delta arrived.
        last_emitted_at: When the last partial of this attempt was shown; None before the first.
        deltas: Pending deltas.
        chars: Pending characters.
        total_chars: Characters of this attempt so far.
        transitions: Field transitions among the pending text.
        items: List items completed among the pending text.
    """

    now: float = 0.0
    since: float = 0.0
    last_delta_at: float = 0.0
    last_emitted_at: float | None = None
    deltas: int = 0
    chars: int = 0
    total_chars: int = 0
    transitions: int = 0
    items: int = 0


class EmissionPolicy(Protocol):
    """Any callable that maps pending text to the instant at which it is due (`math.inf`: wait)."""

    def __call__(self, pending: Pending, /) -> float:
        """Return the instant at which the pending text is due."""
        ...


class _Joins:
    """`|` takes the earlier of two instants, `&` the later; the other side may be any callable."""

    __slots__ = ()

    def __or__(self, other: EmissionPolicy) -> Joined:
        return Joined(min, (self, other))  # type: ignore[arg-type]

    def __ror__(self, other: EmissionPolicy) -> Joined:
        return Joined(min, (other, self))  # type: ignore[arg-type]

    def __and__(self, other: EmissionPolicy) -> Joined:
        return Joined(max, (self, other))  # type: ignore[arg-type]

    def __rand__(self, other: EmissionPolicy) -> Joined:
        return Joined(max, (other, self))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Joined(_Joins):
    """Two policies, of whose instants one is chosen."""

    choose: Callable[[float, float], float]
    sides: tuple[EmissionPolicy, EmissionPolicy]

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        first, second = self.sides
        return self.choose(first(pending), second(pending))


@dataclass(frozen=True, slots=True)
class EveryDelta(_Joins):
    """A partial for each change.

    Example:
        ```python
        wrap(client, debounce=EveryDelta())
        ```
    """

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        return pending.now


@dataclass(frozen=True, slots=True)
class Throttle(_Joins):
    """The first partial at once, then at most one per interval, always the newest.

    Args:
        interval: Seconds between two partials, not negative.

    Example:
        ```python
        wrap(client, debounce=Throttle(0.1))  # as debounce=0.1
        ```
    """

    interval: float

    def __post_init__(self) -> None:
        _not_negative("Throttle", "interval", self.interval)

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        last = pending.last_emitted_at
        return pending.now if last is None else last + self.interval


@dataclass(frozen=True, slots=True)
class Debounce(_Joins):
    """A partial once the model has paused.

    Args:
        quiet: Seconds without a delta that count as a pause.
        max_wait: Seconds after which a partial is shown although the model never paused; None to wait on.

    Example:
        ```python
        wrap(client, debounce=Debounce(quiet=0.2, max_wait=1.0))
        ```
    """

    quiet: float
    max_wait: float | None = None

    def __post_init__(self) -> None:
        _not_negative("Debounce", "quiet", self.quiet)
        if self.max_wait is not None:
            _not_negative("Debounce", "max_wait", self.max_wait)

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        due = pending.last_delta_at + self.quiet
        return due if self.max_wait is None else min(due, pending.since + self.max_wait)


@dataclass(frozen=True, slots=True)
class EveryN(_Joins):
    """A partial after every so many deltas.

    Args:
        deltas: How many, at least 1.

    Example:
        ```python
        wrap(client, debounce=EveryN(20))
        ```
    """

    deltas: int

    def __post_init__(self) -> None:
        if isinstance(self.deltas, bool) or not isinstance(self.deltas, int) or self.deltas < 1:  # type: ignore[redundant-expr]
            raise ValueError(f"EveryN(deltas={self.deltas!r}): must be a whole number of deltas, at least 1")

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        return pending.now if pending.deltas >= self.deltas else math.inf


@dataclass(frozen=True, slots=True)
class Growth(_Joins):
    """The first partial at once, then one whenever the text is `ratio` times as long as at the last.

    Partials thin out as the answer grows, so their total cost stays proportional to the text whatever they cost each.

    Args:
        ratio: More than 1; 1.1 means a tenth longer.

    Example:
        ```python
        wrap(client, debounce=Growth(1.5))
        ```
    """

    ratio: float

    def __post_init__(self) -> None:
        if not self.ratio > 1:
            raise ValueError(f"Growth(ratio={self.ratio!r}): must be greater than 1 (1.1 means a tenth longer)")

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        shown = pending.total_chars - pending.chars
        if pending.last_emitted_at is None or pending.total_chars >= shown * self.ratio:
            return pending.now
        return math.inf


@dataclass(frozen=True, slots=True)
class OnTransition(_Joins):
    """A partial when a field or an item has started or is complete.

    Example:
        ```python
        wrap(client, debounce=OnTransition() | Throttle(0.5))
        ```
    """

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        return pending.now if pending.transitions else math.inf


@dataclass(frozen=True, slots=True)
class OnItem(_Joins):
    """A partial when a list item is complete.

    Example:
        ```python
        wrap(client, debounce=OnItem())
        ```
    """

    def __call__(self, pending: Pending, /) -> float:
        """Return when the pending text is due."""
        return pending.now if pending.items else math.inf


@dataclass(frozen=True, slots=True)
class FinalOnly(_Joins):
    """No partials, only the final.

    Example:
        ```python
        wrap(client, debounce=FinalOnly())
        ```
    """

    def __call__(self, pending: Pending, /) -> float:  # noqa: ARG002
        """Return when the pending text is due."""
        return math.inf


def _not_negative(policy: str, name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{policy}({name}={value!r}): must be seconds, zero or more")
