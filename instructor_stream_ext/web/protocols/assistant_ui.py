"""assistant-ui's transport: operations on the client's state; text is appended."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.events import Event, ItemCompleted, StreamCancelled, StreamEnded, StreamRestarted
from instructor_stream_ext.core.patches import Place, changes
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import CANCELLED
from instructor_stream_ext.web.protocols.framing import ThoughtfulStream, Thoughts, sse
from instructor_stream_ext.web.protocols.sse import item_of

__all__ = ["AssistantUI"]

_NOTHING: Any = object()


class AssistantUI(ThoughtfulStream):
    """`update-state` with `set` and `append-text`; `[DONE]` is always the last.

    Reasoning is a part of the message, items are its `data`, the usage is in `message-finish`.
    """

    def __init__(self) -> None:
        self._shown: Any = _NOTHING
        self._failed = False
        thoughts = Thoughts(
            lambda _: sse({"type": "part-start", "path": [], "part": {"type": "reasoning"}}),
            lambda number, text: sse({"type": "text-delta", "path": [number - 1], "textDelta": text}),
            lambda number: sse({"type": "part-finish", "path": [number - 1]}),
        )
        super().__init__(thoughts)

    def start(self, *, run_id: str) -> bytes:  # noqa: ARG002
        """Return nothing."""
        return b""

    def _encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        match event:
            case Shown():
                return self._state(event.partial)
            case Finished():
                return self._state(event.result)
            case ItemCompleted():
                return sse({"type": "data", "path": [], "data": [{"type": "item", **item_of(event)}]})
            case StreamRestarted():
                self._shown = _NOTHING
                return b""
            case Failed():
                self._failed = True
                return _error(event.problem)
            case StreamCancelled():
                self._failed = True
                return _error(CANCELLED)
            case StreamEnded():
                return self._end(event) + b"data: [DONE]\n\n"
            case _:
                return b""

    def _end(self, event: StreamEnded) -> bytes:
        usage = event.stats.usage
        if usage is None or self._failed:
            return b""
        tokens = {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens}
        return sse({"type": "message-finish", "path": [], "finishReason": "stop", "usage": tokens})

    def _state(self, data: object) -> bytes:
        before, self._shown = self._shown, copy.deepcopy(data)
        operations = [_set((), data)] if before is _NOTHING else list(self._operations(before, data))
        return sse({"type": "update-state", "path": [], "operations": operations}) if operations else b""

    @staticmethod
    def _operations(before: object, after: object) -> list[dict[str, Any]]:
        """Return the operations that turn one value into the other; if something is removed, all is set."""
        made: list[dict[str, Any]] = []
        for change in changes(before, after):
            if change.kind == "remove":
                return [_set((), after)]
            if change.before and (grown := change.grown) is not None:
                path = [str(step) for step in change.place]
                made.append({"type": "append-text", "path": path, "value": grown})
            else:
                made.append(_set(change.place, change.value))
        return made


def _error(problem: Mapping[str, Any]) -> bytes:
    return sse({"type": "error", "path": [], "error": problem["message"]})


def _set(place: Place, value: object) -> dict[str, Any]:
    return {"type": "set", "path": [str(step) for step in place], "value": value}
