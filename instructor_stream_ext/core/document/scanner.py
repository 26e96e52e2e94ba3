"""JSON text in, typed values and the open path out: one pass, whatever the cuts.

`feed` is O(1). `advance` looks at each character once: runs are taken by regular expressions, an incomplete token at
the end of the text (an escape, a number, a literal) is kept as a short tail, and an explicit stack of frames stands in
for recursion. A value is converted when it ends and entered in its parent's frame; when a container ends, what its
frame held *is* the value, and nothing touches it again.
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Final

from instructor_stream_ext.core.document.frames import FieldChanged, Frame, ItemDone
from instructor_stream_ext.core.document.search import Found, StartFinder
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded
from instructor_stream_ext.core.events import FieldState, Path
from instructor_stream_ext.core.markers import Streamed
from instructor_stream_ext.core.types.plan import ANYTHING, ObjectPlan, ValuePlan, choose, lookup, put

if TYPE_CHECKING:
    from instructor_stream_ext.core.document.reasoning import Tags
    from instructor_stream_ext.core.errors import StreamError
    from instructor_stream_ext.core.types.response import Plan

__all__ = ["Drafted", "FieldChanged", "Frame", "ItemDone", "Scanner"]

# What the scanner expects next. The first two are inside a string, so that one comparison tells.
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
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)").match
_NUMBER_OPEN = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.(?:[0-9]+(?:[eE][-+]?[0-9]*)?)?|[eE][-+]?[0-9]*)?)?\Z").match
_KEY_COLON = re.compile(r'[ \t\n\r]*"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*').match
_SPACES = re.compile(r"[ \t\n\r]+").match
_SURROGATE = re.compile("[\ud800-\udfff]").search

_SPACE: Final = " \t\n\r"
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
    "]": "']' behind a trailing comma",
    "}": "'}', after a comma or a colon that nothing follows",
    "T": "'T' (Python's True is true in JSON)",
    "F": "'F' (Python's False is false in JSON)",
    "/": "'/' (JSON has no comments)",
    "#": "'#' (JSON has no comments)",
}
"""What models commonly write in place of JSON, by the first character that is none."""
_EMPTY_OBJECT = re.compile(r"\{\s*\}\Z").match
_BEFORE_VALUE = re.compile(r"[ \t\n\r:]*").match
_VALUE_IN = json.JSONDecoder(strict=False).raw_decode
_BETWEEN_ITEMS: Final = " \t\n\r,"
_NAMED_KEYS: Final = 5
_FOLD: Final = 1024
"""Pieces of text kept apart before they are joined into one."""

_MISSING, _STREAMING, _COMPLETE = FieldState.MISSING, FieldState.STREAMING, FieldState.COMPLETE


class Drafted(Exception):
    """What was scanned so far was a draft or an example. The scanner has begun anew; scan on."""


class Scanner:
    """The state machine. See `PartialParser`, which adds what is shown.

    Args:
        plan: The compiled response type.
        search: Look for the document in the text; else it is the text.
        patient: A document that opens the text and is no JSON is a fault only when no other comes, as in prose.
        exact: Nothing else may follow the document in the text.
        max_depth: Open containers at most.
        max_items: Items in one array at most.
        transitions: Note what starts and ends.
        tags: What ends reasoning in the text; the known families' if None.
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
        self.plan = plan
        self.search = search
        self._patient = patient
        self._exact = exact
        self.json_start = 0
        self.begun = False
        self.complete = False
        self.error: StreamError | None = None
        self.void_end = 0
        self.pending_chars = 0  # fed and not scanned yet; those of an incomplete token count as scanned
        self._max_depth = max_depth
        self._max_items = max_items
        self._events: list[FieldChanged | ItemDone] | None = [] if transitions else None
        self._finder = StartFinder(plan, tags) if search else None
        self.in_prose = False
        self._spoilt: InvalidJSON | None = None
        self._earlier: tuple[str, int] | None = None
        self._cache: dict[Any, Any] = {}
        self._base = 0  # offset in the text of what is scanned next, the tail included
        self._half = ""  # a high surrogate that came without its low one
        self._pending: list[str] = []
        self._fresh()

    def _fresh(self) -> None:
        """Nothing is known of a document."""
        self.begun = self.complete = False
        self._lost: InvalidJSON | None = None
        root = Frame(None, [], is_list=True, known=True, visible=True)
        root.slot = self.plan.entry or self.plan.root
        root.path = _ROOT_PATH
        self._stack = [root]
        self._frame = root
        self._state = START
        self._tail = ""
        self._kept: list[str] = []
        self._kept_fold = _FOLD
        self._parts: list[str] = []
        self._parts_fold = _FOLD
        self._older = self._newer = self._lag = ""  # see PartialParser._open_string
        self._shown = False  # whether the open string is
        self._token_begun = False
        self._dirty = False
        self._noted = False  # something has arrived that looks like its stand-in
        self._after_at = 0
        self._again = 0
        self._rest = ""  # what came behind the document in the text that closed it
        self._starts = [0]  # where in the JSON the document begins, after each key that it came under
        self._is_named = False  # under its own key
        self._is_bare = False  # the text is the document, without an envelope
        self._is_followed = False  # other keys of the envelope came behind it
        self._others: list[str] = []  # its other keys
        self._key_end = self._value_at = 0
        self._row: Frame | None = None  # the list of items that come without one around them
        self._between = ""
        self._is_fenced = False
        self._is_over = False

    # ------------------------------------------------------------------ text in

    def feed(self, text: str) -> None:
        """Take text; nothing is looked at yet. O(1)."""
        pending = self._pending
        pending.append(text)
        self.pending_chars += len(text)
        if len(pending) > _FOLD:
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
        """Scan text right behind what was scanned before."""
        if self._half or not (text.isascii() or _SURROGATE(text) is None):
            text = self._glue(text)
        state = self._state
        if not text:
            return
        if state < START:
            kept = self._kept
            kept.append(text)
            if len(kept) > self._kept_fold:
                self._kept_fold = _fold(kept, self._kept_fold)
            if state == STRING and '"' not in text and "\\" not in text and not self._tail:
                # Most of a long answer is this: text within a string.
                parts = self._parts
                parts.append(text)
                self._base += len(text)
                if len(parts) > self._parts_fold:
                    self._parts_fold = _fold(parts, self._parts_fold)
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
        """Say that no more text comes.

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
            number = _NUMBER(self._tail)
            if number is not None and number.end() == len(self._tail):
                self._base += len(self._tail)
                self._tail = ""
                self._end_number(root, number)
                self._close_document(0)
        if self._row is not None and self.complete and not self._is_over:
            self._is_over = True
            if self._events is not None:
                self._events.append(FieldChanged((), _STREAMING, _COMPLETE, "field", list(root.data)))
        return self.complete

    def read_past(self) -> None:
        """Take the rest of the text without looking at it; `finish` raises the fault that was found."""
        if isinstance(self.error, InvalidJSON):
            self._spoilt, self.error = self.error, None
            self._finder, self._exact, self._state = None, False, LOST
            self._tail = ""

    def json_text(self) -> str:
        """The document as far as it was scanned, without what stands around it."""
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
        return whole[begin:-1].rstrip(_SPACE)

    @property
    def _is_inner(self) -> bool:
        """Whether the document within the envelope has begun."""
        return len(self._starts) > 1

    @property
    def _is_blank(self) -> bool:
        """Whether the envelope is empty and closed, which stands for an empty list."""
        envelope = self.plan.envelope
        if envelope is None or not envelope.optional or not self.complete:
            return False
        return not (self._is_inner or self._others or self._row) and self.around_text()[0] == "{"

    @property
    def listing(self) -> tuple[str, list[int]]:
        """The JSON as far as it was scanned, and where in it the list begins, each time that it came."""
        return self.around_text(), self._starts

    @property
    def lacks(self) -> str:
        """What the object around the document has in its place; empty if the document is there."""
        envelope = self.plan.envelope
        if envelope is None or not self.complete or self._is_inner or self._is_blank or self._is_bare or self._row:
            return ""
        wanted = "list" if envelope.is_list else repr(envelope.key)
        if self.around_text()[:1] != "{":
            return "" if envelope.is_list else f"no {wanted} in the answer, only a value that is no object"
        only = ", ".join(map(repr, self._others)) or "an empty object"
        return f"no {wanted} in the answer, only {only}"

    def around_text(self) -> str:
        """As `json_text`, with the object around the document."""
        kept = self._kept
        if len(kept) > 1:
            whole = kept[0]
            rest = "".join(kept[1:])
            kept.clear()
            whole += rest  # grown in place, as nobody else holds it: asking again and again stays linear
            kept.append(whole)
            self._kept_fold = _FOLD
        return kept[0] if kept else ""

    @property
    def transitions(self) -> bool:
        """Whether `drain` has anything to tell. Set before the first text."""
        return self._events is not None

    @transitions.setter
    def transitions(self, wanted: bool) -> None:
        self._events = [] if wanted else None

    def _glue(self, text: str) -> str:
        """Put together surrogate pairs that a provider cut in two; one that stays alone becomes U+FFFD."""
        text = self._half + text
        self._half = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    # ------------------------------------------------------------------ the document begins and ends

    def _start(self, text: str) -> str:
        """Begin the document at the first character that is no space; gives the text to scan."""
        spaces = _SPACES(text)
        pos = spaces.end() if spaces else 0
        self._base += pos
        if pos == len(text):
            self._tail = ""
            return ""
        return self._begin_document(text[pos:])

    def _look(self, text: str, finder: StartFinder) -> str:  # noqa: C901  one case per thing that can be found
        """Look for a document where none is open: before the first, and behind one that is closed or no JSON.

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
        """Scan within the document; what is no JSON may be a draft, whose end is still to come.

        It is looked at once more from its beginning: the tag, or the fence, that ends a draft may stand in a string
        that was never closed.
        """
        finder = self._finder
        while text:
            try:
                self._scan(text, 0)
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
                rest, self._rest = self._rest, ""
                text = "" if not rest else self._beyond(rest) if finder is None else self._look(rest, finder)

    @property
    def lost(self) -> InvalidJSON | None:
        """What is wrong with a document that is no JSON, as long as no other has begun."""
        if self._finder is not None and self._finder.reasoning and self._finder.reasoning[-1][0] == self.json_start:
            return None  # it was no document but a tag, such as [THINK]
        return self._lost

    def _close_document(self, surplus: int) -> None:
        """The document ends where so many characters of the text are left."""
        self._state = DONE
        self.complete = True
        self._between, self._is_fenced = "", False
        last = self.around_text() if self._row is None else self._kept[-1]  # many items are not joined for each
        self._kept[-1] = last[: len(last) - surplus]

    def expect_document(self) -> None:
        """Say that the text will be as `json_text` gave it, without an object around it. Before the first text."""
        self._is_bare = True
        self._stack[0].slot = self.plan.root

    def fall_back(self) -> bool:
        """Take the last document that was closed, where the one that came after it never was.

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
        """Where a document may stand that was not seen to begin: behind what is void, and in no reasoning."""
        parts, at = [], self.void_end
        for begin, end in [] if self._finder is None else self._finder.reasoning:
            if begin >= at:
                parts.append(text[at:begin])
                at = end
        if self._finder is None or not self._finder.thinking:
            parts.append(text[at:])
        return "\n".join(parts)

    def _beyond(self, text: str) -> str:
        """Take what comes after the document, where the text is to be nothing else.

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
                spaces = _SPACES(text, pos)
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

    def _surplus(self) -> InvalidJSON:
        """The fault of text that goes on after the document."""
        return self._fault("the document is closed, and other text follows", self._after_at - self._base)

    # ------------------------------------------------------------------ the pass

    def _scan(self, text: str, pos: int) -> None:  # noqa: C901, PLR0912, PLR0915  the hot path, in one piece
        frame = self._frame
        stack = self._stack
        parts = self._parts
        state = self._state
        size = len(text)
        try:
            while pos < size:
                if state <= KEY_STRING:
                    end = _RUN(text, pos).end()  # type: ignore[union-attr]
                    if end > pos:
                        parts.append(text[pos:end])
                        if self._shown:
                            self._dirty = True
                        pos = end
                        if pos == size:
                            break
                    if text[pos] == '"':
                        pos += 1
                        string = self._newer + "".join(parts)
                        parts.clear()
                        if state == STRING:
                            self._shown = False
                            self._older = self._newer = self._lag = ""
                            self._end_string(frame, string)
                            state = AFTER
                        else:
                            self._key_end = pos
                            self._set_key(frame, string)
                            state = COLON
                        if frame is stack[0]:
                            state = DONE
                            break
                        continue
                    pos, state_open = self._escape(text, pos)
                    if state_open:
                        break
                    continue
                char = text[pos]
                if char in _SPACE:
                    pos = _SPACES(text, pos).end()  # type: ignore[union-attr]
                    continue
                if state == AFTER:
                    if char == ",":
                        pos += 1
                        if frame.is_list:
                            if self._max_items is not None:
                                self._check_items(frame)
                            if frame.plan.items is not None:
                                self._place(frame)
                            state = VALUE
                            continue
                        match = _KEY_COLON(text, pos)
                        if match is not None:
                            self._key_end = pos = match.end()
                            self._set_key(frame, match[1])
                            state = VALUE
                        else:
                            state = KEY
                        continue
                    if char == ("]" if frame.is_list else "}"):
                        pos += 1
                        self._close(frame)
                        frame = self._frame
                        if frame is stack[0]:
                            state = DONE
                            break
                        continue
                    raise self._fault(f"expected ',' or {']' if frame.is_list else '}'!r}, found {char!r}", pos)
                if state in (VALUE, FIRST_VALUE):
                    if state == FIRST_VALUE:
                        if char == "]":
                            pos += 1
                            self._close(frame)
                            frame = self._frame
                            state = AFTER
                            if frame is stack[0]:
                                state = DONE
                                break
                            continue
                        if self._max_items is not None:
                            self._check_items(frame)
                    if char == '"':
                        slot = frame.slot
                        match = _WHOLE_STRING(text, pos)
                        if self._events is not None or slot.with_state:
                            self._begin(frame)
                        if match is not None:
                            pos = match.end()
                            self._end_string(frame, match[1], is_new=True)
                            state = AFTER
                            if frame is stack[0]:
                                state = DONE
                                break
                            continue
                        pos += 1
                        state = STRING
                        self._begin_string(frame, slot)
                        continue
                    if char == "{" or char == "[":  # noqa: PLR1714  faster than a tuple
                        if len(stack) > self._max_depth:
                            raise self._refuse(LimitExceeded("max_depth", self._max_depth))
                        pos += 1
                        if char == "{":
                            frame = self._open_object(frame)
                            state = FIRST_KEY
                        else:
                            frame = self._open_list(frame)
                            state = FIRST_VALUE
                        continue
                    end = self._token(frame, text, pos, char)
                    if end == pos:
                        break
                    pos = end
                    state = AFTER
                    if frame is stack[0]:
                        state = DONE
                        break
                    continue
                if state == COLON:
                    if char != ":":
                        raise self._fault(f"expected ':', found {char!r}", pos)
                    pos += 1
                    state = VALUE
                    continue
                # KEY or FIRST_KEY
                if char == '"':
                    match = _KEY_COLON(text, pos)
                    if match is not None:
                        self._key_end = pos = match.end()
                        self._set_key(frame, match[1])
                        state = VALUE
                        continue
                    pos += 1
                    self._shown = False
                    state = KEY_STRING
                    continue
                if char == "}" and state == FIRST_KEY:
                    pos += 1
                    self._close(frame)
                    frame = self._frame
                    state = AFTER
                    if frame is stack[0]:
                        state = DONE
                        break
                    continue
                raise self._fault(f"expected a key, found {_named(char)}", pos)
        finally:
            self._frame = frame
            self._state = state
            self._base += pos
            if state == DONE:
                self._close_document(size - pos)
                if self._exact or self._finder is not None:
                    self._rest = text[pos:]
            elif pos < size:
                self._tail = text[pos:]

    def _fault(self, message: str, pos: int) -> InvalidJSON:
        offset = self._base + pos
        self.error = InvalidJSON(f"invalid JSON at offset {offset}: {message}", offset)
        return self.error

    def _refuse(self, error: LimitExceeded) -> LimitExceeded:
        self.error = error
        return error

    def _check_items(self, frame: Frame) -> None:
        """Refuse one more item than allowed, as it begins."""
        allowed = self._max_items
        if allowed is not None and frame.path is not _ROOT_PATH and len(frame.data) + frame.dropped >= allowed:
            raise self._refuse(LimitExceeded("max_items", allowed))

    # ------------------------------------------------------------------ strings

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
        """A string ends; one that is new has not been shown."""
        slot = frame.slot
        value: Any = string
        if slot.string is not None:
            value = slot.string(string)
        if slot.wrap is not None:
            value = slot.wrap(value)
        self._store(frame, value, changed=is_new or slot.done or not slot.streams)

    def _escape(self, text: str, pos: int) -> tuple[int, bool]:
        """Take a run that begins with an escape: where it ends, and whether it waits for more text."""
        match = _ESCAPES(text, pos)
        if match is not None:
            piece = scanstring(match[0] + '"', 0, False)[0]  # noqa: FBT003
            pos = match.end()
        elif _ESCAPE_OPEN(text, pos) is not None:
            return pos, True
        elif _LONE(text, pos) is not None:
            piece = "\ufffd"
            pos += 6
        else:
            raise self._fault(f"no escape: {text[pos : pos + 6]!r}", pos)
        self._parts.append(piece)
        if self._shown:
            self._dirty = True
        return pos, False

    # ------------------------------------------------------------------ numbers, true, false, null

    def _token(self, frame: Frame, text: str, pos: int, char: str) -> int:  # noqa: C901  one case per kind
        """Take a number or a literal: where it ends; `pos` itself if it waits for more text."""
        if char in _NUMERIC and not text.startswith("-I", pos):
            number = _NUMBER(text, pos)
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

    # ------------------------------------------------------------------ containers

    def _open_object(self, parent: Frame) -> Frame:
        slot = parent.slot
        if self._events is not None or slot.with_state:
            self._begin(parent)
        here = parent.name is not None
        if here and parent.waiting is not None and not slot.done and not slot.obj.waits:
            self._arrive(parent)
        plan = slot.obj
        frame = Frame(
            plan,
            plan.new_data(self._cache) if plan.fresh else plan.template.copy(),
            is_list=False,
            known=parent.known and here,
            visible=parent.visible and here and not slot.done,
        )
        frame.slot = ANYTHING
        if plan.typed:
            frame.arrived = set()
            if plan.extra:
                frame.extra = {}
            if plan.private is not None:
                frame.private = plan.private()
        if plan.candidates:
            frame.left = plan.candidates
        if plan.waits:
            frame.waiting = set(plan.waits)
            frame.visible = False
        return self._push(parent, frame)

    def _open_list(self, parent: Frame) -> Frame:
        if parent.name is None and parent.plan is self.plan.envelope:
            self._take_list(parent)
        slot = parent.slot
        if self._events is not None or slot.with_state:
            self._begin(parent)
        here = parent.name is not None
        if here and parent.waiting is not None and not slot.done:
            self._arrive(parent)
        plan = slot.seq
        frame = Frame(
            plan,
            [],
            is_list=True,
            known=parent.known and here,
            visible=parent.visible and here and not slot.done,
        )
        if plan.items is None:
            frame.slot = plan.item
        else:
            self._place(frame)
        return self._push(parent, frame)

    def _place(self, frame: Frame) -> None:
        """Find the place of the next item of a fixed tuple; what comes after its last is read past."""
        index = len(frame.data)
        frame.slot = frame.plan.at(index)
        if index >= len(frame.plan.items):
            frame.name = None

    def _push(self, parent: Frame, frame: Frame) -> Frame:
        frame.path = self._child_path(parent) if self._events is not None else _NO_PATH
        if frame.visible:
            self._open(parent, frame)
        self._stack.append(frame)
        self._frame = frame
        return frame

    def _close(self, frame: Frame) -> None:
        """End a container: what its frame held is the value."""
        stack = self._stack
        plan = frame.plan
        changed = False
        if frame.left is not None:
            member = choose(plan, frame.data)
            if member is not None:
                self._retarget(frame, member)
                plan = member
        value = frame.data
        if frame.is_list:
            if plan.finish is not None:
                value = plan.finish(value)
                changed = frame.newer is not None  # a long one, which was shown only now and then
            if plan.wrap is not None:
                value = plan.wrap(value)
        elif plan.make is not None:
            value = plan.make(value, frame.arrived, frame.extra, frame.private)
        stack.pop()
        parent = self._frame = stack[-1]
        if frame.waiting:
            self._leave_out(parent, value)
        else:
            self._store(parent, value, changed=changed or parent.slot.done)

    def _leave_out(self, parent: Frame, value: Any) -> None:
        """End an object that no partial shows, because what it waited for did not come; as an item it is one."""
        self._tell_end(parent, value)
        if parent.is_list and parent.path is not _ROOT_PATH:
            if parent.plan.items is None:
                parent.dropped += 1
            else:
                parent.data.append(None)

    def _store(self, frame: Frame, value: Any, *, changed: bool) -> None:  # noqa: C901  the hot path
        """Enter a finished value in its parent's frame."""
        name = frame.name
        if name is None:
            return
        slot = frame.slot
        shown = value
        if slot.with_state:
            shown = Streamed(value, _COMPLETE)
            changed = True
        if self._events is not None:
            self._tell_end(frame, value)
        if frame.is_list:
            frame.data.append(shown)
            if changed and frame.visible:
                self._dirty = True
        else:
            if changed and frame.visible:
                self._change(frame, shown)
            frame.target[name] = shown
            if frame.arrived is not None:
                frame.arrived.add(name)
            if frame.waiting is not None and value is not None:
                self._arrive(frame)
            if frame.left is not None:
                tags = frame.plan.tags.get(name)
                if tags is not None:
                    member = lookup(tags, value)
                    if member is not None:
                        self._retarget(frame, member)

    def _change(self, frame: Frame, shown: Any) -> None:
        """A value takes the place of its stand-in; where they look alike, nobody sees it."""
        if frame.is_list or frame.slot.with_state:
            self._dirty = True
            return
        before = frame.target.get(frame.name, _ABSENT)
        if before is shown or (before.__class__ is shown.__class__ and before.__class__ in _PLAIN and before == shown):
            self._noted = True
        else:
            self._dirty = True

    def _open(self, parent: Frame, frame: Frame) -> None:
        """A container begins; where an empty one stands in for it, nobody sees it."""
        if parent.is_list or parent.slot.with_state:
            self._dirty = True
            return
        before = parent.target.get(parent.name)
        if frame.is_list:
            is_alike = before.__class__ is list if frame.plan.finish is None else before.__class__ in _SEQUENCES
            is_alike = is_alike and not before
        else:
            is_alike = before == {} if before.__class__ is dict else before is self._cache.get(frame.plan, _ABSENT)
        if is_alike:
            self._noted = True
        else:
            self._dirty = True

    def _arrive(self, frame: Frame) -> None:
        """Note that something an object waits for is there."""
        waiting = frame.waiting
        if waiting is None:
            return
        waiting.discard(frame.name)
        if not waiting:
            frame.waiting = None
            frame.visible = frame.base
            if frame.visible:
                self._dirty = True

    # ------------------------------------------------------------------ keys and unions

    def _set_key(self, frame: Frame, key: str) -> None:
        """A key is complete: find its place."""
        if frame.left is not None:
            self._narrow(frame, key)
        plan = frame.plan
        entry = plan.fields.get(key)
        if entry is not None:
            frame.name, frame.slot = entry
            frame.key = plan.public[key] if plan.candidates else frame.name
            frame.target = frame.data
        elif plan.other is None:
            frame.name = None
            frame.slot = ANYTHING
        else:
            frame.slot = plan.other
            frame.key = key
            if frame.extra is not None:
                frame.target = frame.extra
                frame.name = key
            else:
                frame.name = key if plan.keys is None else plan.keys(key)
                if frame.name in frame.data:
                    frame.repeated = True

    def _narrow(self, frame: Frame, key: str) -> None:
        """Drop the members of a union that have no such key; decide if one is left."""
        if frame.plan is self.plan.envelope:
            self._look_inside(frame, key)
            return
        left = [member for member in frame.left if member.knows(key)]
        if len(left) == 1:
            self._retarget(frame, left[0])
        else:
            frame.left = left

    # ------------------------------------------------------------------ the object around the document

    def _look_inside(self, frame: Frame, key: str) -> None:
        """A key of the outer object: the document's, an item's own, or another that is read past."""
        envelope = self.plan.envelope
        assert envelope is not None  # noqa: S101
        frame.path, frame.known = _ROOT_PATH, True
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
        """What comes next is the document."""
        self._starts.append(self._value_at - self.json_start)
        self._is_followed = False

    def _take_list(self, frame: Frame) -> None:
        """A list under a key that nobody knows is the list, unless there was one already that has items."""
        envelope = self.plan.envelope
        assert envelope is not None  # noqa: S101
        key = envelope.key
        if envelope.is_list and not self._is_named and not frame.data.get(key):
            frame.name = frame.key = key
            frame.slot = envelope.inner
            self._begin_inner()

    def _begin_row(self, frame: Frame) -> None:
        """The object is no envelope but an item, of a list that has nothing around it."""
        root = self._stack[0]
        seq = self.plan.root.seq
        root.plan, root.slot, root.path, root.known = seq, seq.item, (), True
        self._row = root
        if self._events is not None:
            self._events.append(FieldChanged((), _MISSING, _STREAMING))
        self._stack.pop()
        frame.become(self._open_object(root))
        self._stack[-1] = self._frame = frame
        self._kept[:] = ["[" + self.around_text()]

    def _next_item(self, text: str) -> str:
        """Take what comes behind an item, where the text is to be nothing but items; gives the text to scan."""
        rest = text.lstrip(_BETWEEN_ITEMS)
        self._base += len(text) - len(rest)
        if not rest:
            return ""
        if rest[0] == "{":
            return self._begin_item(rest)
        self._after_at = self._base
        raise self._surplus()

    def _is_next_item(self, text: str) -> bool:
        """Whether an object found behind an item is the next one, and not an answer of which the first was a draft."""
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

    def _retarget(self, frame: Frame, member: ObjectPlan) -> None:
        """The union is decided: build anew, once, what was read so far."""
        raw, union = frame.data, frame.plan
        arrived: set[str] = set()
        frame.plan = member
        frame.left = None
        frame.data = frame.target = data = member.new_data(self._cache)
        frame.extra = {} if member.extra else None
        frame.private = None if member.private is None else member.private()
        for key, value in raw.items():
            if key in union.carried and key in member.fields:
                name = member.fields[key][0]
                data[name] = value
                arrived.add(name)
            else:
                put(member, data, arrived, frame.extra, key, value, self._cache)
        if member.typed:
            frame.arrived = arrived
            frame.handed_size = -1
        frame.name = None
        waiting = {name for name in member.waits if name not in arrived or _plain(data[name]) is None}
        frame.waiting = waiting or None
        frame.visible = frame.base and not waiting
        if frame.visible:
            self._dirty = True

    # ------------------------------------------------------------------ transitions

    def _begin(self, frame: Frame) -> None:
        """A value begins in a frame."""
        if frame.name is None:
            return
        if frame.slot.with_state and frame.visible:
            self._dirty = True
        if self._events is not None and frame.known:
            self._events.append(FieldChanged(self._child_path(frame), _MISSING, _STREAMING))

    def _tell_end(self, frame: Frame, value: Any) -> None:
        """A value ends in a frame."""
        if self._events is not None and frame.known and frame.name is not None:
            path = self._child_path(frame)
            self._events.append(FieldChanged(path, _STREAMING, _COMPLETE, "field", value))
            if frame.is_list and frame.path is not _ROOT_PATH and frame.plan.items is None:
                self._events.append(ItemDone(path, value))

    def _child_path(self, frame: Frame) -> Path:
        if frame.path is _ROOT_PATH:
            return ()
        if frame.is_list:
            return (*frame.path, len(frame.data) + frame.dropped)
        return (*frame.path, frame.key)


_ABSENT: Any = object()
_PLAIN = frozenset({str, int, float, bool})
_SEQUENCES = frozenset({tuple, set, frozenset})
_ROOT_PATH: Path = ("\0root",)
_NO_PATH: Path = ()


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Streamed) else value


def _fold(pieces: list[str], fold_at: int) -> int:
    """Join the newest pieces into one; returns when to do so again."""
    blocks = fold_at - _FOLD
    pieces[blocks:] = ["".join(pieces[blocks:])]
    return fold_at + 1


def _named(char: str) -> str:
    """A character that is out of place, with the mistake that it usually is."""
    return _MISTAKES.get(char, repr(char))
