r"""The demo's cassette: what a server sent, chunk by chunk, and when. It can be read without the `testing` extra.

It is a JSON file::

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
from importlib import resources

from instructor_stream_ext.testing.cassette import Chunk, Interaction

__all__ = ["demo_interaction"]


def demo_interaction() -> Interaction:
    """Return the recorded answer that ships with the package; a `ReplayServer` plays it."""
    content = json.loads((resources.files("instructor_stream_ext") / "data" / "demo.json").read_text(encoding="utf-8"))
    chunks = tuple(Chunk(milliseconds / 1000, data.encode()) for milliseconds, data in content["chunks"])
    return Interaction(
        url=content["request"]["path"],
        status=content["response"]["status"],
        headers=tuple(content["response"]["headers"].items()),
        chunks=chunks,
        ended_at=chunks[-1].at,
    )
