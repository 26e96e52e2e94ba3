"""From one interaction to another: cut elsewhere, ended elsewhere, with other events, at other instants."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from instructor_stream_ext.testing.cassette import Chunk, End, Interaction, cut
from instructor_stream_ext.testing.payload import event_ends, pieces

__all__ = ["arriving", "by_events", "edited", "ended", "ends_of", "first_text", "inserted", "recut", "starts_of"]


def ends_of(interaction: Interaction) -> list[int]:
    """Return the offset after each event of the body."""
    return event_ends(interaction.body, interaction.content_type)


def starts_of(interaction: Interaction) -> list[int]:
    """Return the offset at which each chunk begins."""
    sizes = (len(chunk.data) for chunk in interaction.chunks)
    return list(itertools.accumulate(sizes, initial=0))[:-1]


def recut(interaction: Interaction, places: Iterable[int], *, keep: bool = False) -> Interaction:
    """Cut the body at these offsets, and at the old ones too if they are to be kept."""
    stops = list(itertools.accumulate(len(chunk.data) for chunk in interaction.chunks))
    body = interaction.body
    made, arrival = [], 0
    stop = 0
    for data in cut(body, [*places, *(stops if keep else ())]):
        stop += len(data)
        while stops[arrival] < stop:
            arrival += 1
        made.append(Chunk(interaction.chunks[arrival].at, data))
    return replace(interaction, chunks=tuple(made))


def by_events(interaction: Interaction) -> Interaction:
    """Cut the body so that each chunk is one event."""
    return recut(interaction, ends_of(interaction))


def first_text(interaction: Interaction) -> int | None:
    """Return the number of the first event with text from the model; None if there is none."""
    found = pieces(interaction.body, interaction.content_type)
    return next((number for number, piece in enumerate(found) if piece.text), None)


def arriving(interaction: Interaction, instants: Sequence[float]) -> Interaction:
    """Have the chunks arrive at these instants, in seconds from the request."""
    chunks = tuple(Chunk(at, chunk.data) for at, chunk in zip(instants, interaction.chunks, strict=True))
    last = max((chunk.at for chunk in chunks), default=0.0)
    was = max((chunk.at for chunk in interaction.chunks), default=0.0)
    return replace(interaction, chunks=chunks, ended_at=max(interaction.ended_at - was, 0.0) + last)


def ended(interaction: Interaction, after: int | None, at_byte: int | None, end: End, error: str) -> Interaction:
    """End the interaction after a number of events, or at a byte, in this way."""
    ends = [0, *ends_of(interaction)]
    place = (
        ends[min(after, len(ends) - 1)] if after is not None else len(interaction.body) if at_byte is None else at_byte
    )
    if not interaction.chunks:
        return replace(interaction, end=end, error=error, deltas=None)
    whole = recut(interaction, [place], keep=True)
    kept = tuple(chunk for chunk, start in zip(whole.chunks, starts_of(whole), strict=True) if start < place)
    ended_at = kept[-1].at if kept else whole.chunks[0].at
    return replace(interaction, chunks=kept, end=end, error=error, ended_at=ended_at, deltas=None)


def edited(interaction: Interaction, edit: Callable[[list[Chunk]], list[Chunk]]) -> Interaction:
    """Change the list of events."""
    if not interaction.chunks:
        return interaction
    return replace(interaction, chunks=tuple(edit(list(by_events(interaction).chunks))), deltas=None)


def inserted(interaction: Interaction, before: int, data: bytes) -> Interaction:
    """Insert bytes before the event of this number."""

    def edit(events: list[Chunk]) -> list[Chunk]:
        place = min(before, len(events))
        at = events[place - 1].at if place else events[0].at if events else 0.0
        return [*events[:place], Chunk(at, data), *events[place:]]

    if interaction.chunks:
        return edited(interaction, edit)
    return replace(interaction, chunks=(Chunk(0.0, data),), deltas=None)
