"""AI SDK `useChat`: a UI message stream whose data part is replaced by each partial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.events import Event, ItemCompleted, StreamCancelled, StreamEnded
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.protocols.framing import ThoughtfulStream, Thoughts, sse
from instructor_stream_ext.web.protocols.sse import item_of, usage_of

__all__ = ["AISDKUI"]


class AISDKUI(ThoughtfulStream):
    """`data-object` parts with one id, so that each replaces the one before.

    Reasoning is a part of the message, an item a transient `data-item` for `onData`, the usage the message's metadata.
    """

    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}

    def __init__(self) -> None:
        self._failed = False
        thoughts = Thoughts(
            lambda number: sse({"type": "reasoning-start", "id": f"r{number}"}),
            lambda number, text: sse({"type": "reasoning-delta", "id": f"r{number}", "delta": text}),
            lambda number: sse({"type": "reasoning-end", "id": f"r{number}"}),
        )
        super().__init__(thoughts)

    def start(self, *, run_id: str) -> bytes:
        """Return the event that starts the message."""
        return sse({"type": "start", "messageId": run_id})

    def _encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        match event:
            case Shown():
                return self._object(event.partial)
            case Finished():
                return self._object(event.result)
            case ItemCompleted():
                return sse({"type": "data-item", "transient": True, "data": item_of(event)})
            case Failed():
                self._failed = True
                return sse({"type": "error", "errorText": event.problem["message"]})
            case StreamCancelled():
                self._failed = True
                return sse({"type": "abort"})
            case StreamEnded():
                return self._end(event)
            case _:
                return b""

    @staticmethod
    def _object(data: object) -> bytes:
        return sse({"type": "data-object", "id": "o1", "data": data})

    def _end(self, event: StreamEnded) -> bytes:
        done = b"data: [DONE]\n\n"
        if self._failed:
            return done
        finish: dict[str, Any] = {"type": "finish", "finishReason": "stop"}
        usage = usage_of(event)
        if usage is not None:
            finish["messageMetadata"] = {"usage": usage}
        return sse(finish) + done
