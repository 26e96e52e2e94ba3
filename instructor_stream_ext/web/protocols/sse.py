"""Plain server-sent events, for `EventSource` and for this project's own client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.events import (
    Event,
    ItemCompleted,
    ReasoningReceived,
    StreamCancelled,
    StreamEnded,
    StreamRestarted,
)
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import CANCELLED
from instructor_stream_ext.web.protocols.framing import PING, SSE, sse

__all__ = ["ServerSentEvents"]


class ServerSentEvents:
    """`event: partial`, `final`, `item`, `reasoning`, `restart` and `error`, each with one `data:` line of JSON."""

    content_type = SSE
    headers: Mapping[str, str] = {}
    numbered = True
    """Each event has its `id:`, so that a client can go on where it stopped."""

    def start(self, *, run_id: str) -> bytes:  # noqa: ARG002
        """Nothing: the first event is the first partial."""
        return b""

    def encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        """One event."""
        match event:
            case Shown():
                return sse(event.partial, "partial")
            case Finished():
                return sse(event.result, "final")
            case ItemCompleted():
                return sse({"path": list(event.path), "item": event.item}, "item")
            case ReasoningReceived():
                return sse(event.text, "reasoning")
            case StreamRestarted():
                return sse(restart_of(event), "restart")
            case Failed():
                return sse(event.problem, "error")
            case StreamCancelled():
                return sse(CANCELLED, "error")
            case _:
                return b""

    def heartbeat(self) -> bytes:
        """A comment."""
        return PING


def restart_of(event: StreamRestarted) -> dict[str, Any]:
    """Describe a restart."""
    return {
        "reason": str(event.reason),
        "attempt": event.attempt,
        "from_model": event.from_model,
        "to_model": event.to_model,
    }


def usage_of(event: StreamEnded) -> dict[str, int] | None:
    """The tokens that a stream took, as far as the provider told them."""
    usage = event.stats.usage
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
