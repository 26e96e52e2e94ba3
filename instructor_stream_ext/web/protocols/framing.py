"""JSON on one line, and server-sent events around it. Nothing that a user or a model writes can break the framing."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json

from instructor_stream_ext.core.events import Event, ReasoningReceived

__all__ = [
    "EventStream",
    "ThoughtfulStream",
    "Thoughts",
    "ag_ui_thoughts",
    "custom",
    "one_line",
    "run_error",
    "sse",
]

_UNSAFE = {"\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029", "\x85".encode(): b"\\u0085"}
"""Line ends to some parsers, though not to JSON. DEL, and the end of a script element, are escaped as well."""


def one_line(data: object) -> bytes:
    """Return data as JSON without any line end, safe inside a script element as well."""
    try:
        line = to_json(data, inf_nan_mode="null")
    except ValueError:  # half a surrogate pair, or deeper than pydantic goes
        line = json.dumps(data, separators=(",", ":")).encode()
    if not line.isascii():
        for unsafe, safe in _UNSAFE.items():
            line = line.replace(unsafe, safe)
    return line.replace(b"\x7f", b"\\u007f").replace(b"</", b"<\\/")


def sse(data: object, event: str = "") -> bytes:
    """Return one server-sent event.

    Args:
        data: The content of its one `data:` line, as JSON.
        event: Its name; none if empty.
    """
    if not event:
        return b"data: %b\n\n" % one_line(data)
    return b"event: %b\ndata: %b\n\n" % (event.encode(), one_line(data))


class Thoughts:
    """Reasoning as a part of the message: opened before its first piece, closed after its last.

    Args:
        opened: Maps the number of a part, from 1, to the bytes that open it.
        piece: Maps the number and a text to the bytes that add the text.
        closed: Maps the number to the bytes that close it.
    """

    def __init__(
        self, opened: Callable[[int], bytes], piece: Callable[[int, str], bytes], closed: Callable[[int], bytes]
    ) -> None:
        self._opened = opened
        self._piece = piece
        self._closed = closed
        self._number = 0
        self._is_open = False

    def add(self, text: str) -> bytes:
        """Return the bytes of a piece."""
        opened = b""
        if not self._is_open:
            self._is_open = True
            self._number += 1
            opened = self._opened(self._number)
        return opened + self._piece(self._number, text)

    def close(self) -> bytes:
        """Return the bytes that close the open part; empty if none is open."""
        if not self._is_open:
            return b""
        self._is_open = False
        return self._closed(self._number)


class EventStream:
    """What all encoders of server-sent events share."""

    content_type = "text/event-stream"
    headers: Mapping[str, str] = {}
    numbered = False
    """Whether each event has an `id:`, so that a client can resume where it stopped."""

    def heartbeat(self) -> bytes:
        """Return a comment, which clients skip."""
        return b": ping\n\n"


class ThoughtfulStream(EventStream, ABC):
    """Event streams in which reasoning is a part of its own, which is closed before anything else comes.

    Args:
        thoughts: Makes its bytes.
    """

    def __init__(self, thoughts: Thoughts) -> None:
        self._thoughts = thoughts

    def encode(self, event: Event) -> bytes:
        """Return one event, after the end of reasoning if that was open."""
        if isinstance(event, ReasoningReceived):
            return self._thoughts.add(event.text)
        return self._thoughts.close() + self._encode(event)

    @abstractmethod
    def _encode(self, event: Event) -> bytes:
        """Return one event other than reasoning."""


def ag_ui_thoughts(message_id: Callable[[int], str]) -> Thoughts:
    """Return AG-UI's reasoning message, which TanStack AI adopted.

    Args:
        message_id: Maps the number of a part to its id.
    """

    def frame(kind: str, number: int, **more: str) -> bytes:
        return sse({"type": kind, "messageId": message_id(number), **more})

    return Thoughts(
        lambda number: frame("REASONING_START", number) + frame("REASONING_MESSAGE_START", number, role="reasoning"),
        lambda number, text: frame("REASONING_MESSAGE_CONTENT", number, delta=text),
        lambda number: frame("REASONING_MESSAGE_END", number) + frame("REASONING_END", number),
    )


def custom(name: str, value: object) -> bytes:
    """Return AG-UI's event for anything without an event of its own, which TanStack AI adopted."""
    return sse({"type": "CUSTOM", "name": name, "value": value})


def run_error(problem: Mapping[str, Any]) -> bytes:
    """Return AG-UI's end of a failed run, which TanStack AI adopted.

    Args:
        problem: What a front-end may be told about the failure, see `problem_of`.
    """
    return sse({"type": "RUN_ERROR", "message": problem["message"], "code": problem["type"]})
