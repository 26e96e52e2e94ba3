"""Everything that happens in a stream, as a list."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable
from typing import Any, overload

from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.client.sync_streams import ItemStream, PartialStream, TextStream
from instructor_stream_ext.core.events import StreamEvent

__all__ = ["record_events"]


@overload
def record_events(
    stream: PartialStream[Any] | ItemStream[Any] | TextStream, limit: int | None = None
) -> list[StreamEvent]: ...


@overload
def record_events(
    stream: AsyncPartialStream[Any] | AsyncItemStream[Any] | AsyncTextStream, limit: int | None = None
) -> Awaitable[list[StreamEvent]]: ...


def record_events(stream: Any, limit: int | None = None) -> Any:
    """Read a stream and return everything that happened, in order. Await it for an async stream.

    An error of the stream is not raised: it is in the `StreamFailed` at the end of the list, as its stats are in the
    `StreamEnded`. What is raised before there is any event, such as a `StreamMisuse`, is.

    Args:
        stream: Of a wrapped client.
        limit: Leave the stream after so many events.
    """
    return _arecorded(stream, limit) if hasattr(stream, "__aiter__") else _recorded(stream, limit)


def _recorded(stream: Any, limit: int | None) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    try:
        for event in itertools.islice(stream.events(), limit):
            events.append(event)  # noqa: PERF402 - kept although it may end with an error
    except Exception:
        if not events:
            raise
    finally:
        stream.close()
    return events


async def _arecorded(stream: Any, limit: int | None) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    try:
        async for event in stream.events():
            events.append(event)
            if len(events) == limit:
                break
    except Exception:
        if not events:
            raise
    finally:
        await stream.aclose()
    return events
