"""The end of an attempt: whether the gate may open, whether it does, and whether an invalid answer can be repaired."""

from __future__ import annotations

import json
import logging
from typing import Any

from pydantic import ValidationError

from instructor_stream_ext.core.errors import InvalidJSON, NoOutput, StreamInterrupted, StreamMisuse
from instructor_stream_ext.core.events import EndKind, EndSignal
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.effects import Call, Steps
from instructor_stream_ext.session.failures import Rejected
from instructor_stream_ext.session.protocols import Connection
from instructor_stream_ext.session.reading import Reading
from instructor_stream_ext.session.telling import Parts

__all__ = ["Gatekeeper"]

log = logging.getLogger("instructor_stream_ext")


class Gatekeeper(Reading):
    """The part of a session that takes a complete answer through the gate."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._gate = parts.gate
        self._repair = parts.repair

    def _pass_gate(self, connection: Connection, reader: Reader) -> Steps[Any]:
        machine = self.machine
        end = reader.end
        if end is not None and end.kind is EndKind.FAILED:
            failed = StreamInterrupted(f"the provider failed: {end.message or end.word}")
            machine.end = end
            yield from self._tell_all(self._source.errored(failed, machine.attempt))
            raise failed
        document: str | None = ""
        if self._max_continuations and end is not None and end.kind is EndKind.TRUNCATED and machine.is_whole:
            end = EndSignal(EndKind.COMPLETE, end.word)  # the limit was met behind the document
        try:
            document = machine.finish(
                end,
                refusal=reader.refusal,
                has_called=reader.has_called,
                detail=connection.detail() if reader.strays or not machine.buffer.length else "",
            )
            result = self._gate.open(document, machine.candidates if document is None else machine.text)
        except (ValidationError, NoOutput, InvalidJSON) as error:
            repaired = yield from self._repaired(error, end)
            if repaired:
                return (yield from self._check(repaired[0]))
            is_over = end is not None and end.kind is not EndKind.UNKNOWN
            if isinstance(error, NoOutput) and not is_over and machine.buffer.length:
                raise machine.no_output() from None  # prose that just stopped may have been going to bring JSON
            if isinstance(error, NoOutput) and document is None:
                raise Rejected(machine.no_output()) from error
            raise Rejected(error) from error
        return (yield from self._check(result))

    def _repaired(self, error: Exception, end: EndSignal | None) -> Steps[tuple[Any, ...]]:
        """Return the result of the answer as repaired by the caller, alone in a tuple; an empty one if it cannot be."""
        machine, text = self.machine, self.machine.candidates
        is_whole = end is not None and end.kind is EndKind.COMPLETE
        if self._repair is None or isinstance(error, ValidationError) or not (is_whole and text.strip()):
            return ()
        try:
            mended = _json_of((yield Call(self._repair, (text, error))))
        except ValueError as why:
            log.info("the answer could not be repaired: %s", why)
            return ()
        if not mended:
            return ()
        try:
            document, events = machine.adopt(mended, self.clock())
        except (InvalidJSON, NoOutput) as still:
            log.info("the repaired answer is not valid either: %s", still)
            return ()
        if self._items is not None:
            if self._items.items or self._items.skipped:
                yield from self._tell(machine.redraft(self.clock()))
            self._void()
            yield from self._show(events)
            if self._rejected is not None:
                raise self._rejected from self._rejected.error
        try:
            return (self._gate.open(document, mended),)
        except (ValidationError, NoOutput) as refused:
            raise Rejected(refused) from refused

    def _check(self, result: object) -> Steps[Any]:
        """Return the result if the caller's own checks accept it."""
        for check in self._gate.checks:
            try:
                yield Call(check, (result,))
            except (ValueError, AssertionError) as error:
                raise Rejected(error) from error
        return result


def _json_of(repaired: object) -> str:
    """Return the text that a `repair` returned; some return the objects that the text stands for.

    Raises:
        StreamMisuse: It returned something else.
    """
    if repaired is None:
        return ""
    if isinstance(repaired, dict | list):
        return json.dumps(repaired)
    if not isinstance(repaired, str):
        raise StreamMisuse(f"repair must give a text or None, not {type(repaired).__name__}")
    return repaired.strip()
