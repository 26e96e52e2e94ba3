"""The lane of a delta: from a provider's chunk to partials, events and items, until the provider's stream ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from instructor_stream_ext.core.errors import (
    InvalidJSON,
    NoOutput,
    StreamError,
    StreamInterrupted,
    StreamMisuse,
    StreamTimeout,
)
from instructor_stream_ext.core.events import (
    EndKind,
    Event,
    ItemCompleted,
    PartialEmitted,
    Path,
    RestartReason,
    SkippedItem,
    StreamEvent,
)
from instructor_stream_ext.core.seam import Seam
from instructor_stream_ext.core.spending import Spending
from instructor_stream_ext.core.text import visible
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.effects import END, LOOK, READ, TICK, Call, Departed, Signal, Steps, Told
from instructor_stream_ext.session.failures import (
    NotAnswered,
    Rejected,
    is_before_the_first_byte,
    is_read_timeout,
    words_of,
)
from instructor_stream_ext.session.protocols import Connection, ItemTaker
from instructor_stream_ext.session.telling import Parts, Teller

__all__ = ["Reading"]

log = logging.getLogger("instructor_stream_ext")


class Reading(Teller):
    """The part of a session that reads an attempt.

    Attributes:
        step: What the driver gives each chunk to, see `Read`. Where nobody but the consumer of partials listens, it
            returns the partial that the chunk makes, or None: no event is made, and the session is not resumed.
        spared: The kinds of events that the consumer has no use for.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._stop_when = parts.stop_when
        self._items = parts.items
        self._repairs = parts.repair is not None
        self._max_continuations = parts.max_continuations
        self._seam: Seam | None = None
        self._rests = 0
        self._written = 0.0
        self._taken: tuple[Any, ...] = ()
        self._rejected: Rejected | None = None
        self._leaving = False
        self._text = ""
        self._flowing = False
        self.step: Callable[[Any], Any] = self._first_chunk
        self.spared: frozenset[type[Event]] = frozenset()

    def interrupt(self) -> Any:
        """End the stream from inside a hook, or from a thread or task other than the reading one.

        Returns:
            For async connections, what to await so that a blocked read wakes.
        """
        self._leaving = True
        connection = self.connection
        if connection is None:
            return None
        if connection.wake():
            return None
        return connection.close()

    def taken(self, event: ItemCompleted) -> tuple[Any, ...]:
        """Return the validated item of an event, alone in a tuple; an empty one if it is not of the stream's list."""
        return self._taken if self._items is not None and self._items.is_item(event.path) else ()

    @property
    def skipped(self) -> list[SkippedItem]:
        """The items of this attempt that did not validate and were left out."""
        return [] if self._items is None else list(self._items.skipped)

    # ------------------------------------------------------------------ the lane

    def _first_chunk(self, chunk: object) -> Signal:
        """Take the first chunk of an attempt, after which its lane is known."""
        self._flowing = True
        assert self.connection is not None  # noqa: S101
        self.connection.flows()
        self.step = self._lane(self.connection.reader)
        self._text = self.connection.reader.read(chunk)
        return LOOK

    def _lane(self, reader: Reader) -> Callable[[Any], Any]:
        machine, clock, read, take = self.machine, self.clock, reader.read, self.machine.take
        is_quiet = self._is_quiet
        bounds = machine.bounds if machine.bounds.any else None

        def step(chunk: object) -> Any:
            text = read(chunk)
            unusual = reader.aside or reader.thoughts or reader.switched or reader.error is not None or self._leaving
            if is_quiet and not unusual and (bounds is None or (text and reader.alive)):
                if not text:
                    if reader.reasoned:
                        machine.note_reasoning(clock())
                    return None
                now = clock()
                if bounds is not None:
                    bounds.arrived(now, alive=True)
                partial = take(text, now)
                if machine.fault is None:
                    return partial
                text = ""
            self._text = text
            return LOOK

        return step

    @property
    def _is_quiet(self) -> bool:
        """True if only the consumer of partials listens."""
        machine = self.machine
        if self._items is not None or machine.parser is None:  # items and text are picked from events
            return False
        if self._seam is not None:
            return False
        return self._dispatch.silent and self._stop_when is None and machine.is_quiet

    def _read(self, connection: Connection) -> Steps[bool]:
        """Read the provider's stream to its end; returns True if `stop_when` or the last wanted item ended it."""
        self._flowing = False
        self.step = self._first_chunk
        connection.reader.tells_reasoning = self.machine.wants_reasoning
        spending = self._spending(connection) if self.machine.limits.of_spending else None
        while (events := (yield from self._next_events(connection))) is not None:
            if (yield from self._settled(events)):
                return True
            reader = connection.reader
            if reader.error is not None:
                yield from self._broken(StreamInterrupted(reader.error))
            if spending is not None and reader.end is None:
                spending.check(reader)
        is_enough = yield from self._read_end(connection)
        if spending is not None:
            self._written = spending.written(connection.reader)
        return is_enough

    def _spending(self, connection: Connection) -> Spending:
        """Make the check of this attempt against its bounds on tokens and money.

        Raises:
            StreamMisuse: The price of the model that was asked, such as the next of a route, is unknown.
        """
        limits = self.machine.limits
        if limits.max_cost is None:
            return Spending(limits, written=self._written)
        try:
            rates = None if self._meter is None else self._meter.rates(connection)
        except Exception as error:
            raise StreamMisuse(
                f"max_cost cannot be enforced: the price of {connection.model!r} cannot be determined"
            ) from error
        if rates is None:
            said = f"max_cost cannot be enforced: the price of {connection.model!r} is unknown"
            raise StreamMisuse(f"{said}; use Limits(max_output_tokens=...)")
        return Spending(limits, rates, self._spent, written=self._written)

    @property
    def _spent(self) -> float:
        """US dollars of the attempts before."""
        cost = self.machine.cost
        return 0.0 if cost is None or cost.dollars is None else cost.dollars

    def _next_events(self, connection: Connection) -> Steps[Sequence[Event] | None]:
        """Wait for the provider's next chunk and return its events; None at the end."""
        machine, clock, reader = self.machine, self.clock, connection.reader
        bounds = machine.bounds
        if bounds.any:
            bounds.waits(clock())
        try:
            answer = yield READ
        except Exception as error:
            if not connection.just_stopped(error):
                yield from self._broken(error)
            answer = END
        if answer is END:
            return None
        now = clock()
        if answer is TICK:
            events = machine.poll(now)
            bounds.arrived(now, alive=False)
            return events
        bounds.arrived(now, alive=reader.alive)
        if reader.reasoned:
            machine.note_reasoning(now)
        if reader.switched is not None or reader.aside or reader.thoughts:
            yield from self._unusual(connection, reader)
        if machine.call_parser is not None:
            return self._calls_in(reader, now)
        text, self._text = self._text, ""
        if text and self._seam is not None:
            text = self._seam.take(text)
        return machine.feed(text, now) if text else ()

    def _calls_in(self, reader: Reader, now: float) -> list[Event]:
        """Take what came of several tool calls, each of which is a document."""
        machine = self.machine
        events: list[Event] = []
        for piece in reader.pieces():
            parser = machine.call_parser
            assert parser is not None  # noqa: S101
            parser.turn_to(piece.number, piece.tool, piece.name)
            events += machine.feed(piece.text, now) if piece.text else ()
        return events

    def _read_end(self, connection: Connection) -> Steps[bool]:
        """Take the end of the chunks: the rest of the text, and what the SDK hid."""
        machine, reader = self.machine, connection.reader
        self._overdue(None)
        if self._leaving and reader.end is None:  # some transports take a connection that was closed for one that ended
            raise Departed
        hidden = connection.ended()
        if hidden is not None:
            yield from self._broken(hidden)
        text = reader.finish()
        if self._seam is not None:
            text = self._seam.take(text) + self._seam.finish()
        if not self._is_cut(reader):
            text += machine.rest()
        told = [] if machine.call_parser is None else self._calls_in(reader, self.clock())
        if text:
            told += machine.feed(text, self.clock())
        if told and (yield from self._show(told)):
            return True
        events = () if machine.fault is not None else machine.settle(reader.end, self.clock())
        return (yield from self._settled(events, is_end=True))

    def _is_cut(self, reader: Reader) -> bool:
        """Return whether an answer that hit its token limit is to be continued."""
        machine, end = self.machine, reader.end
        if end is None or end.kind is not EndKind.TRUNCATED or reader.refusal or machine.fault is not None:
            return False
        return self._rests < self._max_continuations and not machine.is_whole

    def _settled(self, events: Sequence[Event], *, is_end: bool = False) -> Steps[bool]:
        """Report events, and raise what is wrong with them; returns True if that was enough."""
        if events and (yield from self._show(events)):
            return True
        if self._leaving and not is_end:
            raise Departed
        if self.machine.has_draft and (yield from self._begin_anew()):
            return True
        if self._rejected is not None:
            rejected, self._rejected = self._rejected, None
            raise rejected from rejected.error
        if self.machine.fault is not None:
            self._raise_fault()
        return False

    def _show(self, events: Sequence[Event]) -> Steps[bool]:
        """Report events and validate items; returns True if that was enough and the connection is closed."""
        machine, stop_when, dispatch = self.machine, self._stop_when, self._dispatch
        if dispatch.silent and stop_when is None and self._items is None:
            yield Told(events)
            return False
        for event in events:
            partial = event if isinstance(event, PartialEmitted) else None
            if calls := dispatch.call_now(event):
                yield from self._tell_all(calls)
            if partial is not None and PartialEmitted in dispatch:
                machine.shown(self.clock())
            is_enough = self._items is not None and type(event) is ItemCompleted and self._take(event)
            if stop_when is not None and partial is not None and (yield Call(stop_when, (partial.partial,))):
                self._stopped("stop_when ended the stream")
                is_enough = True
            if is_enough:
                yield from self._close()
            if type(event) not in self.spared:
                yield event
            if is_enough:
                return True
        return False

    def _begin_anew(self) -> Steps[bool]:
        """Start the document over in the same attempt, after a draft that was shown."""
        machine = self.machine
        while machine.has_draft:
            self._void()
            if (yield from self._show(machine.begin_anew(self.clock()))):
                return True
        return False

    def _restart(self, reason: RestartReason, error: BaseException | None, **models: str | None) -> list[StreamEvent]:
        """Start over, whatever the reason: what was shown is void, including the items."""
        self._void()
        return self.machine.restart(self.clock(), reason, error, **models)

    def _void(self) -> None:
        """Forget the items of what was shown so far."""
        if self._items is not None:
            self._items.restart()
        self._taken, self._rejected = (), None

    # ------------------------------------------------------------------ items

    def _take(self, event: ItemCompleted) -> bool:
        """Validate an item of the stream's list, once, as it is closed; returns True if no more are wanted."""
        items = self._items
        if items is not None and items.is_item(event.path):
            self._taken = ()
            if self._rejected is not None:
                return False  # what follows a bad item is void
            try:
                self._taken = self._validated(items, event.path)
            except (ValidationError, InvalidJSON, NoOutput) as error:
                # raised when all that came with this delta has been told, so that no event is lost
                self._rejected = Rejected(error, for_good=not items.reasks)
                return False
            if not self._taken:
                self._tell_skipped(items.skipped[-1])
            return items.is_full
        return False

    def _validated(self, items: ItemTaker, path: Path) -> tuple[Any, ...]:
        calls = self.machine.call_parser
        if calls is None:
            return items.take(path, *self.machine.listing)
        call = calls.calls[path[0]]  # type: ignore[index]
        return items.take_call(path, call.tool, call.arguments, call.fault)

    def _tell_skipped(self, item: SkippedItem) -> None:
        faults = ", ".join(f"{'.'.join(map(str, error['loc'])) or 'item'}: {error['type']}" for error in item.errors)
        faults = visible(faults, lines=False)  # a key may be the model's text
        log.warning("item %d was skipped: %s", item.path[-1], faults, extra={"path": item.path, "faults": faults})

    # ------------------------------------------------------------------ the unusual

    def _unusual(self, connection: Connection, reader: Reader) -> Steps[None]:
        """Take prose outside the document, or another answer in the middle of this one."""
        machine, now = self.machine, self.clock()
        switched = reader.switched
        if switched is not None:
            reader.switched = None
            machine.note_usage(reader.usage)
            yield from self._tell(
                self._restart(RestartReason.FALLBACK, None, from_model=switched.from_model, to_model=switched.to_model)
            )
            yield from self._tell(machine.start(now, switched.to_model, connection.provider))
        thoughts, reader.thoughts = reader.thoughts, []
        for piece in thoughts:
            yield from self._tell(machine.feed_reasoning(piece, now))
        asides, reader.aside = reader.aside, []
        for piece in asides:
            yield from self._tell(machine.feed_aside(piece, now))

    def _raise_fault(self) -> None:
        """Raise the text's fault. If the caller repairs what is not JSON, read the rest of the text instead."""
        fault = self.machine.fault
        if not isinstance(fault, InvalidJSON):
            assert fault is not None  # noqa: S101
            raise fault
        if not self._repairs:
            raise Rejected(fault)
        self.machine.read_past()

    def _overdue(self, error: Exception | None) -> None:
        """Raise `StreamTimeout` if a bound ended the waiting, whatever it looks like from outside."""
        try:
            self.machine.poll(self.clock())
        except StreamError as timeout:
            raise timeout from error

    def _broken(self, error: Exception) -> Steps[None]:
        """Handle a failure of the network or the provider in mid-stream."""
        if self._leaving:
            raise Departed from error
        self._overdue(error)
        yield from self._tell_all(self._source.errored(error, self.machine.attempt))
        if isinstance(error, StreamError):
            raise error
        if not self._flowing and is_before_the_first_byte(error):
            raise NotAnswered(error) from error
        if is_read_timeout(error):
            raise StreamTimeout("read") from error
        said = words_of(error)
        if isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            said = f"an event of the provider's could not be read ({type(error).__name__}: {error})"
        raise StreamInterrupted(f"the stream broke after {self.machine.stats.deltas} pieces of text: {said}") from error
