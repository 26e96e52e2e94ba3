"""The life of one stream, without I/O: text and instants go in, events come out.

The machine reads no clock and starts nothing; whoever drives it says what arrived and when (`now`, in the seconds of
any monotonic clock) and is told by `deadline` when it wants to be asked again. The states and what may follow:

    NEW ──begin──▶ OPENING ──start──▶ STREAMING ──finish──▶ SETTLING ──complete──▶ ENDED
                      ▲                   │                    │
                      └─────restart───────┴────────────────────┘        fail, cancel: from anywhere but ENDED
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

from instructor_stream_ext.core.document.scanner import Drafted
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import (
    InvalidJSON,
    LimitExceeded,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    StreamError,
    StreamMisuse,
    StreamTimeout,
)
from instructor_stream_ext.core.events import (
    Cost,
    DeltaReceived,
    EndKind,
    EndSignal,
    FieldState,
    FieldTransition,
    ItemCompleted,
    Outcome,
    PartialEmitted,
    Path,
    RestartReason,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
    StreamStats,
    Usage,
)
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.policies import EmissionPolicy, Pending
from instructor_stream_ext.core.text import SurrogateJoiner

__all__ = ["State", "StreamMachine", "TextBuffer"]

SCAN_AT_LEAST_EVERY = 4096
"""Characters after which pending text is scanned although no partial is due (contract, section 8)."""

PIECES_AT_MOST = 512
"""Pieces a text buffer keeps apart: many small strings weigh ten times their text."""

_DRAFTED = StreamError("what was shown was a draft")
"""Stands in `fault` while `begin_anew` is due, so that the hot path has one thing to look at."""

_NOTHING: tuple[StreamEvent, ...] = ()


class State(Enum):
    """Where a stream is in its life."""

    NEW = "new"
    OPENING = "opening"
    STREAMING = "streaming"
    SETTLING = "settling"
    ENDED = "ended"


_MAY_FOLLOW: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPENING, State.ENDED}),
    State.OPENING: frozenset({State.STREAMING, State.OPENING, State.ENDED}),
    State.STREAMING: frozenset({State.SETTLING, State.OPENING, State.STREAMING, State.ENDED}),
    State.SETTLING: frozenset({State.OPENING, State.ENDED}),
    State.ENDED: frozenset(),
}


class TextBuffer:
    """Text that grows by pieces and is read now and then, in time and memory linear in its length."""

    __slots__ = ("_blocks", "length", "parts")

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self.parts: list[str] = []
        self.length = 0

    def add(self, text: str) -> None:
        """Append a piece."""
        self.parts.append(text)
        self.length += len(text)
        if len(self.parts) >= PIECES_AT_MOST:
            self.fold()

    def fold(self) -> None:
        """Join the pieces."""
        self._blocks.append("".join(self.parts))
        self.parts.clear()

    def __str__(self) -> str:
        if len(self._blocks) == 1 and not self.parts:
            return self._blocks[0]
        whole = "".join(self._blocks) + "".join(self.parts)
        self._blocks[:] = [whole]
        self.parts.clear()
        return whole


class StreamMachine:
    """One stream: its attempts, its text, its partials, its events.

    Args:
        parser: Makes the parser of one attempt; None for plain text, whose partial is the text so far.
        policy: When partials are due; None for each change.
        limits: Bounds in size.
        timeouts: Bounds in time.
        deltas: Whether somebody listens to `DeltaReceived`.
        transitions: Whether somebody needs fields and items told as they happen.
    """

    def __init__(
        self,
        *,
        parser: Callable[[], PartialParser] | None,
        policy: EmissionPolicy | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        deltas: bool = False,
        transitions: bool = False,
    ) -> None:
        self._make_parser = parser
        self._policy = policy
        self.limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self.timed = self._timeouts.any
        self._max_chars = math.inf if self.limits.max_chars is None else self.limits.max_chars
        self.wants_deltas = deltas
        self.wants_transitions = transitions
        self.state = State.NEW
        self.began_at = 0.0
        self.attempt = 1
        self.sequence = 0
        self.partial: Any = None
        self.is_final = False
        self.fault: StreamError | None = None
        self.model: str | None = None
        self.provider: str | None = None
        self.usage: Usage | None = None
        self._earlier_usage: Usage | None = None
        self.cost: Cost | None = None
        self.end: EndSignal | None = None
        self.from_cache = False
        self.has_aside = False
        self._ended_at: float | None = None
        self._first_delta_at: float | None = None
        self._first_partial_at: float | None = None
        self._longest_gap = 0.0
        self._last_delta_at: float | None = None
        self._deltas = self._built = 0
        self._earlier_chars = 0
        self._waiting_at: float | None = None
        self._waited = 0.0
        self._lively = False
        self._expired: tuple[float, str, float] | None = None
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
        if self._parser is not None and self.wants_transitions:
            self._parser.transitions = True
        self.partial = None
        self._snapshot: Any = None
        self.fault = None
        self._told = False
        self.end = None
        self._due = math.inf
        self._pending = Pending()
        self._waited = 0.0
        self._waiting_at = None
        self._lively = False
        self._expired = None

    # ------------------------------------------------------------------ what can be asked at any time

    @property
    def parser(self) -> PartialParser | None:
        """The parser of this attempt, None for plain text; once the stream is complete, made anew for who asks."""
        if self._parser is None and self._finished_json is not None and self._make_parser is not None:
            self._parser = self._make_parser()
            self._parser.expect_document()
            self._parser.feed(self._finished_json)
            self._parser.finish()
        return self._parser

    @property
    def text(self) -> str:
        """All answer text of this attempt so far."""
        return str(self.buffer)

    @property
    def stats(self) -> StreamStats:
        """The figures so far."""
        began = self.began_at

        def since(instant: float | None) -> float | None:
            return None if instant is None else instant - began

        return StreamStats(
            first_delta_at=since(self._first_delta_at),
            first_partial_at=since(self._first_partial_at),
            ended_at=since(self._ended_at),
            longest_gap=self._longest_gap,
            deltas=self._deltas,
            chars=self._earlier_chars + self.buffer.length,
            partials_built=self._built,
            partials_yielded=self.sequence,
            attempts=0 if self.state is State.NEW or self.from_cache else self.attempt,
            end_signal=self.end.word if self.end else None,
            model=self.model,
            provider=self.provider,
            usage=self.usage,
            cost=self.cost.dollars if self.cost else None,
            cost_estimated=self.cost is not None and self.cost.estimated,
            from_cache=self.from_cache,
            repaired=self.repaired,
        )

    @property
    def json_text(self) -> str:
        """The document so far; the text itself where the answer is plain text."""
        if self._finished_json is not None:
            return self._finished_json
        return self.text if self._parser is None else self._parser.json_text()

    @property
    def listing(self) -> tuple[str, list[int]]:
        """The JSON that holds the list of items, and where in it the list begins, each time that it came."""
        assert self._parser is not None  # noqa: S101
        return self._parser.listing

    def state_of(self, path: Path) -> FieldState:
        """How far a place of the document has come, by attribute names, keys and indices."""
        if self.parser is None:
            raise StreamMisuse("state() needs a response model: plain text has no fields")
        return self.parser.state(path)

    def check_text(self, path: Path) -> None:
        """Refuse a path that cannot lead to a string: `StreamMisuse`."""
        if self.parser is None:
            raise StreamMisuse("text_of() needs a response model: plain text has no fields")
        self.parser.check_text(path)

    def text_at(self, path: Path) -> str:
        """The string at a place of the document, as far as it has come."""
        return "" if self.parser is None else self.parser.text_at(path)

    def note_usage(self, usage: Usage | None) -> None:
        """Take the usage of the running attempt; the newest word of the provider counts."""
        if usage is not None:
            self.usage = usage if self._earlier_usage is None else self._earlier_usage + usage

    def note_cost(self, cost: Cost | None) -> None:
        """Take what an attempt cost that has ended."""
        if cost is not None:
            self.cost = cost if self.cost is None else self.cost + cost

    # ------------------------------------------------------------------ the way of a stream

    def begin(self, now: float) -> None:
        """The stream begins: the first request is about to be sent."""
        self._move(State.OPENING)
        self.began_at = now

    def ask(self, model: str | None, provider: str | None) -> None:
        """A request goes to this model, whether or not it will be answered."""
        self.model, self.provider = model, provider

    def start(self, now: float, model: str | None, provider: str | None) -> list[StreamEvent]:
        """An attempt's connection is open."""
        self._move(State.STREAMING)
        self.ask(model, provider)
        return [StreamStarted(at=now - self.began_at, attempt=self.attempt, model=model, provider=provider)]

    @property
    def is_steady(self) -> bool:
        """Whether it never wants to be woken: `deadline` is always infinite."""
        return not self.timed and self._policy is None

    @property
    def is_quiet(self) -> bool:
        """Whether nobody but the consumer of partials listens, so that `take` does."""
        return not (self.wants_deltas or self.wants_transitions or self.timed)

    def feed(self, text: str, now: float) -> list[StreamEvent] | tuple[StreamEvent, ...]:
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
        if self.wants_deltas:
            told.append(DeltaReceived(at=now - self.began_at, attempt=self.attempt, text=text))
        partial = self._take(text, now, told if self.wants_transitions else None)
        if partial is not None:
            told.append(self._emitted(partial, now))
        return told

    def take(self, text: str, now: float) -> Any:
        """As `feed`, for when nobody listens to events: the partial that is due, or None.

        Args:
            text: The piece, not empty.
            now: When it arrived.
        """
        if self._joiner.half or not text.isascii():
            text = self._joiner.take(text)
            if not text:
                return None
        return self._take(text, now, None)

    def rest(self) -> str:
        """The provider's stream has ended: what is still to be fed, half a character that stays alone."""
        return self._joiner.rest()

    def _take(self, text: str, now: float, told: list[StreamEvent] | None) -> Any:  # noqa: C901, PLR0911, PLR0912  the hot path
        """Take a piece; transitions go to `told`, if they are wanted."""
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

    def begin_anew(self, now: float) -> list[StreamEvent]:
        """What was scanned turned out to be a draft: say so if any of it was shown, and scan on behind it.

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
        """What was shown was a draft: it begins anew in the same attempt."""
        return [StreamRestarted(at=now - self.began_at, attempt=self.attempt, reason=RestartReason.DRAFT, error=None)]

    def settle(self, end: EndSignal | None, now: float) -> list[StreamEvent]:
        """No more text comes: scan what is pending, and take the last closed document if the one after it is open.

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
        """Whether the text before was a draft, so that `begin_anew` is due."""
        return self.fault is _DRAFTED

    @property
    def candidates(self) -> str:
        """The text in which a document may stand that was not seen to begin."""
        text = str(self.document_buffer)
        return text if self._parser is None else self._parser.candidates(text)

    def feed_aside(self, text: str, now: float) -> list[StreamEvent] | tuple[StreamEvent, ...]:
        """Take answer text that is beside the document, such as prose next to a tool call."""
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

    def shown(self, now: float) -> None:
        """The listeners are through with a partial: intervals count from here, so that slow ones are not flooded."""
        self._pending.last_emitted_at = now

    def poll(self, now: float) -> list[StreamEvent] | tuple[StreamEvent, ...]:
        """Look at the clock without news from the provider.

        Returns:
            A partial that has become due, if any.

        Raises:
            StreamTimeout: A bound of `Timeouts` has passed.
        """
        if self.timed:
            self._check_time(now)
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

    def deadline(self) -> float:
        """When to call `poll` at the latest; `math.inf` for never."""
        return min(self._due, self.bound()) if self.timed else self._due

    def bound(self) -> float:
        """When a bound of `Timeouts` will have passed, if the provider stays silent; `math.inf` for never."""
        return self._time_limit()[0] if self.timed else math.inf

    def waits(self, now: float) -> None:
        """The driver begins to wait for the provider: only from here does its time count."""
        if self.timed and self._waiting_at is None:
            self._waiting_at = now

    def arrived(self, now: float, *, alive: bool) -> None:
        """A chunk has come; `alive` if it carried the model's text or reasoning.

        One that comes after a bound has passed is kept, and the stream ends behind it: so do those of a transport that
        nobody can interrupt, such as a fake or a cassette that is played within the process.

        Raises:
            StreamTimeout: It carried none, and a bound has passed meanwhile.
        """
        if not self.timed:
            return
        if alive:
            if now >= self._time_limit()[0]:
                self.expire()
            self._lively = True
            self._waited = 0.0
        else:
            self._check_time(now)
            if self._waiting_at is not None:
                self._waited += now - self._waiting_at
        self._waiting_at = None

    def finish(  # noqa: C901  one case per way in which the gate stays shut
        self, end: EndSignal | None, *, refusal: str = "", detail: str = "", has_called: bool = False
    ) -> str | None:
        """The provider's stream has ended: may the gate open?

        Args:
            end: What the provider said, None if it said nothing.
            refusal: The refusal's text, if there was one.
            detail: What is known of an empty answer, for the message.
            has_called: Whether the call that is to be the document had begun.

        Returns:
            The document to validate; None where no document was found but the prose may hold one.

        Raises:
            OutputTruncated: The answer was cut off.
            OutputRefused: The model refused.
            OutputFiltered: A filter stepped in.
            NoOutput: There is nothing to validate.
            InvalidJSON: The text cannot be JSON.
        """
        self._move(State.SETTLING)
        self.end = end
        self._due = math.inf
        kind = end.kind if end else None
        if kind is EndKind.REFUSED or refusal:
            raise OutputRefused(f"the model refused: {refusal or (end.word if end else '')}")
        if end and kind is EndKind.FILTERED:
            raise OutputFiltered(f"a content filter stopped the answer ({end.word})")
        if end and kind is EndKind.TRUNCATED:
            raise OutputTruncated(f"the answer was cut off after {self.buffer.length} characters ({end.word})")
        parser = self._parser
        if parser is None:
            return self._finish_text(end, detail)
        if parser.finish():
            if parser.lacks:
                raise NoOutput(parser.lacks)
            return parser.json_text()
        if parser.lost is not None:
            if parser.in_prose and (end is None or kind is EndKind.UNKNOWN):
                raise self.no_output()
            raise parser.lost
        if parser.begun:
            said = f"the provider said {end.word!r}" if end else "the stream just stopped"
            raise OutputTruncated(
                f"the JSON was not closed after {self.document_buffer.length} characters: {said}",
            )
        if self.document_buffer.length and parser.search:
            return None
        if has_called and end is None:
            raise OutputTruncated("the stream just stopped after the tool call had begun, before any arguments")
        raise self.no_output(detail)

    def read_past(self) -> None:
        """Take the rest of an answer that is no JSON, so that all of it can be repaired; `finish` raises the fault."""
        assert self._parser is not None  # noqa: S101
        self._parser.read_past()
        self.fault = None
        self._due = math.inf

    def adopt(self, text: str, now: float) -> tuple[str, list[StreamEvent]]:
        """Take this text for the answer's.

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
            raise NoOutput(parser.lacks or "the repaired text holds no whole document")
        self._transitions(parser, now, told)
        self.repaired = True
        return parser.json_text(), told

    def no_output(self, detail: str = "") -> StreamError:
        """The error for an answer without a document."""
        if not self.buffer.length:
            return NoOutput(f"the model sent no text{f': {detail}' if detail else ''}")
        if self.end is None or self.end.kind is EndKind.UNKNOWN:
            return OutputTruncated(f"the stream just stopped after {self.buffer.length} characters, before any JSON")
        is_reasoning = bool(self.document_buffer.length) and not self.candidates.strip()
        in_prose = NoOutput.in_prose(self.text, reasoning=is_reasoning)
        return NoOutput(f"{in_prose}; {detail}") if detail else in_prose

    def _finish_text(self, end: EndSignal | None, detail: str) -> str:
        if not self.buffer.length:
            raise self.no_output(detail)
        if end is None:
            raise OutputTruncated(f"the stream just stopped after {self.buffer.length} characters, without end signal")
        if end.kind is EndKind.UNKNOWN:
            raise OutputTruncated(
                f"the text ended after {self.buffer.length} characters with {end.word!r}, which is no known word for a "
                f"whole answer"
            )
        return self.text

    # ------------------------------------------------------------------ how it goes on, and how it ends

    def restart(
        self,
        now: float,
        reason: RestartReason,
        error: BaseException | None,
        *,
        from_model: str | None = None,
        to_model: str | None = None,
    ) -> list[StreamEvent]:
        """What was shown is void; another attempt begins with an empty buffer."""
        self._move(State.OPENING)
        self._earlier_usage = self.usage
        self._earlier_chars += self.buffer.length
        self.attempt += 1
        self._fresh_attempt()
        return [
            StreamRestarted(
                at=now - self.began_at,
                attempt=self.attempt,
                reason=reason,
                error=error,
                from_model=from_model,
                to_model=to_model,
            )
        ]

    def recall(self, document: str) -> None:
        """The answer was in a cache: nothing is asked, and the document is there at once."""
        self.buffer.add(document)
        self._finished_json = document
        self._parser = None
        self.from_cache = True

    def complete(self, now: float, result: Any) -> list[StreamEvent]:
        """The gate is passed."""
        if self._parser is not None:
            document, text = self._parser.json_text(), self.text
            self._finished_json = text if document == text else document
            self._parser = None  # its tree weighs more than the text, and hardly anybody asks for it again
        self.partial = result
        self.is_final = True
        self._snapshot = None
        completed = StreamCompleted(at=now - self.began_at, attempt=self.attempt, result=result)
        return [completed, self._ended(now, Outcome.COMPLETED, result)]

    def fail(self, now: float, error: BaseException) -> list[StreamEvent]:
        """The stream ends with an error, which is given all that had arrived."""
        newest = self.newest_partial()
        failed = StreamFailed(at=now - self.began_at, attempt=self.attempt, error=error)
        ended = self._ended(now, Outcome.FAILED, newest)
        self.annotate(error, newest)
        return [failed, ended]

    def cancel(self, now: float) -> list[StreamEvent]:
        """The consumer has left, or `stop_when` said so."""
        cancelled = StreamCancelled(at=now - self.began_at, attempt=self.attempt)
        return [cancelled, self._ended(now, Outcome.CANCELLED, self.newest_partial())]

    def annotate(self, error: BaseException, partial: Any = None) -> None:
        """Give an error of ours what had arrived; others stay as they are."""
        if isinstance(error, StreamError):
            error.partial = self.partial if partial is None else partial
            error.text = self.text
            error.usage = self.usage
            error.attempt = self.attempt
            error.stats = self.stats

    def newest_partial(self) -> Any:
        """The newest partial, shown or not; the last good one where the text has a fault."""
        if self.parser is None:
            return self.text or None
        try:
            return self.parser.snapshot()
        except (Drafted, InvalidJSON, LimitExceeded):
            return self.parser.last

    # ------------------------------------------------------------------ inside

    def _move(self, to: State) -> None:
        if to not in _MAY_FOLLOW[self.state]:
            raise StreamMisuse(f"a stream that is {self.state.value} cannot become {to.value}")
        self.state = to

    def _ended(self, now: float, outcome: Outcome, partial: Any) -> StreamEnded:
        self._move(State.ENDED)
        self._ended_at = now
        self._due = math.inf
        return StreamEnded(
            at=now - self.began_at,
            attempt=self.attempt,
            outcome=outcome,
            stats=self.stats,
            partial=partial,
            text=self.text,
        )

    def _transitions(self, parser: PartialParser, now: float, events: list[StreamEvent]) -> None:
        """Scan what was fed and tell fields and items in document order; a fault is left in `fault`."""
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

    def _show(self, snapshot: Any, now: float) -> Any:
        """The partial to show now, or None if it is the one already shown."""
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

    def _emitted(self, partial: Any, now: float) -> PartialEmitted:
        return PartialEmitted(at=now - self.began_at, attempt=self.attempt, partial=partial, sequence=self.sequence)

    def _snapshot_with(self, text: str) -> Any:
        """What the answer is so far; for plain text, whose newest piece this is, the text."""
        if self._parser is not None:
            return self._parser.shown()
        if self._policy is not None or self.partial is None:
            return self.text
        whole, self.partial, self._snapshot = self.partial, None, None
        whole += text  # the only reference, so that CPython grows it in place
        return whole

    def expire(self) -> None:
        """The bound that is nearest has passed, and the connection was broken for it: no news changes that."""
        if self._expired is None:
            self._expired = (-math.inf, *self._time_limit()[1:])

    def _time_limit(self) -> tuple[float, str, float]:
        """The next instant at which a bound passes, which one, and its length."""
        if self._expired is not None:
            return self._expired
        bounds = self._timeouts
        nearest = (math.inf, "", 0.0)
        if bounds.total is not None:
            nearest = (self.began_at + bounds.total, "total", bounds.total)
        kind, bound = ("idle", bounds.idle) if self._lively else ("first_delta", bounds.first_delta)
        if bound is None and not self._lively:
            kind, bound = "idle", bounds.idle
        if bound is not None and self._waiting_at is not None:
            nearest = min(nearest, (self._waiting_at + bound - self._waited, kind, bound))
        return nearest

    def _check_time(self, now: float) -> None:
        instant, kind, bound = self._time_limit()
        if now >= instant:
            raise StreamTimeout(kind, bound)
