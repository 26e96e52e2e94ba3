"""How many attempts are made: instructor's `max_retries`, an int or a tenacity object, for both drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from tenacity import AsyncRetrying, AttemptManager, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay

from instructor_stream_ext.core.errors import StreamMisuse

__all__ = ["Retries"]


class Retries:
    """The attempts of one stream.

    Args:
        max_retries: Attempts after the first, or a tenacity `Retrying` / `AsyncRetrying`, whose own stop, wait and
            retry rules then hold.
        is_async: Which driver asks.
        timeout: The call's `timeout=`; with an int, no attempt begins after so many seconds, as in instructor.

    Raises:
        StreamMisuse: Neither an int nor a tenacity object that fits the client.
    """

    def __init__(self, max_retries: int | Retrying | AsyncRetrying, *, is_async: bool, timeout: object = None) -> None:
        self.has_own_rules = not isinstance(max_retries, int)
        """True if the caller's rules also decide about errors of the API, which an int leaves alone."""
        self.none_allowed = isinstance(max_retries, int) and max_retries <= 0
        self.max_attempts = max(max_retries, 0) + 1 if isinstance(max_retries, int) else None
        kind: type[Retrying | AsyncRetrying] = AsyncRetrying if is_async else Retrying
        if isinstance(max_retries, int):
            stop: Any = stop_after_attempt(max(max_retries, 0) + 1)
            if isinstance(timeout, int | float):
                stop = stop | stop_after_delay(timeout)
            retrying: Any = kind(stop=stop, retry=retry_if_exception(bool), reraise=True)
        elif isinstance(max_retries, kind) and (is_async or not isinstance(max_retries, AsyncRetrying)):
            retrying = max_retries
        else:
            wanted = "AsyncRetrying" if is_async else "Retrying"
            raise StreamMisuse(f"max_retries must be an int or a tenacity {wanted}, not {max_retries!r}")
        self._retrying = retrying
        self._is_async = is_async
        self.next: Callable[[], Any]
        """Take the next attempt (await it if async); raises when there is none. It sleeps as the wait rule says."""
        self.renew()

    def renew(self) -> None:
        """Start counting again, for another model."""
        if self._is_async:
            attempts: AsyncIterator[AttemptManager] = self._retrying.__aiter__()
            self.next = attempts.__anext__
        else:
            self.next = partial(next, iter(self._retrying))

    @staticmethod
    def failed(ticket: AttemptManager, error: Exception) -> None:
        """Report a failed attempt to tenacity, so that it can decide."""
        with ticket:
            raise error
