"""AI SDK `useObject`: the document's raw text, piece by piece, without framing.

The client parses all that has come after each chunk. What was sent cannot be taken back: where a restart brings another
text, the response breaks off, which is the only error that this protocol knows after the first byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from instructor_stream_ext.core.events import Event, StreamCancelled
from instructor_stream_ext.web.encoders import CutOff, Failed, Finished, Shown
from instructor_stream_ext.web.problems import CANCELLED

__all__ = ["AISDKObject"]


class AISDKObject:
    """Append-only JSON text."""

    content_type = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = {}
    numbered = False

    def __init__(self) -> None:
        self._sent = ""

    def start(self, *, run_id: str) -> bytes:  # noqa: ARG002
        """Return nothing."""
        return b""

    def encode(self, event: Event) -> bytes:
        """Return the text that is new.

        Raises:
            CutOff: The stream failed, or starts over with another text.
        """
        match event:
            case Shown() | Finished():
                return self._grown(event.json_text)
            case Failed():
                raise CutOff(event.problem["message"])
            case StreamCancelled():
                raise CutOff(CANCELLED["message"])
            case _:
                return b""

    def _grown(self, text: str) -> bytes:
        if not text.startswith(self._sent):
            raise CutOff("the answer begins anew, and what was sent cannot be taken back")
        new, self._sent = text[len(self._sent) :], text
        return new.encode(errors="replace")

    def heartbeat(self) -> bytes:
        """Return a space, which JSON allows before the document; nothing inside the document."""
        return b"" if self._sent else b" "
