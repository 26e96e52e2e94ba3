"""The JSON of one list item after another, cut out of a list that is still growing."""

from __future__ import annotations

import json
import re

__all__ = ["ItemCutter"]

_LIST = re.compile(r"[\s:]*\[(?!\s*\])").match
"""A list that has items."""
_FILLER = re.compile(r"[\s,]*").match
_VALUE = json.JSONDecoder(strict=False).raw_decode
"""Models put raw control characters into strings; the scanner has already refused what is not JSON at all."""


class ItemCutter:
    """Cuts the items out of a list; each is looked at once."""

    def __init__(self) -> None:
        self._pos = 0

    def cut(self, document: str, starts: list[int], index: int) -> str:
        """Return the JSON of an item.

        Args:
            document: The JSON as far as it has arrived; what was there before must not have changed.
            starts: The offset of each place at which the list begins.
            index: The number of the item, which must be complete; one more than at the last call, or 0.
        """
        if index == 0:
            lists = (_LIST(document, start) for start in starts if start >= self._pos)
            self._pos = next(found.end() for found in lists if found is not None)
        begin = _FILLER(document, self._pos).end()  # type: ignore[union-attr]
        _, self._pos = _VALUE(document, begin)
        return document[begin : self._pos]
