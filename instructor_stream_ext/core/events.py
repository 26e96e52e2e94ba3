"""The events of a stream: a small immutable record for each thing that happened.

Every event carries `at` (seconds since the stream began) and `attempt` (from 1). The order, and what may follow what,
is the business of :mod:`instructor_stream_ext.core.machine`; here are only the words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import Any, Generic, TypeAlias, get_args, get_origin

from typing_extensions import TypeVar

from instructor_stream_ext.core.quickly import quickly_made
from instructor_stream_ext.core.usage import Usage

__all__ = [
    "EVENTS",
    "DeltaReceived",
    "EndKind",
    "EndSignal",
    "Event",
    "FieldState",
    "FieldTransition",
    "ItemCompleted",
    "Outcome",
    "PartialEmitted",
    "Path",
    "ReasoningReceived",
    "RestartReason",
    "SkippedItem",
    "StreamCancelled",
    "StreamCompleted",
    "StreamEnded",
    "StreamEvent",
    "StreamFailed",
    "StreamRestarted",
    "StreamStarted",
    "StreamStats",
]

Path: TypeAlias = tuple[str | int, ...]
"""A place in the document: attribute names, keys and indices from its root."""

T = TypeVar("T", default=Any)
T_co = TypeVar("T_co", covariant=True, default=Any)


class FieldState(Enum):
    """How far a place in the document has come."""

    MISSING = "missing"
    STREAMING = "streaming"
    COMPLETE = "complete"


class Outcome(StrEnum):
    """How a stream ended. Members are strings, so `ended.outcome == "completed"` holds."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RestartReason(StrEnum):
    """Why everything shown so far is void."""

    REASK = "reask"
    FALLBACK = "fallback"
    DRAFT = "draft"
    """What was shown was a draft or an example before the answer; the attempt is the same."""


class EndKind(Enum):
    """What a provider's end signal means, whatever its word for it."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    REFUSED = "refused"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EndSignal:
    """How the provider said that the answer ended.

    Args:
        kind: What it means.
        word: The provider's own word, such as "stop" or "MAX_TOKENS".
        message: What else it said, for failures and blocks; often empty.
    """

    kind: EndKind
    word: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """A list item that did not validate and was left out.

    Attributes:
        path: Its place in the document.
        text: Its JSON.
        errors: What was wrong with it, in the form of pydantic's `ValidationError.errors()`.
    """

    path: Path
    text: str
    errors: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStats:
    """Figures of one stream; all times in seconds since the stream began, None for what has not happened.

    `end_signal` is what the provider said at the end (its own word, such as "stop"), or None where the stream
    just stopped after the document was closed. `usage` counts tokens over all attempts, None if none were told; so
    does `cost` count US dollars, None where a price is unknown. `model` and `provider` are those last asked, also where
    the request was refused. `from_cache` says that the answer was in instructor's cache, so that nothing was sent and
    `attempts` is 0. `repaired` says that the answer was no JSON and `repair=` made it some.
    `continuations` counts how often the model was asked for the rest of an answer that met its token limit.
    """

    first_delta_at: float | None = None
    first_reasoning_at: float | None = None
    first_partial_at: float | None = None
    ended_at: float | None = None
    longest_gap: float = 0.0
    deltas: int = 0
    chars: int = 0
    partials_built: int = 0
    partials_yielded: int = 0
    attempts: int = 0
    end_signal: str | None = None
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    cost_estimated: bool = False
    from_cache: bool = False
    repaired: bool = False
    continuations: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The fields of all events."""

    at: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted(Event):
    """An attempt's connection is open."""

    model: str | None
    provider: str | None


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaReceived(Event):
    """A piece of the model's text has arrived."""

    text: str


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningReceived(Event):
    """A piece of the model's reasoning has arrived. It is not part of the answer.

    What a model writes into its text between tags is told here and in the text, too.
    """

    text: str


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTransition(Event):
    """A field or an item started or is complete; `value` is what a complete one holds, still unvalidated."""

    path: Path
    before: FieldState
    after: FieldState
    value: Any = field(default=None, repr=False, compare=False)


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class PartialEmitted(Event, Generic[T_co]):
    """A partial is shown. `sequence` rises by one over the whole stream, from 1."""

    partial: T_co
    sequence: int


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCompleted(Event):
    """A list item is complete. It is not validated yet."""

    path: Path
    item: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRestarted(Event):
    """Everything shown so far is void: a new attempt (`attempt` is its number) or another model begins.

    With reason "draft" the answer itself begins in the same attempt: no request is sent, and `text` goes on growing.
    """

    reason: RestartReason
    error: BaseException | None
    from_model: str | None = None
    to_model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCompleted(Event, Generic[T_co]):
    """The answer has passed the gate; `result` is the validated object."""

    result: T_co


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFailed(Event):
    """The stream ends with `error`, which is raised next."""

    error: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCancelled(Event):
    """The consumer left, or `stop_when` ended the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded(Event):
    """Always the last event, exactly once.

    `partial` is the newest partial, shown or not, or the final of a stream that is complete; `text` is all answer text
    of the last attempt. So a hook of the client can store what came of an answer that was left or broke off.
    """

    outcome: Outcome
    stats: StreamStats
    partial: Any = None
    text: str = ""


StreamEvent: TypeAlias = (
    StreamStarted
    | DeltaReceived
    | ReasoningReceived
    | FieldTransition
    | PartialEmitted[T]
    | ItemCompleted
    | StreamRestarted
    | StreamCompleted[T]
    | StreamFailed
    | StreamCancelled
    | StreamEnded
)

EVENTS: frozenset[type[Event]] = frozenset(get_origin(kind) or kind for kind in get_args(StreamEvent))
"""The types of all events."""
