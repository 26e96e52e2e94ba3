"""Bounds on a stream: in time and in size, and what to do at some of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Limits", "LitellmReader", "OnTruncated", "Repair", "Timeouts"]

Repair: TypeAlias = Callable[..., Any]
"""From an answer that is no JSON, and the error that says why, to the JSON that it should be; None to give up.

Called with both by place. Objects, which some repairers give, count as the JSON that they stand for.
"""

LitellmReader: TypeAlias = Literal["auto", "wrapper"]
"""Where litellm's streams are read: below its wrapper where possible, or always through it."""
OnTruncated: TypeAlias = Literal["raise", "continue"]
"""What to do with an answer that hit its token limit: raise `OutputTruncated`, or have the model write the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the provider may take, in seconds; None for no bound.

    Args:
        first_delta: Until the model's first text or reasoning. Only time spent waiting for the provider counts.
        idle: Between two pieces of text or reasoning; keep-alives, role and metadata chunks do not count as a piece.
        total: For the whole stream, all attempts together.

    Raises:
        ValueError: A bound is not positive.

    Example:
        ```python
        wrap(client, timeouts=Timeouts(first_delta=20, idle=10, total=120))
        ```
    """

    first_delta: float | None = None
    idle: float | None = None
    total: float | None = None

    def __post_init__(self) -> None:
        for name in ("first_delta", "idle", "total"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"Timeouts({name}={value!r}): must be seconds, more than zero")

    @property
    def any(self) -> bool:
        """True if there is a bound at all."""
        return self.first_delta is not None or self.idle is not None or self.total is not None


DEEPEST = 200
"""The nesting that pydantic's JSON reader accepts (https://github.com/pydantic/jiter)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large an answer may become; None for no bound.

    Args:
        max_chars: Characters of one attempt's text.
        max_depth: Nesting of the JSON, at most 200: pydantic reads none that is deeper.
        max_items: Items of one list.
        max_output_tokens: Tokens of one attempt, reasoning included.
        max_cost: US dollars of all attempts together, for a model whose price is known.

    The last two stop a stream in its midst and close the connection. They go by the provider's count where it comes
    while the stream runs, else by an estimate (four bytes of UTF-8 are a token); an answer that has come to its end
    is not thrown away for them.

    Raises:
        ValueError: A bound is less than 1, `max_depth` more than 200, or `max_cost` not positive.

    Example:
        ```python
        wrap(client, limits=Limits(max_items=50, max_cost=0.05))
        ```
    """

    max_chars: int | None = 4_000_000
    max_depth: int = 128
    max_items: int | None = None
    max_output_tokens: int | None = None
    max_cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_chars", "max_depth", "max_items", "max_output_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"Limits({name}={value!r}): must be at least 1")
        if self.max_depth > DEEPEST:
            raise ValueError(
                f"Limits(max_depth={self.max_depth!r}): must be at most {DEEPEST}; pydantic reads no deeper"
            )
        if self.max_cost is not None and not 0 < self.max_cost < math.inf:
            raise ValueError(f"Limits(max_cost={self.max_cost!r}): must be US dollars, more than zero")

    @property
    def of_spending(self) -> bool:
        """True if there is a bound on tokens or money."""
        return self.max_output_tokens is not None or self.max_cost is not None
