"""Both drivers over the same session of fakes: the same things are seen, in the same order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from instructor_stream_ext.core.errors import StreamMisuse, StreamStopped
from instructor_stream_ext.core.events import Event, PartialEmitted, StreamCompleted
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.chunks import _connected
from instructor_stream_ext.session.drive import NOTHING, adrive, check_loop, drive
from instructor_stream_ext.session.effects import TICK, Open
from instructor_stream_ext.session.retries import Retries
from instructor_stream_ext.session.shielding import shielded
from tests.session.fakes import FakeConnection, FakeSource, Person, session_of

ADA = ['{"name": "A', "da", '", "age"', ": 36}"]
BAD = ['{"name": "Ada", "age": "many"}']


def _values(event: Event) -> Any:
    if isinstance(event, PartialEmitted):
        return event.partial
    return event.result if isinstance(event, StreamCompleted) else NOTHING


class AsyncConnection(FakeConnection):
    """Its chunks come with a turn of the loop before each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chunks: Any = self._later(self.chunks)

    @staticmethod
    async def _later(chunks: list[Any]) -> AsyncIterator[Any]:
        for chunk in chunks:
            await asyncio.sleep(0)
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def close(self) -> None:  # type: ignore[override]
        self.closed += 1


class AsyncSource(FakeSource):
    """Connects in the loop."""

    async def connect(self, within: float, *, hurried: bool) -> Any:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().connect(within, hurried=hurried)


def _async_session(*attempts: list[Any], **given: Any) -> tuple[Session, AsyncSource]:
    source = AsyncSource([AsyncConnection(chunks) for chunks in attempts])
    session, _ = session_of(source=source, **given)
    session._retries = Retries(given.get("max_retries", 3), is_async=True)
    return session, source


@pytest.mark.parametrize("attempts", [[ADA], [BAD, ADA]], ids=["one", "asked again"])
async def test_both_give_the_same(attempts: list[list[Any]]) -> None:
    session, source = session_of(*map(FakeConnection, attempts))
    seen = list(drive(session, _values))
    async_session, async_source = _async_session(*attempts)
    async_seen = [one async for one in adrive(async_session, _values)]
    assert async_seen == seen
    assert seen[-1] == Person(name="Ada", age=36)
    assert async_source.told == source.told
    assert [one.closed for one in async_source.opened] == [one.closed for one in source.opened] == [1] * len(attempts)


async def test_both_raise_the_same() -> None:
    broken = [ADA[0], OSError("reset")]
    session, _ = session_of(FakeConnection([]))
    session._source = FakeSource([FakeConnection(iter_raising(broken))])
    with pytest.raises(Exception, match="reset") as caught:
        list(drive(session, _values))
    async_session, _ = _async_session(broken)
    with pytest.raises(Exception, match="reset") as async_caught:
        [one async for one in adrive(async_session, _values)]
    assert type(async_caught.value) is type(caught.value)
    assert str(async_caught.value) == str(caught.value)


def iter_raising(chunks: list[Any]) -> Any:
    """Chunks of which an exception is raised."""
    for chunk in chunks:
        if isinstance(chunk, Exception):
            raise chunk
        yield chunk


async def test_both_close_when_they_are_left() -> None:
    session, source = session_of(FakeConnection(ADA))
    driver = drive(session, _values)
    next(driver)
    driver.close()
    async_session, async_source = _async_session(ADA)
    async_driver = adrive(async_session, _values)
    await anext(async_driver)
    await async_driver.aclose()
    for left, asked in ((session, source), (async_session, async_source)):
        assert isinstance(left.error, StreamStopped)
        assert asked.opened[0].closed == 1


def test_a_hook_that_cannot_be_awaited_is_refused() -> None:
    async def hook(_: object) -> None:
        """Never run."""

    session, _ = session_of(FakeConnection(ADA), hooks={"on_partial": hook})
    with pytest.raises(TypeError, match="returned a coroutine, which a sync stream cannot await"):
        list(drive(session, _values))


def test_without_a_loop() -> None:
    session, _ = session_of(FakeConnection(ADA))
    with pytest.raises(StreamMisuse, match="needs a running asyncio loop"):
        check_loop(session)
    assert isinstance(session.error, StreamMisuse)


async def test_shielded_work_ends_though_its_task_is_cancelled_twice() -> None:
    done = asyncio.Event()
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        done.set()

    waiting = asyncio.ensure_future(shielded(work()))
    for _ in range(2):
        await asyncio.sleep(0)
        waiting.cancel()
    may_end.set()
    await waiting
    assert done.is_set()


@pytest.mark.parametrize("error", [None, ConnectionError("gone")])
async def test_what_connects_as_its_task_is_cancelled_leaves_nothing(error: Exception | None) -> None:
    connection, begun, may_end = FakeConnection(ADA), asyncio.Event(), asyncio.Event()
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    async def connect(_: float) -> FakeConnection:
        begun.set()
        await may_end.wait()
        if error is not None:
            raise error
        return connection

    async def cancelled() -> bool:
        waiting = asyncio.ensure_future(_connected(Open(connect, deadline=10.0), lambda: 0.0))
        await begun.wait()
        may_end.set()
        await asyncio.sleep(0)  # it has connected, and who waits does not know yet
        waiting.cancel()
        await asyncio.wait((waiting,))
        return waiting.cancelled()

    assert await cancelled()
    gc.collect()
    assert complaints == []
    assert connection.closed == (error is None)


async def test_a_connection_that_comes_at_its_deadline_is_closed() -> None:
    connection, now = FakeConnection(ADA), [0.0]

    async def connect(_: float) -> FakeConnection:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:  # some SDKs are at their end by then, and say so
            return connection
        raise AssertionError

    def clock() -> float:
        now[0] += 6.0
        return now[0]

    assert await _connected(Open(connect, deadline=10.0), clock) is TICK
    assert connection.closed == 1


@pytest.mark.parametrize("error", [None, ConnectionError("gone")])
async def test_a_closing_that_has_begun_ends_though_its_task_is_cancelled(error: Exception | None) -> None:
    """Else httpcore takes the response for closed, and its pool keeps the request as long as the client lives."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Closing(AsyncConnection):
        async def close(self) -> None:  # type: ignore[override]
            begun.set()
            await may_end.wait()
            ended.set()
            if error is not None:
                raise error

    source = AsyncSource([Closing(ADA)])
    session, _ = session_of(source=source)
    session._retries = Retries(0, is_async=True)

    async def read() -> None:
        async for _ in adrive(session, _values):
            pass

    reading = asyncio.ensure_future(read())
    await begun.wait()
    reading.cancel("by the test")
    await asyncio.sleep(0)
    assert not reading.done()
    may_end.set()
    await asyncio.wait((reading,))
    assert ended.is_set()
    with pytest.raises(asyncio.CancelledError, match="by the test"):
        reading.result()
