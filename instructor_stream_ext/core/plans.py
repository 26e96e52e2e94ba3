"""A response type, compiled once into what its partials are built by.

`compile_plan` walks the type as pydantic would: models, dataclasses, typed dicts, named tuples, containers, unions,
root models, generics, aliases, recursion. What it finds is kept per type, so a stream costs no compilation and makes
no class.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from instructor_stream_ext.core.compiler import Compiler
from instructor_stream_ext.core.errors import StreamMisuse

if TYPE_CHECKING:
    from instructor_stream_ext.core.envelope import Envelope
    from instructor_stream_ext.core.shapes import ValuePlan

__all__ = ["Plan", "compile_plan"]

_KEPT = 1024
"""Plans kept. A program that makes model classes as it goes must not keep them all for good."""

_OPENERS = {"object": "{", "array": "[", "string": '"', "number": "-0123456789"}

_plans: OrderedDict[Any, Plan] = OrderedDict()
_compiler = Compiler(_KEPT)
_lock = threading.RLock()


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How to build the partials of one response type.

    Attributes:
        type: The response type.
        root: What the whole document becomes.
        kind: "object" or "array" where the document can be nothing else, else "any".
        openers: The characters a document of this type can begin with.
        partial_type: The class of its partials; the type itself where it has none of its own.
        envelope: The object around the document, which no path and no partial shows; None if there is none.
        entry: What the text may begin with, the object around the document included; None if that is `root`.
    """

    type: Any
    root: ValuePlan
    kind: Literal["object", "array", "any"]
    openers: str
    partial_type: Any
    envelope: Envelope | None = None
    entry: ValuePlan | None = None


def compile_plan(tp: Any) -> Plan:
    """The plan of a response type, made once per type.

    Args:
        tp: Anything a pydantic `TypeAdapter` takes.

    Raises:
        StreamMisuse: A marker stands where it cannot mean anything.
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


def _compile(tp: Any) -> Plan:
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
