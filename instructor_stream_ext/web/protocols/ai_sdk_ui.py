"""AI SDK `useChat`: a UI message stream whose data part is replaced with each partial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.events import Event, StreamCancelled, StreamEnded
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.protocols.framing import PING, SSE, sse
from instructor_stream_ext.web.protocols.sse import usage_of

__all__ = ["AISDKUI"]


class AISDKUI:
    """`data-object` parts with one id, so that each takes the place of the one before; the usage as metadata."""

    content_type = SSE
    headers: Mapping[str, str] = {"x-vercel-ai-ui-message-stream": "v1"}
    numbered = False

    def __init__(self) -> None:
        self._failed = False

    def start(self, *, run_id: str) -> bytes:
        """The message begins."""
        return sse({"type": "start", "messageId": run_id})

    def encode(self, event: Event) -> bytes:
        """One part."""
        match event:
            case Shown():
                return self._object(event.partial)
            case Finished():
                return self._object(event.result)
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
    def _object(data: Any) -> bytes:
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

    def heartbeat(self) -> bytes:
        """A comment."""
        return PING
