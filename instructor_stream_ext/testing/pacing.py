"""Faults in time: a recorded stream that arrives late, at a rate, or with jitter.

Instants are those of the cassette, in seconds: a `Stall` takes no time where the cassette is played at speed 0.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from typing_extensions import override

from instructor_stream_ext.testing.cassette import Interaction
from instructor_stream_ext.testing.fault import Fault
from instructor_stream_ext.testing.payload import pieces
from instructor_stream_ext.testing.retaking import arriving, by_events, ends_of, first_text, recut, starts_of

__all__ = ["FirstTokenAfter", "Jitter", "Stall", "TokensPerSecond"]


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Nothing arrives for some seconds, before event `before`."""

    seconds: float
    before: int = 0

    def happens(self, interaction: Interaction) -> bool:
        """Return whether there is such an event; before the end is a place, too."""
        return self.before <= len(ends_of(interaction))

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        edge = [0, *ends_of(interaction)][self.before] if self.happens(interaction) else len(interaction.body)
        interaction = recut(interaction, [edge], keep=True)
        starts = starts_of(interaction)
        moved = [
            chunk.at + (self.seconds if start >= edge else 0.0)
            for chunk, start in zip(interaction.chunks, starts, strict=True)
        ]
        return replace(arriving(interaction, moved), ended_at=interaction.ended_at + self.seconds)


@dataclass(frozen=True, slots=True)
class _OfText(Fault, ABC):
    """Changes when the events arrive of which one has the model's first text; it needs one that has."""

    @override
    def happens(self, interaction: Interaction) -> bool:
        return first_text(interaction) is not None

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        interaction = by_events(interaction)
        first = first_text(interaction)
        return interaction if first is None else arriving(interaction, self._arrivals(interaction, first))

    @abstractmethod
    def _arrivals(self, interaction: Interaction, first: int) -> list[float]:
        """Return the instant of each event; the first text is in event `first`."""


@dataclass(frozen=True, slots=True)
class FirstTokenAfter(_OfText):
    """The model's first text arrives this many seconds after the request; later pieces keep their distance."""

    seconds: float

    @override
    def _arrivals(self, interaction: Interaction, first: int) -> list[float]:
        shift = self.seconds - interaction.chunks[first].at
        return [
            max(0.0, chunk.at + shift) if n >= first else min(chunk.at, self.seconds)
            for n, chunk in enumerate(interaction.chunks)
        ]


@dataclass(frozen=True, slots=True)
class TokensPerSecond(_OfText):
    """The pieces of the model's text arrive at this rate, each as one chunk."""

    rate: float

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"TokensPerSecond(rate={self.rate!r}): must be more than 0")

    @override
    def _arrivals(self, interaction: Interaction, first: int) -> list[float]:
        begun, told, moved = interaction.chunks[first].at, -1, []
        for number, (chunk, piece) in enumerate(
            zip(interaction.chunks, pieces(interaction.body, interaction.content_type), strict=True)
        ):
            told += bool(piece.text)
            moved.append(chunk.at if number < first else begun + told / self.rate)
        return moved


@dataclass(frozen=True, slots=True)
class Jitter(Fault):
    """Each piece arrives up to this many seconds later. The order stays; the same seed gives the same jitter."""

    seconds: float
    seed: int = 0

    @override
    def __call__(self, interaction: Interaction) -> Interaction:
        chance = random.Random(self.seed)  # noqa: S311
        moved = [chunk.at + chance.uniform(0.0, self.seconds) for chunk in interaction.chunks]
        return arriving(interaction, list(itertools.accumulate(moved, max)))
