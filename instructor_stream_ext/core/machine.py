"""The life of one stream, without I/O: text and instants go in, events come out.

The machine reads no clock and starts nothing; whoever drives it says what arrived and when (`now`, in the seconds of
any monotonic clock) and is told by `deadline` when it wants to be asked again. The states and what may follow:

    NEW ──begin──▶ OPENING ──start──▶ STREAMING ──finish──▶ SETTLING ──complete──▶ ENDED
                      ▲                   │                    │
                      └─────restart───────┴────────────────────┘        fail, cancel: from anywhere but ENDED
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum

from instructor_stream_ext.core.bounds import Bounds
from instructor_stream_ext.core.document.reasoning import Tags
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import (
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    StreamError,
    StreamMisuse,
)
from instructor_stream_ext.core.events import (
    EndKind,
    EndSignal,
    FieldState,
    Outcome,
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
)
from instructor_stream_ext.core.intake import Intake, Parser
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.policies import EmissionPolicy
from instructor_stream_ext.core.seam import Seam
from instructor_stream_ext.core.usage import Cost, Usage

__all__ = ["State", "StreamMachine"]


class State(Enum):
    """A stream's state."""

    NEW = "new"
    OPENING = "opening"
    STREAMING = "streaming"
    SETTLING = "settling"
    ENDED = "ended"


_MAY_FOLLOW: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.OPENING, State.ENDED}),
    State.OPENING: frozenset({State.STREAMING, State.OPENING, State.ENDED}),
    State.STREAMING: frozenset({State.SETTLING, State.OPENING, State.ENDED}),
    State.SETTLING: frozenset({State.OPENING, State.ENDED}),
    State.ENDED: frozenset(),
}


