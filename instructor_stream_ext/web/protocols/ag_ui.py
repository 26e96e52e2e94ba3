"""AG-UI: the object as the run's state, as snapshots or RFC 6902 patches."""

from __future__ import annotations

import copy
from typing import Any

from instructor_stream_ext.core.events import Event, ItemCompleted, StreamCancelled, StreamEnded, StreamRestarted
from instructor_stream_ext.core.patches import patch
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import CANCELLED
from instructor_stream_ext.web.protocols.framing import ThoughtfulStream, ag_ui_thoughts, custom, run_error, sse
from instructor_stream_ext.web.protocols.sse import item_of, restart_of, usage_of

__all__ = ["AGUI"]

_NOTHING: Any = object()


class AGUI(ThoughtfulStream):
    """`STATE_SNAPSHOT` with each partial.

    Reasoning is a message of its own, items and restarts are `CUSTOM` events, the usage is in `RUN_FINISHED`.

    Args:
        thread_id: The conversation's name, as the front-end sent it; the run's if it sent none.
        run_id: The run's name, as the front-end sent it.
        deltas: Send `STATE_DELTA` after the first snapshot, and a snapshot after each restart.
    """

    def __init__(self, *, thread_id: str = "", run_id: str = "", deltas: bool = False) -> None:
        self._ids = {"threadId": thread_id, "runId": run_id}
        self._deltas = deltas
        self._shown: Any = _NOTHING
        self._result: Any = None
        self._failed = False
        super().__init__(ag_ui_thoughts(lambda number: f"{self._ids['runId']}-reasoning-{number}"))

    def start(self, *, run_id: str) -> bytes:
        """Return the event that starts the run."""
        self._ids = {name: said or run_id for name, said in self._ids.items()}
        return sse({"type": "RUN_STARTED", **self._ids, "protocolVersion": "1.0"})

    def _encode(self, event: Event) -> bytes:  # noqa: PLR0911  one case per event
        match event:
            case Shown():
                return self._state(event.partial)
            case Finished():
                self._result = event.result
                return self._state(event.result)
            case ItemCompleted():
                return custom("item", item_of(event))
            case StreamRestarted():
                self._shown = _NOTHING
                return custom("restart", restart_of(event))
            case Failed():
                self._failed = True
                return run_error(event.problem)
            case StreamCancelled():
                self._failed = True
                return run_error(CANCELLED)
            case StreamEnded() if not self._failed:
                result = {"object": self._result, "usage": usage_of(event)}
                return sse({"type": "RUN_FINISHED", **self._ids, "result": result})
            case _:
                return b""

    def _state(self, data: object) -> bytes:
        before, self._shown = self._shown, copy.deepcopy(data) if self._deltas else data
        if not self._deltas or before is _NOTHING:
            return sse({"type": "STATE_SNAPSHOT", "snapshot": data})
        delta = patch(before, data)
        return sse({"type": "STATE_DELTA", "delta": delta}) if delta else b""
