"""One pass over JSON text, however it is cut: tokens in, values into the tree.

Runs are taken by regular expressions; an incomplete token at the end of the text (an escape, a number, a literal) is
kept as a short tail, and an explicit stack of frames stands in for recursion.
"""

from __future__ import annotations

import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final

from instructor_stream_ext.core.document.frames import Frame
from instructor_stream_ext.core.document.tree import ROOT_PATH, Tree
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded
from instructor_stream_ext.core.types.plan import ValuePlan

if TYPE_CHECKING:
    from instructor_stream_ext.core.errors import StreamError
    from instructor_stream_ext.core.types.response import Plan

__all__ = ["DONE", "FIRST_VALUE", "LOST", "NUMBER", "SPACE", "SPACES", "START", "STRING", "VALUE", "Tokens"]

# What the pass expects next. The first two are inside a string, so that one comparison tells.
STRING, KEY_STRING, AFTER, VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, START, DONE, LOST = range(11)

_RUN = re.compile(r'[^"\\]*').match
_WHOLE_STRING = re.compile(r'"([^"\\]*)"').match
_ESCAPES = re.compile(
    r'(?:[^"\\]+|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}){1,500}"
).match
_ESCAPE_OPEN = re.compile(
    r"\\(?:u(?:[0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?\Z"
).match
_LONE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}").match
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)").match
_NUMBER_OPEN = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.(?:[0-9]+(?:[eE][-+]?[0-9]*)?)?|[eE][-+]?[0-9]*)?)?\Z").match
_KEY_COLON = re.compile(r'[ \t\n\r]*"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*').match
SPACES = re.compile(r"[ \t\n\r]+").match

SPACE: Final = " \t\n\r"
_DELIMITERS: Final = " \t\n\r,]}"
_NUMERIC: Final = "-0123456789"
_WORDS: Final = {
    "t": ("true", True),
    "f": ("false", False),
    "n": ("null", None),
    "N": ("NaN", float("nan")),
    "I": ("Infinity", float("inf")),
}
_MINUS_INFINITY: Final = ("-Infinity", float("-inf"))
_MAX_DIGITS: Final = 4300
_MISTAKES: Final = {
    "'": "a single quote (JSON's strings have double quotes)",
    "]": "']' after a trailing comma",
    "}": "'}', after a comma or a colon that nothing follows",
    "T": "'T' (Python's True is true in JSON)",
    "F": "'F' (Python's False is false in JSON)",
    "/": "'/' (JSON has no comments)",
    "#": "'#' (JSON has no comments)",
}
"""Common mistakes of models in JSON, by the first invalid character."""


