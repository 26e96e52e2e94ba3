"""A session: one stream from its first request to its end, written once for sync and async.

It does no I/O but for `interrupt`, which another thread calls to wake a read that blocks. It yields what it wants done
(:mod:`.effects`) and is sent the answer; :mod:`.drive` carries the effects out, with or without `await`.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from pydantic import ValidationError

from instructor_stream_ext.core.errors import (
    InvalidJSON,
    NoOutput,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
)
from instructor_stream_ext.core.events import RestartReason, StreamEvent
from instructor_stream_ext.core.machine import State
from instructor_stream_ext.session.attempt import Attempt
from instructor_stream_ext.session.effects import Call, Departed, Steps
from instructor_stream_ext.session.failures import NotAnswered, Rejected, without_internals
from instructor_stream_ext.session.telling import Parts

__all__ = ["Session"]

log = logging.getLogger("instructor_stream_ext")


class Session(Attempt):
    """One stream from its first request to its end."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._retries = parts.retries
        self._ticket: Any = None

    @property
    def completion(self) -> Any:
        """The provider's answer, assembled from chunks or from the cache; None before the first chunk."""
        return self._source.recalled_completion if self.reader is None else self.reader.completion()

    @property
    def usage_total(self) -> Any:
        """The usage of all attempts in the provider's own type; None if it is unknown or nothing was asked."""
        return None if self.reader is None else self._source.usage_total

    def run(self) -> Steps[None]:
        """Yield the stream's effects and events.

        Raises:
            StreamError: As section 7 of the contract says. A provider's error before the first byte is raised
                unchanged.
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
            if self._seam is not None and self._seam.held:  # a rest that did not join, or that broke off too early
                machine.feed_aside(self._seam.held, self.clock())
            without_internals(error)
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

    def depart(self) -> Steps[None]:
        """Close the connection and report the end, now that the consumer has left, unless that has happened."""
        if self.machine.state is State.ENDED:
            return
        yield from self._close()
        self._stopped("the stream was closed")
        yield from self._tell_end(self.machine.cancel(self.clock()))

    # ------------------------------------------------------------------ attempts

    def _attempts(self) -> Steps[Any]:
        """Make attempts until the gate opens; returns the result."""
        recalled = yield from self._recalled()
        if recalled:
            return recalled[0]
        self._ticket = yield Call(self._retries.next)
        while True:
            try:
                return (yield from self._keep((yield from self._attempt())))
            except Rejected as rejected:
                restarted = yield from self._after_rejection(rejected)
            except NotAnswered as failed:
                restarted = yield from self._after_no_answer(failed.error)
            except Exception as error:
                restarted = yield from self._taken_over(error)
                if not restarted:
                    raise
            yield from self._tell(restarted)

    def _after_rejection(self, rejected: Rejected) -> Steps[list[StreamEvent]]:
        """Ask again, or let another model take over, after an answer that the gate refused; returns the restart."""
        machine, source, reader, error = self.machine, self._source, self.reader, rejected.error
        assert reader is not None  # noqa: S101
        yield from self._close()
        machine.annotate(error, machine.newest_partial())
        if source.for_create:
            error = source.as_created(error, reader)
        yield from self._tell_all(source.rejected(reader, error, machine.attempt))
        try:
            if rejected.for_good:
                yield from self._tell_all(source.given_up(error, machine.attempt))
                raise self._exhausted(error) from error
            self._check_spent(error)
            yield from self._next_ticket(error)
        except StreamError as used_up:
            restarted = yield from self._taken_over(used_up)
            if not restarted:
                raise
            return restarted
        source.reask(error, machine.text)
        return self._restart(RestartReason.REASK, error)

    def _after_no_answer(self, error: Exception) -> Steps[list[StreamEvent]]:
        """Apply the retry rules or a fallback after an API error before the first byte; returns the restart."""
        machine, source = self.machine, self._source
        yield from self._close()
        if (yield from self._next_after_api_error(error)):
            return self._restart(RestartReason.REASK, error)
        restarted = yield from self._taken_over(error)
        if not restarted:
            raised = source.unanswered(error, machine.attempt)
            raise raised from (error.__cause__ if raised is error else error)
        return restarted

    def _recalled(self) -> Steps[tuple[Any, ...]]:
        """Return the cached answer, alone in a tuple, if it passes this call's gate."""
        document = yield Call(self._source.recall)
        if document is None:
            return ()
        try:
            result = yield from self._check(self._gate.open(document, document))
        except (Rejected, ValidationError, NoOutput, InvalidJSON) as error:
            log.info("the cached answer does not pass the gate of this call, so the model is asked", exc_info=error)
            return ()
        self.machine.recall(document)
        return (result,)

    def _keep(self, result: object) -> Steps[Any]:
        """Store the result in the caller's cache and return it. A cache that fails here does not cost the answer."""
        if self.error is not None or self.reader is None:
            return result
        try:
            yield Call(self._source.keep, (result, self.reader))
        except Exception:
            log.warning("the cache could not be filled", exc_info=True)
        return result

    def _taken_over(self, error: Exception) -> Steps[list[StreamEvent]]:
        """Let another model take over, with its own attempts; returns the restart, or nothing if there is none."""
        machine = self.machine
        recovery = self._source.recover(error)
        if recovery is None:
            return []
        yield from self._close()
        machine.annotate(error, machine.newest_partial())
        self._check_spent(error)
        self._retries.renew()
        self._ticket = yield Call(self._retries.next)
        return self._restart(RestartReason.FALLBACK, error, from_model=recovery.from_model, to_model=recovery.to_model)

    def _next_ticket(self, error: Exception) -> Steps[None]:
        """Take the next attempt if the retry rules allow it; raise `RetriesExhausted` otherwise."""
        self._retries.failed(self._ticket, error)
        try:
            self._ticket = yield Call(self._retries.next)
        except Exception as used_up:
            yield from self._tell_all(self._source.given_up(error, self.machine.attempt))
            if self._retries.none_allowed and isinstance(error, (NoOutput, InvalidJSON)):
                raise error from error.__cause__
            raise self._exhausted(error) from (used_up if used_up is error else error)

    def _next_after_api_error(self, error: Exception) -> Steps[bool]:
        """Take the next attempt; returns False if the retry rules allow none."""
        retries = self._retries
        if retries.has_own_rules:
            retries.failed(self._ticket, error)
            with contextlib.suppress(Exception):  # `error` itself, or tenacity's RetryError around it
                self._ticket = yield Call(retries.next)
                return True
        yield from self._tell_all(self._source.given_up(error, self.machine.attempt))
        return False

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