class StreamMachine(Intake):
    """One stream: its attempts, its text, its partials, its events.

    Args:
        parser: Makes the parser of one attempt; None for plain text, whose partial is the text so far.
        policy: When partials are due; None for each change.
        limits: Bounds in size.
        timeouts: Bounds in time.
        deltas: Whether somebody listens to `DeltaReceived`.
        reasoning: Whether somebody listens to `ReasoningReceived`.
        tags: Between which a model may reason in its text.
        transitions: Whether somebody needs fields and items told as they happen.
    """

    def __init__(
        self,
        *,
        parser: Callable[[], Parser] | None,
        policy: EmissionPolicy | None = None,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        deltas: bool = False,
        transitions: bool = False,
        reasoning: bool = False,
        tags: Tags | None = None,
    ) -> None:
        self.bounds = Bounds(timeouts or Timeouts())
        self.state = State.NEW
        self.is_final = False
        self.model: str | None = None
        self.provider: str | None = None
        self.usage: Usage | None = None
        self._earlier_usage: Usage | None = None
        self.cost: Cost | None = None
        self.from_cache = False
        self._ended_at: float | None = None
        self._earlier_chars = 0
        self.continuations = 0
        super().__init__(
            parser=parser,
            policy=policy,
            limits=limits,
            deltas=deltas,
            transitions=transitions,
            reasoning=reasoning,
            tags=tags,
        )

    def _fresh_attempt(self) -> None:
        super()._fresh_attempt()
        self.end: EndSignal | None = None
        self.bounds.renew()

    # ------------------------------------------------------------------ what can be asked at any time

    @property
    def stats(self) -> StreamStats:
        """The figures so far."""
        began = self.began_at
        self.note_tagged_reasoning()

        def since(instant: float | None) -> float | None:
            return None if instant is None else instant - began

        return StreamStats(
            first_delta_at=since(self._first_delta_at),
            first_reasoning_at=since(self.first_reasoning_at),
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
            continuations=self.continuations,
        )

    @property
    def listing(self) -> tuple[str, list[int]]:
        """The JSON that holds the list of items, and the offset of each place at which the list begins."""
        assert isinstance(self._parser, PartialParser)  # noqa: S101
        return self._parser.listing

    def state_of(self, path: Path) -> FieldState:
        """Return how far a place of the document has come, by attribute names, keys and indices."""
        if self.parser is None:
            raise StreamMisuse("state() needs a response model: plain text has no fields")
        return self.parser.state(path)

    def check_text(self, path: Path) -> None:
        """Raise `StreamMisuse` for a path that cannot lead to a string."""
        if self.parser is None:
            raise StreamMisuse("text_of() needs a response model: plain text has no fields")
        self.parser.check_text(path)

    def text_at(self, path: Path) -> str:
        """Return the string at a place of the document, as far as it has arrived."""
        return "" if self.parser is None else self.parser.text_at(path)

    def note_usage(self, usage: Usage | None) -> None:
        """Take the usage of the current attempt; the provider's latest figures count."""
        if usage is not None:
            self.usage = usage if self._earlier_usage is None else self._earlier_usage + usage

    def note_cost(self, cost: Cost | None) -> None:
        """Take the cost of an attempt that has ended."""
        if cost is not None:
            self.cost = cost if self.cost is None else self.cost + cost

    # ------------------------------------------------------------------ the way of a stream

    def begin(self, now: float) -> None:
        """Start the stream: the first request is about to be sent."""
        self._move(State.OPENING)
        self.began_at = self.bounds.began_at = now

    def ask(self, model: str | None, provider: str | None) -> None:
        """Note the model that a request goes to, whether or not it is answered."""
        self.model, self.provider = model, provider

    def start(self, now: float, model: str | None, provider: str | None) -> list[StreamEvent]:
        """Note that an attempt's connection is open."""
        self._move(State.STREAMING)
        self.ask(model, provider)
        return [StreamStarted(at=now - self.began_at, attempt=self.attempt, model=model, provider=provider)]

    @property
    def is_steady(self) -> bool:
        """True if it never needs to be woken: `deadline` is always infinite."""
        return not self.bounds.any and self._policy is None

    @property
    def is_quiet(self) -> bool:
        """True if only the consumer of partials listens, so that `take` is enough."""
        listens = self.wants_deltas or self.wants_transitions or self.wants_reasoning
        return not (listens or self.limits.of_spending)

    def poll(self, now: float) -> Sequence[StreamEvent]:
        """Check the clock without news from the provider.

        Returns:
            A partial that has become due, if any.

        Raises:
            StreamTimeout: A bound of `Timeouts` has passed.
        """
        if self.bounds.any:
            self.bounds.check(now)
        return self._due_partial(now)

    @property
    def due(self) -> float:
        """When the next partial is due if nothing arrives before; `math.inf` for never."""
        return self._due

    def deadline(self) -> float:
        """Return when to call `poll` at the latest; `math.inf` for never."""
        return min(self._due, self.bounds.next()[0]) if self.bounds.any else self._due

    # ------------------------------------------------------------------ may the gate open?

    def finish(
        self, end: EndSignal | None, *, refusal: str = "", detail: str = "", has_called: bool = False
    ) -> str | None:
        """Check, at the end of the provider's stream, whether the gate may open.

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
        self._check_end(end, refusal)
        parser = self._parser
        if parser is None:
            return self._finish_text(end, detail)
        if parser.finish():
            if parser.needs_end and (end is None or end.kind is EndKind.UNKNOWN):
                raise OutputTruncated("the stream just stopped: nothing said that no further call would follow")
            if parser.lacks:
                raise NoOutput(parser.lacks)
            return parser.json_text()
        if parser.lost is not None:
            if parser.in_prose and (end is None or end.kind is EndKind.UNKNOWN):
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

    def _check_end(self, end: EndSignal | None, refusal: str) -> None:
        """Raise the error that the provider's end signal stands for."""
        kind = end.kind if end else None
        if kind is EndKind.REFUSED or refusal:
            raise OutputRefused(f"the model refused: {refusal or (end.word if end else '')}")
        if end and kind is EndKind.FILTERED:
            raise OutputFiltered(f"a content filter stopped the answer ({end.word})")
        if end and kind is EndKind.TRUNCATED:
            said = f"the answer was cut off after {self.buffer.length} characters ({end.word})"
            advice = "raise the token limit, or have the model write the rest with on_truncated='continue'"
            is_over = self.continuations or self.call_parser is not None  # it was tried, or cannot be
            raise OutputTruncated(said if is_over else f"{said}: {advice}")

    def _finish_text(self, end: EndSignal | None, detail: str) -> str:
        if not self.buffer.length:
            raise self.no_output(detail)
        if end is None:
            raise OutputTruncated(
                f"the stream just stopped after {self.buffer.length} characters, without an end signal"
            )
        if end.kind is EndKind.UNKNOWN:
            raise OutputTruncated(
                f"the text ended after {self.buffer.length} characters with {end.word!r}, which is not a "
                f"known word for a complete answer"
            )
        return self.text

    def no_output(self, detail: str = "") -> StreamError:
        """Return the error for an answer without a document."""
        if not self.buffer.length:
            return NoOutput(f"the model sent no text{f': {detail}' if detail else ''}")
        if self.end is None or self.end.kind is EndKind.UNKNOWN:
            return OutputTruncated(f"the stream just stopped after {self.buffer.length} characters, before any JSON")
        is_reasoning = bool(self.document_buffer.length) and not self.candidates.strip()
        in_prose = NoOutput.in_prose(self.text, reasoning=is_reasoning)
        return NoOutput(f"{in_prose}; {detail}") if detail else in_prose

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
        """Start another attempt with an empty buffer; everything shown is void."""
        self._move(State.OPENING)
        self.note_tagged_reasoning()
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

    def go_on(self) -> Seam:
        """Continue an answer that hit its token limit: the rest, which the model is asked for, joins through a seam."""
        self.continuations += 1
        self._earlier_usage = self.usage
        self.bounds.renew()
        return self.seam()

    def recall(self, document: str) -> None:
        """Take an answer from a cache: nothing is asked, and the whole document is there at once."""
        self.buffer.add(document)
        self._finished_json = document
        self._parser = None
        self.from_cache = True

    def complete(self, now: float, result: object) -> list[StreamEvent]:
        """Note that the answer has passed the gate."""
        if isinstance(self._parser, PartialParser):
            document, text = self._parser.json_text(), self.text
            self._finished_json = text if document == text else document
            self._parser = None  # its tree weighs more than the text, and hardly anybody asks for it again
        self.partial = result
        self.is_final = True
        self._snapshot = None
        completed = StreamCompleted(at=now - self.began_at, attempt=self.attempt, result=result)
        return [completed, self._ended(now, Outcome.COMPLETED, result)]

    def fail(self, now: float, error: BaseException) -> list[StreamEvent]:
        """End the stream with an error, and give the error all that had arrived."""
        newest = self.newest_partial()
        failed = StreamFailed(at=now - self.began_at, attempt=self.attempt, error=error)
        ended = self._ended(now, Outcome.FAILED, newest)
        self.annotate(error, newest)
        return [failed, ended]

    def cancel(self, now: float) -> list[StreamEvent]:
        """End the stream because the consumer left or `stop_when` said so."""
        cancelled = StreamCancelled(at=now - self.began_at, attempt=self.attempt)
        return [cancelled, self._ended(now, Outcome.CANCELLED, self.newest_partial())]

    def annotate(self, error: BaseException, partial: object = None) -> None:
        """Attach to one of this package's errors what had arrived; other errors are left alone."""
        if isinstance(error, StreamError):
            error.partial = self.partial if partial is None else partial
            error.text = self.text
            error.usage = self.usage
            error.attempt = self.attempt
            error.stats = self.stats

    def _move(self, to: State) -> None:
        if to not in _MAY_FOLLOW[self.state]:
            raise StreamMisuse(f"a stream that is {self.state.value} cannot become {to.value}")
        self.state = to

    def _ended(self, now: float, outcome: Outcome, partial: object) -> StreamEnded:
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
