"""The events of a stream as a front-end sees them, numbered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import (
    Event,
    ItemCompleted,
    PartialEmitted,
    ReasoningReceived,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)
from instructor_stream_ext.core.jsonable import jsonable
from instructor_stream_ext.session.drive import NOTHING
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.problems import problem_of

__all__ = ["AnyStream", "Feed", "Numbered", "checked"]

AnyStream: TypeAlias = AsyncPartialStream[Any] | AsyncItemStream[Any] | AsyncTextStream


@dataclass(slots=True)
class Numbered:
    """An event and its id.

    Attributes:
        frame: Its bytes in plain SSE, once they are made.
    """

    id: str
    event: Event
    frame: bytes | None = None


def checked(stream: object) -> AnyStream:
    """Return the stream if a response can be made of it.

    Raises:
        StreamMisuse: It is not a stream of an async client.
    """
    if isinstance(stream, AsyncPartialStream | AsyncItemStream | AsyncTextStream):
        return stream
    raise StreamMisuse(
        f"a response needs a stream of an async client (wrap(instructor.from_openai(AsyncOpenAI()))), not "
        f"{type(stream).__name__}: a sync stream would block every other request"
    )


class Feed:
    """A stream's events, read once.

    Args:
        stream: Not yet read.

    Raises:
        StreamMisuse: It is not a stream of an async client, or it was already read.
    """

    def __init__(self, stream: AnyStream) -> None:
        self._stream = checked(stream)
        self._events: AsyncIterator[Any] = self._stream.picked(self._pick)
        self._number = 0
        self._failed = False

    def _pick(self, event: Event) -> Any:
        match event:
            case PartialEmitted():
                partial = jsonable(event.partial)
                text = self._stream.json_text
                return Shown(
                    at=event.at, attempt=event.attempt, partial=partial, sequence=event.sequence, json_text=text
                )
            case StreamCompleted():
                result = jsonable(event.result)
                return Finished(at=event.at, attempt=event.attempt, result=result, json_text=self._stream.json_text)
            case StreamFailed():
                problem = problem_of(event.error)
                return Failed(at=event.at, attempt=event.attempt, error=event.error, problem=problem)
            case ItemCompleted():
                taken = self._stream.taken(event)
                return replace(event, item=jsonable(taken[0])) if taken else NOTHING
            case ReasoningReceived() | StreamStarted() | StreamRestarted() | StreamCancelled() | StreamEnded():
                return event
            case _:
                return NOTHING

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Numbered:
        try:
            event = await anext(self._events)
        except Exception:
            if self._failed:  # the error was the event before
                raise StopAsyncIteration from None
            raise
        self._failed = self._failed or isinstance(event, Failed)
        self._number += 1
        return Numbered(str(self._number), event)

    async def aclose(self) -> None:
        """Leave the stream, which cancels the model call."""
        await self._stream.aclose()
