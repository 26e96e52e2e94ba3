"""What a fault is: a value that makes another interaction of an interaction, and a record of which have happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from instructor_stream_ext.testing.cassette import Interaction

__all__ = ["Chain", "Fault", "FaultsInUse", "chained"]

_LEAST = {
    "after": 0,
    "at_byte": 0,
    "before": 0,
    "count": 0,
    "event": 0,
    "events": 1,
    "every": 0,
    "seconds": 0,
    "size": 1,
    "status": 400,
    "times": 1,
}
_FRACTIONS = frozenset({"every", "rate", "seconds"})


class Fault:
    """Maps an interaction to another one. Faults are values: they compare, and `a | b` is first a, then b.

    Raises:
        ValueError: A number is out of range; a fault that does nothing would have a test pass that tests nothing.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        """Refuse numbers that make no fault."""
        for name, least in _LEAST.items():
            value = getattr(self, name, None)
            kinds = (int, float) if name in _FRACTIONS else int
            if value is not None and (not isinstance(value, kinds) or not value >= least):
                raise ValueError(f"{type(self).__name__}({name}={value!r}): must be a number from {least}")

    def __call__(self, interaction: Interaction) -> Interaction:
        """Return the interaction with this fault."""
        return interaction

    def happens(self, interaction: Interaction) -> bool:
        """Return whether the interaction has the place that this fault is about, such as an event of its number."""
        return bool(interaction.chunks)

    def refuse(self, request: int) -> Interaction | None:
        """Return an answer instead of the cassette's for a request's number (from 0); None plays the cassette."""
        del request
        return None

    def __or__(self, other: Fault) -> Chain:
        return Chain((*_links(self), *_links(other)))


@dataclass(frozen=True, slots=True)
class Chain(Fault):
    """Several faults, applied one after the other."""

    faults: tuple[Fault, ...] = ()

    def __call__(self, interaction: Interaction) -> Interaction:
        """Return the interaction with these faults."""
        for fault in self.faults:
            interaction = fault(interaction)
        return interaction

    def refuse(self, request: int) -> Interaction | None:
        """Return the answer of the first fault that has one instead of the cassette's."""
        return next((interaction for fault in self.faults if (interaction := fault.refuse(request)) is not None), None)


def chained(faults: Fault | Iterable[Fault]) -> Chain:
    """Combine one or several faults into one."""
    given = [faults] if isinstance(faults, Fault) else list(faults)
    for fault in given:
        if not isinstance(fault, Fault):
            raise TypeError(f"a fault is a value such as Stall(3), not {fault!r}")
    return Chain(tuple(link for fault in given for link in _links(fault)))


def _links(fault: Fault) -> tuple[Fault, ...]:
    return fault.faults if isinstance(fault, Chain) else (fault,)


class FaultsInUse:
    """Faults applied to what is played, and whether each has happened.

    Args:
        faults: One or several.
    """

    def __init__(self, faults: Fault | Iterable[Fault] = ()) -> None:
        self._faults = chained(faults).faults
        self._happened: set[int] = set()

    def __call__(self, interaction: Interaction) -> Interaction:
        """Return the interaction with these faults."""
        for number, fault in enumerate(self._faults):
            if fault.happens(interaction):
                self._happened.add(number)
            interaction = fault(interaction)
        return interaction

    def refuse(self, request: int) -> Interaction | None:
        """Return the answer of the first fault that has one instead of the cassette's."""
        for number, fault in enumerate(self._faults):
            if (interaction := fault.refuse(request)) is not None:
                self._happened.add(number)
                return interaction
        return None

    def problems(self) -> list[str]:
        """Return the faults that have not happened: a test of them would show nothing."""
        return [
            f"fault {fault!r} never happened: no answer that was played has a place for it"
            for number, fault in enumerate(self._faults)
            if number not in self._happened
        ]
