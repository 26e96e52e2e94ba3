"""Frames, which the scanner keeps for open containers, and records of starts and ends."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from instructor_stream_ext.core.events import FieldState, Path
from instructor_stream_ext.core.types.plan import ValuePlan

__all__ = ["FieldChanged", "Frame", "ItemDone"]


class FieldChanged(NamedTuple):
    """A field or an item has started or is complete."""

    path: Path
    before: FieldState
    after: FieldState
    kind: Literal["field"] = "field"
    value: Any = None


class ItemDone(NamedTuple):
    """A list item is complete."""

    path: Path
    item: Any
    kind: Literal["item"] = "item"


class Frame:
    """One open container.

    Attributes:
        is_list: An array, else an object.
        plan: Its plan.
        data: The finished children: a list, or attribute to value.
        target: Where the open child goes: `data`, or `extra`.
        arrived: Attributes that have arrived; None for a dict.
        extra: Unknown keys of a model that keeps them, else None.
        private: Private attributes of a model, else None.
        name: Under what the open child goes; None to forget it. Of no meaning in a list.
        key: The child's name in paths.
        slot: The child's plan.
        known: Whether the type has a place for it at all.
        base: Whether it would be shown if it waited for nothing.
        visible: Whether it is shown.
        waiting: Attributes it waits for before it is shown, else None.
        left: Of an undecided union, the members still possible; else None.
        dropped: Items that ended without being shown.
        repeated: A key came twice.
        path: Its path, while transitions are asked for.
        handed, handed_name, handed_size: The set of attributes with a value that was handed out last; the open one
            in it, and how many had arrived. They only grow, so it holds as long as these two are the same.
        older, newer: The containers handed out in the last two snapshots, and how much of `data` each has.
    """

    __slots__ = (
        "arrived",
        "base",
        "data",
        "dropped",
        "extra",
        "handed",
        "handed_name",
        "handed_size",
        "is_list",
        "key",
        "known",
        "left",
        "name",
        "newer",
        "newer_size",
        "older",
        "older_size",
        "path",
        "plan",
        "private",
        "repeated",
        "slot",
        "target",
        "visible",
        "waiting",
    )

    plan: Any
    data: Any
    slot: ValuePlan
    path: Path

    def __init__(self, plan: Any, data: Any, *, is_list: bool, known: bool, visible: bool) -> None:
        self.is_list = is_list
        self.plan = plan
        self.data = self.target = data
        self.arrived: set[str] | None = None
        self.extra: dict[str, Any] | None = None
        self.private: dict[str, Any] | None = None
        self.name: Any = ""
        self.key: Any = None
        self.known = known
        self.base = self.visible = visible
        self.waiting: set[str] | None = None
        self.left: Any = None
        self.dropped = 0
        self.repeated = False
        self.handed: set[str] | None = None
        self.handed_name: Any = None
        self.handed_size = -1
        self.older: Any = None
        self.newer: Any = None
        self.older_size = self.newer_size = 0

    def become(self, other: Frame) -> None:
        """Take the place of another frame."""
        for name in Frame.__slots__:
            if hasattr(other, name):
                setattr(self, name, getattr(other, name))

    def hand(self, name: str | None) -> None:
        """Rebuild the set of attributes with a value; `name` is the open one."""
        arrived = set(self.arrived or ())
        self.handed_size = len(arrived)
        self.handed_name = name
        if name is not None:
            arrived.add(name)
        self.handed = arrived
