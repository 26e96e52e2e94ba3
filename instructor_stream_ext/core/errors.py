"""Every way a stream can end badly.

    StreamError
     ├─ OutputTruncated      (instructor IncompleteOutputException)  the answer was cut off
     ├─ OutputRefused                                                the model refused
     ├─ OutputFiltered                                               a content filter stepped in
     ├─ NoOutput                                                     nothing, or prose where JSON was due
     ├─ InvalidJSON          (ValueError)                            text that no continuation can make valid
     ├─ RetriesExhausted     (InstructorRetryException)              the gate failed in every attempt
     ├─ StreamInterrupted    (ConnectionError)                       network or provider error in mid-stream
     ├─ StreamTimeout        (TimeoutError)                          first_delta, idle or total
     ├─ LimitExceeded                                                a bound of Limits, or of a web run
     ├─ StreamStopped                                                no final: the stream was left early
     ├─ ClientNotSupported   (TypeError)                             caller's mistakes …
     ├─ MissingExtra         (ImportError)
     └─ StreamMisuse         (RuntimeError)

Each carries what had arrived: `partial`, `text`, `usage`, `attempt`, `stats`; the provider's exception is `__cause__`.
"""

from __future__ import annotations

from typing import Any

from instructor.core.exceptions import IncompleteOutputException, InstructorRetryException

from instructor_stream_ext.core.events import StreamStats
from instructor_stream_ext.core.usage import Usage

__all__ = [
    "ClientNotSupported",
    "InvalidJSON",
    "LimitExceeded",
    "MissingExtra",
    "NoOutput",
    "OutputFiltered",
    "OutputRefused",
    "OutputTruncated",
    "RetriesExhausted",
    "StreamError",
    "StreamInterrupted",
    "StreamMisuse",
    "StreamStopped",
    "StreamTimeout",
]

SHOWN_OF_PROSE = 200
"""How many characters of an answer without JSON the error's message shows."""


class StreamError(Exception):
    """The base class of all errors of this package.

    Attributes:
        partial: The newest partial, as far as the answer had come; None if nothing had.
        text: All answer text of the last attempt.
        usage: Tokens over all attempts, None if the provider sent none.
        attempt: The attempt that failed, from 1; 0 before the first.
        stats: The figures of the stream, None before it began.
    """

    partial: Any = None
    text: str = ""
    usage: Usage | None = None
    attempt: int = 0
    stats: StreamStats | None = None


class OutputTruncated(StreamError, IncompleteOutputException):
    """The answer was cut off: by the token limit, or the stream just stopped before the JSON closed."""

    def __init__(self, message: str, *, last_completion: object = None) -> None:
        IncompleteOutputException.__init__(self, message=message, last_completion=last_completion)


class OutputRefused(StreamError):
    """The model refused to answer; the refusal is in `text` and the message."""


class OutputFiltered(StreamError):
    """The provider's content filter or safety system withheld the answer."""


class NoOutput(StreamError):
    """Nothing came, or prose where JSON was due."""

    @classmethod
    def in_prose(cls, text: str, *, reasoning: bool = False) -> NoOutput:
        """Return the error for prose without JSON. Its message shows the prose, or the start of it.

        Args:
            text: All answer text.
            reasoning: Whether all of it is reasoning.
        """
        shown = text if len(text) <= SHOWN_OF_PROSE else f"{text[:SHOWN_OF_PROSE]}..."
        if reasoning:
            return cls(f"only reasoning came, and no answer after it: {shown!r}")
        return cls(f"no JSON for the response model in the answer, only text: {shown!r}")


class InvalidJSON(StreamError, ValueError):
    """Text that no continuation can make valid JSON.

    Args:
        message: What is wrong.
        offset: Where, in characters from the start of the attempt's text source.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.offset), self.__dict__)


class RetriesExhausted(StreamError, InstructorRetryException):
    """The gate failed in every attempt. `failed_attempts` lists them; `__cause__` is the last error."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class StreamInterrupted(StreamError, ConnectionError):
    """The network or the provider failed in mid-stream."""


class StreamTimeout(StreamError, TimeoutError):
    """The provider was too slow.

    Args:
        kind: "first_delta", "idle" or "total"; "read" for the SDK's own timeout in mid-stream.
        seconds: The limit that was passed; None where it is the SDK's.
    """

    def __init__(self, kind: str, seconds: float | None = None) -> None:
        said = {
            "first_delta": "no text of the model within",
            "idle": "no further text of the model for",
            "total": "the stream was not finished within",
            "read": "nothing came from the provider for as long as the SDK's own timeout allows",
        }
        super().__init__(f"{kind} timeout: {said[kind]}" + ("" if seconds is None else f" {seconds:g} s"))
        self.kind = kind
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.kind, self.seconds), self.__dict__)


class LimitExceeded(StreamError):
    """A bound of `Limits` was exceeded.

    Args:
        limit: "max_chars", "max_depth", "max_items", "max_output_tokens", "max_cost", or "digits" for a number Python
            would refuse.
        allowed: The bound.
        message: Said in place of the usual sentence.
    """

    def __init__(self, limit: str, allowed: float, message: str | None = None) -> None:
        unit = " US dollars" if limit == "max_cost" else ""
        super().__init__(message or f"{limit}: the answer goes beyond {allowed}{unit}")
        self.limit = limit
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.limit, self.allowed, str(self)), self.__dict__)


class StreamStopped(StreamError):
    """There is no final: `stop_when` or an early `close` ended the stream."""


class ClientNotSupported(StreamError, TypeError):
    """The object given to `wrap` is not an instructor client, or its mode cannot stream."""


class MissingExtra(StreamError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What was asked for.
        extra: The extra that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'instructor_stream_ext[{extra}]'")
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.feature, self.extra), self.__dict__)


class StreamMisuse(StreamError, RuntimeError):
    """A stream or a client was used in a way that cannot work."""
