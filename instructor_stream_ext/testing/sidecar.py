r"""The sidecar of a cassette: when each piece of an answer came, and how the stream ended.

`test_x.yaml` is an ordinary cassette, which plain vcrpy plays. Its sidecar `test_x.yaml.timing.json` holds one entry
for each interaction, in the same order, or null where nobody measured (such an interaction plays at once)::

    {
     "format": 1,
     "streams": [
      {
       "request": "POST /v1/chat/completions",   # for people
       "bytes": 8123,                            # of the body; a cassette that was edited no longer fits
       "deltas": 36,                             # pieces of the model's text, as stated when it was recorded
       "end": "complete",                        # or "abandoned", "cut", "error"
       "error": "",                              # what the client was told
       "headers_ms": 12.1,                       # milliseconds since the request was sent
       "ended_ms": 402.7,
       "chunks": [[0, 14.2], [214, 19.8]]        # byte offset and arrival of each piece
      }
     ]
    }
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from instructor_stream_ext.testing.errors import RECORD, RESTORE, CassetteError

__all__ = ["SIDECAR", "TIMING", "End", "Timing", "read_sidecar", "sidecar_of", "sidecar_text"]

FORMAT = 1
SIDECAR = ".timing.json"
TIMING = "timing"
"""The key under which a timing travels inside vcrpy's response. It is never written to the cassette."""

_OWN = b"interactions:\n- request:\n    method:"
"""How a cassette begins that was written with a sidecar; vcrpy itself writes a request's keys in another order."""


class End(StrEnum):
    """How a stream ended: complete, left by the client, broken by the network, or with an error."""

    COMPLETE = "complete"
    ABANDONED = "abandoned"
    CUT = "cut"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The sidecar's record of one interaction. Instants are milliseconds since the request was sent.

    Attributes:
        request: Method and path.
        size: Bytes of the body.
        chunks: Byte offset and arrival of each piece.
        end: How it ended.
        ended_at: When.
        headers_at: When the headers had come.
        error: What the client was told.
        deltas: Pieces of the model's text in it.
    """

    request: str = ""
    size: int
    chunks: tuple[tuple[int, float], ...]
    end: End = End.COMPLETE
    ended_at: float = 0.0
    headers_at: float = 0.0
    error: str = ""
    deltas: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the entry for the sidecar."""
        return {
            "request": self.request,
            "bytes": self.size,
            "deltas": self.deltas,
            "end": self.end.value,
            "error": self.error,
            "headers_ms": _rounded(self.headers_at),
            "ended_ms": _rounded(self.ended_at),
            "chunks": [[offset, _rounded(at)] for offset, at in self.chunks],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Timing:
        """Read an entry of a sidecar.

        Raises:
            KeyError: A key is missing.
            TypeError: A value is of another kind.
            ValueError: Numbers do not fit together.
        """
        timing = cls(
            request=str(content.get("request", "")),
            size=int(content["bytes"]),
            chunks=tuple((int(offset), float(at)) for offset, at in content["chunks"]),
            end=End(content["end"]),
            ended_at=float(content.get("ended_ms", 0.0)),
            headers_at=float(content.get("headers_ms", 0.0)),
            error=str(content.get("error", "")),
            deltas=int(content.get("deltas", 0)),
        )
        offsets = [offset for offset, _ in timing.chunks]
        if offsets and (offsets[0] != 0 or offsets[-1] >= max(timing.size, 1)):
            raise ValueError("the offsets of its chunks do not span the body")
        if any(later <= earlier for earlier, later in itertools.pairwise(offsets)):
            raise ValueError("the offsets of its chunks do not increase")
        if timing.size and not offsets:
            raise ValueError("a body without a chunk")
        instants = [at for _, at in timing.chunks]
        if not all(math.isfinite(at) and at >= 0 for at in (*instants, timing.headers_at, timing.ended_at)):
            raise ValueError("an instant must be a number of milliseconds, at least 0")
        if any(later < earlier for earlier, later in itertools.pairwise(instants)):
            raise ValueError("a chunk arrived before its predecessor")
        return timing


def _rounded(milliseconds: float) -> float:
    return round(milliseconds, 1)


def sidecar_of(path: Path | str) -> Path:
    """Return the path of a cassette's sidecar."""
    return Path(f"{path}{SIDECAR}")


def read_sidecar(path: Path, bodies: Sequence[tuple[bytes, int]], *, required: bool = True) -> list[Timing | None]:
    """Read the sidecar of a cassette.

    Args:
        path: Of the cassette.
        bodies: The body of each interaction and the line of the cassette where the interaction begins.
        required: Whether its absence is an error, for a cassette that was written with one.

    Raises:
        CassetteError: It is not there, cannot be read, or belongs to another cassette.
    """
    beside = sidecar_of(path)
    try:
        text = beside.read_text(encoding="utf-8")
    except FileNotFoundError:
        if required and path.read_bytes().startswith(_OWN):
            raise CassetteError(path, 1, f"has no sidecar {beside.name}, so its timing is unknown", RECORD) from None
        return [None] * len(bodies)
    except (OSError, UnicodeDecodeError) as error:
        raise CassetteError(beside, 1, f"cannot be read ({error})", RESTORE) from error
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CassetteError(beside, error.lineno, f"is no JSON ({error.msg})", RESTORE) from error
    if not isinstance(content, dict) or not isinstance(content.get("streams"), list):
        raise CassetteError(beside, 1, "is not the sidecar of a cassette", RESTORE)
    if content.get("format") != FORMAT:
        problem = f"is of format {content.get('format')!r}, and this version knows format {FORMAT}"
        raise CassetteError(beside, 1, problem, f"upgrade instructor_stream_ext, or {RECORD}")
    entries = content["streams"]
    if len(entries) != len(bodies):
        problem = f"describes {len(entries)} interactions, the cassette holds {len(bodies)}"
        raise CassetteError(beside, 1, problem, RESTORE)
    lines = _entry_lines(text, len(entries))
    return [
        None if entry is None else _fitting(beside, line, entry, body, path, place)
        for entry, line, (body, place) in zip(entries, lines, bodies, strict=True)
    ]


def _fitting(beside: Path, line: int, entry: Any, body: bytes, path: Path, place: int) -> Timing:
    try:
        timing = Timing.from_json(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise CassetteError(beside, line, f"an entry cannot be used: {said}", RESTORE) from error
    if timing.size != len(body):
        problem = f"the body has {len(body)} bytes, its sidecar (line {line}) says {timing.size}"
        raise CassetteError(path, place, f"{problem}: the cassette was cut short or edited", RESTORE)
    return timing


def _entry_lines(text: str, count: int) -> list[int]:
    """Return the line of each entry, if this module wrote the file, and the first line otherwise."""
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if line in ("  {", "  null", "  null,")]
    return lines if len(lines) == count else [1] * count


def sidecar_text(timings: Iterable[Timing | None]) -> str:
    """Return the text of a sidecar: one line per fact, several chunks on one line."""
    entries = ["  null" if timing is None else _entry_text(timing) for timing in timings]
    return f'{{\n "format": {FORMAT},\n "streams": [\n' + ",\n".join(entries) + "\n ]\n}\n"


def _entry_text(timing: Timing) -> str:
    content = timing.as_json()
    chunks = [json.dumps(chunk) for chunk in content.pop("chunks")]
    facts = [f"   {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in content.items()]
    listed = ",\n".join("    " + ", ".join(chunks[start : start + 6]) for start in range(0, len(chunks), 6))
    return "  {\n" + "\n".join(facts) + '\n   "chunks": [\n' + listed + "\n   ]\n  }"
