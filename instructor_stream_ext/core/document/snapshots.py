"""Typed partials: the document so far, at the cost of what changed.

A snapshot copies only the open spine, from the root to the value being written; whatever is finished is shared between
snapshots and never touched again, so that an earlier one cannot change. What would still grow with the document, the
long string and the long list being written, is grown in the buffer of the snapshot before last if nobody holds that any
more, and copied if somebody does.
"""

from __future__ import annotations

import sys
from dataclasses import is_dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from instructor_stream_ext.core.document.frames import FieldChanged, Frame, ItemDone
from instructor_stream_ext.core.document.paths import check_path, parse_path
from instructor_stream_ext.core.document.prose import last_values
from instructor_stream_ext.core.document.scanner import Scanner
from instructor_stream_ext.core.document.tokens import DONE, FIRST_VALUE, STRING, VALUE
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import FieldState, Path
from instructor_stream_ext.core.markers import Streamed
from instructor_stream_ext.core.types.response import Envelope

if TYPE_CHECKING:
    from instructor_stream_ext.core.document.reasoning import Tags

__all__ = ["FieldChanged", "ItemDone", "PartialParser", "last_values", "parse_path"]

_NOTHING: Any = object()

REUSE_FROM = 192
"""From this many children on, an open list or dict grows in the buffer of an older snapshot instead of being copied."""

PACE_FROM = 1024
"""From this many items on, an open tuple or set, which is rebuilt each time, is shown only as it grows by a 64th."""


