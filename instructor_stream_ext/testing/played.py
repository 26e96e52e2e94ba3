"""A wrapped client that answers with the text of an interaction, without the provider's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instructor_stream_ext._instructor.facts import Mode, instructor_over
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.client.wrap import wrap
from instructor_stream_ext.testing.cassette import End, Interaction
from instructor_stream_ext.testing.clock import Pace
from instructor_stream_ext.testing.fake_answers import chat_chunk
from instructor_stream_ext.testing.payload import Piece, pieces

__all__ = ["arrivals", "played_client"]

_CUT_SHORT = frozenset({"length", "max_tokens", "max_output_tokens", "response.incomplete"})


def played_client(interaction: Interaction, speed: float) -> StreamClient:
    """Return a client that answers every request with an interaction's text, at its times and with its end.

    Args:
        interaction: What to play.
        speed: As in `Pace`.
    """

    def create(**_: object) -> Iterator[Any]:
        return _chunks(interaction, Pace(speed))

    return wrap(instructor_over(create, Mode.JSON_SCHEMA))


def _chunks(interaction: Interaction, pace: Pace) -> Iterator[Any]:
    left = pace.start()
    word = None
    for at, piece in arrivals(interaction):
        pace.wait(left(at))
        if piece.error:
            raise ConnectionError(f"the provider reported an error: {piece.error}")
        word = _finish(piece.end) or word
        if piece.text:
            yield chat_chunk([{"index": 0, "delta": {"content": piece.text}}])
    pace.wait(left(interaction.ended_at))
    if interaction.end is End.CUT:
        raise ConnectionError(f"the recorded connection broke: {interaction.error or 'no reason was kept'}")
    if interaction.end is End.ERROR:
        raise ConnectionError(f"the recorded request failed: {interaction.error}")
    if word is not None:
        yield chat_chunk([{"index": 0, "delta": {}, "finish_reason": word}])
    yield chat_chunk([])


def _finish(word: str | None) -> str | None:
    """Return a provider's word for the end in OpenAI's terms."""
    if word is None:
        return None
    lowered = word.lower()
    if lowered in _CUT_SHORT:
        return "length"
    return "content_filter" if lowered in ("content_filter", "safety", "refusal") else "stop"


def arrivals(interaction: Interaction) -> Iterator[tuple[float, Piece]]:
    """Yield each event of an interaction and the instant at which it was complete."""
    found = iter(pieces(interaction.body, interaction.content_type))
    piece, place = next(found, None), 0
    for chunk in interaction.chunks:
        place += len(chunk.data)
        while piece is not None and piece.stop <= place:
            yield chunk.at, piece
            piece = next(found, None)
