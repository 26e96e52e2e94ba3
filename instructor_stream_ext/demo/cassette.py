r"""The cassette: what a server sent, chunk by chunk, and when.

A cassette is a JSON file::

    {
      "format": 1,
      "recorded": {...},                                  # how, when and with what; for people
      "request":  {"path": "/v1/chat/completions", ...},  # what it answers
      "response": {"status": 200, "headers": {...}},
      "chunks":   [[132, "data: {...}\n\n"], ...]         # milliseconds since the request, text of one HTTP chunk
    }
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from instructor_stream_ext.testing.cassette import Chunk

__all__ = ["Cassette", "Chunk", "demo_cassette", "read_cassette"]

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cassette:
    """A recorded answer."""

    path: str
    status: int
    headers: Mapping[str, str]
    chunks: tuple[Chunk, ...]
    recorded: Mapping[str, str]

    @property
    def duration(self) -> float:
        """Seconds from the request to the last chunk."""
        return self.chunks[-1].at if self.chunks else 0.0


def read_cassette(text: str) -> Cassette:
    """Read a cassette from its JSON text.

    Raises:
        ValueError: the text is no cassette of a known format.
    """
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"not a cassette of format {FORMAT}")
    return Cassette(
        path=content["request"]["path"],
        status=content["response"]["status"],
        headers=content["response"]["headers"],
        chunks=tuple(Chunk(milliseconds / 1000, data.encode()) for milliseconds, data in content["chunks"]),
        recorded=content["recorded"],
    )


def demo_cassette(path: Path | None = None) -> Cassette:
    """Give the cassette that comes with the package, or the one in this file."""
    source = path or resources.files("instructor_stream_ext") / "data" / "demo.json"
    return read_cassette(source.read_text(encoding="utf-8"))
