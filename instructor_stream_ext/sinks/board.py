"""What a terminal or a notebook shows of a stream at a moment: the object so far, and a line of figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, assert_never

from pydantic import SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from instructor_stream_ext.core.events import (
    DeltaReceived,
    FieldState,
    FieldTransition,
    ItemCompleted,
    PartialEmitted,
    Path,
    ReasoningReceived,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)
from instructor_stream_ext.core.markers import Streamed
from instructor_stream_ext.core.members import members_of
from instructor_stream_ext.core.redacted import HIDDEN
from instructor_stream_ext.core.text import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text

__all__ = ["Board", "View", "as_json"]

View: TypeAlias = Literal["tree", "table", "json"]

_CHARS_PER_TOKEN = 4
"""A rule of thumb until the provider has sent its count; such figures are marked with a ~."""
_MARKS = {FieldState.COMPLETE: ("✔", "green"), FieldState.STREAMING: ("▸", "yellow"), FieldState.MISSING: ("·", "dim")}


class _Row(NamedTuple):
    """A place of the document, as a line."""

    depth: int
    label: str
    value: str | None
    state: FieldState


_SHOWN_OF_THOUGHT = 60
"""How many characters of the newest reasoning are shown while there is no partial yet."""


class Board:
    """What is shown at this moment. rich renders it ten times a second, whatever the pace of the stream."""

    def __init__(self, view: View, total: int | None) -> None:
        self.view = view
        self.total = total
        self.partial: Any = None
        self.note = ""
        self.thought = ""
        self._thought_for: tuple[float, float] | None = None
        self.items = 0
        self._items_at: Path | None = None
        self._states: dict[Path, FieldState] = {}
        self._at = 0.0
        self._first_delta_at: float | None = None
        self._first_partial_at: float | None = None
        self._chars = 0
        self._now = 0.0
        self._since: float | None = None

    def take(self, event: StreamEvent) -> None:
        """Note what an event changes. Nothing is drawn here: rich draws in its own thread."""
        self._at = event.at
        match event:
            case DeltaReceived(text=text):
                self._chars += len(text)
                self._first_delta_at = event.at if self._first_delta_at is None else self._first_delta_at
            case FieldTransition(path=path, after=after):
                self._states[path] = after
            case ItemCompleted(path=path):
                self._count(path)
            case PartialEmitted(partial=partial):
                self.partial = partial
                self._first_partial_at = event.at if self._first_partial_at is None else self._first_partial_at
            case StreamRestarted(reason=reason, error=error):
                why = type(error).__name__ if error is not None else event.to_model or ""
                self.note = visible(f"attempt {event.attempt} after a {reason.value} ({why})", lines=False)
                self.partial = None
                self.thought, self._thought_for = "", None
                self.items = 0
                self._items_at = None
                self._states = {}
            case ReasoningReceived(text=text):
                self.thought = (self.thought + text)[-_SHOWN_OF_THOUGHT:]
                self._thought_for = (self._thought_for[0] if self._thought_for else event.at, event.at)
            case StreamCompleted(result=result):
                self.partial = result
            case StreamStarted() | StreamFailed() | StreamCancelled() | StreamEnded():
                pass
            case _:
                assert_never(event)

    def _count(self, path: Path) -> None:
        """Count the items of the outermost list, which a progress bar shows."""
        *place, number = path
        if self._items_at is None or len(place) < len(self._items_at):
            self._items_at = tuple(place)
        if tuple(place) == self._items_at and isinstance(number, int):
            self.items = number + 1

    def status(self, elapsed: float) -> str:
        """Return times and pace in one line."""
        said = [f"{elapsed:.1f} s"]
        if self._first_partial_at is not None:
            said.append(f"first partial {self._first_partial_at:.2f} s")
        if self._first_delta_at is not None and elapsed > self._first_delta_at:
            pace = self._chars / _CHARS_PER_TOKEN / (elapsed - self._first_delta_at)
            said.append(f"~{pace:.0f} tokens/s")
        if self.thought and self.partial is None:
            said.append(f"thinking: {visible(self.thought, lines=False)}")
        elif self._thought_for is not None:
            began, ended = self._thought_for
            said.append(f"thought for {ended - began:.1f} s")
        if self.note:
            said.append(self.note)
        return " · ".join(said)

    # ------------------------------------------------------------------ drawing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment
        from rich.text import Text

        elapsed = self._elapsed(console)
        head: list[RenderableType] = [Text(self.status(elapsed), style="dim", no_wrap=True, overflow="ellipsis")]
        if self.total is not None:
            head.append(_bar(self.items, self.total))
        yield from head
        room = max((options.max_height or console.height) - len(head) - 1, 1)
        body = self._body(room, options.max_width)
        lines = console.render_lines(body, options.update(height=None), pad=False)
        if len(lines) > room:
            lines = lines[len(lines) - room + 1 :]
            yield Text("… all of it is shown at the end", style="dim")
        for line in lines:
            yield from line
            yield Segment.line()

    def _elapsed(self, console: Console) -> float:
        now = console.get_time()
        if self._now != self._at or self._since is None:
            self._now, self._since = self._at, now
        return self._at + now - self._since

    def _body(self, room: int, width: int) -> RenderableType:
        from rich.text import Text

        if self.partial is None:
            return Text("waiting …", style="dim")
        if isinstance(self.partial, str):
            return Text(visible(self.partial[-room * width :]))
        if self.view == "json":
            lines = as_json(self.partial).split("\n")
            return Text("\n".join(lines[-room - 1 :]))
        if self.view == "table" and (table := self._table(room)) is not None:
            return table
        rows = list(self._rows(self.partial, (), "", 0))[-room - 1 :]
        return Text("\n").join(self._line(row, room * width) for row in rows)

    def _line(self, row: _Row, most: int) -> Text:
        from rich.text import Text

        mark, style = _MARKS[row.state]
        text = Text("  " * row.depth)
        text.append(f"{mark} ", style)
        text.append(row.label, "bold")
        if row.value is not None:
            text.append(": ")
            text.append(row.value[-most:], "dim" if row.state is FieldState.MISSING else "")
        return text

    def _rows(self, value: object, path: Path, label: str, depth: int) -> Iterator[_Row]:
        if isinstance(value, Streamed):
            value = value.value
        state = self._states.get(path, FieldState.MISSING)
        members = members_of(value)
        if members is None:
            yield _Row(depth, label or "value", _brief(value), state)
            return
        if label:
            yield _Row(depth, label, None, state)
            depth += 1
        for name, member in members:
            yield from self._rows(member, (*path, name), visible(str(name), lines=False), depth)

    def _table(self, room: int) -> RenderableType | None:
        """Return a row per item of the outermost list of objects; None if there is none."""
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        path, items = _rows_of(self.partial)
        if items is None:
            return None
        columns = list(dict.fromkeys(name for item in items[-room:] for name, _ in members_of(item) or ()))
        table = Table(*["", *(escape(visible(str(name), lines=False)) for name in columns)], expand=False, box=None)
        for number in range(max(0, len(items) - room), len(items)):
            mark, style = _MARKS[self._states.get((*path, number), FieldState.MISSING)]
            held = dict(members_of(items[number]) or ())
            cells = [Text(_brief(held.get(name)), overflow="ellipsis", no_wrap=True) for name in columns]
            table.add_row(Text(mark, style), *cells)
        return table


def _bar(done: int, total: int) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_row(ProgressBar(total=total, completed=min(done, total), width=30), Text(f"{done}/{total}"))
    return grid


def _rows_of(value: object) -> tuple[Path, list[Any] | None]:
    """Return the first list of objects, and its place."""
    if isinstance(value, list):
        return (), value
    for name, member in members_of(value) or ():
        if isinstance(member, list) and (not member or members_of(member[0]) is not None):
            return (name,), member
    return (), None


def _brief(value: object) -> str:
    members = members_of(value)
    if members is not None:
        return f"{len(members)} …" if members else ""
    if value is None:
        return ""
    return HIDDEN if isinstance(value, (SecretStr, SecretBytes)) else visible(str(getattr(value, "value", value)))


def as_json(value: object) -> str:
    """Return a value as indented JSON. JSON escapes most control characters itself; the others are escaped here."""
    return visible(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: object) -> Any:
    """Convert a value to JSON-ready data."""
    members = members_of(value)
    if members is not None:
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_plain(member) for _, member in members]
        return {str(name): _plain(member) for name, member in members}
    return to_jsonable_python(value, fallback=str)
