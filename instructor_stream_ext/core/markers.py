"""Markers for `Annotated`: what a partial shows of a field, and when.

    class Order(BaseModel):
        id: Annotated[int, NotNull()]              # no Order is shown before its id has arrived
        note: Annotated[str, Done()]               # the note is shown in one piece
        total: Annotated[float, WithState()]       # shown as Streamed(value, state)

They are plain metadata: neither the JSON schema nor the validation of the final object knows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from instructor_stream_ext.core.events import FieldState

__all__ = ["Done", "NotNull", "Streamed", "WithState"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """The value appears in partials only when it is complete."""


@dataclass(frozen=True, slots=True)
class NotNull:
    """The object this field belongs to appears in partials only once the field has arrived, and is not null."""


@dataclass(frozen=True, slots=True)
class WithState:
    """The value appears in partials as `Streamed(value, state)`; in the final it is the plain value."""


@dataclass(frozen=True, slots=True)
class Streamed(Generic[T]):
    """A partial's value together with how far it has come.

    Attributes:
        value: What a partial shows without the marker: while missing, the stand-in for a missing value.
        state: MISSING, STREAMING or COMPLETE.
    """

    value: T
    state: FieldState
