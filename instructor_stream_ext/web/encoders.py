"""The interface between a stream's events and the bytes that a front-end expects.

An encoder is a pure object of one response: it is told every event that this client is to see and says which bytes to
send. It does no I/O and knows neither a clock nor a framework. Each protocol has a file of its own in
`instructor_stream_ext/web/protocols/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from instructor_stream_ext.core.events import Event, PartialEmitted, StreamCompleted, StreamFailed
from instructor_stream_ext.core.quickly import quickly_made

__all__ = ["CutOff", "Encoder", "Failed", "Finished", "Shown"]


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class Shown(PartialEmitted[Any]):
    """A partial on its way to a front-end.

    Attributes:
        partial: JSON-ready data: dicts with string keys, lists, strings, numbers, booleans and None.
        json_text: The document as the model has written it so far; until a restart it only grows.
    """

    json_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(StreamCompleted[Any]):
    """The validated result on its way to a front-end: JSON-ready data, and the whole document as it was written."""

    json_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(StreamFailed):
    """A failure on its way to a front-end.

    Attributes:
        problem: What a front-end may be told about it, see :mod:`.problems`.
    """

    problem: Mapping[str, Any]


class CutOff(Exception):
    """Raised by an encoder whose protocol cannot express what happened: the response is broken off."""


@runtime_checkable
class Encoder(Protocol):
    """Turns events into bytes, for one response.

    Events are those of :mod:`instructor_stream_ext.core.events`, with :class:`Shown`, :class:`Finished` and
    :class:`Failed` for partials, the result and a failure; items are JSON-ready data. A slow client misses partials
    that newer ones have overtaken, and nothing else.
    """

    @property
    def content_type(self) -> str:
        """The response's `Content-Type`."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Additional headers of the response."""
        ...

    def start(self, *, run_id: str) -> bytes:
        """Return the bytes before the first event.

        Args:
            run_id: The run's name, or one made for this response.
        """
        ...

    def encode(self, event: Event) -> bytes:
        """Return the bytes of one event; empty if this protocol has no place for it.

        Raises:
            CutOff: The protocol cannot say it.
        """
        ...

    def heartbeat(self) -> bytes:
        """Return the bytes that keep an idle connection open; empty if the protocol has none."""
        ...
