"""Streaming for instructor that streams for real and is never wrong in silence.

`wrap(client)` gives an instructor client whose streams yield typed partials and, last, the validated object.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from instructor_stream_ext.async_client import (
        AsyncStreamClient,
    )
    from instructor_stream_ext.client import (
        wrap,
    )
    from instructor_stream_ext.conversation import (
        Conversation,
    )
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
    from instructor_stream_ext.core.markers import (
        Done,
        NotNull,
        Streamed,
        WithState,
    )
    from instructor_stream_ext.core.options import (
        Limits,
        Timeouts,
    )
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
    from instructor_stream_ext.core.shells import (
        is_partial,
    )
    from instructor_stream_ext.hooks import (
        Hooks,
        Sink,
    )
    from instructor_stream_ext.many import (
        gather,
        merge,
        race,
    )
    from instructor_stream_ext.sinks.log import (
        TransitionLog,
    )
    from instructor_stream_ext.streams import (
        AsyncItemStream,
        AsyncPartialStream,
        AsyncTextStream,
        ItemStream,
        PartialStream,
        TextStream,
    )
    from instructor_stream_ext.sync_client import (
        StreamClient,
    )

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
    "is_partial",
    "merge",
    "race",
    "wrap",
]

_WHERE = {
    "AsyncItemStream": "streams",
    "AsyncPartialStream": "streams",
    "AsyncStreamClient": "async_client",
    "AsyncTextStream": "streams",
    "ClientNotSupported": "core.errors",
    "Conversation": "conversation",
    "Debounce": "core.policies",
    "DeltaReceived": "core.events",
    "Done": "core.markers",
    "EmissionPolicy": "core.policies",
    "EveryDelta": "core.policies",
    "EveryN": "core.policies",
    "FieldState": "core.events",
    "FieldTransition": "core.events",
    "FinalOnly": "core.policies",
    "Growth": "core.policies",
    "Hooks": "hooks",
    "InvalidJSON": "core.errors",
    "ItemCompleted": "core.events",
    "ItemStream": "streams",
    "LimitExceeded": "core.errors",
    "Limits": "core.options",
    "MissingExtra": "core.errors",
    "NoOutput": "core.errors",
    "NotNull": "core.markers",
    "OnItem": "core.policies",
    "OnTransition": "core.policies",
    "Outcome": "core.events",
    "OutputFiltered": "core.errors",
    "OutputRefused": "core.errors",
    "OutputTruncated": "core.errors",
    "PartialEmitted": "core.events",
    "PartialStream": "streams",
    "Pending": "core.policies",
    "RetriesExhausted": "core.errors",
    "Sink": "hooks",
    "SkippedItem": "core.events",
    "StreamCancelled": "core.events",
    "StreamClient": "sync_client",
    "StreamCompleted": "core.events",
    "StreamEnded": "core.events",
    "StreamError": "core.errors",
    "StreamEvent": "core.events",
    "StreamFailed": "core.events",
    "StreamInterrupted": "core.errors",
    "StreamMisuse": "core.errors",
    "StreamRestarted": "core.events",
    "StreamStarted": "core.events",
    "StreamStats": "core.events",
    "StreamStopped": "core.errors",
    "StreamTimeout": "core.errors",
    "Streamed": "core.markers",
    "TextStream": "streams",
    "Throttle": "core.policies",
    "Timeouts": "core.options",
    "TransitionLog": "sinks.log",
    "Usage": "core.events",
    "WithState": "core.markers",
    "gather": "many",
    "is_partial": "core.shells",
    "merge": "many",
    "race": "many",
    "wrap": "client",
}
"""Where each name is. It is loaded when it is asked for: most of them load most of instructor, which does the same."""


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
