"""Telling: which callbacks an event calls, in which order, and what a failing one does to the stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from instructor_stream_ext.core.errors import StreamStopped
from instructor_stream_ext.core.events import Event
from instructor_stream_ext.core.machine import State, StreamMachine
from instructor_stream_ext.core.options import Repair
from instructor_stream_ext.core.usage import Cost
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.dispatch import Dispatch
from instructor_stream_ext.session.effects import Call, Close, Departed, Steps
from instructor_stream_ext.session.hooks import Handler
from instructor_stream_ext.session.protocols import Connection, Gate, ItemTaker, Meter, Source
from instructor_stream_ext.session.retries import Retries

__all__ = ["Parts", "Teller"]

log = logging.getLogger("instructor_stream_ext")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that a session is built from.

    Attributes:
        machine: The stream's state.
        source: Where attempts come from.
        gate: Validates the document.
        dispatch: Which callbacks to call.
        retries: How many attempts to make.
        clock: Returns the instant, in seconds.
        stop_when: Ends the stream early when it is true of a partial.
        items: Validates list items, for a stream of them.
        meter: Computes what attempts cost.
        repair: From an answer that is no JSON, and the error, to the JSON that it should be.
        max_continuations: How often the model is asked for the rest of an answer that met its token limit.
    """

    machine: StreamMachine
    source: Source
    gate: Gate
    dispatch: Dispatch
    retries: Retries
    clock: Callable[[], float]
    stop_when: Handler | None = None
    items: ItemTaker | None = None
    meter: Meter | None = None
    repair: Repair | None = None
    max_continuations: int = 0


class Teller:
    """The part of a session that reports events and closes connections.

    Attributes:
        connection: The open connection, if there is one.
        reader: Of the newest attempt.
        error: What the stream ended with.
    """

    def __init__(self, parts: Parts) -> None:
        self.machine = parts.machine
        self.clock = parts.clock
        self.connection: Connection | None = None
        self.reader: Reader | None = None
        self.error: BaseException | None = None
        self._source = parts.source
        self._dispatch = parts.dispatch
        self._meter = parts.meter

    @property
    def cost(self) -> Cost | None:
        """The cost of all attempts so far."""
        settled, connection = self.machine.cost, self.connection
        running = None if connection is None else self._metered(connection)
        return settled + running if settled and running else settled or running

    def _metered(self, connection: Connection) -> Cost | None:
        """Return the cost of an attempt so far. A price list that fails does not cost the answer."""
        try:
            return None if self._meter is None else self._meter(connection)
        except Exception as error:  # also where the garbage collector has taken the answer before the stream
            log.debug("the cost of the attempt could not be computed", exc_info=error)
            return Cost(None)

    def _tell(self, events: Iterable[Event]) -> Steps[None]:
        """Call the hooks of each event and yield it to the consumer."""
        for event in events:
            yield from self._tell_all(self._dispatch.calls(event))
            yield event

    def _tell_end(self, events: Sequence[Event]) -> Steps[None]:
        """Report the last events: all hooks first, so that everything is settled when the consumer sees them.

        A consumer that leaves in the midst of it, as a task that is cancelled in its `on_final`, stops no `on_end`.
        """
        first: Exception | None = None
        departed: Departed | None = None
        for calls in (self._source.owed(), *map(self._dispatch.calls, events)):
            try:
                yield from self._tell_all(calls, to_the_last=True)
            except Exception as error:
                first = first or error
            except Departed as leaving:
                departed = leaving
        self._dispatch.errors.conclude()
        if departed is not None:
            raise departed
        yield from events
        if first is not None and self.error is None:
            self.error = first
            raise first

    def _tell_all(self, calls: Iterable[Call], *, to_the_last: bool = False) -> Steps[None]:
        """Make all calls even if one fails; then raise the first failure, if failures are to be raised.

        Args:
            calls: The callbacks and their arguments.
            to_the_last: Whether to make all calls even if the consumer leaves meanwhile.
        """
        first: Exception | None = None
        departed: Departed | None = None
        for call in calls:
            try:
                yield call
            except Exception as error:
                try:
                    self._dispatch.errors.handle(call.fn, error)
                except Exception as raised:
                    first = first or raised
            except Departed as leaving:
                if not to_the_last:
                    raise
                departed = leaving
        if departed is not None:
            raise departed
        if first is not None:
            raise first

    def _close(self, *, keep: bool = False) -> Steps[None]:
        """Close the connection, once. An error raised by closing helps nobody and is only logged."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if not keep:
            self.machine.note_usage(connection.reader.usage)
        self.machine.note_cost(self._metered(connection))
        try:
            yield Close(connection.close)
        except Exception as error:
            log.debug("closing the provider's stream raised", exc_info=error)

    def _stopped(self, why: str) -> None:
        if self.error is None and self.machine.state is not State.ENDED:
            stopped = StreamStopped(f"{why}: there is no final object")
            self.machine.annotate(stopped)
            self.error = stopped
