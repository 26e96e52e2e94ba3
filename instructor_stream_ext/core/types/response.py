"""The plan of a whole response type, and of the object that instructor wraps around answers that are not objects.

What is within that object is the document: paths, partials and validation begin there. Of a list more shapes are taken,
as instructor streams them: a bare array, a list under any other key, and objects that are the items themselves, alone
or one after another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.types.plan import ObjectPlan, ValuePlan

__all__ = ["Envelope", "Plan", "enveloped"]


class Envelope(ObjectPlan):
    """What the outer object becomes: the value under its key, once that has begun.

    Args:
        key: The key.
        inner: What stands under it.
        optional: Whether an empty object stands for an empty list.
    """

    __slots__ = ("inner", "is_list", "item", "key", "opens", "optional")

    def __init__(self, key: str, inner: ValuePlan, *, optional: bool) -> None:
        super().__init__("answer")
        self.key = key
        self.inner = inner
        self.optional = optional
        self.opens = re.compile(rf'\{{\s*"{key}"\s*:').match
        self.is_list = inner.kinds == {"array"}
        item = inner.seq.item if self.is_list and inner.seq.items is None else None
        self.item: ObjectPlan | None = item.obj if item is not None and "object" in item.kinds else None
        self.fields = {key: (key, inner)}
        self.public = {key: key}
        self.waits = frozenset({key})
        self.make = self._open
        self.candidates = (self,)  # as a union that is never decided, so that each key is looked at
        self.choose = self._undecided

    def _open(self, data: dict[str, Any], *_: object) -> Any:
        return data.get(self.key)

    def _undecided(self, _: object) -> None:
        return None

    def is_of_item(self, key: str) -> bool:
        """Return whether the items' type declares this key."""
        return self.item is not None and any(key in plan.fields for plan in self.item.candidates or (self.item,))

    def knows(self, key: str) -> bool:
        """Return whether an object with this key may be the answer."""
        return key == self.key or self.is_of_item(key)


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


def enveloped(plan: Plan, key: str) -> Plan:
    """Return the plan of the value under an object's only key.

    Args:
        plan: Of the object.
        key: The key.
    """
    field = plan.root.obj
    name, inner = field.fields[key]
    if inner.not_null or inner.with_state:
        raise StreamMisuse("a marker on the response type itself means nothing: mark the fields of a model")
    envelope = Envelope(key, inner, optional=name not in field.required)
    entry = ValuePlan(obj=envelope, kinds={"object"})
    entry.become(inner)
    entry.obj = envelope
    entry.kinds = frozenset({"object"}) | (inner.kinds if envelope.is_list else frozenset())
    return Plan(
        type=plan.type,
        root=inner,
        kind="any" if envelope.is_list else "object",
        openers="[{" if envelope.is_list else "{",
        partial_type=plan.partial_type,
        envelope=envelope,
        entry=entry,
    )
