"""Text that grows piece by piece and is read now and then."""

from __future__ import annotations

from itertools import chain

__all__ = ["PIECES_AT_MOST", "TextBuffer"]

PIECES_AT_MOST = 512
"""How many pieces are kept apart: many small strings take ten times the memory of their text."""


class TextBuffer:
    """Text that grows piece by piece and is read now and then, in linear time and memory."""

    __slots__ = ("_blocks", "length", "parts")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self.parts: list[str] = []
        self.length = 0

    def add(self, text: str) -> None:
        """Append a piece."""
        self.parts.append(text)
        self.length += len(text)
        if len(self.parts) >= PIECES_AT_MOST:
            self.fold()

    def head(self, size: int) -> str:
        """Return the first characters: at least this many, if there are."""
        found = ""
        for piece in chain(self._blocks, self.parts):
            found += piece
            if len(found) >= size:
                break
        return found[:size]

    def fold(self) -> None:
        """Join the pieces."""
        self._blocks.append("".join(self.parts))
        self.parts.clear()

    def __str__(self) -> str:
        if len(self._blocks) == 1 and not self.parts:
            return self._blocks[0]
        whole = "".join(self._blocks) + "".join(self.parts)
        self._blocks[:] = [whole]
        self.parts.clear()
        return whole
