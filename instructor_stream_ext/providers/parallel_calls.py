"""Several tool calls of one answer, each a document of its own."""

from __future__ import annotations

from typing import NamedTuple

from instructor_stream_ext.providers.calls import Call, Calls

__all__ = ["ParallelCalls", "Piece"]


class Piece(NamedTuple):
    """A piece of one of several calls.

    Attributes:
        number: The call's place in the answer, from 0.
        tool: The tool of the request that it calls; "" if there is none of its name.
        name: What the model called.
        text: The piece of its arguments.
    """

    number: int
    tool: str
    name: str
    text: str


class ParallelCalls(Calls):
    """The tool calls of an answer, each of them a document of its own.

    Attributes:
        pieces: What has arrived since it was last taken.
    """

    def __init__(self, tools: frozenset[str] | None) -> None:
        super().__init__(tools)
        self.pieces: list[Piece] = []
        self._numbers: dict[Call, int] = {}
        self._handed: set[Call] = set()

    def open(self, call_id: str = "", name: str = "", index: object = None) -> Call:
        """Open a call, as in `Calls`, and number it."""
        self._numbers[opened := super().open(call_id, "", index)] = len(self._numbers)
        self.name(opened, name)
        return opened

    def write(self, call: Call, text: str) -> str:
        """Take arguments; they are passed on as pieces once it is known whose arguments they are."""
        if call not in self._handed:
            return super().write(call, text)
        call.write(text)
        self._hand(call, text)
        return ""

    def settle(self, *, is_whole: bool) -> str:
        """Note that no more follows: calls of unknown tools are passed on, as their names are complete."""
        for call in self.all:
            call.tool = call.tool or self._tool_of(call)
            if is_whole and call.tool and not call.args.strip():
                self.write(call, "{}")
            elif call not in self._handed and (call.name or call.started):
                self._hand(call, call.args)
        return ""

    def _chosen(self, call: Call) -> str:
        """Pass on what was waiting for the call's name."""
        if call.tool and call.started and call not in self._handed:
            self._hand(call, call.args)
        return ""

    def _hand(self, call: Call, text: str) -> None:
        self._handed.add(call)
        self.pieces.append(Piece(self._numbers[call], call.tool, call.name, text))
