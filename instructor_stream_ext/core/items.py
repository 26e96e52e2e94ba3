"""The JSON of one list item after another, cut out of a document that is still growing."""

from __future__ import annotations

import json
import re
from typing import Any

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

    def replaced(self, document: str) -> tuple[Any, ...]:
        """What stands under the key again, after the list whose items were cut; nothing if the key came once.

        Args:
            document: The whole document.

        Returns:
            The last such value, alone in a tuple.
        """
        last: tuple[Any, ...] = ()
        pos = _after(document, self._end(document) + 1)
        while document[pos] != "}":
            key, pos = _VALUE(document, pos)
            value, pos = _VALUE(document, _after(document, pos))
            pos = _after(document, pos)
            if key == self._key:
                last = (value,)
        return last

    def _end(self, document: str) -> int:
        """The bracket that closes the list whose items were cut; the document's own before that."""
        pos = self._pos
        if self._next:
            while document[pos := _after(document, pos)] != "]":
                _, pos = _VALUE(document, pos)
        return pos

    def _list(self, document: str) -> int:
        """Where the next list under the key begins, after its bracket."""
        pos = _after(document, self._end(document) + 1)
        while True:
            key, pos = _VALUE(document, pos)
            pos = _after(document, pos)
            if key == self._key and document[pos] == "[":
                first = _after(document, pos + 1)
                if document[first] != "]":  # one without items is not the one that is asked for
                    return first
            _, pos = _VALUE(document, pos)
            pos = _after(document, pos)


def _after(document: str, pos: int) -> int:
    """The next character that is neither space, comma nor colon."""
    return _FILLER(document, pos).end()  # type: ignore[union-attr]
