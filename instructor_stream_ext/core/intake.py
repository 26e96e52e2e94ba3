"""One attempt's text as it arrives: the text so far, the partials that are due, and the events.

Nothing here reads a clock: whoever drives it says what arrived and when (`now`, in the seconds of any monotonic clock).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from instructor_stream_ext.core.document.calls import CallsParser
from instructor_stream_ext.core.document.reasoning import Tags, tags_from
from instructor_stream_ext.core.document.scanner import Drafted
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.document.thinking import Thinking, opens_with_thought, thought_in
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded, NoOutput, StreamError
from instructor_stream_ext.core.events import (
    DeltaReceived,
    EndKind,
    EndSignal,
    FieldTransition,
    ItemCompleted,
    PartialEmitted,
    ReasoningReceived,
    RestartReason,
    StreamEvent,
    StreamRestarted,
)
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.policies import EmissionPolicy, Pending
from instructor_stream_ext.core.seam import Seam, seam_behind
from instructor_stream_ext.core.text import SurrogateJoiner
from instructor_stream_ext.core.text_buffer import PIECES_AT_MOST, TextBuffer

__all__ = ["SCAN_AT_LEAST_EVERY", "Intake"]

SCAN_AT_LEAST_EVERY = 4096
"""Pending text is scanned after this many characters even if no partial is due (contract, section 8)."""

_DRAFTED = StreamError("what was shown was a draft")
"""Stands in `fault` while `begin_anew` is due, so that the hot path has one thing to check."""

Parser: TypeAlias = PartialParser | CallsParser

_NOTHING: tuple[StreamEvent, ...] = ()


class Intake:
    """The text of the current attempt.

    Args:
        parser: Makes the parser of one attempt; None for plain text, whose partial is the text so far.
        policy: When partials are due; None for each change.
        limits: Bounds in size.
        deltas: Whether somebody listens to `DeltaReceived`.
        reasoning: Whether somebody listens to `ReasoningReceived`.
        tags: Between which a model may reason in its text.
        transitions: Whether somebody needs fields and items told as they happen.

    Attributes:
        partial: The partial that was shown last.
        fault: What is wrong with the text, if anything is; left here, so that what came before it is still told.
        document_buffer: The text that may hold the document; `buffer` has the prose beside it, too.
    """

    def __init__(
        self,
        *,
        parser: Callable[[], Parser] | None,
        policy: EmissionPolicy | None = None,
        limits: Limits | None = None,
        deltas: bool = False,
        transitions: bool = False,
        reasoning: bool = False,
        tags: Tags | None = None,
    ) -> None:
        self._tags = tags or tags_from(None)
        self.wants_reasoning = reasoning
        self.first_reasoning_at: float | None = None
        self._make_parser = parser
        self._policy = policy
        self.limits = limits or Limits()
        self._max_chars = math.inf if self.limits.max_chars is None else self.limits.max_chars
        self.wants_deltas = deltas
        self.wants_transitions = transitions
        self.began_at = 0.0
        self.attempt = 1
        self.sequence = 0
        self._first_delta_at: float | None = None
        self._first_partial_at: float | None = None
        self._longest_gap = 0.0
        self._last_delta_at: float | None = None
        self._deltas = self._built = 0
        self._fresh_attempt()

    def _fresh_attempt(self) -> None:
        self.buffer = TextBuffer()
        self.document_buffer = self.buffer
        self.has_aside = False
        self._joiner = SurrogateJoiner()
        self._aside_joiner = SurrogateJoiner()
        self._parser = self._make_parser() if self._make_parser else None
        self._finished_json: str | None = None
        self.repaired = False
        self._thinking = Thinking(self._tags)
        if self._parser is not None and self.wants_transitions:
            self._parser.transitions = True
        self.partial: Any = None
        self._snapshot: Any = None
        self.fault: StreamError | None = None
        self._told = False
        self._due = math.inf
        self._pending = Pending()

    @property
    def parser(self) -> Parser | None:
        """This attempt's parser, None for plain text; rebuilt on request once the stream is complete."""
        if self._parser is None and self._finished_json is not None and self._make_parser is not None:
            parser = self._parser = self._make_parser()
            assert isinstance(parser, PartialParser)  # noqa: S101  that of calls is kept
            parser.expect_document()
            parser.feed(self._finished_json)
            parser.finish()
        return self._parser

    @property
    def text(self) -> str:
        """All answer text of this attempt so far."""
        return str(self.buffer)

    @property
    def json_text(self) -> str:
        """The document so far; for plain text, the text itself."""
        if self._finished_json is not None:
            return self._finished_json
        return self.text if self._parser is None else self._parser.json_text()

    @property
    def call_parser(self) -> CallsParser | None:
        """The parser of an answer that consists of several tool calls; None for others."""
        return self._parser if isinstance(self._parser, CallsParser) else None

    # ------------------------------------------------------------------ text in

    def feed(self, text: str, now: float) -> Sequence[StreamEvent]:
        """Take a piece of the document.

        Args:
            text: The piece, not empty.
            now: When it arrived.

        Returns:
            What happened, in order. A fault in the text does not raise here but is left in `fault`, so that what
            came before it is still told.
        """
        told: list[StreamEvent] = []
        text = self._joiner.take(text)
        if not text:
            return _NOTHING
        if self.wants_reasoning and (thought := self._thinking.feed(text)):
            told += self.feed_reasoning(thought, now)
        if self.wants_deltas:
            told.append(DeltaReceived(at=now - self.began_at, attempt=self.attempt, text=text))
        partial = self._take(text, now, told if self.wants_transitions else None)
        if partial is not None:
            told.append(self._emitted(partial, now))
        return told

    def take(self, text: str, now: float) -> Any:
        """Take a piece of the document when nobody listens to events; returns the partial that is due, or None.

        Args:
            text: The piece, not empty.
            now: When it arrived.
        """
        if self._joiner.half or not text.isascii():
            text = self._joiner.take(text)
            if not text:
                return None
        return self._take(text, now, None)

    def feed_reasoning(self, text: str, now: float) -> Sequence[StreamEvent]:
        """Take a piece of the model's reasoning."""
        self.note_reasoning(now)
        if not self.wants_reasoning:
            return _NOTHING
        return [ReasoningReceived(at=now - self.began_at, attempt=self.attempt, text=text)]

    def note_reasoning(self, now: float) -> None:
        """Note that the model is reasoning."""
        if self.first_reasoning_at is None:
            self.first_reasoning_at = now

    def note_tagged_reasoning(self) -> None:
        """Note, where nobody listens to it, when the model began to reason in its text: with its first delta."""
        if self.wants_reasoning or self.first_reasoning_at is not None or self.attempt > 1:
            return
        if opens_with_thought(self.buffer, self._tags):
            self.first_reasoning_at = self._first_delta_at

    @property
    def thought(self) -> str:
        """The reasoning between tags at the beginning of the model's text."""
        return thought_in(self.text, self._tags)

    def rest(self) -> str:
        """Return what is still to be fed at the end of the stream: half a character that stayed alone."""
        return self._joiner.rest()

    def _take(self, text: str, now: float, told: list[StreamEvent] | None) -> Any:  # noqa: C901, PLR0911, PLR0912  the hot path
        """Take a piece of text. Transitions are added to `told` if they are wanted."""
        self._deltas += 1
        last = self._last_delta_at
        if last is None:
            self._first_delta_at = now
        elif now - last > self._longest_gap:
            self._longest_gap = now - last
        self._last_delta_at = now
        buffer = self.document_buffer
        buffer.parts.append(text)
        buffer.length += len(text)
        if len(buffer.parts) >= PIECES_AT_MOST:
            buffer.fold()
        if self.has_aside:
            buffer = self.buffer
            buffer.add(text)
        if buffer.length > self._max_chars:
            self.fault = LimitExceeded("max_chars", int(self._max_chars))
            return None
        parser = self._parser
        try:
            if parser is not None:
                if told is None and self._policy is None:
                    return self._show(parser.grow(text), now)
                parser.feed(text)
                if told is not None:
                    self._transitions(parser, now, told)
                    if self.fault is not None:
                        return None
            if self._policy is not None and not self._is_due(text, now):
                if parser is not None and parser.pending_chars >= SCAN_AT_LEAST_EVERY:
                    parser.advance()
                return None
            return self._show(self._snapshot_with(text), now)
        except Drafted:
            self.fault = _DRAFTED
            return None
        except (InvalidJSON, LimitExceeded) as fault:
            self.fault = fault
            return None

    def feed_aside(self, text: str, now: float) -> Sequence[StreamEvent]:
        """Take answer text outside the document, such as prose next to a tool call."""
        text = self._aside_joiner.take(text)
        if not text:
            return _NOTHING
        if not self.has_aside:
            self.has_aside = True
            self.buffer = TextBuffer()
            self.buffer.add(str(self.document_buffer))
        self._deltas += 1
        self._last_delta_at = now
        if self._first_delta_at is None:
            self._first_delta_at = now
        self.buffer.add(text)
        if self.buffer.length > self._max_chars:
            self.fault = LimitExceeded("max_chars", int(self._max_chars))
        if self.wants_deltas:
            return [DeltaReceived(at=now - self.began_at, attempt=self.attempt, text=text)]
        return _NOTHING

    # ------------------------------------------------------------------ drafts, and the end of the text

    def begin_anew(self, now: float) -> list[StreamEvent]:
        """Start over after a draft: report a restart if any of it was shown, and scan what follows it.

        Returns:
            The restart and what follows. `fault` may be left with the next draft, or with a fault.
        """
        told: list[StreamEvent] = []
        self.fault = None
        if self.partial is not None or self._told:
            told += self.redraft(now)
        self.partial = self._snapshot = None
        self._told = False
        parser = self._parser
        assert parser is not None  # noqa: S101
        try:
            if self.wants_transitions:
                self._transitions(parser, now, told)
            else:
                parser.advance()
            if self.has_draft:
                return told
            if self._policy is not None:
                self._due = min(self._due, now)
            elif (partial := self._show(parser.shown(), now)) is not None:
                told.append(self._emitted(partial, now))
        except Drafted:
            self.fault = _DRAFTED
        except (InvalidJSON, LimitExceeded) as fault:
            self.fault = fault
        return told

    def redraft(self, now: float) -> list[StreamEvent]:
        """Start over in the same attempt, after a draft that was shown."""
        return [StreamRestarted(at=now - self.began_at, attempt=self.attempt, reason=RestartReason.DRAFT, error=None)]

    def settle(self, end: EndSignal | None, now: float) -> list[StreamEvent]:
        """Scan what is pending, as no more text comes. If the last document is open, take the one before it.

        Returns:
            What that brought. A draft, or a fault, is left in `fault`.
        """
        told: list[StreamEvent] = []
        parser = self._parser
        if parser is None:
            return told
        try:
            parser.advance()
            if (
                end is not None
                and end.kind in (EndKind.COMPLETE, EndKind.UNKNOWN)
                and not parser.finish()
                and parser.fall_back()
            ):
                self.fault = _DRAFTED
            elif self.wants_transitions:
                self._transitions(parser, now, told)
        except Drafted:
            self.fault = _DRAFTED
        except (InvalidJSON, LimitExceeded) as fault:
            self.fault = fault
        return told

    @property
    def has_draft(self) -> bool:
        """True if the text so far was a draft, so that `begin_anew` is due."""
        return self.fault is _DRAFTED

    @property
    def candidates(self) -> str:
        """Return the text in which a document may stand that was not seen to begin."""
        text = str(self.document_buffer)
        return text if self._parser is None else self._parser.candidates(text)

    def read_past(self) -> None:
        """Take the rest of an answer that is not JSON, so that all of it can be repaired; `finish` raises the fault."""
        assert self._parser is not None  # noqa: S101
        self._parser.read_past()
        self.fault = None
        self._due = math.inf

    # ------------------------------------------------------------------ the rest of an answer that was cut off

    @property
    def is_whole(self) -> bool:
        """True if the document is closed and nothing may follow it, whatever the provider says about the answer."""
        return self._parser is not None and not self._parser.search and self._parser.complete

    def seam(self) -> Seam:
        """Prepare for the rest of an answer that was cut off; half a character that came alone will come again."""
        self._joiner = SurrogateJoiner()
        return seam_behind(str(self.document_buffer), self._parser, self._make_parser, self._tags)

    def adopt(self, text: str, now: float) -> tuple[str, list[StreamEvent]]:
        """Take this text in place of the answer's.

        Args:
            text: What the answer should have been.
            now: When.

        Returns:
            The document in it, and the transitions of all of it, if they are wanted.

        Raises:
            InvalidJSON: It is no JSON.
            NoOutput: There is no document of the type in it.
        """
        assert self._make_parser is not None  # noqa: S101
        parser = self._parser = self._make_parser()
        parser.transitions = self.wants_transitions
        parser.feed(text)
        told: list[StreamEvent] = []
        while True:
            told.clear()
            self._transitions(parser, now, told)
            if not self.has_draft:
                break
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        if not parser.finish() or parser.lacks:
            raise NoOutput(parser.lacks or "the repaired text holds no complete document")
        self._transitions(parser, now, told)
        self.repaired = True
        return parser.json_text(), told

    # ------------------------------------------------------------------ partials and transitions

    def shown(self, now: float) -> None:
        """Note that the listeners are done with a partial. Intervals count from here, to spare slow listeners."""
        self._pending.last_emitted_at = now

    def _transitions(self, parser: Parser, now: float, events: list[StreamEvent]) -> None:
        """Scan what was fed and report fields and items in document order; a fault is left in `fault`."""
        try:
            parser.advance()
        except Drafted:
            self.fault = _DRAFTED
        except (InvalidJSON, LimitExceeded) as fault:
            self.fault = fault
        at, attempt, pending = now - self.began_at, self.attempt, self._pending
        for record in parser.told():
            self._told = True
            if record.kind == "item":
                pending.items += 1
                events.append(ItemCompleted(at=at, attempt=attempt, path=record.path, item=record.item))
            else:
                pending.transitions += 1
                path, before, after, _, value = record
                events.append(
                    FieldTransition(at=at, attempt=attempt, path=path, before=before, after=after, value=value)
                )

    def _is_due(self, text: str, now: float) -> bool:
        pending = self._pending
        if not pending.deltas:
            pending.since = now
        pending.deltas += 1
        pending.chars += len(text)
        pending.total_chars += len(text)
        pending.now = pending.last_delta_at = now
        assert self._policy is not None  # noqa: S101
        overdue = self._due <= now  # while a blocked read kept everybody from looking
        self._due = due = self._policy(pending)
        return overdue or due <= now

    def _show(self, snapshot: object, now: float) -> Any:
        """Return the partial to show now, or None if it is the one already shown."""
        if self._policy is not None:
            pending = self._pending
            pending.deltas = pending.chars = pending.transitions = pending.items = 0
            self._due = math.inf
        if snapshot is self._snapshot:
            return None
        self._snapshot = snapshot
        self._built += 1
        if snapshot is None or snapshot is self.partial:
            return None
        self.partial = snapshot
        self.sequence += 1
        if self._first_partial_at is None:
            self._first_partial_at = now
        if self._policy is not None:
            self._pending.last_emitted_at = now
        return snapshot

    def _emitted(self, partial: object, now: float) -> PartialEmitted:
        """Return the event of the partial that was shown last."""
        return PartialEmitted(at=now - self.began_at, attempt=self.attempt, partial=partial, sequence=self.sequence)

    def _snapshot_with(self, text: str) -> Any:
        """Return the answer so far; for plain text, whose newest piece this is, the text."""
        if self._parser is not None:
            return self._parser.shown()
        if self._policy is not None or self.partial is None:
            return self.text
        whole, self.partial, self._snapshot = self.partial, None, None
        whole += text  # the only reference, so that CPython grows it in place
        return whole

    def newest_partial(self) -> Any:
        """The newest partial, shown or not; if the text has a fault, the last good one."""
        if self.parser is None:
            return self.text or None
        try:
            return self.parser.snapshot()
        except (Drafted, InvalidJSON, LimitExceeded):
            return self.parser.last

    def _due_partial(self, now: float) -> Sequence[StreamEvent]:
        """Return the partial that has become due without news from the provider."""
        if now < self._due:
            return _NOTHING
        try:
            partial = self._show(self._snapshot_with(""), now)
        except Drafted:
            self.fault = _DRAFTED
            return _NOTHING
        except (InvalidJSON, LimitExceeded) as fault:
            self.fault = fault
            return _NOTHING
        return _NOTHING if partial is None else [self._emitted(partial, now)]
