"""Several documents at once: the tool calls of one answer, each a document of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from instructor_stream_ext.core.document.frames import FieldChanged, ItemDone
from instructor_stream_ext.core.document.paths import check_path
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import InvalidJSON, NoOutput, StreamError, StreamMisuse
from instructor_stream_ext.core.events import FieldState, Path
from instructor_stream_ext.core.types.response import Plan

__all__ = ["CallsParser", "ParsedCall"]


class ParsedCall:
    """One tool call.

    Args:
        tool: The tool that it calls, "" if nobody offered it.
        parser: Of its arguments; None if nobody offered it.

    Attributes:
        fault: Why it can never be a valid call, if that is known.
    """

    __slots__ = ("_parts", "fault", "parser", "shown", "tool")

    def __init__(self, tool: str, parser: PartialParser | None) -> None:
        self.tool = tool
        self.parser = parser
        self.fault: StreamError | None = None
        self.shown: Any = None
        self._parts: list[str] = []

    def feed(self, text: str) -> None:
        """Take a piece of the call's arguments."""
        self._parts.append(text)
        if self.parser is not None and self.fault is None:
            self.parser.feed(text)

    @property
    def arguments(self) -> str:
        """The arguments so far; only the JSON among them, if they hold JSON."""
        if self.parser is not None and self.fault is None and self.parser.complete:
            return self.parser.json_text()
        return "".join(self._parts)


