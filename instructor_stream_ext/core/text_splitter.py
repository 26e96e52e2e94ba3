"""Plain text in pieces of a reader's size: words, sentences, lines. The pieces joined are the text.

Words and sentences follow Unicode's text segmentation (UAX #29), from the character properties of the `regex` package,
which instructor brings. A piece keeps the spaces after it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from instructor_stream_ext.core.errors import StreamMisuse

__all__ = ["By", "Pieces"]

Named: TypeAlias = Literal["delta", "word", "sentence", "line"]
By: TypeAlias = Named | re.Pattern[str] | Callable[[str], int]
"""What a piece is: one of the names; a compiled pattern, after whose matches a piece ends; or a function that is given
the text of which no piece has been made yet and says how many of its characters are a whole piece, 0 for none."""

_RUN = 100
"""After this many characters without a space a piece ends anyway. What may still become a border adds fewer than 100,
so text without spaces is never held back for more than 200 characters.
"""

_MARKS = r"[\p{Sentence_Break=Extend}\p{Sentence_Break=Format}]{0,4}+"
_STERM, _ATERM = r"\p{Sentence_Break=STerm}", r"\p{Sentence_Break=ATerm}"
_CASED = r"[\p{Sentence_Break=Upper}\p{Sentence_Break=Lower}]"
# An opening mark, which UAX #29 takes for a closing one, begins the next sentence here.
_AFTER = (
    rf"(?:(?![\p{{Ps}}\p{{Pi}}])\p{{Sentence_Break=Close}}{_MARKS}){{0,8}}+(?:\p{{Sentence_Break=Sp}}{_MARKS}){{0,8}}+"
)
_SEPARATOR = r"(?:\r\n|\n|\p{Sentence_Break=Sep}|\r(?=[^\n]))"
_GOES_ON = rf"(?=[^\r])(?!{_STERM}|{_ATERM}|\p{{Sentence_Break=SContinue}})"
_DECIDES = rf"[\p{{Sentence_Break=OLetter}}\p{{Sentence_Break=Upper}}\p{{Sentence_Break=Sep}}\r\n{_STERM}{_ATERM}]"
_UNDECIDED = rf"[^\p{{Sentence_Break=Lower}}{_DECIDES[1:-1]}]"
_NOT_LOWER = rf"(?={_UNDECIDED}{{0,50}}+{_DECIDES}|{_UNDECIDED}{{51}})"
_SENTENCE = (
    rf"{_STERM}{_MARKS}{_AFTER}(?:{_SEPARATOR}|{_GOES_ON})"  # SB8a to SB11
    rf"|{_ATERM}{_MARKS}(?!\p{{Sentence_Break=Numeric}})"  # SB6
    rf"(?!(?<={_CASED}{_MARKS}{_ATERM}{_MARKS})\p{{Sentence_Break=Upper}})"  # SB7
    rf"{_AFTER}(?:{_SEPARATOR}|{_GOES_ON}{_NOT_LOWER})"  # SB8 to SB11
    rf"|{_SEPARATOR}"  # SB4
)
_SENTENCE_MAY_END = (
    rf"(?:{_CASED}{_MARKS})?(?:{_STERM}{_MARKS}{_AFTER}|{_ATERM}{_MARKS}{_AFTER}{_UNDECIDED}{{0,50}}+)\r?\Z"
    rf"|{_CASED}{_MARKS}\Z|\r\Z"
)

_NO_SPACES = (
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}"
    r"\p{Script=Myanmar}]"
)
_KATAKANA = r"\p{Word_Break=Katakana}"
_OPENS = r"[\p{Ps}\p{Pi}]"
_MARK = r"\p{M}{0,4}+"
# UAX #29 breaks between any two letters of these scripts (WB999) but for a run of katakana (WB13).
_WORD = (
    r"\s(?=\S)"
    rf"|(?<=[^\s\p{{Ps}}\p{{Pi}}])(?<!{_KATAKANA}{_MARK})(?={_NO_SPACES})(?!\p{{M}})"
    rf"|(?<={_KATAKANA}{_MARK})(?={_NO_SPACES})(?!{_KATAKANA}|\p{{M}})"
    rf"|(?<={_NO_SPACES}{_MARK})(?!{_NO_SPACES}|{_KATAKANA}|\p{{M}})(?=\w|{_OPENS})"
)
_WORD_MAY_END = rf"\s\Z|\S{_MARK}\Z"


class _Borders(NamedTuple):
    """Where pieces end.

    Attributes:
        border: A piece ends after a match.
        may_come: Matches the end of a text that may become, or decide, a border once more has come.
    """

    border: Any
    may_come: Any


@functools.cache
def _borders(by: Named) -> _Borders:
    import regex

    if by == "line":
        return _Borders(regex.compile("\n"), regex.compile(r"(?!)"))
    border, may_come = (_WORD, _WORD_MAY_END) if by == "word" else (_SENTENCE, _SENTENCE_MAY_END)
    return _Borders(regex.compile(border, regex.V0), regex.compile(may_come, regex.V0))


class Pieces:
    """Cuts text that arrives in deltas. Except with `by="delta"`, the deltas' borders make no difference.

    Args:
        by: What a piece is. A word or sentence has its spaces after it, a line its newline.
        buffer: How many of them are given at a time.

    Raises:
        StreamMisuse: `by` is unknown, or `buffer` is less than 1.
    """

    def __init__(self, by: By = "delta", buffer: int = 1) -> None:
        self._cut: Callable[[str], int] | None = None
        if isinstance(by, str):
            if by not in get_args(Named):
                raise StreamMisuse(
                    f"by={by!r}: must be one of {', '.join(get_args(Named))}, or a pattern or a function"
                )
        elif isinstance(by, re.Pattern):
            self._cut = functools.partial(_end_of_match, by)
        elif callable(by):
            self._cut = by
        else:
            raise StreamMisuse(f"by={by!r}: must be a name, a compiled pattern of str or a function")
        if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 1:  # type: ignore[redundant-expr]
            raise StreamMisuse(f"buffer={buffer!r}: must be a number of pieces, at least 1")
        self._by = by
        self._buffer = buffer
        self.clear()

    def clear(self) -> None:
        """Start over; text that is held back is dropped."""
        self._held: list[str] = []
        self._count = 0
        self._tail = ""
        self._run = 0
        self._is_open = False

    def feed(self, delta: str) -> list[str]:
        """Take a delta, and return the pieces that are complete."""
        given: list[str] = []
        if self._cut is not None:
            self._feed_by(self._cut, delta, given)
        elif self._by == "delta":
            if delta:
                self._end_piece(delta, given)
        else:
            self._feed_named(delta, given)
        return given

    def _feed_by(self, cut: Callable[[str], int], delta: str, given: list[str]) -> None:
        rest = self._tail + delta
        while rest and (size := cut(rest)) > 0:
            self._end_piece(rest[:size], given)
            rest = rest[size:]
        self._tail = rest

    def _feed_named(self, delta: str, given: list[str]) -> None:
        borders = _borders(self._by)
        window, begin = self._tail + delta, 0
        for border in borders.border.finditer(window):
            end = border.end()
            if end > begin or self._is_open:  # else a border without width, right after the one before
                self._keep(window[begin:end], given)
                self._end_piece("", given)
                begin = end
        rest = window[begin:]
        may_come = borders.may_come.search(rest)
        keep = may_come.start() if may_come else len(rest)
        self._keep(rest[:keep], given)
        self._tail = rest[keep:]

    def finish(self) -> list[str]:
        """Return what is left."""
        rest = "".join(self._held) + self._tail
        self.clear()
        return [rest] if rest else []

    def _keep(self, text: str, given: list[str]) -> None:
        """Append text to the open piece, which ends if it goes on for too long without a space."""
        if self._by == "line":
            self._hold(text)
            return
        while text:
            last = max((at for at, char in enumerate(text[: _RUN - self._run]) if char.isspace()), default=-1)
            if last >= 0:
                self._hold(text[: last + 1])
                text, self._run = text[last + 1 :], 0
            elif self._run + len(text) <= _RUN:
                self._hold(text)
                self._run += len(text)
                return
            else:
                size = _RUN - self._run
                self._hold(text[:size])
                self._end_piece("", given)
                text = text[size:]

    def _hold(self, text: str) -> None:
        if text:
            self._held.append(text)
            self._is_open = True

    def _end_piece(self, end_of_piece: str, given: list[str]) -> None:
        if end_of_piece:
            self._held.append(end_of_piece)
        self._count += 1
        self._run = 0
        self._is_open = False
        if self._count == self._buffer:
            given.append("".join(self._held))
            self._held.clear()
            self._count = 0


def _end_of_match(pattern: re.Pattern[str], text: str) -> int:
    """Return the end of the first match with text after it: a match at the very end may continue."""
    for match in pattern.finditer(text):
        if 0 < match.end() < len(text):
            return match.end()
    return 0
