"""Streaming for instructor that streams for real and is never wrong in silence.

`wrap(client)` gives an instructor client whose streams yield typed partials and, last, the validated object.
"""

import importlib

_WHERE = {
    "AsyncItemStream": "client.async_streams",
    "AsyncPartialStream": "client.async_streams",
    "AsyncStreamClient": "client.aio",
    "AsyncTextStream": "client.async_streams",
    "ClientNotSupported": "core.errors",
    "Conversation": "client.conversation",
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
    "Hooks": "session.hooks",
    "InvalidJSON": "core.errors",
    "ItemCompleted": "core.events",
    "ItemStream": "client.sync_streams",
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
    "PartialStream": "client.sync_streams",
    "Pending": "core.policies",
    "ReasoningReceived": "core.events",
    "RetriesExhausted": "core.errors",
    "Sink": "session.hooks",
    "SkippedItem": "core.events",
    "StreamCancelled": "core.events",
    "StreamClient": "client.sync",
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
    "TextStream": "client.sync_streams",
    "Throttle": "core.policies",
    "Timeouts": "core.options",
    "TransitionLog": "sinks.log",
    "Usage": "core.usage",
    "WithState": "core.markers",
    "gather": "client.several",
    "is_partial": "core.types.partial_types",
    "merge": "client.several",
    "race": "client.several",
    "wrap": "client.wrap",
}
"""Where each name is. It is loaded when it is asked for: most of them load most of instructor, which does the same."""

__all__ = list(_WHERE)


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