class CallsParser:
    """Builds the list of partials of all calls. It has the interface of `PartialParser`.

    `turn_to` says which call the text that follows is of; calls may come in turns.

    Args:
        plan: Of a list of what the calls may be, for paths.
        tools: The plan of each tool, by the name that the model calls it by.
        max_depth: Open containers of one call at most.
        transitions: Note what starts and ends.

    Attributes:
        calls: By their number in the answer.
    """

    search = False
    needs_end = True
    """Whether only the provider's word says that the text is complete."""
    in_prose = False
    lacks = ""
    lost: InvalidJSON | None = None

    def __init__(
        self, plan: Plan, tools: Mapping[str, Plan], *, max_depth: int = 128, transitions: bool = False
    ) -> None:
        self.plan = plan
        self.transitions = transitions
        self.calls: dict[int, ParsedCall] = {}
        self.pending_chars = 0
        self.complete = False
        self._tools = tools
        self._make: Callable[[str], PartialParser] = lambda tool: PartialParser(tools[tool], max_depth=max_depth)
        self._events: list[FieldChanged | ItemDone] = []
        self._open: dict[int, ParsedCall] = {}
        self._is_stale = False
        self._call: ParsedCall | None = None
        self._number = 0
        self._fed: dict[int, ParsedCall] = {}
        self._last: list[Any] | None = None

    # ------------------------------------------------------------------ text in

    def turn_to(self, index: int, tool: str, name: str) -> None:
        """Note which call the text that follows belongs to.

        Args:
            index: Its number in the answer.
            tool: The tool that it calls, "" if nobody offered it.
            name: What the model called.
        """
        call = self.calls.get(index)
        if call is None:
            if not self.calls:
                self._change((), FieldState.MISSING, FieldState.STREAMING, None)
            parser = self._make(tool) if tool else None
            if parser is not None:
                parser.transitions = self.transitions
            call = self.calls[index] = self._open[index] = ParsedCall(tool, parser)
            if parser is None:
                offered = ", ".join(map(repr, sorted(self._tools)))
                call.fault = NoOutput(f"it called {name!r}, which the request does not offer; it offers {offered}")
        self._call, self._number = call, index
        self._is_stale = True

    def feed(self, text: str) -> None:
        """Take text of the current call."""
        assert self._call is not None  # noqa: S101
        self._call.feed(text)
        self._fed[self._number] = self._call
        self.pending_chars += len(text)
        self._is_stale = True

    def grow(self, text: str) -> Any:
        """Call `feed`, then `shown`."""
        self.feed(text)
        return self.shown()

    def advance(self) -> bool:
        """Scan what was fed. A fault in a call belongs to that call alone, unless the call was reported as complete.

        Returns:
            Whether anything was scanned.

        Raises:
            InvalidJSON: More than a call came behind the end of one that was told.
            LimitExceeded: A call is too deep.
        """
        if not self._is_stale:
            return False
        self.pending_chars, self._is_stale = 0, False
        fed, self._fed = self._fed | self._open, {}
        for index, call in sorted(fed.items()):
            if index in self._open:
                self._scan(index, call)
            else:
                _check_told(call)
        return True

    def _scan(self, index: int, call: ParsedCall) -> None:
        parser = call.parser
        if parser is not None:
            try:
                parser.advance()
            except InvalidJSON as fault:
                call.fault = fault
            for record in parser.told():
                self._events.append(record._replace(path=(index, *record.path)))
        is_whole = parser is not None and parser.complete and not (call is self._call and parser.may_be_placeholder)
        if call.fault is not None or is_whole:
            del self._open[index]
            if self.transitions:
                self._events.append(ItemDone((index,), None if parser is None else parser.last))

    def finish(self) -> bool:
        """Note that no more text follows.

        Returns:
            Whether there are calls, and all of them closed.

        Raises:
            InvalidJSON: As `advance`.
        """
        self._call, self._is_stale = None, True
        self.advance()
        for call in self.calls.values():
            if call.parser is not None and call.fault is None:
                call.parser.finish()
        was, self.complete = self.complete, bool(self.calls) and not self._open
        if self.complete and not was:
            self._change((), FieldState.STREAMING, FieldState.COMPLETE, self.shown())
        return self.complete

    def _change(self, path: Path, before: FieldState, after: FieldState, value: object) -> None:
        if self.transitions:
            self._events.append(FieldChanged(path, before, after, value=value))

    def fall_back(self) -> bool:
        """Return False: there is no earlier document."""
        return False

    def read_past(self) -> None:
        """Do nothing: each call has its own fault."""

    def candidates(self, text: str) -> str:
        """Return the text in which a document may stand that was not seen to begin: all of it."""
        return text

    # ------------------------------------------------------------------ what there is so far

    @property
    def begun(self) -> bool:
        """True if a call has begun."""
        return bool(self.calls)

    def shown(self) -> Any:
        """Return the list of calls so far; None before the first has something to show."""
        self.advance()
        return self.last

    snapshot = shown

    @property
    def last(self) -> Any:
        """Return what `shown` would, for what has been scanned."""
        shown = []
        changed = self._last is None
        for index in range(max(self.calls, default=-1) + 1):
            call = self.calls.get(index)
            value = None if call is None or call.parser is None else call.parser.last
            if call is not None and value is not call.shown:
                call.shown = value
                changed = True
            shown.append(value)
        if changed or self._last is None or len(shown) != len(self._last):
            self._last = shown if any(value is not None for value in shown) else None
        return self._last

    def told(self) -> list[FieldChanged | ItemDone]:
        """Return what started and ended since the last call. An item ends as its call closes, or turns invalid."""
        events, self._events = self._events, []
        return events

    def json_text(self) -> str:
        """Return the arguments of all calls as one list."""
        told = ", ".join(call.arguments for _, call in sorted(self.calls.items()))
        return f"[{told}]" if self.complete else f"[{told}"

    # ------------------------------------------------------------------ places

    def state(self, path: Path = ()) -> FieldState:
        """Return how far a place has come in what was scanned. A path begins with the number of the call."""
        check_path(self.plan.root, path)
        if not path:
            return FieldState.COMPLETE if self.complete else FieldState.STREAMING if self.calls else FieldState.MISSING
        call = self._at(path)
        if call is None or call.parser is None:
            return FieldState.MISSING
        try:
            return call.parser.state(path[1:])
        except StreamMisuse:
            return FieldState.MISSING  # a place that only the other tools have

    def check_text(self, path: Path) -> None:
        """Raise `StreamMisuse` for a path that cannot lead to a string."""
        PartialParser(self.plan).check_text(path)

    def text_at(self, path: Path) -> str:
        """Return the string at a place, as far as it has arrived."""
        call = self._at(path)
        return "" if call is None or call.parser is None else call.parser.text_at(path[1:])

    def _at(self, path: Path) -> ParsedCall | None:
        index = path[0] if path else None
        return self.calls.get(index) if isinstance(index, int) else None


def _check_told(call: ParsedCall) -> None:
    """Check that what follows a reported call says nothing new.

    Raises:
        InvalidJSON: It does.
    """
    if call.parser is None or call.fault is not None:
        return
    call.parser.advance()
    if not call.parser.complete:
        raise InvalidJSON(f"a call of {call.tool!r} that was complete started over", len(call.arguments))
