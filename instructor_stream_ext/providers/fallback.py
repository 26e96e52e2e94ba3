"""Chunks of an unknown kind, read with instructor's own stream extractor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from instructor_stream_ext.providers.reader import Reading

__all__ = ["FallbackReader"]


class FallbackReader(Reading):
    """Reads each chunk by a fresh call of an extractor, so it serves sync and async streams alike.

    Only the document is known: no end signal, usage, id or reasoning.

    Args:
        extractor: Takes chunks and gives their text.
    """

    def __init__(self, extractor: Callable[[Iterable[Any]], Iterable[str]]) -> None:
        super().__init__(None)
        self._extractor = extractor

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this chunk, "" if there is none."""
        text = "".join(piece for piece in self._extractor([chunk]) if piece)
        self.alive = bool(text)
        return text

    def completion(self) -> None:
        """Return None: it is unknown, and instructor's re-ask handlers accept None for a stream."""
