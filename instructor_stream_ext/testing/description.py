"""The contents of a cassette, in lines for a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from instructor_stream_ext.testing.cassette import Interaction
from instructor_stream_ext.testing.payload import pieces

if TYPE_CHECKING:
    from instructor_stream_ext.testing.payload import Piece

__all__ = ["described"]


CHART_ROWS = 12


WIDTH = 40


def described(number: int, interaction: Interaction) -> Iterator[str]:
    """Yield the lines about one interaction; `number` is its place in the cassette, from 1."""
    body = interaction.body
    found = pieces(body, interaction.content_type)
    text = "".join(piece.text for piece in found)
    words = [piece.end for piece in found if piece.end] or (["[DONE]"] if any(piece.last for piece in found) else [])
    errors = [piece.error for piece in found if piece.error]
    yield f"{number}  {interaction.method} {interaction.url}"
    yield f"   HTTP {interaction.status} {interaction.content_type}".rstrip()
    deltas = sum(bool(piece.text) for piece in found)
    yield f"   {len(body)} bytes, {len(found)} events, {deltas} deltas, {len(text)} chars"
    ending = f"   end: {interaction.end}" if interaction.timed else "   end: unknown (no sidecar)"
    yield (
        ending
        + (f" ({interaction.error})" if interaction.error else "")
        + (f"; the provider said {words[-1]!r}" if words else "")
    )
    if errors:
        yield f"   error: {errors[0]}"
    if interaction.timed and interaction.chunks:
        first = interaction.chunks[0].at
        gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(interaction.chunks)]
        yield (
            f"   {len(interaction.chunks)} chunks from {first:.3f} s to {interaction.chunks[-1].at:.3f} s, "
            f"longest gap {max(gaps, default=0.0):.3f} s"
        )
        yield from _chart(interaction, found, len(text))
    if text:
        shown = text if len(text) <= 2 * WIDTH else f"{text[:WIDTH]} ... {text[-WIDTH:]}"
        yield f"   text: {shown!r}"


def _chart(interaction: Interaction, found: list[Piece], total: int) -> Iterator[str]:
    """Return the rows of the timeline: when chunks arrived, and how much of the text was there."""
    arrivals = []
    place = reached = 0
    ends = [(piece.stop, len(piece.text)) for piece in found]
    for chunk in interaction.chunks:
        place += len(chunk.data)
        while ends and ends[0][0] <= place:
            reached += ends.pop(0)[1]
        arrivals.append((chunk.at, reached))
    span = max(interaction.duration, 1e-9)
    rows = min(CHART_ROWS, max(1, len(arrivals)))
    for row in range(rows):
        start, stop = row * span / rows, (row + 1) * span / rows
        here = [at for at, _ in arrivals if start <= at < stop or (row == rows - 1 and at >= stop)]
        so_far = max((chars for at, chars in arrivals if at < stop or row == rows - 1), default=0)
        bar = "█" * round(WIDTH * so_far / total) if total else ""
        marks = "·" * min(len(here), 9) + ("+" if len(here) > 9 else "")  # noqa: PLR2004 - what fits the column
        yield f"   {start:8.3f} s {marks:<10} {bar:<{WIDTH}} {so_far:>6} chars".rstrip()
