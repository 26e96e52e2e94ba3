"""The object that instructor wraps around a list, a scalar or a union, as the scanner reads it.

Paths and partials begin at the document within. Of a list more shapes are taken, see :class:`Envelope`.
"""

from __future__ import annotations

import json
import re
from typing import Final

from instructor_stream_ext.core.document.frames import FieldChanged, Frame
from instructor_stream_ext.core.document.tokens import SPACE, VALUE, Tokens
from instructor_stream_ext.core.document.tree import MISSING, ROOT_PATH, STREAMING
from instructor_stream_ext.core.errors import InvalidJSON

__all__ = ["FOLD", "Enveloped", "folded"]

FOLD: Final = 1024
"""Pieces of text that are kept apart before they are joined into one."""

_BEFORE_VALUE = re.compile(r"[ \t\n\r:]*").match
_VALUE_IN = json.JSONDecoder(strict=False).raw_decode
_BETWEEN_ITEMS: Final = " \t\n\r,"
_NAMED_KEYS: Final = 5


class Enveloped(Tokens):
    """The text of the document, and where in it the envelope ends and the document begins."""

    json_start = 0  # where in the text the newest document begins; kept while another is looked for

    def _fresh(self) -> None:
        super()._fresh()
        self.begun = self.complete = False
        self._kept: list[str] = []
        self._kept_fold = FOLD
        self._after_at = 0
        self._starts = [0]  # where in the JSON the document begins, after each key that it came under
        self._is_named = False  # under its own key
        self._is_bare = False  # the text is the document, without an envelope
        self._is_followed = False  # other keys of the envelope came behind it
        self._others: list[str] = []  # its other keys
        self._value_at = 0
        self._row: Frame | None = None  # the list of items that come without one around them
        self._between = ""
        self._is_fenced = False

    def expect_document(self) -> None:
        """Expect text as `json_text` returned it, without an envelope. Call it before the first text."""
        self._is_bare = True
        self._stack[0].slot = self.plan.root

    def json_text(self) -> str:
        """Return the document as far as it was scanned, without its envelope."""
        if self._is_blank:
            return "[]"
        whole = self.around_text()
        if self._row is not None:
            return whole + "]" if self.complete else whole
        if not self._is_inner:
            return whole
        begin = _BEFORE_VALUE(whole, self._starts[-1]).end()  # type: ignore[union-attr]
        if not self.complete:
            return whole[begin:]
        if self._is_followed:
            return whole[begin : _VALUE_IN(whole, begin)[1]]
        return whole[begin:-1].rstrip(SPACE)

    def around_text(self) -> str:
        """Return the document as far as it was scanned, with its envelope."""
        kept = self._kept
        if len(kept) > 1:
            whole = kept[0]
            rest = "".join(kept[1:])
            kept.clear()
            whole += rest  # grown in place, as nobody else holds it: asking again and again stays linear
            kept.append(whole)
            self._kept_fold = FOLD
        return kept[0] if kept else ""

    @property
    def listing(self) -> tuple[str, list[int]]:
        """Return the JSON as far as it was scanned, and the offset of each place at which the list begins."""
        return self.around_text(), self._starts

    @property
    def lacks(self) -> str:
        """Return the keys that the envelope has in place of the document's; empty if the document is there."""
        envelope = self.plan.envelope
        if envelope is None or not self.complete or self._is_inner or self._is_blank or self._is_bare or self._row:
            return ""
        wanted = "list" if envelope.is_list else repr(envelope.key)
        if self.around_text()[:1] != "{":
            return "" if envelope.is_list else f"no {wanted} in the answer, only a value that is not an object"
        only = ", ".join(map(repr, self._others)) or "an empty object"
        return f"no {wanted} in the answer, only {only}"

    @property
    def _is_inner(self) -> bool:
        """True if the document inside the envelope has begun."""
        return len(self._starts) > 1

    @property
    def _is_blank(self) -> bool:
        """True if the envelope is empty and closed, which stands for an empty list."""
        envelope = self.plan.envelope
        if envelope is None or not envelope.optional or not self.complete:
            return False
        return not (self._is_inner or self._others or self._row) and self.around_text()[0] == "{"

    # ------------------------------------------------------------------ the object's keys

    def _open_list(self, parent: Frame) -> Frame:
        if parent.name is None and parent.plan is self.plan.envelope:
            self._take_list(parent)
        return super()._open_list(parent)

    def _narrow(self, frame: Frame, key: str) -> None:
        if frame.plan is self.plan.envelope:
            self._look_inside(frame, key)
        else:
            super()._narrow(frame, key)

    def _look_inside(self, frame: Frame, key: str) -> None:
        """Take a key of the outer object: the document's, an item's own, or one to skip."""
        envelope = self.plan.envelope
        assert envelope is not None  # noqa: S101
        frame.path, frame.known = ROOT_PATH, True
        self._value_at = self._base + self._key_end
        if key == envelope.key:
            self._is_named = True
            self._begin_inner()
        elif not self._is_inner and envelope.is_of_item(key):
            self._begin_row(frame)
            if frame.left is not None:
                self._narrow(frame, key)
        else:
            self._is_followed = self._is_inner
            if len(self._others) < _NAMED_KEYS:
                self._others.append(key)

    def _begin_inner(self) -> None:
        """Take what follows as the document."""
        self._starts.append(self._value_at - self.json_start)
        self._is_followed = False

    def _take_list(self, frame: Frame) -> None:
        """Take a list under an unknown key as the document, unless another list with items was found before."""
        envelope = self.plan.envelope
        assert envelope is not None  # noqa: S101
        key = envelope.key
        if envelope.is_list and not self._is_named and not frame.data.get(key):
            frame.name = frame.key = key
            frame.slot = envelope.inner
            self._begin_inner()

    # ------------------------------------------------------------------ items without a list around them

    def _begin_row(self, frame: Frame) -> None:
        """Take the object as an item of a list without an envelope."""
        root = self._stack[0]
        seq = self.plan.root.seq
        root.plan, root.slot, root.path, root.known = seq, seq.item, (), True
        self._row = root
        if self._events is not None:
            self._events.append(FieldChanged((), MISSING, STREAMING))
        self._stack.pop()
        frame.become(self._open_object(root))
        self._stack[-1] = self._frame = frame
        self._kept[:] = ["[" + self.around_text()]

    def _next_item(self, text: str) -> str:
        """Take what follows an item in a text that consists of items only; returns the text to scan."""
        rest = text.lstrip(_BETWEEN_ITEMS)
        self._base += len(text) - len(rest)
        if not rest:
            return ""
        if rest[0] == "{":
            return self._begin_item(rest)
        self._after_at = self._base
        raise self._surplus()

    def _is_next_item(self, text: str) -> bool:
        """Return whether an object after an item is the next item, rather than the answer after a draft."""
        envelope = self.plan.envelope
        if self._row is None or envelope is None or not self.complete or self._is_fenced:
            return False
        return text[0] == "{" and not envelope.opens(text)

    def _begin_item(self, text: str) -> str:
        root = self._stack[0]
        self.complete = False
        self._state = VALUE
        self._check_items(root)
        self._kept += (",", text)
        return text

    def _surplus(self) -> InvalidJSON:
        """Return the fault of text that continues after the document."""
        return self._fault("the document is closed, and other text follows", self._after_at - self._base)


def folded(pieces: list[str], fold_at: int) -> int:
    """Join the newest pieces into one; returns at which count to do so again."""
    blocks = fold_at - FOLD
    pieces[blocks:] = ["".join(pieces[blocks:])]
    return fold_at + 1
