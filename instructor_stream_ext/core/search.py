"""Where the document begins in an answer with text around it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instructor_stream_ext.core.plans import Plan
    from instructor_stream_ext.core.shapes import ObjectPlan, ValuePlan

__all__ = ["StartFinder"]

_HELD = 256
"""Characters after an opener within which its key must be complete: bounds what is looked at twice."""

_SPACE = re.compile(r"\s*").match
_POINT = re.compile(r"[{\[]|<think>|<(?:t(?:h(?:i(?:nk?)?)?)?)?\Z").search
_KEY = re.compile(r'\{[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:', re.DOTALL).match
_KEY_OPEN = re.compile(r'\{[ \t\n\r]*(?:"(?:[^"\\]|\\.)*(?:\\|"[ \t\n\r]*)?)?\Z', re.DOTALL).match
_BLANK = re.compile(r"[ \t\n\r]*").match
_KINDS = {'"': "string", "-": "number", **dict.fromkeys("0123456789", "number")}
_WORDS = ("true", "false", "null")


class StartFinder:
    """Finds the first place where a document of the response type begins.

    The first character that is no space may open it. Otherwise what stands between `<think>` and `</think>` is passed
    over, and the first opener followed by a key the type knows (in a list: by a value that fits) is taken.
    """

    def __init__(self, plan: Plan) -> None:
        self._root = plan.root
        self._openers = plan.openers
        self._first = True
        self._thinking = False

    def find(self, text: str) -> tuple[bool, int]:  # noqa: C901, PLR0911  one case per thing that can be found
        """Look at `text`, which begins where the last look said.

        Returns:
            Whether the document begins at the offset; if not, what stands from there on must be looked at again
            together with what follows.
        """
        pos, size = 0, len(text)
        if self._first:
            pos = _SPACE(text).end()  # type: ignore[union-attr]
            if pos == size:
                return False, size
            self._first = False
            if text[pos] in self._openers:
                return True, pos
        while pos < size:
            if self._thinking:
                end = text.find("</think>", pos)
                if end < 0:
                    return False, max(pos, size - len("</think>") + 1)
                self._thinking = False
                pos = end + len("</think>")
                continue
            point = _POINT(text, pos)
            if point is None:
                return False, size
            pos = point.start()
            if text[pos] == "<":
                if point.end() - pos < len("<think>"):
                    return False, pos
                self._thinking = True
                pos = point.end()
                continue
            verdict = _fits(self._root, text, pos)
            if verdict is True:
                return True, pos
            if verdict is None and size - pos <= _HELD:
                return False, pos
            pos += 1
        return False, size


def _fits(plan: ValuePlan, text: str, pos: int) -> bool | None:  # noqa: PLR0911  one case per kind
    """Whether a value of this plan begins at `pos`; None if more text must tell."""
    char = text[pos]
    if char == "{":
        return "object" in plan.kinds and _object_fits(plan.obj, text, pos)
    if char != "[":
        return _scalar_fits(plan, text, pos)
    if "array" not in plan.kinds:
        return False
    seq = plan.seq
    while True:  # arrays in arrays, without recursion
        pos = _BLANK(text, pos + 1).end()  # type: ignore[union-attr]
        if pos == len(text):
            return None
        item = seq.at(0)
        if text[pos] != "[":
            return _fits(item, text, pos)
        if "array" not in item.kinds:
            return False
        if item.seq is seq:
            return True
        seq = item.seq


def _object_fits(obj: ObjectPlan, text: str, pos: int) -> bool | None:
    found = _KEY(text, pos)
    if found is None:
        return None if _KEY_OPEN(text, pos) else False
    try:
        key = json.loads(found[1], strict=False)
    except ValueError:
        return False
    return any(member.knows(key) for member in (obj.candidates or (obj,)))


def _scalar_fits(plan: ValuePlan, text: str, pos: int) -> bool | None:
    kind = _KINDS.get(text[pos])
    if kind is not None:
        return kind in plan.kinds
    if "literal" not in plan.kinds:
        return False
    if text.startswith(_WORDS, pos):
        return True
    rest = text[pos : pos + 5]
    return None if len(rest) < len("false") and any(word.startswith(rest) for word in _WORDS) else False