class PartialParser(Scanner):
    """Builds partials of a response type from JSON text that arrives in pieces.

    Args:
        plan: The compiled response type.
        search: Look for the document in the text; else it is the text, as with tool arguments.
        patient: A document that opens the text and is no JSON is a fault only when no other comes.
        tags: What ends reasoning in the text; the known families' if None.
        max_depth: Open containers at most.
        max_items: Items in one array at most.
        transitions: Note what starts and ends, for `told`.

    Attributes:
        plan, search: As given.
        begun: The document has begun.
        complete: The document is closed.
        json_start: Offset in the text of its first character.
        error: The fault found, if any.
        pending_chars: Characters fed and not scanned yet.
    """

    def __init__(
        self,
        plan: Any,
        *,
        search: bool = False,
        patient: bool = False,
        max_depth: int = 128,
        max_items: int | None = None,
        transitions: bool = False,
        tags: Tags | None = None,
    ) -> None:
        super().__init__(
            plan,
            search=search,
            patient=patient,
            exact=not search,
            max_depth=max_depth,
            max_items=max_items,
            transitions=transitions,
            tags=tags,
        )

    needs_end = False
    """Whether only the provider's word says that the text is whole; else the document does."""

    def _fresh(self) -> None:
        super()._fresh()
        self._last: Any = None

    def snapshot(self) -> Any:
        """Scan what was fed, and show what the document is so far.

        Returns:
            A partial of the response type; the same object as last time if nothing visible changed; None before the
            document has begun. It is to be read only: finished parts are shared with later partials.

        Raises:
            InvalidJSON: As `advance`. `last` still gives what came before the fault.
            LimitExceeded: As `advance`.
        """
        if self._pending or self.error is not None:
            self.advance()
        return self._build() if self._dirty or self._noted else self._last

    def shown(self) -> Any:
        """Return what `snapshot` would; the last partial also while the new text looks like its stand-in."""
        if self._pending or self.error is not None:
            self.advance()
        return self._build() if self._dirty else self._last

    def grow(self, text: str) -> Any:
        """Call `feed`, then `shown`, in one step."""
        if self._pending or self.error is not None:
            self.feed(text)
            self.advance()
        else:
            self._take_in(text)
        return self._build() if self._dirty else self._last

    @property
    def last(self) -> Any:
        """Return the document as far as it was scanned, also after a fault."""
        return self._build() if self._dirty or self._noted else self._last

    def told(self) -> list[FieldChanged | ItemDone]:
        """Return what started and ended in what was scanned since the last call, in document order.

        An item's COMPLETE comes right before its own record. Empty unless `transitions` was asked for.
        """
        events = self._events
        if not events:
            return []
        self._events = []
        return events

    # ------------------------------------------------------------------ snapshots

    def _build(self) -> Any:  # noqa: C901, PLR0912  the hot path, in one piece
        self._dirty = self._noted = False
        stack = self._stack
        child: Any = self._open_string() if self._shown else _NOTHING
        for frame in stack[:0:-1]:
            if not frame.visible:
                child = _NOTHING
                continue
            if frame.slot.with_state:
                child = self._with_state(frame, child)
            plan = frame.plan
            arrived = frame.arrived
            if arrived is None:
                child = self._show_list(frame, plan, child) if frame.is_list else self._show_dict(frame, plan, child)
                continue
            data = frame.data.copy()
            extra = frame.extra
            name = None
            if child is not _NOTHING:
                name = frame.name
                if frame.target is frame.data:
                    data[name] = child
                else:
                    extra = {**extra, name: child}  # type: ignore[dict-item]
            if frame.handed_name is not name or frame.handed_size != len(arrived):
                frame.hand(name)
            if extra is None and frame.private is None:
                child = plan.make(data, frame.handed, None, None)
            else:
                private = None if frame.private is None else frame.private.copy()
                child = plan.make(data, frame.handed, None if extra is None else extra.copy(), private)
        root = stack[0]
        if self._row is not None:
            child = self._show_list(root, root.plan, child)
        elif root.data and root.visible:
            child = root.data[0]
        if child is not _NOTHING:
            self._last = child
        return self._last

    def _open_string(self) -> Any:
        """Return the string that is being written.

        The string shown two snapshots ago is grown by what came since: if that snapshot is gone, nobody else holds the
        string, and CPython grows it in place. It must be in one local variable and nowhere else for that.
        """
        delta = "".join(self._parts)
        self._parts.clear()
        string = self._older
        self._older = self._newer
        more = self._lag + delta
        string += more
        self._newer = string
        self._lag = delta
        wrap = self._frame.slot.wrap
        return string if wrap is None else wrap(string)

    def _with_state(self, frame: Frame, child: object) -> Any:
        """Return a value that is shown with its state, even though it may have nothing to show yet."""
        if child is _NOTHING:
            if frame is self._frame and not self._is_value_open():
                return _NOTHING
            if frame.is_list or frame.name is None:
                return _NOTHING
            child = self._missing(frame)
        return Streamed(child, FieldState.STREAMING)

    def _missing(self, frame: Frame) -> Any:
        before = frame.target.get(frame.name)
        if isinstance(before, Streamed):
            return before.value
        maker = frame.slot.missing
        return None if maker is None else maker(self._cache)

    def _is_value_open(self) -> bool:
        """Return whether the innermost frame's child has begun."""
        state = self._state
        return state == STRING or (state in (VALUE, FIRST_VALUE) and bool(self._tail))

    def _show_list(self, frame: Frame, plan: Any, child: Any) -> Any:
        data = frame.data
        if plan.finish is not None:
            shown = _finished(frame, plan, child)
        else:
            shown = data.copy() if len(data) < REUSE_FROM else _grown_list(frame)
            if child is not _NOTHING:
                shown.append(child)
        return shown if plan.wrap is None else plan.wrap(shown)

    def _show_dict(self, frame: Frame, plan: Any, child: Any) -> Any:
        data = frame.data
        is_plain = len(data) < REUSE_FROM or frame.repeated or plan.make is not None
        shown = data.copy() if is_plain else _grown_dict(frame)
        if child is not _NOTHING:
            shown[frame.name] = child
        return shown if plan.make is None else plan.make(shown, None, None, None)

    # ------------------------------------------------------------------ states

    def state(self, path: Path = ()) -> FieldState:  # noqa: PLR0911  one case per thing that may be open
        """Return how far one place has come in what was scanned.

        Args:
            path: Attribute names, keys and indices; `()` is the document.

        Raises:
            StreamMisuse: No document of the response type has such a place.
        """
        check_path(self.plan.root, path)
        if not self.begun:
            return FieldState.MISSING
        stack = self._stack
        if self._row is not None:
            if self._is_over:
                return _state_in(stack[0].data, path)
            stack = [stack[0], *stack]
        elif self._state == DONE:
            return _state_in(stack[0].data[0], path) if stack[0].data else _whole(path)
        elif len(stack) > 1 and isinstance(stack[1].plan, Envelope):
            stack = stack[1:]
            if len(stack) == 1 and (stack[0].name is None or not self._is_value_open()):
                return _state_in_frame(stack[0], stack[0].plan.key, path)
        for depth, step in enumerate(path, 1):
            if depth == len(stack):
                return FieldState.MISSING  # below a value that is no container
            frame = stack[depth]
            is_open = depth < len(stack) - 1 or self._is_value_open()
            if is_open and step in _names(frame):
                continue
            return _state_in_frame(frame, step, path[depth:])
        return FieldState.STREAMING

    def check_text(self, path: Path) -> None:
        """Check that a path can lead to a string.

        Raises:
            StreamMisuse: There is no such place, or no plain string can stand there.
        """
        if not any("string" in plan.kinds and plan.string is None for plan in check_path(self.plan.root, path)):
            raise StreamMisuse(f"there is no text at {'.'.join(map(str, path))!r}: the field is not a string")

    def text_at(self, path: Path) -> str:
        """Return the string at a place so far; empty before it begins, and where something else stands."""
        value = self._build() if self._dirty else self._last
        for step in path:
            value = _child(_bare(value), step)
        value = _bare(value)
        return value if isinstance(value, str) else ""


def _bare(value: object) -> Any:
    """Return a value without what markers and root models put around it."""
    while True:
        if isinstance(value, Streamed):
            value = value.value
        elif isinstance(value, BaseModel) and type(value).__pydantic_root_model__:
            value = value.__dict__.get("root")
        else:
            return value


