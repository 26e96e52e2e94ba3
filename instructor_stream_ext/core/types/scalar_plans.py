"""The plan of a scalar: the kind of its JSON, and what the complete value becomes."""

from __future__ import annotations

import enum
from typing import Any, Literal, get_args, get_origin

from instructor_stream_ext.core.types import scalars
from instructor_stream_ext.core.types.plan import ValuePlan

__all__ = ["scalar_plan"]


def scalar_plan(tp: object) -> ValuePlan:
    """Return the plan of a scalar type, a `Literal` or an enumeration."""
    function = scalars.converter(tp)
    literals: frozenset[Any] | None = None
    if get_origin(tp) is Literal:
        values = [v.value if isinstance(v, enum.Enum) else v for v in get_args(tp)]
        literals = _values(values)
    elif isinstance(tp, type) and issubclass(tp, enum.Enum):
        literals = _values([member.value for member in tp])
    if literals is not None:
        names = {str: "string", bool: "literal", int: "number", float: "number", type(None): "literal"}
        kinds = [names.get(type(v), "string") for v in literals] or ["string"]
    elif tp in (int, float):
        kinds = ["number"]
    elif tp is bool:
        kinds = ["literal"]
    else:
        kinds = ["string", "number"]
    return ValuePlan(string=function, scalar=function, kinds=kinds, literals=literals, sig=tp)


def _values(values: list[Any]) -> frozenset[Any] | None:
    try:
        return frozenset(values)
    except TypeError:
        return None
