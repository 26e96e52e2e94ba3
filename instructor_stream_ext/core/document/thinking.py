"""Reasoning that a model writes into its text, between tags at the beginning."""

from __future__ import annotations

from instructor_stream_ext.core.document.reasoning import Tags
from instructor_stream_ext.core.text_buffer import TextBuffer

__all__ = ["Thinking", "opens_with_thought", "thought_in"]


class Thinking:
    """Tells reasoning from the answer while the text arrives.

    Args:
        tags: The tags to look for.
    """

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._held = ""
        self._inside = False
        self._over = False

    def feed(self, text: str) -> str:
        """Take text; returns the reasoning known now, "" if none. What may be half a tag waits for more."""
        if self._over:
            return ""
        self._held += text
        if not self._inside and not self._enter():
            return ""
        close = self._tags.close.search(self._held)
        if close is not None:
            told, self._held, self._over = self._held[: close.start()], "", True
            return told
        keep = min(len(self._held), self._tags.longest)
        at = min((place for mark in "<[◁" if (place := self._held.find(mark, len(self._held) - keep)) >= 0), default=-1)
        at = len(self._held) if at < 0 else at
        told, self._held = self._held[:at], self._held[at:]
        return told

    def finish(self) -> str:
        """Return what was held back, now that the text has ended."""
        told, self._held, self._over = self._held if self._inside else "", "", True
        return told

    def _enter(self) -> bool:
        """Return whether the text begins with an opening tag, as far as can be told."""
        begun = self._held.lstrip()
        opened = self._tags.opening.match(begun)
        if opened is not None:
            self._inside, self._held = True, begun[opened.end() :]
            return True
        if begun and (begun[0] not in "<[◁" or len(begun) >= self._tags.longest):
            self._over, self._held = True, ""
        return False


def thought_in(text: str, tags: Tags) -> str:
    """Return the reasoning at the beginning of a text, as far as it has arrived."""
    thinking = Thinking(tags)
    return thinking.feed(text) + thinking.finish()


def opens_with_thought(text: TextBuffer, tags: Tags) -> bool:
    """Return whether a text begins with an opening tag."""
    return tags.opening.match(text.head(_BLANK + tags.longest).lstrip()) is not None


_BLANK = 64
"""Characters of white space that may precede a tag."""
