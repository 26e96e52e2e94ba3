"""TanStack AI: the document's raw text as a message, and the object when it is complete."""

from __future__ import annotations

from instructor_stream_ext.core.events import Event, ItemCompleted, StreamCancelled, StreamEnded, StreamRestarted
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import CANCELLED
from instructor_stream_ext.web.protocols.framing import ThoughtfulStream, ag_ui_thoughts, custom, run_error, sse
from instructor_stream_ext.web.protocols.sse import item_of, usage_of

__all__ = ["TanStack"]


class TanStack(ThoughtfulStream):
    """`TEXT_MESSAGE_CONTENT` with what is new of the text; a restart begins another message.

    Reasoning is the message's thinking, items are `CUSTOM` events, the usage is in `RUN_FINISHED`.
    """

    numbered = True

    def __init__(self) -> None:
        self._run = ""
        self._attempt = 1
        self._sent = ""
        self._failed = False
        super().__init__(ag_ui_thoughts(lambda number: f"{self._run}-reasoning-{number}"))

    @property
    def _message(self) -> str:
        return self._run if self._attempt == 1 else f"{self._run}-{self._attempt}"

    def start(self, *, run_id: str) -> bytes:
        """Return the events that start the run and its first message."""
        self._run = run_id
        return sse({"type": "RUN_STARTED", "runId": run_id, "threadId": run_id}) + self._begin()

    def _begin(self) -> bytes:
        self._sent = ""
        return custom("structured-output.start", {"messageId": self._message})

    def _encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        match event:
            case Shown():
                return self._grown(event.json_text)
            case Finished():
                value = {"messageId": self._message, "object": event.result, "raw": event.json_text}
                return self._grown(event.json_text) + custom("structured-output.complete", value)
            case ItemCompleted():
                return custom("item", item_of(event))
            case StreamRestarted():
                self._attempt += 1
                return self._begin()
            case Failed():
                self._failed = True
                return run_error(event.problem)
            case StreamCancelled():
                self._failed = True
                return run_error(CANCELLED)
            case StreamEnded() if not self._failed:
                end = {"type": "RUN_FINISHED", "runId": self._run, "threadId": self._run, "finishReason": "stop"}
                usage = usage_of(event)
                return sse(end if usage is None else {**end, "usage": usage})
            case _:
                return b""

    def _grown(self, text: str) -> bytes:
        begun = b"" if text.startswith(self._sent) else self._again()
        delta, self._sent = text[len(self._sent) :], text
        if not delta:
            return begun
        return begun + sse({"type": "TEXT_MESSAGE_CONTENT", "messageId": self._message, "delta": delta})

    def _again(self) -> bytes:
        """Start another message: the text has changed although a late client missed the restart."""
        self._attempt += 1
        return self._begin()
