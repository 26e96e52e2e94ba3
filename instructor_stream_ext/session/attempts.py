"""What happens in a stream, told once for sync and async: attempts, the gate, re-asking, hooks, the end.

A script does no I/O. It yields what it wants done (`Open`, `READ`, `Do`) and is sent the answer, and it yields the
events, which are for the consumer. `drivers.py` carries the wishes out, with or without `await`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from instructor_stream_ext.core.errors import (
    InvalidJSON,
    NoOutput,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
    StreamInterrupted,
    StreamMisuse,
    StreamStopped,
    StreamTimeout,
)
from instructor_stream_ext.core.events import (
    Cost,
    EndKind,
    EndSignal,
    Event,
    ItemCompleted,
    PartialEmitted,
    RestartReason,
    SkippedItem,
    StreamEvent,
)
from instructor_stream_ext.core.machine import State, StreamMachine
from instructor_stream_ext.core.options import Repair
from instructor_stream_ext.core.text import visible
from instructor_stream_ext.providers.reader import Reader, message_of
from instructor_stream_ext.session.effects import (
    END,
    LOOK,
    READ,
    TICK,
    Close,
    Connection,
    Departed,
    Do,
    Gate,
    ItemTaker,
    Open,
    Source,
)
from instructor_stream_ext.session.hooks import Dispatch, Handler
from instructor_stream_ext.session.retries import Retries

__all__ = ["Script"]

log = logging.getLogger("instructor_stream_ext")


class _Rejected(Exception):
    """The gate did not open; wraps the reason, so that no caller's exception is taken for it."""

    def __init__(self, error: Exception, *, for_good: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.for_good = for_good


class _NotAnswered(Exception):
    """The API raised before the first byte, so that the caller's retry rules decide; wraps what it raised."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


_NOT_CONNECTED = frozenset({"ClientConnectorError", "ConnectError", "ConnectTimeout"})
"""The errors of aiohttp, httpx and httpx2 for a connection that never was."""


def _is_before_the_first_byte(error: Exception) -> bool:
    """Whether an SDK that connects only when it is first read, as google-genai's, got no stream at all.

    It refuses what it cannot send by a plain `ValueError`; what it cannot read is a kind of its own, or JSON's.
    """
    if type(error) is ValueError:
        return True
    if isinstance(getattr(error, "status_code", getattr(error, "code", None)), int):
        return True
    return any(kind.__name__ in _NOT_CONNECTED for kind in type(error).__mro__)


_READ_TIMEOUTS = frozenset(
    {
        "APITimeoutError",  # openai, anthropic, groq
        "ReadTimeout",  # httpx, httpx2, requests
        "ReadTimeoutError",  # urllib3, botocore
        "ServerTimeoutError",  # aiohttp
        "Timeout",  # litellm
        "TimeoutError",
    }
)


def _is_read_timeout(error: BaseException | None) -> bool:
    """Whether it is the timeout of the transport or of the SDK, or was raised because of one."""
    seen = 0
    while error is not None and seen < 10:  # noqa: PLR2004  no chain of causes is that long
        if any(kind.__name__ in _READ_TIMEOUTS for kind in type(error).__mro__):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False


def _words_of(error: Exception) -> str:
    """What an error says, with the provider's own words where its SDK keeps them beside the message."""
    said = str(error) or type(error).__name__
    body = getattr(error, "body", None)
    told = message_of(body) if body else ""
    return said if told in said else f"{said}: {told}"


def _json_of(repaired: Any) -> str:
    """The text that a `repair` gave; some repairers give the objects that the text stands for.

    Raises:
        StreamMisuse: It gave something else.
    """
    if repaired is None:
        return ""
    if isinstance(repaired, dict | list):
        return json.dumps(repaired)
    if not isinstance(repaired, str):
        raise StreamMisuse(f"repair must give a text or None, not {type(repaired).__name__}")
    return repaired.strip()


Steps: TypeAlias = Generator[Any, Any, None]


class Script:
    """One stream from its first request to its end.

    Args:
        machine: Its state.
        source: Where attempts come from.
        gate: Validates the document.
        dispatch: Whom to tell.
        retries: How often to try.
        clock: Gives the instant, in seconds.
        stop_when: Ends the stream early when it is true of a partial.
        items: Validates list items, for a stream of them.
        meter: Says what an attempt has cost so far.
        repair: From an answer that is no JSON, and the error, to the JSON that it should be.
    """

    def __init__(
        self,
        *,
        machine: StreamMachine,
        source: Source,
        gate: Gate,
        dispatch: Dispatch,
        retries: Retries,
        clock: Callable[[], float],
        stop_when: Handler | None = None,
        items: ItemTaker | None = None,
        meter: Callable[[Connection], Cost | None] | None = None,
        repair: Repair | None = None,
    ) -> None:
        self.machine = machine
        self.clock = clock
        self.connection: Connection | None = None
        self.reader: Reader | None = None
        self.error: BaseException | None = None
        self._source = source
        self._gate = gate
        self._dispatch = dispatch
        self._retries = retries
        self._stop_when = stop_when
        self._items = items
        self._meter = meter
        self._repair = repair
        self._taken: tuple[Any, ...] = ()
        self._rejected: _Rejected | None = None
        self._leaving = False
        self._stash: str | None = None
        self._flowing = False
        self.glance: Callable[[Any], Any] | None = None
        """While partials are all that anybody wants: from a chunk to the partial it makes, None, or `LOOK`."""

    def interrupt(self) -> Any:
        """End the stream from inside a hook, or from another thread or task than the one that reads.

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
        """The validated item of an event, alone in a tuple; none if it is no item of the stream's list."""
        return self._taken if self._items is not None and self._items.is_item(event.path) else ()

    @property
    def cost(self) -> Cost | None:
        """What all attempts have cost so far."""
        settled, connection = self.machine.cost, self.connection
        running = None if connection is None or self._meter is None else self._meter(connection)
        return settled + running if settled and running else settled or running

    @property
    def completion(self) -> Any:
        """The provider's answer, put together or from the cache; None before the first chunk."""
        return self._source.recalled_completion if self.reader is None else self.reader.completion()

    @property
    def usage_total(self) -> Any:
        """The usage of all attempts in the provider's own type; None where it is not known or nothing was asked."""
        return None if self.reader is None else self._source.usage_total

    @property
    def skipped(self) -> list[SkippedItem]:
        """The items of this attempt that did not validate and were left out."""
        return [] if self._items is None else list(self._items.skipped)

    def run(self) -> Steps:
        """The stream's wishes and events.

        Raises:
            StreamError: As the contract's section 7 says; a provider's error before the first byte as it is.
        """
        machine = self.machine
        machine.begin(self.clock())
        try:
            result = yield from self._attempts()
        except Departed:
            yield from self.depart()
        except GeneratorExit:
            raise  # collected as garbage before its driver, which will ask for `depart`
        except BaseException as error:
            yield from self._close()
            self._drop_internals(error)
            self.error = error
            if isinstance(error, OutputTruncated) and self.reader is not None:
                error.last_completion = self.reader.completion()
            yield from self._tell_end(machine.fail(self.clock(), error))
            raise
        else:
            if self.error is None:
                yield from self._tell_end(machine.complete(self.clock(), result))
            else:
                yield from self._tell_end(machine.cancel(self.clock()))

    def depart(self) -> Steps:
        """The consumer has left: close the connection and tell the end, unless that has happened."""
        if self.machine.state is State.ENDED:
            return
        yield from self._close()
        self._stopped("the stream was closed")
        yield from self._tell_end(self.machine.cancel(self.clock()))

    # ------------------------------------------------------------------ attempts

    def _attempts(self) -> Generator[Any, Any, Any]:  # noqa: C901, PLR0912  each way an attempt may end, told in one place
        """Attempt after attempt until the gate opens; gives the result."""
        machine, source = self.machine, self._source
        recalled = yield from self._recalled()
        if recalled:
            return recalled[0]
        ticket = yield Do(self._retries.next)
        while True:
            try:
                return (yield from self._keep((yield from self._attempt())))
            except _Rejected as rejected:
                error = rejected.error
                yield from self._close()
                machine.annotate(error, machine.newest_partial())
                assert self.reader is not None  # noqa: S101
                if source.for_create:
                    error = source.as_created(error, self.reader)
                yield from self._tell_all(source.rejected(self.reader, error, machine.attempt))
                try:
                    if rejected.for_good:
                        yield from self._tell_all(source.given_up(error, machine.attempt))
                        raise self._exhausted(error) from error
                    ticket = yield from self._next_ticket(ticket, error)
                except StreamError as used_up:
                    restarted = yield from self._taken_over(used_up)
                    if not restarted:
                        raise
                    ticket = yield Do(self._retries.next)
                else:
                    source.reask(error, machine.text)
                    restarted = self._restart(RestartReason.REASK, error)
            except _NotAnswered as failed:
                error = failed.error
                yield from self._close()
                try:
                    ticket = yield from self._ticket_after_api_error(ticket, error)
                except _NotAnswered:
                    restarted = yield from self._taken_over(error)
                    if not restarted:
                        raised = source.unanswered(error, machine.attempt)
                        raise raised from (error.__cause__ if raised is error else error)
                    ticket = yield Do(self._retries.next)
                else:
                    restarted = self._restart(RestartReason.REASK, error)
            except Exception as error:
                restarted = yield from self._taken_over(error)
                if not restarted:
                    raise
                ticket = yield Do(self._retries.next)
            yield from self._tell(restarted)

    def _restart(self, reason: RestartReason, error: BaseException | None, **models: str | None) -> list[StreamEvent]:
        """Begin anew, whatever the reason: what was shown is void, the items with it."""
        self._void()
        return self.machine.restart(self.clock(), reason, error, **models)

    def _void(self) -> None:
        """The items of what was shown so far are void."""
        if self._items is not None:
            self._items.restart()
        self._taken, self._rejected = (), None

    def _recalled(self) -> Generator[Any, Any, tuple[Any, ...]]:
        """The answer that the caller's cache has, alone in a tuple, if it passes the gate of this call."""
        document = yield Do(self._source.recall)
        if document is None:
            return ()
        try:
            result = yield from self._check(self._gate.open(document, document))
        except (_Rejected, ValidationError, NoOutput, InvalidJSON) as error:
            log.info("the cached answer does not pass the gate of this call, so the model is asked", exc_info=error)
            return ()
        self.machine.recall(document)
        return (result,)

    def _keep(self, result: Any) -> Generator[Any, Any, Any]:
        """Fill the caller's cache with the result, and give it; a cache that fails then does not cost the answer."""
        if self.error is not None or self.reader is None:
            return result
        try:
            yield Do(self._source.keep, (result, self.reader))
        except Exception:
            log.warning("the cache could not be filled", exc_info=True)
        return result

    def _taken_over(self, error: Exception) -> Generator[Any, Any, list[StreamEvent]]:
        """Have another model take over, with attempts of its own; gives the restart, nothing if there is none."""
        machine = self.machine
        recovery = self._source.recover(error)
        if recovery is None:
            return []
        yield from self._close()
        machine.annotate(error, machine.newest_partial())
        self._retries.renew()
        return self._restart(RestartReason.FALLBACK, error, from_model=recovery.from_model, to_model=recovery.to_model)

    def _next_ticket(self, ticket: Any, error: Exception) -> Generator[Any, Any, Any]:
        self._retries.failed(ticket, error)
        try:
            return (yield Do(self._retries.next))
        except Exception as used_up:
            yield from self._tell_all(self._source.given_up(error, self.machine.attempt))
            if self._retries.none_allowed and isinstance(error, (NoOutput, InvalidJSON)):
                raise error from error.__cause__
            raise self._exhausted(error) from (used_up if used_up is error else error)

    def _ticket_after_api_error(self, ticket: Any, error: Exception) -> Generator[Any, Any, Any]:
        """The next attempt, if the caller's rules have it so; `_NotAnswered` if not."""
        retries = self._retries
        if retries.has_own_rules:
            retries.failed(ticket, error)
            with contextlib.suppress(Exception):  # `error` itself, or tenacity's RetryError around it
                return (yield Do(retries.next))
        yield from self._tell_all(self._source.given_up(error, self.machine.attempt))
        raise _NotAnswered(error)

    def _exhausted(self, error: Exception) -> RetriesExhausted:
        source = self._source
        attempts = self.machine.attempt
        return RetriesExhausted(
            f"no valid answer in {attempts} attempt{'s' if attempts > 1 else ''}; the last error: {error}",
            last_completion=source.failed_attempts[-1].completion if source.failed_attempts else None,
            n_attempts=attempts,
            total_usage=source.usage_total,
            messages=source.messages,
            create_kwargs=source.create_kwargs,
            failed_attempts=source.failed_attempts,
        )

    def _attempt(self) -> Generator[Any, Any, Any]:
        """One attempt: connect, read to the end, open the gate."""
        machine = self.machine
        connection = self.connection = yield from self._connect()
        self.reader = connection.reader
        yield from self._tell_all(self._source.owed())
        yield from self._tell(machine.start(self.clock(), connection.model, connection.provider))
        if (yield from self._read(connection)):
            return None if self.error is not None else (yield from self._check(self._gate.open("", "")))
        reader = self.reader
        machine.note_usage(reader.usage)
        yield from self._close(keep=True)
        yield from self._tell_all(self._source.answered(reader))
        return (yield from self._pass_gate(connection, reader))

    def _connect(self) -> Generator[Any, Any, Connection]:
        machine, clock = self.machine, self.clock
        machine.waits(clock())
        try:
            bound = machine.bound()
            answer = yield Open(functools.partial(self._source.connect, hurried=bound < math.inf), bound)
        except Exception as error:
            machine.ask(*self._source.asked)
            yield from self._tell_all(self._source.owed())
            self._overdue(error)
            yield from self._tell_all(self._source.errored(error, machine.attempt))
            if self._source.came_from_api(error):
                raise _NotAnswered(error) from error
            raise
        now = clock()
        if answer is TICK:
            machine.poll(now)
        machine.arrived(now, alive=False)
        connection: Connection = answer
        return connection

    # ------------------------------------------------------------------ the hot loop

    def _read(self, connection: Connection) -> Generator[Any, Any, bool]:  # noqa: C901, PLR0912, PLR0915  one loop, told whole
        """Read the provider's stream to its end; True if `stop_when` or the last item wanted ended it."""
        machine, clock, reader = self.machine, self.clock, connection.reader
        feed = machine.feed
        timed = machine.timed
        self._flowing = False
        self._stash = None
        self.glance = None
        events: Sequence[Event]
        while True:
            if timed:
                machine.waits(clock())
            try:
                chunk = yield READ
                now = clock()
                text = self._text_of(chunk, reader)
            except Exception as error:
                if not connection.just_stopped(error):
                    yield from self._broken(error)
                chunk, now = END, clock()
            if chunk is TICK:
                events = machine.poll(now)
                if timed:
                    machine.arrived(now, alive=False)
            elif chunk is END:
                break
            else:
                if timed:
                    machine.arrived(now, alive=reader.alive)
                if reader.switched is not None or reader.aside:
                    yield from self._unusual(connection, reader)
                events = feed(text, now) if text else ()
            if events and (yield from self._show(events)):
                return True
            if self._leaving:
                raise Departed
            if machine.has_draft and (yield from self._begin_anew()):
                return True
            self._raise_rejected()
            if machine.fault is not None:
                self._raise_fault()
            if reader.error is not None:
                yield from self._broken(StreamInterrupted(reader.error))
        self._overdue(None)
        hidden = connection.ended()
        if hidden is not None:
            yield from self._broken(hidden)
        text = reader.finish() + machine.rest()
        if text and (yield from self._show(feed(text, now))):
            return True
        if machine.fault is None and (yield from self._show(machine.settle(reader.end, self.clock()))):
            return True
        if machine.has_draft and (yield from self._begin_anew()):
            return True
        self._raise_rejected()
        if machine.fault is not None:
            self._raise_fault()
        return False

    def _begin_anew(self) -> Generator[Any, Any, bool]:
        """What was shown was a draft: the document begins anew behind it, in the same attempt."""
        machine = self.machine
        while machine.has_draft:
            self._void()
            if (yield from self._show(machine.begin_anew(self.clock()))):
                return True
        return False

    def _show(self, events: Iterable[Event]) -> Generator[Any, Any, bool]:
        """Tell what a delta brought, validate its items; True if that was enough and the connection is closed."""
        machine, items, stop_when = self.machine, self._items, self._stop_when
        for event in events:
            if self._dispatch.calls(event):
                yield from self._call(event)
                if type(event) is PartialEmitted:
                    machine.shown(self.clock())
            is_enough = items is not None and type(event) is ItemCompleted and self._take(event)
            if stop_when is not None and type(event) is PartialEmitted and (yield Do(stop_when, (event.partial,))):
                self._stopped("stop_when ended the stream")
                is_enough = True
            if is_enough:
                yield from self._close()
            yield event
            if is_enough:
                return True
        return False

    @property
    def _is_quiet(self) -> bool:
        machine = self.machine
        if self._items is not None or machine.parser is None:  # items and text are picked from events
            return False
        return self._dispatch.silent and self._stop_when is None and machine.is_quiet

    def _glancer(self, reader: Reader) -> Callable[[Any], Any]:
        """The short way of a delta, for the common case: no event is made, and the script is not resumed."""
        machine, clock, read, take = self.machine, self.clock, reader.read, self.machine.take

        def glance(chunk: Any) -> Any:
            text = read(chunk)
            if reader.aside or reader.switched is not None or reader.error is not None or self._leaving:
                self._stash = text
                return LOOK
            if not text:
                return None
            partial = take(text, clock())
            if machine.fault is not None:
                self._stash = ""
                return LOOK
            return partial

        return glance

    def _text_of(self, chunk: Any, reader: Reader) -> str:
        """A chunk's text, unless `glance` has read it already."""
        if chunk is TICK or chunk is END:
            return ""
        if self._stash is not None:
            text, self._stash = self._stash, None
            return text
        if not self._flowing and self.connection is not None:
            self._flowing = True
            self.connection.flows()
            self.glance = self._glancer(reader) if self._is_quiet else None
        return reader.read(chunk)

    def _take(self, event: ItemCompleted) -> bool:
        """Validate an item of the stream's list, once, as it is closed; True if no further one is wanted."""
        items = self._items
        if items is not None and items.is_item(event.path):
            self._taken = ()
            if self._rejected is not None:
                return False  # what follows a bad item is void
            try:
                self._taken = items.take(event.path, *self.machine.listing)
            except (ValidationError, InvalidJSON) as error:
                # raised when all that came with this delta has been told, so that no event is lost
                self._rejected = _Rejected(error, for_good=not items.reasks)
                return False
            if not self._taken:
                self._tell_skipped(items.skipped[-1])
            return items.is_full
        return False

    def _tell_skipped(self, item: SkippedItem) -> None:
        faults = ", ".join(f"{'.'.join(map(str, error['loc'])) or 'item'}: {error['type']}" for error in item.errors)
        faults = visible(faults, lines=False)  # a key may be the model's text
        log.warning("item %d was skipped: %s", item.path[-1], faults, extra={"path": item.path, "faults": faults})

    def _unusual(self, connection: Connection, reader: Reader) -> Steps:
        """Prose beside the document, or another answer in the midst of this one."""
        machine, now = self.machine, self.clock()
        switched = reader.switched
        if switched is not None:
            reader.switched = None
            machine.note_usage(reader.usage)
            yield from self._tell(
                self._restart(RestartReason.FALLBACK, None, from_model=switched.from_model, to_model=switched.to_model)
            )
            yield from self._tell(machine.start(now, switched.to_model, connection.provider))
        asides, reader.aside = reader.aside, []
        for piece in asides:
            yield from self._tell(machine.feed_aside(piece, now))

    def _raise_rejected(self) -> None:
        """Raise what was found wrong with an item."""
        if self._rejected is not None:
            rejected, self._rejected = self._rejected, None
            raise rejected from rejected.error

    def _raise_fault(self) -> None:
        """Raise the text's fault; where the caller repairs what is no JSON, read on instead, for all of it."""
        fault = self.machine.fault
        if not isinstance(fault, InvalidJSON):
            assert fault is not None  # noqa: S101
            raise fault
        if self._repair is None:
            raise _Rejected(fault)
        self.machine.read_past()

    def _overdue(self, error: Exception | None) -> None:
        """Raise `StreamTimeout` if it was a bound that ended the waiting, whatever it looks like from outside."""
        try:
            self.machine.poll(self.clock())
        except StreamError as timeout:
            raise timeout from error

    def _broken(self, error: Exception) -> Steps:
        """The network or the provider failed in mid-stream."""
        if self._leaving:
            raise Departed from error
        self._overdue(error)
        yield from self._tell_all(self._source.errored(error, self.machine.attempt))
        if isinstance(error, StreamError):
            raise error
        if not self._flowing and _is_before_the_first_byte(error):
            raise _NotAnswered(error) from error
        if _is_read_timeout(error):
            raise StreamTimeout("read") from error
        said = _words_of(error)
        if isinstance(error, AttributeError | LookupError | TypeError | ValueError):
            said = f"an event of the provider's could not be read ({type(error).__name__}: {error})"
        raise StreamInterrupted(f"the stream broke after {self.machine.stats.deltas} pieces of text: {said}") from error

    # ------------------------------------------------------------------ the gate

    def _pass_gate(self, connection: Connection, reader: Reader) -> Generator[Any, Any, Any]:
        machine = self.machine
        end = reader.end
        if end is not None and end.kind is EndKind.FAILED:
            failed = StreamInterrupted(f"the provider failed: {end.message or end.word}")
            machine.end = end
            yield from self._tell_all(self._source.errored(failed, machine.attempt))
            raise failed
        document: str | None = ""
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
                raise _Rejected(machine.no_output()) from error
            raise _Rejected(error) from error
        return (yield from self._check(result))

    def _repaired(self, error: Exception, end: EndSignal | None) -> Generator[Any, Any, tuple[Any, ...]]:
        """The result of the answer as the caller's `repair` mends it, alone in a tuple; nothing if it cannot be."""
        machine, text = self.machine, self.machine.candidates
        is_whole = end is not None and end.kind is EndKind.COMPLETE
        if self._repair is None or isinstance(error, ValidationError) or not (is_whole and text.strip()):
            return ()
        try:
            mended = _json_of((yield Do(self._repair, (text, error))))
        except ValueError as why:
            log.info("the answer could not be repaired: %s", why)
            return ()
        if not mended:
            return ()
        try:
            document, events = machine.adopt(mended, self.clock())
        except (InvalidJSON, NoOutput) as still:
            log.info("the repaired answer is no answer either: %s", still)
            return ()
        if self._items is not None:
            if self._items.items or self._items.skipped:
                yield from self._tell(machine.redraft(self.clock()))
            self._void()
            yield from self._show(events)
            self._raise_rejected()
        try:
            return (self._gate.open(document, mended),)
        except (ValidationError, NoOutput) as refused:
            raise _Rejected(refused) from refused

    def _check(self, result: Any) -> Generator[Any, Any, Any]:
        """The result, if the caller's own checks let it pass."""
        for check in self._gate.checks:
            try:
                yield Do(check, (result,))
            except (ValueError, AssertionError) as error:
                raise _Rejected(error) from error
        return result

    # ------------------------------------------------------------------ telling, closing

    def _tell(self, events: Iterable[Event]) -> Steps:
        for event in events:
            yield from self._call(event)
            yield event

    def _tell_end(self, events: Sequence[Event]) -> Steps:
        """The last events: all hooks first, so that everything is settled when the consumer sees them.

        A consumer that leaves in the midst of it, as a task that is cancelled in its `on_final`, stops no `on_end`.
        """
        first: Exception | None = None
        departed: Departed | None = None
        for wishes in (self._source.owed(), *map(self._wishes, events)):
            try:
                yield from self._tell_all(wishes, to_the_last=True)
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

    def _call(self, event: Event) -> Steps:
        yield from self._tell_all(self._wishes(event))

    def _wishes(self, event: Event) -> Iterable[Do]:
        return (Do(handler, args) for handler, args in self._dispatch.calls(event))

    def _tell_all(self, wishes: Iterable[Do], *, to_the_last: bool = False) -> Steps:
        """Tell everybody, whoever fails; then raise the first failure, if failures are to be raised.

        Args:
            wishes: Whom to tell what.
            to_the_last: Whether all are told although the consumer leaves meanwhile.
        """
        first: Exception | None = None
        departed: Departed | None = None
        for wish in wishes:
            try:
                yield wish
            except Exception as error:
                try:
                    self._dispatch.errors.handle(wish.fn, error)
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

    def _close(self, *, keep: bool = False) -> Steps:
        """Close the connection, once; an error of closing helps nobody."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if not keep:
            self.machine.note_usage(connection.reader.usage)
        if self._meter is not None:
            self.machine.note_cost(self._meter(connection))
        try:
            yield Close(connection.close)
        except Exception as error:
            log.debug("closing the provider's stream raised", exc_info=error)

    def _stopped(self, why: str) -> None:
        if self.error is None and self.machine.state is not State.ENDED:
            stopped = StreamStopped(f"{why}: there is no final object")
            self.machine.annotate(stopped)
            self.error = stopped

    @staticmethod
    def _drop_internals(error: BaseException) -> None:
        """Take our own wrapper out of the chain the caller sees."""
        context = error.__context__
        if isinstance(context, _Rejected | _NotAnswered):
            error.__context__ = None if context.error is error else context.error
