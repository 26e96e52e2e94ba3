"""A recorded cassette: its interactions, each with its pieces and when they arrived."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from instructor_stream_ext.testing.errors import RESTORE, CassetteError
from instructor_stream_ext.testing.sidecar import End, Timing, read_sidecar

__all__ = ["Cassette", "Chunk", "End", "Interaction", "load_cassette"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an answer and its arrival, in seconds since the request was sent."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One interaction of a cassette: a request, and the answer as it came.

    Attributes:
        method: Of the request.
        url: Of the request.
        request_headers: Name to value.
        request_body: As it was sent.
        status: Of the answer.
        reason: The status in words.
        headers: Names and values of the answer, in order.
        chunks: The body as it came, in seconds since the request was sent.
        end: How it ended.
        ended_at: When, in seconds.
        headers_at: When the headers had come, in seconds.
        error: What the client was told.
        deltas: How many pieces of the model's text the cassette states; None if it states nothing.
        timed: Whether arrivals were measured.
    """

    method: str = "POST"
    url: str = ""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: bytes = b""
    status: int = 200
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[Chunk, ...] = ()
    end: End = End.COMPLETE
    ended_at: float = 0.0
    headers_at: float = 0.0
    error: str = ""
    deltas: int | None = None
    timed: bool = True

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def content_type(self) -> str:
        """The answer's content type."""
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")

    @property
    def duration(self) -> float:
        """Seconds from the request to the end."""
        return max(self.ended_at, self.chunks[-1].at if self.chunks else 0.0)


@dataclass(frozen=True, slots=True)
class Cassette:
    """All interactions of a cassette.

    Attributes:
        path: Of the cassette.
        interactions: In the order in which they were recorded.
    """

    path: Path
    interactions: tuple[Interaction, ...]


def load_cassette(path: Path | str, *, sidecar: bool = False) -> Cassette:
    """Read a cassette and its sidecar.

    Args:
        path: Of the YAML.
        sidecar: Whether a cassette that was written with a sidecar has to have it. Without one, each event is taken to
            have come at once.

    Raises:
        CassetteError: The cassette cannot be used; the message says why and where.
    """
    from instructor_stream_ext.testing.yaml import read_cassette

    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise CassetteError(path, 1, f"cannot be read ({error.strerror or error})", "check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CassetteError(path, line, "the file is not UTF-8", RESTORE) from error
    entries = read_cassette(path, text)
    bodies = [(body_of(entry["response"]), entry["line"]) for entry in entries]
    timings = read_sidecar(path, bodies, required=sidecar)
    interactions = (
        interaction_of(entry["request"], entry["response"], timing)
        for entry, timing in zip(entries, timings, strict=True)
    )
    return Cassette(path, tuple(interactions))


def body_of(response: Mapping[str, Any]) -> bytes:
    """Return the body of a vcrpy response."""
    body = response.get("body") or {}
    content = body.get("string", b"") if isinstance(body, Mapping) else body
    return content.encode() if isinstance(content, str) else bytes(content or b"")


def interaction_of(request: Mapping[str, Any], response: Mapping[str, Any], timing: Timing | None) -> Interaction:
    """Return one interaction, from vcrpy's request and response."""
    from instructor_stream_ext.testing.payload import event_ends

    body = body_of(response)
    sent = request.get("body") or b""
    status = response.get("status") or {}
    interaction = Interaction(
        method=str(request.get("method", "POST")).upper(),
        url=str(request.get("uri", "")),
        request_headers={name: _one(value) for name, value in (request.get("headers") or {}).items()},
        request_body=sent.encode() if isinstance(sent, str) else bytes(sent) if isinstance(sent, bytes) else b"",
        status=int(status.get("code", 200)),
        reason=str(status.get("message") or ""),
        headers=tuple(_pairs(response.get("headers") or {})),
    )
    if timing is None:
        pieces = cut(body, event_ends(body, interaction.content_type))
        return replace(interaction, chunks=tuple(Chunk(0.0, piece) for piece in pieces), timed=False)
    return timed_interaction(interaction, body, timing)


def timed_interaction(interaction: Interaction, body: bytes, timing: Timing) -> Interaction:
    """Return an interaction with what its sidecar says about it."""
    starts = [offset for offset, _ in timing.chunks]
    pieces = cut(body, starts[1:])
    return replace(
        interaction,
        chunks=tuple(Chunk(at / 1000, piece) for (_, at), piece in zip(timing.chunks, pieces, strict=True)),
        end=timing.end,
        ended_at=timing.ended_at / 1000,
        headers_at=timing.headers_at / 1000,
        error=timing.error,
        deltas=timing.deltas,
    )


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the body in pieces, cut at these offsets; no piece is empty."""
    marks = sorted({0, len(body), *(place for place in places if 0 < place < len(body))})
    return [body[start:stop] for start, stop in itertools.pairwise(marks)]


def _one(value: object) -> str:
    return str(value[0]) if isinstance(value, list | tuple) and value else str(value)


def _pairs(headers: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, values in headers.items():
        for value in values if isinstance(values, list | tuple) else [values]:
            yield str(name), str(value)
