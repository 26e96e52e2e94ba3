"""Unions: one plan for several types, decided by the kind of the JSON value, by tags, and by keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from instructor_stream_ext.core.types.building import lookup
from instructor_stream_ext.core.types.plan import (
    ANYTHING,
    ATOMIC,
    RAW_ARRAY,
    RAW_OBJECT,
    ObjectPlan,
    SequencePlan,
    ValuePlan,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fit_later", "merge"]

UNDECIDED = "\0undecided"
"""Stands for the decision that a union waits for whose members hide themselves."""


def merge(plan: ValuePlan, members: list[tuple[Any, ValuePlan]], discriminator: object, *, optional: bool) -> None:
    """Fill `plan` with what the members of a union have in common.

    Args:
        plan: What is filled.
        members: Each member's tag, if it is annotated with one, and its plan; null left out.
        discriminator: A key, a function of the raw object, or None.
        optional: Whether null is a member.
    """
    plans = [member for _, member in members]
    if len(plans) == 1:
        plan.become(plans[0])
        plan.missing = None
    else:
        for member in plans:
            plan.done |= member.done
            plan.with_state |= member.with_state
            plan.not_null |= member.not_null
        plan.kinds = frozenset().union(*(member.kinds for member in plans))
        plan.streams = any(member.streams for member in plans)
        plan.string = None if plan.streams else _string(plans)
        plan.scalar = _scalar(plans)
        plan.obj = _object(members, discriminator)
        plan.seq = _sequence([m.seq for m in plans if "array" in m.kinds])
        if all(member.literals is not None for member in plans) and plans:
            plan.literals = frozenset().union(*(member.literals or () for member in plans))
    if optional:
        plan.kinds |= {"literal"}


def _string(plans: list[ValuePlan]) -> Callable[[Any], Any] | None:
    return _first([m.string for m in plans if "string" in m.kinds])


def _scalar(plans: list[ValuePlan]) -> Callable[[Any], Any] | None:
    """Return a conversion that gives numbers to the member of their own type, if there is one."""
    exact = {member.sig for member in plans if member.sig in (int, float)}
    others = _first([m.scalar for m in plans if {"number", "literal"} & m.kinds and m.sig not in (int, float)])
    numbers = _first([m.scalar for m in plans if m.sig in (int, float)])

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind is bool or kind in exact:
            return value
        if kind is int and float in exact:
            return float(value)
        converted = value if others is None else others(value)
        return converted if converted is not value or numbers is None else numbers(value)

    return convert


def _first(conversions: list[Callable[[Any], Any] | None]) -> Callable[[Any], Any] | None:
    """Return the first conversion that changes the value."""
    found = [conversion for conversion in conversions if conversion is not None]
    if len(found) < 2:  # noqa: PLR2004
        return found[0] if found else None

    def convert(value: object) -> Any:
        for conversion in found:
            converted = conversion(value)
            if converted is not value:
                return converted
        return value

    return convert


def _object(members: list[tuple[Any, ValuePlan]], discriminator: object) -> ObjectPlan:
    found: dict[ObjectPlan, None] = {}
    by_tag: dict[Any, ObjectPlan] = {}
    for tag, member in members:
        if "object" in member.kinds:
            by_tag[tag] = member.obj
            found.update(dict.fromkeys(member.obj.candidates or (member.obj,)))
    if not found:
        return RAW_OBJECT
    if len(found) == 1:
        return next(iter(found))
    union = ObjectPlan(" | ".join(candidate.name for candidate in found))
    union.candidates = tuple(found)
    if callable(discriminator):

        def choose(raw: object) -> ObjectPlan | None:
            try:
                return lookup(by_tag, discriminator(raw))
            except Exception:  # noqa: BLE001  a user's function that met a missing value
                return None

        union.choose = choose
    return union


def _sequence(found: list[SequencePlan]) -> SequencePlan:
    if not found:
        return RAW_ARRAY
    if all(seq is found[0] for seq in found):
        return found[0]
    union = SequencePlan(ValuePlan(), None, None, " | ".join(seq.name for seq in found))
    if all(seq.finish is found[0].finish and seq.items is None for seq in found):
        union.finish = found[0].finish
    union.members = tuple(found)
    return union


def fit_later(plan: ValuePlan) -> None:
    """Complete a union once the fields of all its members are known."""
    if plan.obj.candidates and not plan.obj.fitted:
        _fit_object(plan.obj)
    if plan.seq.members:
        _fit_sequence(plan.seq)


def _fit_sequence(union: SequencePlan) -> None:
    members, union.members = union.members, ()
    items = dict.fromkeys(item for seq in members for item in (*(seq.items or ()), seq.item) if seq.items != ())
    fitting = [(None, item) for item in items if not (item is ANYTHING and len(items) > 1)]
    merge(union.item, fitting, None, optional=False)
    fit_later(union.item)


def _fit_object(union: ObjectPlan) -> None:
    union.fitted = True
    members = union.candidates
    for key in dict.fromkeys(key for member in members for key in member.fields):
        _fit_key(union, key, [member.fields[key] for member in members if key in member.fields])
    if any(member.other is not None for member in members):
        union.other = ANYTHING
    if any(member.waits or any(slot.not_null for slot in member.names.values()) for member in members):
        union.waits = frozenset({UNDECIDED})


def _fit_key(union: ObjectPlan, key: str, entries: list[tuple[str, ValuePlan]]) -> None:
    """Note what all members with this key agree on, while it is open which member the object is."""
    names = {name for name, _ in entries}
    union.public[key] = names.pop() if len(names) == 1 else key
    slots = [slot for _, slot in entries]
    tags = _tags(union.candidates, key)
    if tags is not None:
        union.tags[key] = tags
    if all(slot is slots[0] or _same(slot.sig, slots[0].sig) for slot in slots):
        union.fields[key] = (key, slots[0])
        union.carried |= {key}
    else:
        # Not known yet what it becomes: a string is shown growing only if one of the members would.
        union.fields[key] = (key, ANYTHING if any(slot.streams for slot in slots) else ATOMIC)


def _same(one: object, other: object) -> bool:
    return one is not None and type(one) is type(other) and bool(one == other)


def _tags(members: tuple[ObjectPlan, ...], key: str) -> dict[Any, ObjectPlan] | None:
    """Return the member for each value of `key`, if the values of all members differ."""
    tags: dict[Any, ObjectPlan] = {}
    for member in members:
        entry = member.fields.get(key)
        if entry is None and member.other is None:
            continue
        if entry is None or entry[1].literals is None:
            return None
        for value in entry[1].literals:
            if tags.setdefault(value, member) is not member:
                return None
    return tags
