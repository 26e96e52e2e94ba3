"""The tokens and cost of an answer while it arrives, checked against their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from instructor_stream_ext.core.errors import LimitExceeded
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.usage import Usage

__all__ = ["Answer", "Rates", "Spending", "estimated_tokens"]

_BYTES = 4
"""About how many bytes of UTF-8 make a token: English and code take a little more, other alphabets less, Chinese about
as much.
"""


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for every four bytes of UTF-8, begun ones included.

    The tokenizer of a model may have to be fetched, and differs from the next model's; this one needs nothing.
    """
    return -(-len(text.encode(errors="replace")) // _BYTES)


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of an attempt.

    Args:
        asked: Tokens of the request, estimated.
        input: US dollars for each of them.
        output: US dollars for each token of the answer.
    """

    asked: int
    input: float
    output: float


class Answer(Protocol):
    """An answer so far."""

    @property
    def usage(self) -> Usage | None:
        """The provider's count so far; None if it has sent none."""
        ...

    @property
    def chars(self) -> int:
        """Characters of text, reasoning and tool calls."""
        ...

    def written(self) -> str:
        """All that the model has written."""
        ...


class Spending:
    """One attempt under `max_cost` and `max_output_tokens`.

    Args:
        limits: The bounds.
        rates: The price; None without `max_cost`.
        before: US dollars of earlier attempts.
        written: Tokens of this attempt's answer that came before it was cut off and went on.
    """

    def __init__(
        self, limits: Limits, rates: Rates | None = None, before: float = 0.0, *, written: float = 0.0
    ) -> None:
        self._limits = limits
        self._rates = rates
        self._before = before
        self._written = written
        self._told = 0
        self._estimate_when_told = 0.0
        self._bytes_per_char = 1.0
        self._weighed_again_at = 1

    def check(self, answer: Answer) -> None:
        """Check what has arrived.

        Raises:
            LimitExceeded: A bound is exceeded.
        """
        usage = answer.usage
        said = self._output_tokens(answer, usage)
        most = self._limits.max_output_tokens
        if most is not None and self._written + said > most:
            raise LimitExceeded("max_output_tokens", most)
        rates, dollars = self._rates, self._limits.max_cost
        if rates is None or dollars is None:
            return
        asked = (usage.input_tokens if usage is not None else 0) or rates.asked
        if self._before + asked * rates.input + said * rates.output > dollars:
            raise LimitExceeded("max_cost", dollars)

    def written(self, answer: Answer) -> float:
        """Return the tokens of the answer, all its parts together."""
        return self._written + self._output_tokens(answer, answer.usage)

    def _output_tokens(self, answer: Answer, usage: Usage | None) -> float:
        """Add the provider's count and an estimate of what came since; some providers count each chunk, some once."""
        chars = answer.chars
        if chars >= self._weighed_again_at:  # less and less often, so that all of it stays linear
            self._bytes_per_char = len(answer.written().encode(errors="replace")) / chars
            self._weighed_again_at = 2 * chars + 64
        estimate = chars * self._bytes_per_char / _BYTES
        told = 0 if usage is None else usage.output_tokens
        if told != self._told:
            self._told, self._estimate_when_told = told, estimate
        return told + estimate - self._estimate_when_told
