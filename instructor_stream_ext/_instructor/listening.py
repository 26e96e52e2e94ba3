"""Calls to instructor's own hooks for a stream, and the usage that is summed for them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from instructor.core.exceptions import FailedAttempt
from instructor.v2.core.retry import _initialize_usage
from instructor.v2.core.usage import has_compatible_usage, update_total_usage
from pydantic import BaseModel

from instructor_stream_ext._instructor.facts import InstructorHooks, Mode, fitting, handlers_of
from instructor_stream_ext._instructor.link import Link
from instructor_stream_ext._instructor.request import Caught, Live, Request
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.session.effects import Call

__all__ = ["Listening", "copied", "total_tokens"]


class Listening:
    """The part of a source that calls instructor's hooks.

    Args:
        link: The client.
        request: The call.
        hooks: instructor's own hooks.
        max_attempts: For the hooks' metadata; None if unknown.
    """

    def __init__(self, link: Link, request: Request, hooks: InstructorHooks, max_attempts: int | None) -> None:
        self._link = link
        self._request = request
        self._hooks = hooks
        self._max_attempts = max_attempts
        self._sent: dict[str, Any] | None = None
        self._owed: list[Call] = []
        self.usage_total: Any = None
        self._usage_known = True
        self._counted: Reader | None = None
        self.failed_attempts: list[Any] = []

    @property
    def mode(self) -> Mode:
        """instructor's mode in the running attempt."""
        return self._link.mode

    # ------------------------------------------------------------------ while a request is sent

    def _opening_hooks(self) -> InstructorHooks:
        """Hooks for instructor's part: they note the request and pass it on; the session calls all others."""
        hooks = InstructorHooks()
        hooks.on("completion:kwargs", self._note_request)
        hooks.on("completion:response", self._catch_stream)
        for handler in handlers_of(self._hooks, "completion:kwargs"):
            hooks.on("completion:kwargs", functools.partial(self._tell_request, handler))
        return hooks

    def _note_request(self, *_: object, **kwargs: object) -> None:
        self._sent = kwargs

    @staticmethod
    def _catch_stream(stream: object) -> None:
        raise Caught(Live(stream))

    def _tell_request(self, handler: Callable[..., Any], *args: object, **kwargs: object) -> None:
        told: Any
        try:
            told = handler(*args, **fitting(handler, args, kwargs))
        except Exception as error:
            told = error
        if isinstance(told, Exception) or inspect.isawaitable(told):
            self._owed.append(Call(_settling(handler, told)))

    # ------------------------------------------------------------------ what came of it

    def owed(self) -> Iterable[Call]:
        """Return the coroutines that the request's listeners left to be awaited, and their errors."""
        owed, self._owed = self._owed, []
        return owed

    def answered(self, reader: Reader) -> Iterable[Call]:
        """Tell the hooks about the assembled completion and the usage so far."""
        wants_usage = handlers_of(self._hooks, "completion:usage")
        wants_response = handlers_of(self._hooks, "completion:response")
        if not (wants_usage or wants_response or self._request.token_budget or self._request.for_create):
            return ()
        completion = reader.completion()
        told = self._calls("completion:response", completion)
        self._add_usage(reader, completion)
        if self._usage_known and self.usage_total is not None:
            told += self._calls(
                "completion:usage", copied(self.usage_total), attempt_number=len(self.failed_attempts) + 1
            )
        return told

    def rejected(self, reader: Reader, error: Exception, attempt: int) -> Iterable[Call]:
        """Note a failed attempt for the errors, and tell `parse:error`."""
        completion = reader.completion()
        self._add_usage(reader, completion)
        self.failed_attempts.append(FailedAttempt(attempt, error, completion))
        return self._calls("parse:error", error, **self._metadata(attempt))

    def errored(self, error: Exception, attempt: int) -> Iterable[Call]:
        """Tell the hooks that the provider failed."""
        return self._calls(
            "completion:error",
            error,
            attempt_number=attempt,
            max_attempts=self._max_attempts,
            is_last_attempt=True,
        )

    def given_up(self, error: Exception, attempt: int) -> Iterable[Call]:
        """Tell the hooks that no further attempt follows."""
        return self._calls("completion:last_attempt", error, **{**self._metadata(attempt), "is_last_attempt": True})

    def _metadata(self, attempt: int) -> dict[str, Any]:
        return {
            "attempt_number": attempt,
            "max_attempts": self._max_attempts,
            "is_last_attempt": self._max_attempts == attempt,
        }

    def _calls(self, name: str, *args: object, **kwargs: object) -> list[Call]:
        return [Call(handler, args, fitting(handler, args, kwargs)) for handler in handlers_of(self._hooks, name)]

    def _add_usage(self, reader: Reader, completion: object) -> None:
        if self._counted is reader:
            return
        self._counted = reader
        if self.usage_total is None:
            self.usage_total = _initialize_usage(self._link.provider)
        self._usage_known = self._usage_known and has_compatible_usage(completion, self.usage_total)
        update_total_usage(copied(completion), self.usage_total)


def _settling(handler: Callable[..., Any], told: object) -> Callable[[], Any]:
    """Return the rest of a call that has begun: what is to be awaited, or the error that it raised."""

    @functools.wraps(handler)
    def settle() -> Any:
        if isinstance(told, Exception):
            raise told
        return told

    return settle


def copied(value: object) -> Any:
    return value.model_copy(deep=True) if isinstance(value, BaseModel) else value


def total_tokens(usage: object) -> int | None:
    total = getattr(usage, "total_tokens", None)
    if isinstance(total, int):
        return total
    names = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    found = [value for name in names if isinstance(value := getattr(usage, name, None), int)]
    return sum(found) if found else None