def _names(frame: Frame) -> tuple[Any, ...]:
    """Return the names of a frame's open child."""
    if frame.is_list:
        return (len(frame.data) + frame.dropped,)
    return () if frame.name is None else (frame.key, frame.name)


def _whole(path: Path) -> FieldState:
    return FieldState.MISSING if path else FieldState.COMPLETE


def _state_in_frame(frame: Frame, step: Any, rest: Path) -> FieldState:
    if frame.is_list:
        if step >= len(frame.data) + frame.dropped:
            return FieldState.MISSING
        return _state_in(frame.data[step], rest) if step < len(frame.data) else _whole(rest)
    if frame.arrived is None:
        value = _entry(frame.data, step, frame.plan.public)
    elif step in frame.arrived:
        value = frame.data[step] if step in frame.data else (frame.extra or {}).get(step, _NOTHING)
    else:
        value = _NOTHING
    return FieldState.MISSING if value is _NOTHING else _state_in(value, rest)


def _entry(data: dict[Any, Any], step: object, public: dict[str, str]) -> Any:
    """Return a value of a dict by its key, by the key as written in the text, or by its attribute name."""
    if step in data:
        return data[step]
    for key, value in data.items():
        if public.get(key) == step or getattr(key, "value", key) == step or str(key) == step:
            return value
    return _NOTHING


def _state_in(value: object, path: Path) -> FieldState:
    """Return the state of a place inside a finished value: COMPLETE if it is there."""
    for step in path:
        value = _child(value.value if isinstance(value, Streamed) else value, step)
        if value is _NOTHING:
            return FieldState.MISSING
    return FieldState.COMPLETE


def _child(value: Any, step: Any) -> Any:  # noqa: PLR0911  one case per type
    if isinstance(value, BaseModel):
        if "root" in type(value).__pydantic_fields__ and type(value).__pydantic_root_model__:
            return _child(value.__dict__["root"], step)
        if step not in value.__pydantic_fields_set__:
            return _NOTHING
        return value.__dict__.get(step, (value.__pydantic_extra__ or {}).get(step, _NOTHING))
    if isinstance(value, dict):
        return _entry(value, step, {})
    if is_dataclass(value):
        return getattr(value, step, _NOTHING) if step in getattr(value, "__arrived__", ()) else _NOTHING
    if isinstance(value, tuple) and isinstance(step, str):
        return getattr(value, step, _NOTHING)
    if isinstance(step, int) and hasattr(value, "__len__") and not isinstance(value, str) and step < len(value):
        return next(islice(value, step, None))
    return _NOTHING


# ---------------------------------------------------------------------- buffers of older snapshots


def _finished(frame: Frame, plan: Any, child: Any) -> Any:
    """Return an open tuple, set or deque: rebuilt each time, or only as it grows if it is long."""
    data = frame.data
    size = len(data)
    if size >= PACE_FROM and frame.newer is not None and size - frame.newer_size < size >> 6:
        return frame.newer
    items = data.copy()
    if child is not _NOTHING:
        items.append(child)
    shown = plan.finish(items)
    if size >= PACE_FROM:
        frame.newer, frame.newer_size = shown, size
    return shown


def _owners(frame: Frame) -> int:
    """Return how many references there are to the second-last list handed out, as `_grown_list` sees it."""
    older = frame.older
    frame.older = None
    return sys.getrefcount(older)


def _sole_owner() -> int:
    frame = Frame(None, [], is_list=True, known=True, visible=True)
    frame.older = [None]
    return _owners(frame)


def _can_reuse() -> bool:
    """Return whether reference counts can be trusted: in CPython with its lock only."""
    return sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()


_SOLE_OWNER = _sole_owner() if _can_reuse() else -1


def _grown_list(frame: Frame) -> list[Any]:
    """Return a list of the finished items to append to: the second-last one shown, if nobody holds it any more."""
    data = frame.data
    older = frame.older
    size = frame.older_size
    frame.older, frame.older_size = frame.newer, frame.newer_size
    if (
        older is not None
        and sys.getrefcount(older) == _SOLE_OWNER
        and len(older) >= size
        and older[0] is data[0]
        and older[size - 1] is data[size - 1]
    ):
        older[size:] = data[size:]
    else:
        older = data.copy()
    frame.newer, frame.newer_size = older, len(data)
    return older  # type: ignore[no-any-return]


def _grown_dict(frame: Frame) -> dict[Any, Any]:
    """Return a dict to add to, as `_grown_list`. No key came twice, so new keys are at the end."""
    data = frame.data
    older = frame.older
    size = frame.older_size
    frame.older, frame.older_size = frame.newer, frame.newer_size
    if older is not None and sys.getrefcount(older) == _SOLE_OWNER and len(older) >= size:
        for key in reversed(list(islice(reversed(data), len(data) - size))):
            older[key] = data[key]
    else:
        older = data.copy()
    frame.newer, frame.newer_size = older, len(data)
    return older  # type: ignore[no-any-return]
