"""Values built from JSON by their plans."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instructor_stream_ext.core.types.plan import Cache, ObjectPlan, ValuePlan

__all__ = ["build", "choose", "lookup", "put"]


def build(plan: ValuePlan, raw: object, cache: Cache) -> Any:
    """Build a complete raw JSON value as the plan wants it, for what was read before a union was decided."""
    if isinstance(raw, str):
        value = raw if plan.string is None else plan.string(raw)
    elif raw is None:
        return None
    elif isinstance(raw, dict):
        return _build_object(plan.obj, raw, cache)
    elif isinstance(raw, list):
        seq = plan.seq
        if seq.items is not None:
            raw = raw[: len(seq.items)]
        items = [build(seq.at(i), item, cache) for i, item in enumerate(raw)]
        value = items if seq.finish is None else seq.finish(items)
        return value if seq.wrap is None else seq.wrap(value)
    else:
        value = raw if plan.scalar is None else plan.scalar(raw)
    return value if plan.wrap is None else plan.wrap(value)


def _build_object(plan: ObjectPlan, raw: dict[str, Any], cache: Cache) -> Any:
    if plan.candidates:
        chosen = choose(plan, raw)
        if chosen is None:
            return raw
        plan = chosen
    data = plan.new_data(cache)
    arrived: set[str] = set()
    extra: dict[str, Any] | None = {} if plan.extra else None
    for key, value in raw.items():
        put(plan, data, arrived, extra, key, value, cache)
    if plan.make is None:
        return data
    return plan.make(data, arrived, extra, None if plan.private is None else plan.private())


def put(
    plan: ObjectPlan,
    data: dict[Any, Any],
    arrived: set[str],
    extra: dict[str, Any] | None,
    key: str,
    value: object,
    cache: Cache,
) -> None:
    """Enter a raw value under the JSON key `key`."""
    entry = plan.fields.get(key)
    if entry is not None:
        name, slot = entry
        data[name] = _mark(slot, build(slot, value, cache))
        arrived.add(name)
    elif plan.other is not None:
        value = _mark(plan.other, build(plan.other, value, cache))
        if extra is not None:
            extra[key] = value
            arrived.add(key)
        else:
            data[key if plan.keys is None else plan.keys(key)] = value


def _mark(slot: ValuePlan, value: object) -> Any:
    if not slot.with_state:
        return value
    from instructor_stream_ext.core.events import FieldState
    from instructor_stream_ext.core.markers import Streamed

    return Streamed(value, FieldState.COMPLETE)


def choose(plan: ObjectPlan, raw: dict[str, Any]) -> ObjectPlan | None:
    """Return the union's member that a complete object belongs to, None if that cannot be decided.

    Tags decide, then a callable discriminator, then the first member that has all its required keys, the most of its
    keys known first.
    """
    tagged = [lookup(members, raw[key]) for key, members in plan.tags.items() if key in raw]
    if tagged:
        return next((member for member in tagged if member is not None), None)
    if plan.choose is not None:
        return plan.choose(raw)
    best, best_score = None, -1
    for member in plan.candidates:
        present = {member.fields[key][0] for key in raw if key in member.fields}
        if member.required <= present:
            score = len(present)
            if score > best_score:
                best, best_score = member, score
    return best


def lookup(members: dict[Any, ObjectPlan], tag: object) -> ObjectPlan | None:
    """Return the member of a tag; None if the tag is unknown or not hashable."""
    try:
        return members.get(tag.value if isinstance(tag, Enum) else tag)
    except TypeError:
        return None
