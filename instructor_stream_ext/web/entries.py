"""Events as the bytes that a relay stores, and back."""

from __future__ import annotations

import json
from typing import Any

from instructor_stream_ext.core.events import (
    Event,
    ItemCompleted,
    Outcome,
    ReasoningReceived,
    RestartReason,
    StreamCancelled,
    StreamEnded,
    StreamRestarted,
    StreamStarted,
    StreamStats,
)
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import RunFailed, status_of
from instructor_stream_ext.web.protocols.framing import one_line

__all__ = ["LOST", "LOST_END", "STOP", "as_bytes", "as_event", "is_last"]

STOP = b'{"kind":"stop"}'
"""An entry that asks the owner to cancel the run; readers skip it."""

LOST = json.dumps(
    {
        "kind": "failed",
        "at": 0.0,
        "attempt": 1,
        "status": 502,
        "problem": {
            "type": "run_lost",
            "message": "the process that made this run is gone",
            "attempt": 1,
            "retryable": True,
            "partial": None,
        },
    }
).encode()
"""The entry that replaces the rest of a run whose owner has died; `LOST_END` follows it."""

LOST_END = b'{"kind":"ended","at":0.0,"attempt":1,"outcome":"failed","usage":null}'


def as_bytes(event: Event) -> bytes:
    """Return an event as an entry."""
    said: dict[str, Any] = {"kind": _KINDS[type(event)], "at": event.at, "attempt": event.attempt}
    match event:
        case StreamStarted():
            said |= {"model": event.model, "provider": event.provider}
        case ReasoningReceived():
            said |= {"text": event.text}
        case Shown():
            said |= {"partial": event.partial, "sequence": event.sequence, "json": event.json_text}
        case Finished():
            said |= {"result": event.result, "json": event.json_text}
        case ItemCompleted():
            said |= {"path": event.path, "item": event.item}
        case StreamRestarted():
            said |= {"reason": event.reason, "from_model": event.from_model, "to_model": event.to_model}
        case Failed():
            said |= {"problem": event.problem, "status": status_of(event.error)}
        case StreamEnded():
            usage = event.stats.usage
            tokens = None if usage is None else (usage.input_tokens, usage.output_tokens, usage.total_tokens)
            said |= {"outcome": event.outcome, "usage": tokens}
    return one_line(said)


def as_event(entry: bytes) -> Event | None:  # noqa: PLR0911  one case per event
    """Return the event of an entry; None for entries that are not events."""
    said = json.loads(entry)
    kind = said.pop("kind")
    match kind:
        case "partial":
            return Shown(json_text=said.pop("json"), **said)
        case "final":
            return Finished(json_text=said.pop("json"), **said)
        case "reasoning":
            return ReasoningReceived(**said)
        case "item":
            return ItemCompleted(**{**said, "path": tuple(said["path"])})
        case "restart":
            return StreamRestarted(error=None, **{**said, "reason": RestartReason(said["reason"])})
        case "failed":
            status = said.pop("status")
            return Failed(error=RunFailed(said["problem"], status), **said)
        case "started":
            return StreamStarted(**said)
        case "cancelled":
            return StreamCancelled(**said)
        case "ended":
            usage = said.pop("usage")
            stats = StreamStats(usage=None if usage is None else Usage(*usage))
            return StreamEnded(stats=stats, **{**said, "outcome": Outcome(said["outcome"])})
        case _:
            return None


def is_last(event: Event | None) -> bool:
    """Return whether no event follows this one."""
    return isinstance(event, StreamEnded)


_KINDS: dict[type[Event], str] = {
    StreamStarted: "started",
    Shown: "partial",
    Finished: "final",
    ReasoningReceived: "reasoning",
    ItemCompleted: "item",
    StreamRestarted: "restart",
    Failed: "failed",
    StreamCancelled: "cancelled",
    StreamEnded: "ended",
}
