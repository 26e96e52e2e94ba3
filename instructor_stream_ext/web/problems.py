"""Errors as front-ends see them: their type and whether to retry, but no stack trace, key or prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.errors import LimitExceeded, StreamError, StreamInterrupted, StreamMisuse, StreamTimeout
from instructor_stream_ext.core.jsonable import jsonable

__all__ = ["CANCELLED", "RunFailed", "problem_of", "status_of"]

_RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
_MESSAGES: Mapping[str, str] = {
    "invalid_json": "the answer is not valid JSON",
    "limit_exceeded": "the answer went beyond a limit",
    "no_output": "the model gave no answer",
    "output_filtered": "a content filter withheld the answer",
    "output_refused": "the model refused to answer",
    "output_truncated": "the answer was cut off",
    "retries_exhausted": "no valid answer came",
    "stream_interrupted": "the connection to the provider broke",
    "stream_misuse": "the request cannot be served",
    "stream_stopped": "the stream was stopped",
    "stream_timeout": "the provider was too slow",
}
"""By type: the message in place of the error's own, which may quote the prompt, the answer or an address."""


CANCELLED: Mapping[str, Any] = {
    "type": "cancelled",
    "message": "the stream was cancelled",
    "attempt": 1,
    "retryable": False,
    "partial": None,
}
"""The problem that a run's readers see when somebody cancelled it."""


class RunFailed(StreamError):
    """A run ended with an error, in this process or another.

    Args:
        problem: What a front-end may be told about it.
        status: The HTTP status for it.
    """

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        super().__init__(problem["message"])
        self.problem = problem
        self.status_code = status


def problem_of(error: BaseException) -> dict[str, Any]:
    """Describe an error to a front-end: `type`, `message`, `attempt`, `retryable` and `partial`.

    Args:
        error: Of this package, of an SDK, or any other.
    """
    if isinstance(error, RunFailed):
        return dict(error.problem)
    kind = _snake(type(error).__name__) if isinstance(error, StreamError) else _kind(error)
    partial = error.partial if isinstance(error, StreamError) else None
    return {
        "type": kind,
        "message": _MESSAGES.get(kind, "the provider refused the request" if _status(error) else "the stream failed"),
        "attempt": error.attempt if isinstance(error, StreamError) else 1,
        "retryable": isinstance(error, StreamInterrupted | StreamTimeout) or _status(error) in _RETRYABLE,
        "partial": None if partial is None else jsonable(partial),
    }


def status_of(error: BaseException) -> int:
    """Return the HTTP status for an error before the first event: the provider's own, or the closest match."""
    status = _status(error)
    if status is not None:
        return status
    if isinstance(error, StreamTimeout | TimeoutError):
        return 504
    if isinstance(error, StreamMisuse | LimitExceeded):
        return 500
    return 502


def _status(error: BaseException) -> int | None:
    """Return the status that a provider answered with."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        status = getattr(link, "status_code", None)
        if isinstance(status, int) and 400 <= status < 600:  # noqa: PLR2004  the statuses of errors
            return status
        link = link.__cause__
    return None


def _kind(error: BaseException) -> str:
    return "provider_error" if _status(error) is not None else "internal_error"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
