"""The interface between a stream's events and the bytes that a front-end expects.

An encoder is a pure object of one response: it is told every event that this client is to see and says which bytes to
send. It does no I/O, knows no clock and no framework. One file each for the protocols is in
`instructor_stream_ext/web/protocols/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from instructor_stream_ext.core.events import PartialEmitted, StreamEvent

__all__ = ["Encoder", "Shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(PartialEmitted[Any]):
    """A partial on its way to a front-end.

    Attributes:
        partial: JSON-ready data: only dicts with string keys, lists, strings, numbers, booleans and None.
        json_text: The document of this attempt as the model has written it so far; it only grows until a restart.
    """

    json_text: str = ""


@runtime_checkable
class Encoder(Protocol):
    """What makes bytes of events, for one response.

    Events are those of :mod:`instructor_stream_ext.core.events`; partials come as :class:`Shown`, and items and results
    as JSON-ready data. Some partials may be left out (a slow client gets the newest one), nothing else is.
    """

    @property
    def content_type(self) -> str:
        """The response's `Content-Type`."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers of the response."""
        ...

    def start(self, *, run_id: str, request: Mapping[str, Any] | None = None) -> bytes:
        """The bytes before the first event.

        Args:
            run_id: The run's name, or a name made for this response.
            request: The JSON body that the front-end sent, for protocols that repeat a part of it (AG-UI's
                `threadId` and `runId`).
        """
        ...

    def encode(self, event: StreamEvent) -> bytes:
        """The bytes of one event; empty if this protocol has no place for it."""
        ...

    def heartbeat(self) -> bytes:
        """The bytes that keep an idle connection open; empty if the protocol has none."""
        ...
