"""Paths into a document: parsing them, and checking that the response type has such a place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Path

if TYPE_CHECKING:
    from instructor_stream_ext.core.types.plan import ObjectPlan, SequencePlan, ValuePlan

__all__ = ["check_path", "parse_path"]

_STEP = re.compile(r'\[(\d+)\]|\[("(?:[^"\\]|\\.)*"|\'[^\']*\')\]|(\.?)([^.\[\]]+)').match


def parse_path(path: str) -> Path:
    """Read a path such as `items[3].name`.

    Args:
        path: Names after dots, indices in brackets; a key that contains dots in brackets and quotes: `pages["a.b"]`.

    Raises:
        StreamMisuse: It is not a path.
    """
    steps: list[str | int] = []
    pos = 0
    while pos < len(path):
        step = _STEP(path, pos)
        if step is None or (step[4] and bool(step[3]) != bool(steps)):
            raise StreamMisuse(f"{path!r} is not a path: write it like 'items[3].name'")
        if step[1]:
            steps.append(int(step[1]))
        elif step[2]:
            steps.append(json.loads(step[2]) if step[2][0] == '"' else step[2][1:-1])
        else:
            steps.append(step[4])
        pos = step.end()
    return tuple(steps)


def check_path(plan: ValuePlan, path: Path) -> list[ValuePlan]:
    """Refuse a path that no document of this type can have.

    Returns:
        What may stand there.

    Raises:
        StreamMisuse: Which step is wrong, and what there is instead.
    """
    plans = [plan]
    for depth, step in enumerate(path):
        below = [found for plan in plans for found in _below(plan, step)]
        if not below:
            raise StreamMisuse(f"there is no {_said(path[: depth + 1])!r} in the response model: {_there(plans)}")
        plans = below
    return plans


def _below(plan: ValuePlan, step: str | int) -> list[ValuePlan]:
    found: list[ValuePlan] = []
    if "object" in plan.kinds:
        for obj in plan.obj.candidates or (plan.obj,):
            if step in obj.names:
                found.append(obj.names[step])
            elif obj.other is not None and (isinstance(step, str) or obj.keys is not None):
                found.append(obj.other)
    if "array" in plan.kinds and isinstance(step, int) and step >= 0:
        seq = plan.seq
        if seq.items is None or step < len(seq.items):
            found.append(seq.at(step))
    return found


def _there(plans: list[ValuePlan]) -> str:
    said: list[str] = []
    for plan in plans:
        if "object" in plan.kinds:
            said.extend(_fields(obj) for obj in plan.obj.candidates or (plan.obj,))
        if "array" in plan.kinds:
            said.append(_indices(plan.seq))
    return "; ".join(dict.fromkeys(said)) or "a plain value has nothing below it"


def _fields(obj: ObjectPlan) -> str:
    if obj.other is not None and not obj.names:
        return f"{obj.name} has keys"
    return f"{obj.name} has {', '.join(obj.names) or 'no fields'}"


def _indices(seq: SequencePlan) -> str:
    if seq.items is None:
        return f"{seq.name} has indices from 0"
    return f"{seq.name} has indices 0 to {len(seq.items) - 1}"


def _said(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
