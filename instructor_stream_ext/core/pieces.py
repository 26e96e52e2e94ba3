"""Plain text in pieces of a reader's size: words, sentences, lines. Joined, the pieces are the text."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from instructor_stream_ext.core.errors import StreamMisuse

__all__ = ["By", "Pieces"]

By: TypeAlias = Literal["delta", "word", "sentence", "line"]

_STOP = r"[.!?…][\"'”’»)\]]*"  # noqa: RUF001  what closes a sentence in print
_WIDE_STOP = r"[。！？][」』”’）]*"  # noqa: RUF001  and where a line has no spaces

_BORDER = {
    "word": re.compile(r"\s(?=\S)"),
    "sentence": re.compile(rf"{_STOP}\s+(?=\S)|{_WIDE_STOP}(?=[^」』”’）])"),  # noqa: RUF001
    "line": re.compile("\n"),
}
"""Where a piece ends: after a match. What follows must have come, or a piece could end before its last space."""

_OPEN_END = {
    "word": re.compile(r"\s\Z"),
    "sentence": re.compile(rf"(?:{_STOP}\s*|{_WIDE_STOP})\Z"),
    "line": re.compile(r"(?!)"),
}
"""The end of a text that may become a border once more has come."""


class Pieces:
    """Cuts text that comes in deltas; how it was cut into deltas makes no difference, but for `by="delta"`.

    Args:
        by: What a piece is. A word or sentence has its spaces after it, a line its newline.
        buffer: How many of them are given at a time.

    Raises:
        StreamMisuse: `by` is unknown, or `buffer` is less than 1.
    """

    def __init__(self, by: By = "delta", buffer: int = 1) -> None:
        if by not in get_args(By):
            raise StreamMisuse(f"by={by!r}: text comes by {', '.join(get_args(By))}")
        if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 1:  # type: ignore[redundant-expr]
            raise StreamMisuse(f"buffer={buffer!r}: must be a number of pieces, at least 1")
        self._by = by
        self._buffer = buffer
        self.clear()

    def clear(self) -> None:
        """Begin anew; what is held back is dropped."""
        self._held: list[str] = []
        self._count = 0
        self._tail = ""

    def feed(self, delta: str) -> list[str]:
        """Take a delta, and give what is whole."""
        if self._by == "delta":
            return self._add(delta, []) if delta else []
        given: list[str] = []
        window, begin = self._tail + delta, 0
        for border in _BORDER[self._by].finditer(window):
            self._add(window[begin : border.end()], given)
            begin = border.end()
        rest = window[begin:]
        may_end = _OPEN_END[self._by].search(rest)
        keep = may_end.start() if may_end else len(rest)
        if keep:
            self._held.append(rest[:keep])
        self._tail = rest[keep:]
        return given

    def finish(self) -> list[str]:
        """What is left."""
        rest = "".join(self._held) + self._tail
        self.clear()
        return [rest] if rest else []

    def _add(self, end_of_piece: str, given: list[str]) -> list[str]:
        self._held.append(end_of_piece)
        self._count += 1
        if self._count == self._buffer:
            given.append("".join(self._held))
            self._held.clear()
            self._count = 0
        return given
