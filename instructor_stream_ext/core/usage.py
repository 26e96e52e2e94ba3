"""What one or more attempts used: tokens, and money."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cost", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts, summed over the attempts, under the same names for every provider."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one or more attempts.

    Args:
        dollars: US dollars; None when the price of one of them is unknown.
        estimated: Whether tokens were counted here, as a stream was left before the provider had told them.
    """

    dollars: float | None
    estimated: bool = False

    def __add__(self, other: Cost) -> Cost:
        known = self.dollars is not None and other.dollars is not None
        return Cost(self.dollars + other.dollars if known else None, self.estimated or other.estimated)  # type: ignore[operator]
