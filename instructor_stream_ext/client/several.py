"""Several async streams at once: all events as they come, all finals, or the first final."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, overload

from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import StreamEvent

__all__ = ["gather", "merge", "race"]

L = TypeVar("L", bound=Hashable)
F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class AnyStream(Protocol[F_co]):
    """An async stream of partials, items or text, typed by its final so that type checkers know the result."""

    def events(self) -> AsyncIterator[StreamEvent[F_co]]:
        """Iterate over everything that happens, in order."""
        ...

    async def get_final_response(self) -> F_co:
        """Read to the end and return the final."""
        ...

    async def aclose(self) -> None:
        """Close the connection."""
        ...


def merge(
    streams: Mapping[L, AnyStream[F]], *, stop_on_error: bool = False
) -> AsyncGenerator[tuple[L, StreamEvent[F]], None]:
    """Yield the events of all streams as they come, each with its stream's label.

    No stream runs ahead of the consumer by more than one event. A stream that fails says so in its `StreamFailed`; the
    others go on. Leaving the loop closes all connections.

    Args:
        streams: Label to stream, none of them read yet.
        stop_on_error: Whether the first failure ends all and is raised, after its events.

    Returns:
        What gives label and event, to be looped over.

    Raises:
        StreamMisuse: One of them is no async stream, or is there twice.
        StreamError: In the loop: with `stop_on_error`, the first failure.
    """
    _check(streams)
    return _merged(streams, stop_on_error=stop_on_error)


async def _merged(
    streams: Mapping[L, AnyStream[F]], *, stop_on_error: bool
) -> AsyncGenerator[tuple[L, StreamEvent[F]], None]:
    ready: asyncio.Queue[tuple[L, StreamEvent[F] | None, Exception | None]] = asyncio.Queue(1)
    tasks = [asyncio.ensure_future(_pump(label, stream, ready)) for label, stream in streams.items()]
    left = len(tasks)
    try:
        while left:
            label, event, error = await ready.get()
            if event is not None:
                yield label, event
                continue
            left -= 1
            if error is not None and stop_on_error:
                raise error
    finally:
        await _end(tasks, streams)


async def _pump(
    label: L, stream: AnyStream[F], ready: asyncio.Queue[tuple[L, StreamEvent[F] | None, Exception | None]]
) -> None:
    error = None
    events = stream.events()  # kept, since the loop closes one that is dropped, at a time of its own
    try:
        async for event in events:
            await ready.put((label, event, None))
    except Exception as raised:  # noqa: BLE001  handed to whoever reads the queue
        error = raised
    finally:
        await _close(stream)
    await ready.put((label, None, error))


@overload
async def gather(streams: Mapping[L, AnyStream[F]], *, stop_on_error: Literal[True]) -> dict[L, F]: ...


@overload
async def gather(streams: Mapping[L, AnyStream[F]], *, stop_on_error: bool = False) -> dict[L, F | Exception]: ...


async def gather(streams: Mapping[L, AnyStream[F]], *, stop_on_error: bool = False) -> dict[L, Any]:
    """Read all streams at once to their ends.

    Args:
        streams: Label to stream.
        stop_on_error: Whether the first failure closes all others and is raised.

    Returns:
        Label to the final, or to the error that stands in its place.

    Raises:
        StreamMisuse: One of them is no async stream, or is there twice.
        StreamError: With `stop_on_error`, the first failure.
    """
    _check(streams)
    tasks: list[asyncio.Future[F]] = [asyncio.ensure_future(stream.get_final_response()) for stream in streams.values()]
    try:
        if tasks:
            how = asyncio.FIRST_EXCEPTION if stop_on_error else asyncio.ALL_COMPLETED
            await asyncio.wait(tasks, return_when=how)
        failed = [error for task in tasks if task.done() and (error := task.exception()) is not None]
        if failed and stop_on_error:
            raise failed[0]
        return {label: task.exception() or task.result() for label, task in zip(streams, tasks, strict=True)}
    finally:
        await _end(tasks, streams)


async def race(streams: Mapping[L, AnyStream[F]]) -> tuple[L, F]:
    """Return the first final that passes the gate; the connections of all other streams are closed.

    Args:
        streams: Label to stream, at least one.

    Returns:
        The winner's label and final.

    Raises:
        StreamMisuse: There is none, or one of them is no async stream.
        ExceptionGroup: None passed; with the error of each, whose note names its label.
    """
    _check(streams)
    if not streams:
        raise StreamMisuse("race() needs at least one stream")
    labels: dict[asyncio.Future[F], L] = {
        asyncio.ensure_future(stream.get_final_response()): label for label, stream in streams.items()
    }
    running = set(labels)
    errors: dict[L, Exception] = {}
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task, label in labels.items():  # in the order given, where several have arrived together
                if task not in done:
                    continue
                error = task.exception()
                if error is None:
                    return label, task.result()
                if not isinstance(error, Exception):
                    raise error
                errors[label] = error
    finally:
        await _end(list(labels), streams)
    for label, error in errors.items():
        error.add_note(f"the stream labelled {label!r}")
    raise ExceptionGroup("no stream passed the gate", [errors[label] for label in streams])


def _check(streams: Mapping[L, AnyStream[Any]]) -> None:
    if not isinstance(streams, Mapping):
        raise StreamMisuse(f"streams come with their labels, as {{label: stream}}, not as {type(streams).__name__}")
    labels: dict[int, L] = {}
    for label, stream in streams.items():
        if not isinstance(stream, (AsyncPartialStream, AsyncItemStream, AsyncTextStream)):
            raise StreamMisuse(f"the stream labelled {label!r} is not an async stream but {type(stream).__name__}")
        if labels.setdefault(id(stream), label) is not label:
            raise StreamMisuse(f"{labels[id(stream)]!r} and {label!r} are the same stream, which can be read only once")


async def _end(tasks: Sequence[asyncio.Future[Any]], streams: Mapping[L, AnyStream[Any]]) -> None:
    """Cancel what still runs and close the connections before anyone continues."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # fetched, so that the loop does not complain that nobody did
    for stream in streams.values():
        await _close(stream)


async def _close(stream: AnyStream[Any]) -> None:
    with contextlib.suppress(Exception):  # an error of closing helps nobody
        await stream.aclose()
