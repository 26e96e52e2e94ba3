"""The JSON of one list item after another, cut out of a document that is still growing."""

from __future__ import annotations

import json
import re

__all__ = ["ItemCutter"]

_FILLER = re.compile(r"[\s,:]*").match
_VALUE = json.JSONDecoder(strict=False).raw_decode
"""Models put raw control characters into strings; what is no JSON at all the scanner has refused before."""


class ItemCutter:
    """Cuts the items of the list under one key of an object, each looked at once.

    Args:
        key: The list's key, as the document has it.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._next = 0
        self._pos = 0

    def cut(self, document: str, index: int) -> str:
        """The JSON of an item.

        Args:
            document: The document as far as it has come; what was there before must not have changed.
            index: The number of the item in its list, which must be complete; one more than at the last call, or 0.
        """
        if index != self._next or index == 0:
            self._pos = self._list(document)
        begin = _after(document, self._pos)
        _, end = _VALUE(document, begin)
        self._pos = end
        self._next = index + 1
        return document[begin:end]

    def _list(self, document: str) -> int:
        """Where the next list under the key begins, after its bracket."""
        if self._next:  # the key came twice: what is left of the list before is read past
            while document[self._pos : self._pos + 1] != "]":
                _, self._pos = _VALUE(document, _after(document, self._pos))
        pos = _after(document, self._pos + 1)
        while True:
            key, pos = _VALUE(document, pos)
            pos = _after(document, pos)
            if key == self._key and document[pos] == "[":
                return pos + 1
            _, pos = _VALUE(document, pos)
            pos = _after(document, pos)


def _after(document: str, pos: int) -> int:
    """The next character that is neither space, comma nor colon."""
    return _FILLER(document, pos).end()  # type: ignore[union-attr]
