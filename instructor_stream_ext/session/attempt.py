"""One attempt: connect, read to the end, ask for the rest of an answer that was cut off, open the gate."""

from __future__ import annotations

import functools
import logging
import math
from typing import Any

from instructor_stream_ext.core.errors import LimitExceeded, OutputTruncated
from instructor_stream_ext.session.effects import TICK, Departed, Open, Steps
from instructor_stream_ext.session.failures import NotAnswered
from instructor_stream_ext.session.protocols import Connection
from instructor_stream_ext.session.settling import Gatekeeper
from instructor_stream_ext.session.telling import Parts

__all__ = ["Attempt"]

log = logging.getLogger("instructor_stream_ext")


class Attempt(Gatekeeper):
    """The part of a session that makes an attempt."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._asked_at = 0

    def _attempt(self) -> Steps[Any]:
        """Make one attempt: connect, read to the end, open the gate."""
        machine = self.machine
        connection = yield from self._connect()
        self.reader = connection.reader
        yield from self._tell_all(self._source.owed())
        yield from self._tell(machine.start(self.clock(), connection.model, connection.provider))
        self._seam, self._rests, self._written, self._asked_at = None, 0, 0.0, 0
        is_enough = yield from self._read(connection)
        while not is_enough and self._goes_on():
            connection, is_enough = yield from self._read_the_rest()
        if is_enough:
            return None if self.error is not None else (yield from self._check(self._gate.open("", "")))
        reader = self.reader
        machine.note_usage(reader.usage)
        yield from self._close(keep=True)
        yield from self._tell_all(self._source.answered(reader))
        return (yield from self._pass_gate(connection, reader))

    def _goes_on(self) -> bool:
        """Return whether to ask the model for the rest of its answer.

        Raises:
            Departed: The consumer has left, so nothing is asked.
        """
        machine, reader = self.machine, self.reader
        assert reader is not None  # noqa: S101
        has_grown = machine.document_buffer.length > self._asked_at
        if not (has_grown and self._is_cut(reader)):
            return False
        if self._leaving:
            raise Departed
        return True

    def _read_the_rest(self) -> Steps[tuple[Connection, bool]]:
        """Have the model write the rest of its answer, in the same attempt; returns what `_read` does."""
        machine, reader = self.machine, self.reader
        assert reader is not None  # noqa: S101
        assert reader.end is not None  # noqa: S101
        machine.note_usage(reader.usage)
        yield from self._close(keep=True)
        yield from self._tell_all(self._source.answered(reader))
        cut = OutputTruncated(f"the answer was cut off after {machine.buffer.length} characters ({reader.end.word})")
        self._check_spent(cut)
        self._asked_at = machine.document_buffer.length
        log.info("the answer met its token limit after %d characters: the model is asked for the rest", self._asked_at)
        self._source.go_on(str(machine.document_buffer), reader)
        self._seam = machine.go_on()
        self._rests += 1
        try:
            connection = yield from self._connect()
            self.reader = connection.reader
            yield from self._tell_all(self._source.owed())
            return connection, (yield from self._read(connection))
        except NotAnswered as failed:
            cut.add_note(f"the request for its rest failed: {type(failed.error).__name__}")
            raise cut from failed.error

    def _connect(self) -> Steps[Connection]:
        machine, clock = self.machine, self.clock
        bound = machine.bounds.waits(clock())
        try:
            answer = yield Open(functools.partial(self._source.connect, hurried=bound < math.inf), bound)
        except Exception as error:
            machine.ask(*self._source.asked)
            yield from self._tell_all(self._source.owed())
            self._overdue(error)
            yield from self._tell_all(self._source.errored(error, machine.attempt))
            if self._source.came_from_api(error):
                raise NotAnswered(error) from error
            raise
        now = clock()
        if answer is TICK:
            machine.poll(now)
        connection: Connection = answer
        self.connection = connection  # also one that came too late has to be closed
        machine.bounds.arrived(now, alive=False)
        return connection

    def _check_spent(self, error: Exception) -> None:
        """Raise `LimitExceeded` if no money is left for another attempt, while what has arrived is still there."""
        most = self.machine.limits.max_cost
        if most is not None and self._spent >= most:
            raise LimitExceeded("max_cost", most) from error