class Tokens(Tree):
    """The state machine over characters.

    Args:
        plan: The compiled response type.
        max_depth: Open containers at most.
        max_items: Items in one array at most.
        transitions: Note what starts and ends.
    """

    def __init__(self, plan: Plan, *, max_depth: int, max_items: int | None, transitions: bool) -> None:
        self.error: StreamError | None = None
        self._base = 0  # offset in the text of what is scanned next, the tail included
        self._max_depth = max_depth
        self._max_items = max_items
        super().__init__(plan, transitions=transitions)

    def _fresh(self) -> None:
        super()._fresh()
        self._state = START
        self._tail = ""
        self._parts: list[str] = []
        self._older = self._newer = self._lag = ""  # see PartialParser._open_string
        self._shown = False  # whether the open string is
        self._token_begun = False
        self._key_end = 0

    def _pass(self, text: str) -> str:
        """Scan text within the document.

        Returns:
            What is left of it where the document ends; the tail of an incomplete token stays in `_tail`.

        Raises:
            InvalidJSON: No continuation can make the text valid.
            LimitExceeded: Too deep, too many items, or a number of too many digits.
        """
        pos, size, root = 0, len(text), self._stack[0]
        try:
            while pos < size:
                state, before = self._state, pos
                if state <= KEY_STRING:
                    pos = self._in_string(text, pos)
                elif (char := text[pos]) in SPACE:
                    pos = SPACES(text, pos).end()  # type: ignore[union-attr]
                    continue
                elif state == AFTER:
                    pos = self._after_value(text, pos, char)
                elif state == VALUE:
                    pos = self._value(text, pos, char)
                elif state == FIRST_VALUE:
                    pos = self._first_value(text, pos, char)
                else:
                    pos = self._key(text, pos, char)
                if pos == before:
                    break  # an incomplete token
                if self._frame is root and self._state == AFTER:
                    self._state = DONE
                    break
        finally:
            self._base += pos
            if self._state != DONE and pos < size:
                self._tail = text[pos:]
        return text[pos:] if self._state == DONE else ""

    def _after_value(self, text: str, pos: int, char: str) -> int:
        """Take what follows a value in a container: a comma with the next key, or the end."""
        frame = self._frame
        if char == ",":
            if frame.is_list:
                if self._max_items is not None:
                    self._check_items(frame)
                if frame.plan.items is not None:
                    self._place(frame)
                self._state = VALUE
                return pos + 1
            match = _KEY_COLON(text, pos + 1)
            if match is None:
                self._state = KEY
                return pos + 1
            self._key_end = pos = match.end()
            self._set_key(frame, match[1])
            self._state = VALUE
            return pos
        if char == ("]" if frame.is_list else "}"):
            self._close(frame)
            return pos + 1
        raise self._fault(f"expected ',' or {']' if frame.is_list else '}'!r}, found {char!r}", pos)

    def _first_value(self, text: str, pos: int, char: str) -> int:
        """Begin a list's first item, or end the empty list."""
        if char == "]":
            self._close(self._frame)
            self._state = AFTER
            return pos + 1
        if self._max_items is not None:
            self._check_items(self._frame)
        self._state = VALUE
        return self._value(text, pos, char)

    def _value(self, text: str, pos: int, char: str) -> int:
        """Begin a value."""
        frame = self._frame
        if char == '"':
            slot = frame.slot
            if self._events is not None or slot.with_state:
                self._begin(frame)
            match = _WHOLE_STRING(text, pos)
            if match is not None:
                self._end_string(frame, match[1], is_new=True)
                self._state = AFTER
                return match.end()
            self._state = STRING
            self._begin_string(frame, slot)
            return pos + 1
        if char == "{" or char == "[":  # noqa: PLR1714  faster than a tuple
            if len(self._stack) > self._max_depth:
                raise self._refuse(LimitExceeded("max_depth", self._max_depth))
            if char == "{":
                self._open_object(frame)
                self._state = FIRST_KEY
            else:
                self._open_list(frame)
                self._state = FIRST_VALUE
            return pos + 1
        end = self._token(frame, text, pos, char)
        if end > pos:
            self._state = AFTER
        return end

    def _key(self, text: str, pos: int, char: str) -> int:
        """Take a key or its colon, or the end of the object."""
        if self._state == COLON:
            if char != ":":
                raise self._fault(f"expected ':', found {char!r}", pos)
            self._state = VALUE
            return pos + 1
        frame = self._frame
        if char == '"':
            match = _KEY_COLON(text, pos)
            if match is None:
                self._shown = False
                self._state = KEY_STRING
                return pos + 1
            self._key_end = pos = match.end()
            self._set_key(frame, match[1])
            self._state = VALUE
            return pos
        if char == "}" and self._state == FIRST_KEY:
            self._close(frame)
            self._state = AFTER
            return pos + 1
        raise self._fault(f"expected a key, found {_named(char)}", pos)

    # ------------------------------------------------------------------ strings

    def _in_string(self, text: str, pos: int) -> int:
        """Take text inside a string, to its end, the next escape, or the end of the text."""
        parts = self._parts
        end = _RUN(text, pos).end()  # type: ignore[union-attr]
        if end > pos:
            parts.append(text[pos:end])
            if self._shown:
                self._dirty = True
            if end == len(text) or text[end] == "\\":
                return end  # an escape is taken on its own, as the rest of a broken one is looked at from it
        elif text[end] == "\\":
            return self._escape(text, end)
        string = self._newer + "".join(parts)
        parts.clear()
        if self._state == STRING:
            self._shown = False
            self._older = self._newer = self._lag = ""
            self._end_string(self._frame, string)
            self._state = AFTER
        else:
            self._key_end = end + 1
            self._set_key(self._frame, string)
            self._state = COLON
        return end + 1

    def _begin_string(self, frame: Frame, slot: ValuePlan) -> None:
        self._shown = False
        if not slot.streams or slot.done or frame.name is None:
            return
        if frame.waiting is not None:
            self._arrive(frame)
        if frame.visible:
            self._shown = True
            self._change(frame, "")

    def _end_string(self, frame: Frame, string: str, *, is_new: bool = False) -> None:
        """End a string; one that is new has not been shown."""
        slot = frame.slot
        value: Any = string
        if slot.string is not None:
            value = slot.string(string)
        if slot.wrap is not None:
            value = slot.wrap(value)
        self._store(frame, value, changed=is_new or slot.done or not slot.streams)

    def _escape(self, text: str, pos: int) -> int:
        """Take a run that begins with an escape; returns where it ends, or `pos` if it needs more text."""
        match = _ESCAPES(text, pos)
        if match is not None:
            piece = scanstring(match[0] + '"', 0, False)[0]  # noqa: FBT003
            pos = match.end()
        elif _ESCAPE_OPEN(text, pos) is not None:
            return pos
        elif _LONE(text, pos) is not None:
            piece = "\ufffd"
            pos += 6
        else:
            raise self._fault(f"invalid escape: {text[pos : pos + 6]!r}", pos)
        self._parts.append(piece)
        if self._shown:
            self._dirty = True
        return pos

    # ------------------------------------------------------------------ numbers, true, false, null

    def _token(self, frame: Frame, text: str, pos: int, char: str) -> int:  # noqa: C901  one case per kind
        """Take a number or a literal; returns where it ends, or `pos` if it needs more text."""
        if char in _NUMERIC and not text.startswith("-I", pos):
            number = NUMBER(text, pos)
            if number is not None:
                end = number.end()
                if end < len(text) and text[end] in _DELIMITERS:
                    self._begin_token(frame)
                    self._token_begun = False
                    self._end_number(frame, number)
                    return end
            if _NUMBER_OPEN(text, pos) is None:
                raise self._fault("no number", number.end() if number else pos)
            self._check_digits(text[pos:])
            self._begin_token(frame)
            return pos
        word, value = _MINUS_INFINITY if char == "-" else _WORDS.get(char, ("", None))
        if not word:
            raise self._fault(f"expected a value, found {_named(char)}", pos)
        if text.startswith(word, pos):
            self._begin_token(frame)
            self._token_begun = False
            slot = frame.slot
            if value is not None:
                if slot.scalar is not None:
                    value = slot.scalar(value)
                if slot.wrap is not None:
                    value = slot.wrap(value)
            self._store(frame, value, changed=True)
            return pos + len(word)
        if not word.startswith(text[pos:]):
            raise self._fault(f"expected {word!r}" + (", found Python's None for null" if char == "N" else ""), pos)
        self._begin_token(frame)
        return pos

    def _begin_token(self, frame: Frame) -> None:
        if not self._token_begun:
            self._token_begun = True
            if self._events is not None or frame.slot.with_state:
                self._begin(frame)

    def _end_number(self, frame: Frame, number: re.Match[str]) -> None:
        token = number[0]
        self._check_digits(token)
        value: Any = float(token) if number[1] else int(token)
        slot = frame.slot
        if slot.scalar is not None:
            value = slot.scalar(value)
        if slot.wrap is not None:
            value = slot.wrap(value)
        self._store(frame, value, changed=True)

    def _check_digits(self, token: str) -> None:
        if len(token) > _MAX_DIGITS and sum(map(token.count, "0123456789")) > _MAX_DIGITS:
            raise self._refuse(LimitExceeded("digits", _MAX_DIGITS))

    # ------------------------------------------------------------------ faults

    def _fault(self, message: str, pos: int) -> InvalidJSON:
        offset = self._base + pos
        self.error = InvalidJSON(f"invalid JSON at offset {offset}: {message}", offset)
        return self.error

    def _refuse(self, error: LimitExceeded) -> LimitExceeded:
        self.error = error
        return error

    def _check_items(self, frame: Frame) -> None:
        """Refuse an item beyond the limit as it begins."""
        allowed = self._max_items
        if allowed is not None and frame.path is not ROOT_PATH and len(frame.data) + frame.dropped >= allowed:
            raise self._refuse(LimitExceeded("max_items", allowed))


def _named(char: str) -> str:
    """Describe an invalid character, and the mistake that it usually is."""
    return _MISTAKES.get(char, repr(char))
