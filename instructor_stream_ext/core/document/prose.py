"""The JSON values in a text, for an answer in which no document was seen to begin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from instructor_stream_ext.core.document.scanner import Scanner
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded
from instructor_stream_ext.core.types.compile import compile_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instructor_stream_ext.core.types.response import Plan

__all__ = ["document_in", "last_values"]

_OBJECT = r'\{[ \t\n\r]*["}]'
_ARRAY = r'\[[ \t\n\r]*(?:["\[{\]0-9-]|true|false|null|NaN|Infinity)'
_OPENERS = {
    "object": re.compile(_OBJECT).search,
    "array": re.compile(_ARRAY).search,
    "any": re.compile(f"{_OBJECT}|{_ARRAY}").search,
}
_FIRST_LOOK = 64
_EACH = 32
"""The cost of a try in addition to its characters, in characters."""


def last_values(text: str, kind: Literal["object", "array", "any"]) -> Iterator[str]:
    """Return the complete JSON values of a kind in a text, the last first, without values nested in others.

    Args:
        text: Prose, with or without JSON in it.
        kind: The kind of value to look for.

    The work is bounded by a multiple of the length: a text made to be slow is searched only as far as that goes.
    """
    opener = _OPENERS[kind]
    found: list[tuple[int, int]] = []
    budget = 2 * len(text) + 65536
    pos = 0
    while budget > 0:
        begin = opener(text, pos)
        if begin is None:
            break
        start = begin.start()
        size, looked_at = _value_at(text, start)
        if size:
            found.append((start, start + size))
            pos = start + size
        else:
            budget -= looked_at + _EACH
            pos = start + 1
    return (text[start:end] for start, end in reversed(found))


def document_in(plan: Plan, value: str) -> str | None:
    """Return the document in a JSON value, which may be an envelope around it; None if there is none.

    Args:
        plan: Of the document.
        value: The JSON.
    """
    if plan.envelope is None:
        return value
    scanner = Scanner(plan)
    scanner.feed(value)
    return scanner.json_text() if scanner.finish() and not scanner.lacks else None


def _value_at(text: str, start: int) -> tuple[int, int]:
    """Return the length of the value at `start` (0 if there is none), and how many characters were examined."""
    scanner = Scanner(compile_plan(Any))
    pos, step = start, _FIRST_LOOK
    while pos < len(text) and not scanner.complete:
        scanner.feed(text[pos : pos + step])
        pos += step
        step *= 2
        try:
            scanner.advance()
        except InvalidJSON as fault:
            return 0, fault.offset
        except LimitExceeded:
            return 0, pos - start
    return len(scanner.json_text()) if scanner.complete else 0, pos - start
