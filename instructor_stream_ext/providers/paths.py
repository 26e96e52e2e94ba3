"""JSON text from values that arrive one by one under JSONPaths, in document order."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["OutOfOrderError", "PathWriter"]

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")


class OutOfOrderError(ValueError):
    """A value belongs in a part of the document that is already closed."""


class PathWriter:
    """Writes the object that updates describe, as far as they determine its text.

    A string whose update says that more follows is left open; the next update of the same path continues it.
    """

    def __init__(self) -> None:
        self._open: list[str | int] = []
        self._closers: list[str] = []
        self._seen: set[tuple[Any, ...]] = set()
        self._string: list[str | int] | None = None

    def write(self, path: str, value: object, *, more: bool) -> str:
        """Return the new text of the document.

        Args:
            path: A JSONPath of names and indices, such as `$.items[0].name`.
            value: The value; for a string, its next piece.
            more: Whether more of this string follows.

        Raises:
            OutOfOrderError: The path leads back into something already closed.
        """
        steps = _steps(path)
        if not steps:
            return ""
        if self._string is not None:
            if steps == self._string:
                return self._piece(value, more=more)
            return self._end_string() + self.write(path, value, more=more)
        text = self._reach(steps)
        if isinstance(value, str):
            self._string = steps
            return text + '"' + self._piece(value, more=more)
        return text + json.dumps(value)

    def close(self) -> str:
        """Return the text that closes everything open; `{}` if nothing came."""
        text = self._end_string()
        if not self._closers and not self._seen:
            return "{}"
        while self._closers:
            text += self._closers.pop()
        self._open = []
        return text

    def _piece(self, value: object, *, more: bool) -> str:
        """Return a piece of the open string."""
        text = json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else ""
        return text if more else text + self._end_string()

    def _end_string(self) -> str:
        """Close the open string, if there is one."""
        if self._string is None:
            return ""
        self._string = None
        return '"'

    def _reach(self, steps: list[str | int]) -> str:
        """Close and open containers until the value at these steps can be written."""
        if tuple(steps) in self._seen:
            raise OutOfOrderError(f"arguments came out of order, at {steps}")
        shared = 0
        while shared < min(len(self._open), len(steps) - 1) and self._open[shared] == steps[shared]:
            shared += 1
        text = ""
        while len(self._closers) > shared + 1:
            text += self._closers.pop()
        self._open = self._open[:shared]
        if not self._closers:
            text += self._begin(steps[0])
        for depth in range(shared, len(steps)):
            text += self._member(tuple(steps[: depth + 1]))
            if depth + 1 < len(steps):
                self._open.append(steps[depth])
                text += self._begin(steps[depth + 1])
        return text

    def _begin(self, first: str | int) -> str:
        """Open the container that its first member requires."""
        self._closers.append("]" if isinstance(first, int) else "}")
        return "[" if isinstance(first, int) else "{"

    def _member(self, place: tuple[str | int, ...]) -> str:
        """Return what precedes a member: a comma unless it is the first, and its name in an object."""
        if place in self._seen:
            raise OutOfOrderError(f"arguments came out of order, at {list(place)}")
        parent = (*place[:-1], ...)
        comma = "," if parent in self._seen else ""
        self._seen.update((place, parent))
        name = place[-1]
        return comma if isinstance(name, int) else f"{comma}{json.dumps(name, ensure_ascii=False)}:"


def _steps(path: str) -> list[str | int]:
    """Return the names and indices of a JSONPath."""
    steps: list[str | int] = []
    for dotted, index, single, double in _STEP.findall(path.removeprefix("$")):
        if index:
            steps.append(int(index))
        else:
            steps.append(dotted or re.sub(r"\\(.)", r"\1", single or double))
    return steps
