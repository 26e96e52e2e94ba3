"""Where the document begins in an answer with text around it."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import TYPE_CHECKING

from instructor_stream_ext.core.document.reasoning import tags_from

if TYPE_CHECKING:
    from instructor_stream_ext.core.document.reasoning import Tags
    from instructor_stream_ext.core.types.plan import ObjectPlan, ValuePlan
    from instructor_stream_ext.core.types.response import Plan

__all__ = ["Found", "StartFinder"]

_HELD = 256
"""Characters after an opener within which its key must be complete; bounds what is looked at twice."""

_SPACE = re.compile(r"\s*").match
_BEHIND = 64
"""Characters before an opener that are examined."""
_WITHIN = re.compile(r'(?:"\s*:|\[|[}\]]\s*,)\s*\Z').search
_IN_SCHEMA = re.compile(r'"(?:properties|\$defs)"\s*:\s*\Z').search
_KEY = re.compile(r'\{[ \t\n\r]*("(?:[^"\\]|\\.)*")[ \t\n\r]*:', re.DOTALL).match
_KEY_OPEN = re.compile(r'\{[ \t\n\r]*(?:"(?:[^"\\]|\\.)*(?:\\|"[ \t\n\r]*)?)?\Z', re.DOTALL).match
_BLANK = re.compile(r"[ \t\n\r]*").match
_KINDS = {'"': "string", "-": "number", **dict.fromkeys("0123456789", "number")}
_WORDS = ("true", "false", "null")
_LINE_START = re.compile(r"(?:\A|\n)[ \t]*\Z").search
_STRIPPED_HEAD = re.compile(r"(?:analysis|commentary)\w").match
"""How gpt-oss's answer begins if the server drops special tokens: the channel's name without a space."""
_STRIPPED_HEADS = ("analysis", "commentary")
_FOLLOWS = 24
"""JSON must begin within this many characters after words that may close reasoning."""


class Found(Enum):
    """What a search found."""

    NOTHING = "nothing"
    START = "start"
    VOID = "void"


class StartFinder:
    """Finds where documents of the response type begin, and where what came before turns out to be reasoning.

    The first character that is no space may open it. Otherwise what stands between reasoning tags is passed over, and
    an opener followed by a key the type knows (in a list: by a value that fits) begins one. A closing tag that nothing
    opened voids what stood before it. Words that close the reasoning of some models, but may be said in prose as well,
    do so at the beginning of a line, right before JSON, or where the answer has begun as those models' reasoning does.
    """

    def __init__(self, plan: Plan, tags: Tags | None = None) -> None:
        self._root = plan.entry or plan.root
        self._openers = plan.openers
        self._tags = tags or tags_from(None)
        self._before = ""
        self._first = True
        self._headed = False
        self._depth: int | None = None
        self.passed = False
        self.thinking = False
        self.reasoning: list[tuple[int, int]] = []
        """Where in the text tags enclose reasoning; the end of one that is open is its beginning."""
        self.again = False
        """True if a document was found before: a value within some other JSON is none that comes after it."""

    def lose(self) -> None:
        """Look for the next document after the brackets of one that is not JSON, a fence or a closing tag."""
        self._depth = 0
        self.again = True

    def find(self, text: str, at: int) -> tuple[Found, int]:
        """Look at `text`, which begins where the last look said.

        Args:
            text: What follows.
            at: Where it begins in the whole text.

        Returns:
            What was found, and the offset: where the document begins, or where the closing tag ends. If nothing was,
            what stands from there on must be looked at again together with what follows.
        """
        found, pos = self._find(text, at)
        self._before = (self._before + text[:pos])[-_BEHIND:]
        return found, pos

    def _find(self, text: str, at: int) -> tuple[Found, int]:  # noqa: C901, PLR0911, PLR0912  one case per thing found
        pos, size, tags = 0, len(text), self._tags
        if self._first:
            pos = _SPACE(text).end()  # type: ignore[union-attr]
            head = text[pos : pos + len(_STRIPPED_HEADS[1]) + 1]
            if any(word.startswith(head) for word in _STRIPPED_HEADS):
                return Found.NOTHING, pos
            self._first = False
            if text[pos] in self._openers:
                return Found.START, pos
            self.passed = True
            self._headed = _STRIPPED_HEAD(head) is not None
        while pos < size:
            if self.thinking:
                if (point := tags.close.search(text, pos)) is None:
                    break
                pos = point.end()
                self.thinking = False
                self.reasoning[-1] = (self.reasoning[-1][0], at + pos)
                continue
            point = (tags.point if self._depth is None else tags.broken).search(text, pos)
            if point is None:
                break
            kind, pos = point.lastgroup, point.end()
            if kind == "words":
                closes = self._headed or self._closes(text, point.start(), pos)
                if closes is None:
                    return Found.NOTHING, point.start()
                if not closes:
                    continue
            if kind in ("close", "words"):
                self._depth = None
                return Found.VOID, pos
            if kind == "head":
                self._headed = True
            elif kind == "open":
                self._depth = None
                self.thinking = True
                self.reasoning.append((at + point.start(), at + point.start()))
            elif kind == "fence":
                self._depth = None
            else:
                pos = point.start()
                rest = text[pos : pos + tags.longest]
                if any(len(rest) < len(tag) and tag.startswith(rest) for tag in tags.bracketed):
                    return Found.NOTHING, pos
                if self._depth is not None:
                    self._depth += 1 if text[pos] in "{[" else -1
                    if self._depth <= 0:
                        self._depth = None
                else:
                    verdict = _fits(self._root, text, pos)
                    if verdict is True and not self._is_within(text, pos):
                        return Found.START, pos
                    if verdict is None and size - pos <= _HELD:
                        return Found.NOTHING, pos
                pos += 1
        return Found.NOTHING, max(pos, size - tags.longest + 1)

    def _closes(self, text: str, start: int, end: int) -> bool | None:
        """Return whether the words between two offsets close reasoning; None if more text is needed."""
        if _LINE_START((self._before + text[max(0, start - _BEHIND) : start])[-_BEHIND:]):
            return True
        follows = text[end : end + _FOLLOWS].lstrip()
        if follows.startswith("json"):
            follows = follows[len("json") :].lstrip()
        if "json".startswith(follows):
            return None if len(text) - end < _FOLLOWS else False
        return follows[0] in "{[`"

    def _is_within(self, text: str, pos: int) -> bool:
        """Return whether what begins here is part of a schema, or of JSON that is not a document of the type."""
        before = (self._before + text[max(0, pos - _BEHIND) : pos])[-_BEHIND:]
        return (_WITHIN if self.again else _IN_SCHEMA)(before) is not None


def _fits(plan: ValuePlan, text: str, pos: int) -> bool | None:  # noqa: PLR0911  one case per kind
    """Return whether a value of this plan begins at `pos`; None if more text is needed."""
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
