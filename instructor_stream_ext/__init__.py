"""Streaming for instructor that streams for real and is never wrong in silence.

`wrap(client)` gives an instructor client whose streams yield typed partials and, last, the validated object.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from instructor_stream_ext.client import wrap
from instructor_stream_ext.core.errors import (
    ClientNotSupported,
    InvalidJSON,
    LimitExceeded,
    MissingExtra,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
    StreamInterrupted,
    StreamMisuse,
    StreamStopped,
    StreamTimeout,
)
from instructor_stream_ext.core.events import (
    DeltaReceived,
    FieldState,
    FieldTransition,
    ItemCompleted,
    Outcome,
    PartialEmitted,
    SkippedItem,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
    StreamStats,
    Usage,
)
from instructor_stream_ext.core.markers import Done, NotNull, Streamed, WithState
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.policies import (
    Debounce,
    EmissionPolicy,
    EveryDelta,
    EveryN,
    FinalOnly,
    Growth,
    OnItem,
    OnTransition,
    Pending,
    Throttle,
)
from instructor_stream_ext.hooks import Hooks, Sink

if TYPE_CHECKING:
    from instructor_stream_ext.async_client import AsyncStreamClient
    from instructor_stream_ext.conversation import Conversation
    from instructor_stream_ext.many import gather, merge, race
    from instructor_stream_ext.sinks.log import TransitionLog
    from instructor_stream_ext.streams import (
        AsyncItemStream,
        AsyncPartialStream,
        AsyncTextStream,
        ItemStream,
        PartialStream,
        TextStream,
    )
    from instructor_stream_ext.sync_client import StreamClient

__all__ = [
    "AsyncItemStream",
    "AsyncPartialStream",
    "AsyncStreamClient",
    "AsyncTextStream",
    "ClientNotSupported",
    "Conversation",
    "Debounce",
    "DeltaReceived",
    "Done",
    "EmissionPolicy",
    "EveryDelta",
    "EveryN",
    "FieldState",
    "FieldTransition",
    "FinalOnly",
    "Growth",
    "Hooks",
    "InvalidJSON",
    "ItemCompleted",
    "ItemStream",
    "LimitExceeded",
    "Limits",
    "MissingExtra",
    "NoOutput",
    "NotNull",
    "OnItem",
    "OnTransition",
    "Outcome",
    "OutputFiltered",
    "OutputRefused",
    "OutputTruncated",
    "PartialEmitted",
    "PartialStream",
    "Pending",
    "RetriesExhausted",
    "Sink",
    "SkippedItem",
    "StreamCancelled",
    "StreamClient",
    "StreamCompleted",
    "StreamEnded",
    "StreamError",
    "StreamEvent",
    "StreamFailed",
    "StreamInterrupted",
    "StreamMisuse",
    "StreamRestarted",
    "StreamStarted",
    "StreamStats",
    "StreamStopped",
    "StreamTimeout",
    "Streamed",
    "TextStream",
    "Throttle",
    "Timeouts",
    "TransitionLog",
    "Usage",
    "WithState",
    "gather",
    "merge",
    "race",
    "wrap",
]

_LATER = {
    "AsyncItemStream": "streams",
    "AsyncPartialStream": "streams",
    "AsyncStreamClient": "async_client",
    "AsyncTextStream": "streams",
    "Conversation": "conversation",
    "ItemStream": "streams",
    "PartialStream": "streams",
    "StreamClient": "sync_client",
    "TextStream": "streams",
    "TransitionLog": "sinks.log",
    "gather": "many",
    "merge": "many",
    "race": "many",
}
"""Names that load most of instructor, which loads itself only when it is used; so do they."""


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
