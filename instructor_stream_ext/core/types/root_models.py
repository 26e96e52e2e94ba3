"""The plan of a root model's content, with the model around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from instructor_stream_ext.core.types.plan import ObjectPlan, SequencePlan

__all__ = ["both", "wrap_object", "wrap_sequence"]


def both(inner: Callable[[Any], Any], outer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one function applied after the other."""
    return lambda value: outer(inner(value))


def wrap_object(twin: ObjectPlan, obj: ObjectPlan, wrap: Callable[[Any], Any]) -> None:
    """Make `twin` the plan of the object `obj` within a root model."""
    twin.take(obj)
    members = []
    for member in obj.candidates:
        members.append(ObjectPlan())
        wrap_object(members[-1], member, wrap)
    twin.candidates = tuple(members)
    wrapped = dict(zip(obj.candidates, members, strict=True))
    twin.tags = {key: {tag: wrapped[member] for tag, member in tags.items()} for key, tags in obj.tags.items()}
    choose = obj.choose
    if choose is not None:
        twin.choose = lambda raw: wrapped.get(choose(raw))  # type: ignore[arg-type]
    make = obj.make

    def build(data: object, arrived: object, extra: object, private: object) -> Any:
        return wrap(data if make is None else make(data, arrived, extra, private))

    twin.make = build


def wrap_sequence(twin: SequencePlan, seq: SequencePlan, wrap: Callable[[Any], Any]) -> None:
    """Make `twin` the plan of the array `seq` within a root model."""
    twin.take(seq)
    twin.wrap = wrap if seq.wrap is None else both(seq.wrap, wrap)
