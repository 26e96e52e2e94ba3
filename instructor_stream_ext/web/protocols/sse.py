"""Plain server-sent events, for `EventSource` and for this project's own client."""

from __future__ import annotations

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
from instructor_stream_ext.web.protocols.framing import EventStream, sse

__all__ = ["ServerSentEvents"]


class ServerSentEvents(EventStream):
    """`event: partial`, `final`, `item`, `reasoning`, `restart` and `error`, each with one `data:` line of JSON."""

    numbered = True

    def start(self, *, run_id: str) -> bytes:  # noqa: ARG002
        """Return nothing: the first event is the first partial."""
        return b""

    def encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        """Return one event."""
        match event:
            case Shown():
                return sse(event.partial, "partial")
            case Finished():
                return sse(event.result, "final")
            case ItemCompleted():
                return sse(item_of(event), "item")
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


def item_of(event: ItemCompleted) -> dict[str, Any]:
    """Describe an item."""
    return {"path": list(event.path), "item": event.item}


def restart_of(event: StreamRestarted) -> dict[str, Any]:
    """Describe a restart."""
    return {
        "reason": str(event.reason),
        "attempt": event.attempt,
        "from_model": event.from_model,
        "to_model": event.to_model,
    }


def usage_of(event: StreamEnded) -> dict[str, int] | None:
    """Return the tokens that a stream used, as far as the provider reported them."""
    usage = event.stats.usage
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
