"""JSON text in, typed values and the open path out: in one pass, however the text is cut.

`feed` is O(1). `advance` looks at each character once. The scanner finds the document in the text around it; below it
lie the object that instructor puts around some answers (:mod:`.enveloped`), the pass over the characters
(:mod:`.tokens`) and the values that come of it (:mod:`.tree`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from instructor_stream_ext.core.document.enveloped import FOLD, Enveloped, folded
from instructor_stream_ext.core.document.frames import FieldChanged
from instructor_stream_ext.core.document.search import Found, StartFinder
from instructor_stream_ext.core.document.tokens import DONE, KEY_STRING, LOST, NUMBER, SPACES, START, STRING, VALUE
from instructor_stream_ext.core.errors import InvalidJSON
from instructor_stream_ext.core.events import FieldState

if TYPE_CHECKING:
    from instructor_stream_ext.core.document.reasoning import Tags
    from instructor_stream_ext.core.types.response import Plan

__all__ = ["Drafted", "Scanner"]

_SURROGATE = re.compile("[\ud800-\udfff]").search
_EMPTY_OBJECT = re.compile(r"\{\s*\}\Z").match


class Drafted(Exception):
    """All that was scanned so far was a draft or an example. The scanner has started over: advance it again."""


class Scanner(Enveloped):
    """The state machine. `PartialParser` adds what is shown.

    Args:
        plan: The compiled response type.
        search: Look for the document in the text; otherwise the text is the document.
        patient: Treat a document that opens the text and is not JSON as a fault only if no other follows, as in prose.
        exact: Nothing else may follow the document in the text.
        max_depth: Open containers at most.
        max_items: Items in one array at most.
        transitions: Note what starts and ends.
        tags: What ends reasoning in the text; the tags of the known families if None.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        search: bool = False,
        patient: bool = False,
        exact: bool = False,
        max_depth: int = 128,
        max_items: int | None = None,
        transitions: bool = False,
        tags: Tags | None = None,
    ) -> None:
        self.search = search
        self._patient = patient
        self._exact = exact
        self.void_end = 0
        self.pending_chars = 0  # fed and not scanned yet; those of an incomplete token count as scanned
        self._finder = StartFinder(plan, tags) if search else None
        self.in_prose = False
        self._spoilt: InvalidJSON | None = None
        self._earlier: tuple[str, int] | None = None
        self._half = ""  # a high surrogate that came without its low one
        self._pending: list[str] = []
        super().__init__(plan, max_depth=max_depth, max_items=max_items, transitions=transitions)

    def _fresh(self) -> None:
        super()._fresh()
        self._lost: InvalidJSON | None = None
        self._parts_fold = FOLD
        self._again = 0
        self._is_over = False

    # ------------------------------------------------------------------ text in

    def feed(self, text: str) -> None:
        """Take text without looking at it. O(1)."""
        pending = self._pending
        pending.append(text)
        self.pending_chars += len(text)
        if len(pending) > FOLD:
            pending[:] = ["".join(pending)]

    def advance(self) -> bool:
        """Scan what was fed.

        Returns:
            Whether a snapshot would differ from the last.

        Raises:
            InvalidJSON: No continuation can make the text valid. Raised again by each later call.
            LimitExceeded: Too deep, too many items, or a number of too many digits. Likewise.
        """
        pending = self._pending
        if self.error is not None:
            pending.clear()
            self.pending_chars = 0
            raise self.error
        if not pending:
            return self._dirty or self._noted
        text = pending[0] if len(pending) == 1 else "".join(pending)
        pending.clear()
        self.pending_chars = 0
        self._take_in(text)
        return self._dirty or self._noted

    def _take_in(self, text: str) -> None:  # noqa: C901  the hot path
        """Scan text that directly follows what was scanned before."""
        if self._half or not (text.isascii() or _SURROGATE(text) is None):
            text = self._glue(text)
        state = self._state
        if not text:
            return
        if state < START:
            kept = self._kept
            kept.append(text)
            if len(kept) > self._kept_fold:
                self._kept_fold = folded(kept, self._kept_fold)
            if state == STRING and '"' not in text and "\\" not in text and not self._tail:
                # Most of a long answer is this: text within a string.
                parts = self._parts
                parts.append(text)
                self._base += len(text)
                if len(parts) > self._parts_fold:
                    self._parts_fold = folded(parts, self._parts_fold)
                if self._shown:
                    self._dirty = True
                return
            if self._tail:
                text = self._tail + text
                self._tail = ""
            self._scan_document(text)
        elif self._finder is not None:
            self._scan_document(self._look(self._tail + text, self._finder))
        elif state == START:
            self._scan_document(self._start(self._tail + text))
        elif self._exact:
            self._scan_document(self._beyond(text))

    def finish(self) -> bool:
        """Note that no more text follows.

        Returns:
            Whether the document is complete: a number that is the whole document is, only now.

        Raises:
            InvalidJSON: As `advance`; an incomplete document is no fault.
            LimitExceeded: As `advance`.
        """
        self.advance()
        if self._spoilt is not None:
            raise self._spoilt
        if self._again:
            raise self._surplus()
        root = self._stack[0]
        if self._tail and self._frame is root and self._state == VALUE:
            number = NUMBER(self._tail)
            if number is not None and number.end() == len(self._tail):
                self._base += len(self._tail)
                self._tail = ""
                self._end_number(root, number)
                self._close_document(0)
        if self._row is not None and self.complete and not self._is_over:
            self._is_over = True
            if self._events is not None:
                self._events.append(
                    FieldChanged((), FieldState.STREAMING, FieldState.COMPLETE, "field", list(root.data))
                )
        return self.complete

    def read_past(self) -> None:
        """Take the rest of the text without scanning it; `finish` raises the fault that was found."""
        if isinstance(self.error, InvalidJSON):
            self._spoilt, self.error = self.error, None
            self._finder, self._exact, self._state = None, False, LOST
            self._tail = ""

    def read_document_only(self) -> None:
        """Take the text as the document, and ignore what follows it."""
        self.search, self._finder, self._exact = False, None, False

    @property
    def may_be_placeholder(self) -> bool:
        """True if the document is an empty object, after which the real one may follow."""
        return self.complete and _EMPTY_OBJECT(self.around_text()) is not None

    @property
    def is_within_string(self) -> bool:
        """True if the scanned text ends inside a string or a key."""
        return self._state in (STRING, KEY_STRING)

    def _glue(self, text: str) -> str:
        """Join surrogate pairs that a provider cut in two; a lone half becomes U+FFFD."""
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    # ------------------------------------------------------------------ the document begins and ends

    def _start(self, text: str) -> str:
        """Begin the document at the first character that is not white space; returns the text to scan."""
        spaces = SPACES(text)
        pos = spaces.end() if spaces else 0
        self._base += pos
        if pos == len(text):
            self._tail = ""
            return ""
        return self._begin_document(text[pos:])

    def _look(self, text: str, finder: StartFinder) -> str:  # noqa: C901  one case per thing that can be found
        """Look for a document where none is open: before the first, or after one that is closed or not JSON.

        Returns:
            The text to scan.
        """
        self._tail = ""
        while True:
            found, pos = finder.find(text, self._base)
            self._base += pos
            if self._row is not None:
                self._between = self._between[-2:] + text[:pos]
                self._is_fenced |= "```" in self._between
            text = text[pos:]
            if found is Found.NOTHING:
                self._tail = text
                return ""
            if found is Found.START and not self.begun:
                self.in_prose = finder.passed
                return self._begin_document(text)
            if found is Found.START and self._is_next_item(text):
                return self._begin_item(text)
            lost = None
            if found is Found.VOID:
                if self._lost is not None and self._base <= self._lost.offset:
                    lost = self._lost  # the tag stood in one of its strings, so it may still be what is wrong
                self.void_end = self._base
                self._earlier = None
                finder.again = False
            elif self.complete:
                self._earlier = (self.around_text(), self.json_start)
                finder.again = True
            finder.passed = True
            if self.begun:
                self._fresh()
                self._lost = lost
                if self._events:
                    self._events = []  # of the draft, which is void
                text, self._half = text + self._half, ""  # it came behind
                self._pending.insert(0, text)
                self.pending_chars += len(text)
                raise Drafted

    def _begin_document(self, text: str) -> str:
        self._tail = ""
        self.json_start = self._base
        self.begun = True
        self._lost = None
        self._state = VALUE
        envelope = None if self._is_bare else self.plan.envelope
        if text[0] not in self.plan.openers and not self._is_bare and (envelope or self.plan.kind != "any"):
            self._frame.visible = False  # of another kind than the type, which validation will say
        self._frame.known = envelope is None or text[0] != "{"
        self._kept.append(text)
        return text

    def _scan_document(self, text: str) -> None:
        """Scan inside the document; what is not JSON may be a draft whose end is still to come.

        It is looked at once more from its beginning: the tag, or the fence, that ends a draft may stand in a string
        that was never closed.
        """
        finder = self._finder
        while text:
            try:
                rest = self._pass(text)
                if self._state == DONE:
                    self._close_document(len(rest))
            except InvalidJSON as fault:
                opened_tag = self.plan.openers[0] == "[" and fault.offset == self.json_start + 1
                if finder is None or not (self.in_prose or self._patient or opened_tag):
                    raise
                self.error = None
                self._lost = fault
                self._state = LOST
                rest = self._tail
                if self._row is None:  # else the items before it stand
                    rest = self.around_text()
                    self._base = self.json_start
                self._kept.clear()
                if not rest.startswith("{{"):  # as in a template, where the inner brace begins the document
                    finder.lose()
                text = self._look(rest, finder)
            else:
                text = self._behind(rest, finder) if rest else ""

    def _behind(self, text: str, finder: StartFinder | None) -> str:
        """Take what follows the document in the same text; returns the text to scan."""
        if finder is not None:
            return self._look(text, finder)
        return self._beyond(text) if self._exact else ""

    @property
    def lost(self) -> InvalidJSON | None:
        """The fault of a document that is not JSON, while no other has begun."""
        if self._finder is not None and self._finder.reasoning and self._finder.reasoning[-1][0] == self.json_start:
            return None  # it was no document but a tag, such as [THINK]
        return self._lost

    def _close_document(self, surplus: int) -> None:
        """End the document where this many characters of the text are left."""
        self._state = DONE
        self.complete = True
        self._between, self._is_fenced = "", False
        last = self.around_text() if self._row is None else self._kept[-1]  # many items are not joined for each
        self._kept[-1] = last[: len(last) - surplus]

    def fall_back(self) -> bool:
        """Return to the last document that was closed, where a later one was never closed.

        Returns:
            Whether there is one; it is to be scanned anew.
        """
        if self.complete or self._earlier is None:
            return False
        document, start = self._earlier
        self._fresh()
        self._earlier = self._finder = None
        self._base = start
        self._pending[:] = [document]
        self.pending_chars = len(document)
        return True

    def candidates(self, text: str) -> str:
        """Return the text in which a document may stand unseen: after what is void, and outside reasoning."""
        parts, at = [], self.void_end
        for begin, end in [] if self._finder is None else self._finder.reasoning:
            if begin >= at:
                parts.append(text[at:begin])
                at = end
        if self._finder is None or not self._finder.thinking:
            parts.append(text[at:])
        return "\n".join(parts)

    def _beyond(self, text: str) -> str:
        """Take what follows the document, where the text should hold nothing else.

        An empty object with another behind it was a placeholder: gateways to Gemini send `{}` and then the arguments.
        The same document once more, which some servers send, says nothing new. Items may come one after another. All
        else is a fault.

        Returns:
            The text to scan.
        """
        if self._row is not None:
            return self._next_item(text)
        document = self.around_text()
        pos, size = 0, len(text)
        while pos < size:
            if not self._again:
                spaces = SPACES(text, pos)
                pos = spaces.end() if spaces else pos
                if pos == size:
                    break
                if text[pos] == "{" and _EMPTY_OBJECT(document) is not None:
                    self._base += pos
                    self._fresh()
                    return self._start(text[pos:])
                self._after_at = self._base + pos
            piece = text[pos : pos + len(document) - self._again]
            if not document.startswith(piece, self._again):
                raise self._surplus()
            pos += len(piece)
            self._again = (self._again + len(piece)) % len(document)
        self._base += size
        return ""
