"""What the test server does with one request, as a list of small values.

A script is any nesting of steps and bytes (bytes are short for `Send`)::

    [sends(chunks[:3]), Wait(gate), sends(chunks[3:])]

A script that stops after a `Send` ends the body properly (`End` is added).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.server.signals import Signal

__all__ = [
    "SSE_HEADERS",
    "Answer",
    "Cut",
    "End",
    "Forever",
    "KeepAlive",
    "Reset",
    "Script",
    "Send",
    "Silent",
    "Start",
    "Status",
    "Step",
    "Trickle",
    "Wait",
    "flatten",
    "gated",
    "sends",
]

SSE_HEADERS: Mapping[str, str] = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


@dataclass(frozen=True, slots=True)
class Start:
    """Send the status line and headers of a streamed answer. Implied by the first step that sends.

    `chunked=False` leaves the body without framing: it lasts until the connection closes, so that a `Cut` looks like
    a proper end to the client.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: SSE_HEADERS)
    chunked: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes as one HTTP chunk, at once."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing until the test sets the signal."""

    signal: Signal


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Send so many SSE comments, one HTTP chunk each."""

    count: int = 1
    comment: bytes = b": keep-alive\n\n"


@dataclass(frozen=True, slots=True)
class Trickle:
    """Send the chunk again and again at a steady pace (seconds), until the client has gone or `until` is set."""

    chunk: bytes = b": keep-alive\n\n"
    every: float = 0.01
    until: Signal | None = None


@dataclass(frozen=True, slots=True)
class Forever:
    """Send the chunks over and over as fast as the client reads, until it has gone."""

    chunks: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class End:
    """End the body properly; the connection stays open for the next request."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection in the middle of the body: FIN without the terminating chunk."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (TCP RST)."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Never send anything, not even headers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer at once: JSON (anything but bytes) or raw bytes, with its length."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Step: TypeAlias = Start | Send | Wait | KeepAlive | Trickle | Forever | End | Cut | Reset | Silent | Answer
Script: TypeAlias = "Step | bytes | Iterable[Script]"


def Status(status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:  # noqa: N802 - reads as a step
    """Give an error answer with a JSON body (an OpenAI-like one by default)."""
    message = {"error": {"message": f"scripted status {status}", "type": "scripted", "code": str(status)}}
    return Answer(body=message if body is None else body, status=status, headers=headers or {})


def sends(chunks: Iterable[bytes]) -> list[Step]:
    """Give one `Send` per chunk."""
    return [Send(chunk) for chunk in chunks]


def gated(chunks: Iterable[bytes], gates: Sequence[Signal], *, every: int = 1) -> list[Step]:
    """Put a gate before each chunk after the first: chunk n goes out when `gates[n - 1]` is set, with the rest free.

    Args:
        chunks: the body, one HTTP chunk each.
        gates: signals in the order in which they hold the stream back.
        every: so many chunks between two gates.
    """
    steps: list[Step] = []
    waiting = iter(gates)
    for number, chunk in enumerate(chunks):
        if number and number % every == 0 and (gate := next(waiting, None)) is not None:
            steps.append(Wait(gate))
        steps.append(Send(chunk))
    return steps


def flatten(script: Script) -> list[Step]:
    """Make one list of steps of any nesting."""
    if isinstance(script, bytes):
        return [Send(script)]
    if isinstance(script, Iterable):
        return [step for part in script for step in flatten(part)]
    return [script]
