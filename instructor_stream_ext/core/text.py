"""A model's text, made complete and safe to show: surrogate halves joined, control characters visible."""

from __future__ import annotations

import re

__all__ = ["SURROGATE", "SurrogateJoiner", "joined", "visible"]

SURROGATE = re.compile("[\ud800-\udfff]")

# C0 and C1 controls and DEL, which a terminal obeys (ECMA-48); lone surrogates, which nothing can print; and what
# misleads a reader without being seen: Unicode's bidirectional controls and its two line separators.
_UNSEEN = "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
_IN_LINES = re.compile(f"[{_UNSEEN}]")
_IN_A_LINE = re.compile(f"[{_UNSEEN}\t\n]")


def joined(text: str) -> str:
    """Return the text with surrogate pairs joined and lone surrogates replaced by U+FFFD."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    r"""Joins the halves of a surrogate pair that come in two deltas, as JSON's `"\ud83d"` and `"\ude00"` do."""

    __slots__ = ("half",)

    def __init__(self) -> None:
        self.half = ""

    def take(self, text: str) -> str:
        """Take a delta. A first half at its end waits for the second, so the result may be empty."""
        if not self.half and (text.isascii() or not SURROGATE.search(text)):
            return text
        text = self.half + text
        waits = "\ud800" <= text[-1:] <= "\udbff"
        self.half = text[-1] if waits else ""
        return joined(text[:-1] if waits else text)

    def rest(self) -> str:
        """Return U+FFFD for a half whose other half never came, else ""."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""


def visible(text: str, *, lines: bool = True) -> str:
    r"""Return the text with control characters as escapes such as `\x1b`, so that no terminal or log obeys them.

    Args:
        text: What a model or a provider sent.
        lines: Whether newlines and tabs may stay; False for text that has to be one line.
    """
    return (_IN_LINES if lines else _IN_A_LINE).sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]
