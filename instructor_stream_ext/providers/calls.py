"""The tool calls of an answer, and which of them is the document."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

from instructor_stream_ext.core.text import joined

__all__ = ["Call", "Calls", "Written"]


class Written(StringIO):
    """Text that grows by deltas, with surrogate halves from two of them joined: no SDK can send halves back."""

    def getvalue(self) -> str:
        """Return the whole text so far."""
        return joined(super().getvalue())


class Call:
    """One tool call as it arrives; `write` takes a piece of its arguments.

    Args:
        call_id: The provider's id of the call, "" if not yet known.
        name: The tool's name, "" if not yet known.
        index: The provider's number of the call, None if it gives none.

    Attributes:
        tool: The tool of the request that it calls, "" as long as none is known.
        extra: What else the provider says of it, such as the signature without which Gemini refuses a re-ask.
    """

    __slots__ = ("_args", "extra", "id", "index", "name", "tool", "write")

    def __init__(self, call_id: str = "", name: str = "", index: object = None) -> None:
        self.id = call_id
        self.name = name
        self.tool = ""
        self.index = index
        self.extra: dict[str, Any] = {}
        self._args = Written()
        self.write = self._args.write

    @property
    def args(self) -> str:
        """The arguments so far, as they arrived."""
        return self._args.getvalue()

    @property
    def size(self) -> int:
        """Characters of the arguments so far."""
        return self._args.tell()

    @property
    def arguments(self) -> str:
        """The arguments so far, without an empty object that came in place of the real ones."""
        return _PLACEHOLDER.sub("", self.args)

    @property
    def is_blank(self) -> bool:
        """True if no arguments have come, or an empty object."""
        return _BLANK(self.args) is not None

    @property
    def called(self) -> str:
        """The tool's name as in the request, if known; otherwise as the model wrote it."""
        return self.tool or self.name

    @property
    def started(self) -> bool:
        """True if any arguments have come."""
        return self._args.tell() > 0


class Calls:
    """The tool calls of an answer, and which of them is the document.

    The document is the first call of a tool of the request; arguments that come before the name wait for it. A call
    with no arguments or an empty object gives way to a later one with some: gateways to Gemini send `{}` first. Where
    one tool was offered and one call was made, that call is the document, whatever it is named.

    Args:
        tools: Names of the tools in the request, None if no call can be the document.

    Attributes:
        all: Every call, in the order they came.
        document: The call that is the document, None as long as none is.
        newest: The newest call under each index.
    """

    def __init__(self, tools: frozenset[str] | None) -> None:
        self._tools = tools or frozenset()
        self.all: list[Call] = []
        self.document: Call | None = None
        self.newest: dict[Any, Call] = {}
        self._by_id: dict[str, Call] = {}

    def open(self, call_id: str = "", name: str = "", index: object = None) -> Call:
        """Open a call, which becomes the newest under its index."""
        call = Call(call_id, "", index)
        self.all.append(call)
        self.newest[index] = call
        if call_id:
            self._by_id[call_id] = call
        self.name(call, name)
        return call

    def name(self, call: Call, name: str) -> str:
        """Add to a call's name; returns the text that was waiting for it if this makes the call the document."""
        if not name or name == call.name or (call.name and call.started):
            return ""
        call.name = name if name.startswith(call.name) else call.name + name
        call.tool = self._tool_of(call) if call.started or call.name in self._tools else ""
        if call is self.document and not call.tool:
            self.document = None
        return self._chosen(call)

    def write(self, call: Call, text: str) -> str:
        """Take arguments; returns those of the document that were not returned before."""
        call.write(text)
        if call is self.document:
            return text
        if not call.tool:
            call.tool = self._tool_of(call)
        return self._chosen(call)

    def settle(self, *, is_whole: bool) -> str:
        """Note that no more follows; returns text of the document that is known only now.

        Args:
            is_whole: Whether the provider said that the answer is whole: a call without arguments is the empty object.
        """
        text = ""
        if self.document is None and len(self._tools) == 1:
            calls = [call for call in self.all if call.name or call.started] or self.all
            if len(calls) == 1:
                self.document = calls[0]
                (self.document.tool,) = self._tools
                text = self.document.args
        document = self.document
        if is_whole and document is not None and not document.args.strip():
            text += self.write(document, "{}")
        return text

    @property
    def strays(self) -> list[str]:
        """Return the names of called tools that the request does not have."""
        return [call.name for call in self.all if call.name and not (call.tool or self._tool_of(call))]

    def _chosen(self, call: Call) -> str:
        """Make the call of an offered tool the document, unless another one is; returns the text that waited for it."""
        before = self.document
        if not call.tool or call is before:
            return ""
        if before is not None and (call.is_blank or not before.is_blank):
            return ""
        self.document = call
        return call.args

    def _tool_of(self, call: Call) -> str:
        """Return the offered tool that a call's name means, "" if it means none or more than one.

        Models write names with more around them: `functions.City` and `City<|channel|>commentary` (gpt-oss),
        `default_api.City` (Gemini), `functions.City:0` (Kimi K2), and in other case.
        """
        if call.name in self._tools:
            return call.name
        said = _NUMBER.sub("", call.name.partition("<|")[0].strip())
        for folded in (str, str.casefold):
            fitting = sorted(
                (tool for tool in self._tools if _ends_in(folded(said), folded(tool))), key=len, reverse=True
            )
            if len(fitting) == 1 or (fitting and len(fitting[0]) > len(fitting[1])):
                return fitting[0]
        return ""

    def find(self, call_id: str, name: str, index: object) -> Call:
        """Return the call that a fragment belongs to, opening a new one if needed.

        Providers differ: index 0 for all calls, no index, no id, a fresh id or the name again per fragment.

        Args:
            call_id: The fragment's id, "" if it has none.
            name: The fragment's name, "" if it has none.
            index: The fragment's index, None if it has none.
        """
        known = self._by_id.get(call_id) if call_id else None
        if known is None:
            known = self.newest.get(index)
            if known is not None and self._is_another(known, call_id, name):
                known = None
            if known is None:
                return self.open(call_id, "", index)
        if call_id and not known.id:
            known.id = call_id
            self._by_id[call_id] = known
        return known

    def _is_another(self, known: Call, call_id: str, name: str) -> bool:
        """Return whether a fragment with a new id, or none, begins another call under a known index."""
        if not name:
            return bool(call_id and known.id and not known.name)
        if call_id and known.id:
            return True
        if not known.name:
            return False
        return _closed(known.args) if name == known.name else not self._is_piece(known, name)

    def _is_piece(self, known: Call, name: str) -> bool:
        """Return whether a name continues that of a known call: some servers send names in pieces."""
        if known.started:
            return False
        return known.name + name in self._tools or not (known.name in self._tools or name in self._tools)


def _ends_in(said: str, tool: str) -> bool:
    """Return whether a name is a tool's, alone or after a prefix that ends where no name continues."""
    before = said.removesuffix(tool)
    if before == said:
        return False
    return not before or before.endswith("__") or not (before[-1].isalnum() or before[-1] == "_")


_PLACEHOLDER = re.compile(r"\A(?:\s*\{\s*\})+(?=\s*\{)")
_NUMBER = re.compile(r":\d+\Z")
_BLANK = re.compile(r"\s*(?:\{\s*\}\s*)*\Z").match


def _closed(text: str) -> bool:
    """Return whether text is a complete JSON value."""
    if not text.rstrip().endswith("}"):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
