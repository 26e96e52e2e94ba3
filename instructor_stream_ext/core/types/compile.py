"""A response type, compiled once into a plan for building its partials.

`compile_plan` walks the type as pydantic would: models, dataclasses, typed dicts, named tuples, containers, unions,
root models, generics, aliases, recursion. What it finds is kept per type, so a stream costs no compilation and makes
no class.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Literal

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.types.compiler import Compiler
from instructor_stream_ext.core.types.partial_types import filled
from instructor_stream_ext.core.types.response import Plan

__all__ = ["compile_plan"]

_KEPT = 1024
"""How many plans are kept. A program that keeps making model classes must not hold all of them for good."""

_OPENERS = {"object": "{", "array": "[", "string": '"', "number": "-0123456789"}

_plans: OrderedDict[Any, Plan] = OrderedDict()
_lock = threading.RLock()


def _restored(model: type, state: object) -> Any:
    """Return a partial of this model, unpickled."""
    return filled(compile_plan(model).partial_type, state)


_compiler = Compiler(_KEPT, _restored)


def compile_plan(tp: object) -> Plan:
    """Return the plan of a response type, made once per type.

    Args:
        tp: Anything a pydantic `TypeAdapter` takes.

    Raises:
        StreamMisuse: A marker stands where it has no meaning.
    """
    try:
        hash(tp)
    except TypeError:
        with _lock:
            return _compile(tp)
    with _lock:
        plan = _plans.get(tp)
        # Types that are equal need not be the same to us: Literal[1] == Literal[True], list[A] of another A.
        if plan is None or repr(plan.type) != repr(tp):
            plan = _plans[tp] = _compile(tp)
        _plans.move_to_end(tp)
        while len(_plans) > _KEPT:
            _plans.popitem(last=False)
        return plan


def _compile(tp: object) -> Plan:
    root = _compiler.compile(tp)
    if root.not_null:
        raise StreamMisuse("NotNull() marks a field of an object; it means nothing on the response type itself")
    if root.with_state:
        raise StreamMisuse("WithState() cannot stand on the response type itself: ask the stream for state(()) instead")
    kinds = root.kinds & {"object", "array", "string", "number", "literal"}
    kind: Literal["object", "array", "any"] = (
        "object" if kinds == {"object"} else "array" if kinds == {"array"} else "any"
    )
    openers = "".join(chars for name, chars in _OPENERS.items() if name in kinds)
    return Plan(tp, root, kind, openers or "{[", _compiler.shells.get(tp, tp) if isinstance(tp, type) else tp)
