"""The tree that the scanner builds: values entered in open containers, containers closed, unions decided.

A value is converted when it ends and entered in its parent's frame; when a container ends, what its frame held *is* the
value, and nothing touches it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from instructor_stream_ext.core.document.frames import FieldChanged, Frame, ItemDone
from instructor_stream_ext.core.events import FieldState, Path
from instructor_stream_ext.core.markers import Streamed
from instructor_stream_ext.core.types.building import choose, lookup, put
from instructor_stream_ext.core.types.plan import ANYTHING, ObjectPlan

if TYPE_CHECKING:
    from instructor_stream_ext.core.types.response import Plan

__all__ = ["MISSING", "ROOT_PATH", "STREAMING", "Tree"]

MISSING, STREAMING, _COMPLETE = FieldState.MISSING, FieldState.STREAMING, FieldState.COMPLETE

ROOT_PATH: Path = ("\0root",)
"""The path of the frame that holds the document itself."""

_NO_PATH: Path = ()
_ABSENT: Any = object()
_PLAIN = frozenset({str, int, float, bool})
_SEQUENCES = frozenset({tuple, set, frozenset})


class Tree:
    """The open containers of one document, and how values enter them.

    Args:
        plan: The compiled response type.
        transitions: Note what starts and ends.
    """

    def __init__(self, plan: Plan, *, transitions: bool = False) -> None:
        self.plan = plan
        self._events: list[FieldChanged | ItemDone] | None = [] if transitions else None
        self._cache: dict[Any, Any] = {}
        self._fresh()

    def _fresh(self) -> None:
        """Reset to the state before any document."""
        root = Frame(None, [], is_list=True, known=True, visible=True)
        root.slot = self.plan.entry or self.plan.root
        root.path = ROOT_PATH
        self._stack = [root]
        self._frame = root
        self._dirty = False
        self._noted = False  # something has arrived that looks like its stand-in

    @property
    def transitions(self) -> bool:
        """True if `told` has anything to report. Set it before the first text."""
        return self._events is not None

    @transitions.setter
    def transitions(self, wanted: bool) -> None:
        self._events = [] if wanted else None

    # ------------------------------------------------------------------ containers

    def _open_object(self, parent: Frame) -> Frame:
        slot = parent.slot
        if self._events is not None or slot.with_state:
            self._begin(parent)
        here = parent.name is not None
        if here and parent.waiting is not None and not slot.done and not slot.obj.waits:
            self._arrive(parent)
        plan = slot.obj
        frame = Frame(
            plan,
            plan.new_data(self._cache) if plan.fresh else plan.template.copy(),
            is_list=False,
            known=parent.known and here,
            visible=parent.visible and here and not slot.done,
        )
        frame.slot = ANYTHING
        if plan.typed:
            frame.arrived = set()
            if plan.extra:
                frame.extra = {}
            if plan.private is not None:
                frame.private = plan.private()
        if plan.candidates:
            frame.left = plan.candidates
        if plan.waits:
            frame.waiting = set(plan.waits)
            frame.visible = False
        return self._push(parent, frame)

    def _open_list(self, parent: Frame) -> Frame:
        slot = parent.slot
        if self._events is not None or slot.with_state:
            self._begin(parent)
        here = parent.name is not None
        if here and parent.waiting is not None and not slot.done:
            self._arrive(parent)
        plan = slot.seq
        frame = Frame(
            plan,
            [],
            is_list=True,
            known=parent.known and here,
            visible=parent.visible and here and not slot.done,
        )
        if plan.items is None:
            frame.slot = plan.item
        else:
            self._place(frame)
        return self._push(parent, frame)

    def _place(self, frame: Frame) -> None:
        """Find the place of the next item of a fixed tuple; items beyond its last are skipped."""
        index = len(frame.data)
        frame.slot = frame.plan.at(index)
        if index >= len(frame.plan.items):
            frame.name = None

    def _push(self, parent: Frame, frame: Frame) -> Frame:
        frame.path = self._child_path(parent) if self._events is not None else _NO_PATH
        if frame.visible:
            self._open(parent, frame)
        self._stack.append(frame)
        self._frame = frame
        return frame

    def _close(self, frame: Frame) -> None:
        """End a container: what its frame held is the value."""
        stack = self._stack
        plan = frame.plan
        changed = False
        if frame.left is not None:
            member = choose(plan, frame.data)
            if member is not None:
                self._retarget(frame, member)
                plan = member
        value = frame.data
        if frame.is_list:
            if plan.finish is not None:
                value = plan.finish(value)
                changed = frame.newer is not None  # a long one, which was shown only now and then
            if plan.wrap is not None:
                value = plan.wrap(value)
        elif plan.make is not None:
            value = plan.make(value, frame.arrived, frame.extra, frame.private)
        stack.pop()
        parent = self._frame = stack[-1]
        if frame.waiting:
            self._leave_out(parent, value)
        else:
            self._store(parent, value, changed=changed or parent.slot.done)

    def _leave_out(self, parent: Frame, value: object) -> None:
        """End an object that no partial shows because what it waited for did not arrive. As an item it counts."""
        self._tell_end(parent, value)
        if parent.is_list and parent.path is not ROOT_PATH:
            if parent.plan.items is None:
                parent.dropped += 1
            else:
                parent.data.append(None)

    # ------------------------------------------------------------------ values

    def _store(self, frame: Frame, value: object, *, changed: bool) -> None:  # noqa: C901  the hot path
        """Enter a finished value in its parent's frame."""
        name = frame.name
        if name is None:
            return
        slot = frame.slot
        shown = value
        if slot.with_state:
            shown = Streamed(value, _COMPLETE)
            changed = True
        if self._events is not None:
            self._tell_end(frame, value)
        if frame.is_list:
            frame.data.append(shown)
            if changed and frame.visible:
                self._dirty = True
        else:
            if changed and frame.visible:
                self._change(frame, shown)
            frame.target[name] = shown
            if frame.arrived is not None:
                frame.arrived.add(name)
            if frame.waiting is not None and value is not None:
                self._arrive(frame)
            if frame.left is not None:
                tags = frame.plan.tags.get(name)
                if tags is not None:
                    member = lookup(tags, value)
                    if member is not None:
                        self._retarget(frame, member)

    def _change(self, frame: Frame, shown: object) -> None:
        """Replace a stand-in by the value. If they look alike, nobody sees a change."""
        if frame.is_list or frame.slot.with_state:
            self._dirty = True
            return
        before = frame.target.get(frame.name, _ABSENT)
        if before is shown or (before.__class__ is shown.__class__ and before.__class__ in _PLAIN and before == shown):
            self._noted = True
        else:
            self._dirty = True

    def _open(self, parent: Frame, frame: Frame) -> None:
        """Begin a container. If an empty one stands in for it, nobody sees a change."""
        if parent.is_list or parent.slot.with_state:
            self._dirty = True
            return
        before = parent.target.get(parent.name)
        if frame.is_list:
            is_alike = before.__class__ is list if frame.plan.finish is None else before.__class__ in _SEQUENCES
            is_alike = is_alike and not before
        else:
            is_alike = before == {} if before.__class__ is dict else before is self._cache.get(frame.plan, _ABSENT)
        if is_alike:
            self._noted = True
        else:
            self._dirty = True

    def _arrive(self, frame: Frame) -> None:
        """Note that something an object waits for has arrived."""
        waiting = frame.waiting
        if waiting is None:
            return
        waiting.discard(frame.name)
        if not waiting:
            frame.waiting = None
            frame.visible = frame.base
            if frame.visible:
                self._dirty = True

    # ------------------------------------------------------------------ keys and unions

    def _set_key(self, frame: Frame, key: str) -> None:
        """Find the place of a key that is complete."""
        if frame.left is not None:
            self._narrow(frame, key)
        plan = frame.plan
        entry = plan.fields.get(key)
        if entry is not None:
            frame.name, frame.slot = entry
            frame.key = plan.public[key] if plan.candidates else frame.name
            frame.target = frame.data
        elif plan.other is None:
            frame.name = None
            frame.slot = ANYTHING
        else:
            frame.slot = plan.other
            frame.key = key
            if frame.extra is not None:
                frame.target = frame.extra
                frame.name = key
            else:
                frame.name = key if plan.keys is None else plan.keys(key)
                if frame.name in frame.data:
                    frame.repeated = True

    def _narrow(self, frame: Frame, key: str) -> None:
        """Drop the members of a union that lack this key; decide if one is left."""
        left = [member for member in frame.left if member.knows(key)]
        if len(left) == 1:
            self._retarget(frame, left[0])
        else:
            frame.left = left

    def _retarget(self, frame: Frame, member: ObjectPlan) -> None:
        """Rebuild, once, what was read so far, now that the union is decided."""
        raw, union = frame.data, frame.plan
        arrived: set[str] = set()
        frame.plan = member
        frame.left = None
        frame.data = frame.target = data = member.new_data(self._cache)
        frame.extra = {} if member.extra else None
        frame.private = None if member.private is None else member.private()
        for key, value in raw.items():
            if key in union.carried and key in member.fields:
                name = member.fields[key][0]
                data[name] = value
                arrived.add(name)
            else:
                put(member, data, arrived, frame.extra, key, value, self._cache)
        if member.typed:
            frame.arrived = arrived
            frame.handed_size = -1
        frame.name = None
        waiting = {name for name in member.waits if name not in arrived or _plain(data[name]) is None}
        frame.waiting = waiting or None
        frame.visible = frame.base and not waiting
        if frame.visible:
            self._dirty = True

    # ------------------------------------------------------------------ transitions

    def _begin(self, frame: Frame) -> None:
        """Begin a value in a frame."""
        if frame.name is None:
            return
        if frame.slot.with_state and frame.visible:
            self._dirty = True
        if self._events is not None and frame.known:
            self._events.append(FieldChanged(self._child_path(frame), MISSING, STREAMING))

    def _tell_end(self, frame: Frame, value: object) -> None:
        """Record the end of a value in a frame."""
        if self._events is not None and frame.known and frame.name is not None:
            path = self._child_path(frame)
            self._events.append(FieldChanged(path, STREAMING, _COMPLETE, "field", value))
            if frame.is_list and frame.path is not ROOT_PATH and frame.plan.items is None:
                self._events.append(ItemDone(path, value))

    def _child_path(self, frame: Frame) -> Path:
        if frame.path is ROOT_PATH:
            return ()
        if frame.is_list:
            return (*frame.path, len(frame.data) + frame.dropped)
        return (*frame.path, frame.key)


def _plain(value: object) -> Any:
    return value.value if isinstance(value, Streamed) else value
