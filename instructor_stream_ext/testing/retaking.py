"""From a take to another: cut in other places, ended elsewhere, with other events, at other instants."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from instructor_stream_ext.testing.payload import event_ends, pieces
from instructor_stream_ext.testing.tape import Chunk, End, Take, cut

__all__ = ["arriving", "by_events", "edited", "ended", "ends_of", "first_text", "inserted", "recut", "starts_of"]


def ends_of(take: Take) -> list[int]:
    """Return the offset behind each event of the body."""
    return event_ends(take.body, take.content_type)


def starts_of(take: Take) -> list[int]:
    """Return the offset at which each chunk begins."""
    sizes = (len(chunk.data) for chunk in take.chunks)
    return list(itertools.accumulate(sizes, initial=0))[:-1]


def recut(take: Take, places: Iterable[int], *, keep: bool = False) -> Take:
    """Cut the body at these offsets, and at the old ones too if they are to be kept."""
    stops = list(itertools.accumulate(len(chunk.data) for chunk in take.chunks))
    body = take.body
    made, arrival = [], 0
    stop = 0
    for data in cut(body, [*places, *(stops if keep else ())]):
        stop += len(data)
        while stops[arrival] < stop:
            arrival += 1
        made.append(Chunk(take.chunks[arrival].at, data))
    return replace(take, chunks=tuple(made))


def by_events(take: Take) -> Take:
    """Cut the body so that each chunk is one event."""
    return recut(take, ends_of(take))


def first_text(take: Take) -> int | None:
    """Return the number of the first event with text of the model's; None if there is none."""
    found = pieces(take.body, take.content_type)
    return next((number for number, piece in enumerate(found) if piece.text), None)


def arriving(take: Take, instants: Sequence[float]) -> Take:
    """Have the chunks arrive at these instants, in seconds from the request."""
    chunks = tuple(Chunk(at, chunk.data) for at, chunk in zip(instants, take.chunks, strict=True))
    last = max((chunk.at for chunk in chunks), default=0.0)
    was = max((chunk.at for chunk in take.chunks), default=0.0)
    return replace(take, chunks=chunks, ended_at=max(take.ended_at - was, 0.0) + last)


def ended(take: Take, after: int | None, at_byte: int | None, end: End, error: str) -> Take:
    """End the take behind so many events, or at a byte, in this way."""
    ends = [0, *ends_of(take)]
    place = ends[min(after, len(ends) - 1)] if after is not None else len(take.body) if at_byte is None else at_byte
    if not take.chunks:
        return replace(take, end=end, error=error, deltas=None)
    whole = recut(take, [place], keep=True)
    kept = tuple(chunk for chunk, start in zip(whole.chunks, starts_of(whole), strict=True) if start < place)
    ended_at = kept[-1].at if kept else whole.chunks[0].at
    return replace(take, chunks=kept, end=end, error=error, ended_at=ended_at, deltas=None)


def edited(take: Take, edit: Callable[[list[Chunk]], list[Chunk]]) -> Take:
    """Change the list of events."""
    if not take.chunks:
        return take
    return replace(take, chunks=tuple(edit(list(by_events(take).chunks))), deltas=None)


def inserted(take: Take, before: int, data: bytes) -> Take:
    """Put bytes before the event of this number."""

    def edit(events: list[Chunk]) -> list[Chunk]:
        place = min(before, len(events))
        at = events[place - 1].at if place else events[0].at if events else 0.0
        return [*events[:place], Chunk(at, data), *events[place:]]

    if take.chunks:
        return edited(take, edit)
    return replace(take, chunks=(Chunk(0.0, data),), deltas=None)
