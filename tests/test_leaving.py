"""Whoever leaves a stream, in whatever way, closes its connection at once, says so once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel

from instructor_stream_ext import (
    Outcome,
    PartialEmitted,
    StreamCancelled,
    StreamEnded,
    StreamEvent,
    StreamStarted,
    StreamStopped,
)
from instructor_stream_ext.testing import fake_client
from tests.bounds import NOTICED_WITHIN
from tests.server import ScriptedServer, Signal, reply
from tests.sides import SOURCES, Source, both_sides, each, entered, first, held_after, settled, sources

DOCUMENT = '{"name": "Ada", "tags": ["a", "b"]}'
CUT = 14
OPENAI = SOURCES["openai-tools"]
FOREIGN = ("litellm", "aiohttp")
"""Packages that keep tasks and threads of their own while they live."""

Make = Callable[[], Any]
Leave = Callable[[Make], Awaitable[float]]


class Thing(BaseModel):
    name: str
    tags: list[str]


class Wrong(Exception):
    """Raised by a body."""


class Events(list[StreamEvent]):
    """A stream's events; `ended` is set with the last one, which an abandoned stream tells a moment after it closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = Signal()

    def note(self, event: StreamEvent) -> None:
        self.append(event)
        if type(event) is StreamEnded:
            self.ended.set()


def _ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is None or not any(package in code.co_filename for package in FOREIGN)


@pytest.fixture
async def nothing_left(
    server: ScriptedServer, few_to_collect: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """No complaint of the interpreter or of the loop, no task and no thread is left when the test is over."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: complaints.append(repr(found)))
    monkeypatch.setattr(threading, "excepthook", lambda found: complaints.append(repr(found)))
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    threads = set(threading.enumerate())
    yield
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)
    assert complaints == []
    left = {task for task in asyncio.all_tasks() - {asyncio.current_task()} if _ours(task)}
    assert left == set()
    assert [thread.name for thread in set(threading.enumerate()) - threads if "instructor" in thread.name] == []


def now() -> float:
    return time.monotonic()


# -- the ways -------------------------------------------------------------------------------------------------------


async def break_sync(make: Make) -> float:
    for _ in make():
        break
    return now()


async def break_async(make: Make) -> float:
    async for _ in make():
        break
    return now()


async def close(make: Make) -> float:
    stream = make()
    await first(stream)
    left = now()
    await settled(stream.close())
    await settled(stream.close())
    return left


async def aclose(make: Make) -> float:
    stream = make()
    await first(stream)
    left = now()
    await (stream.aclose() if hasattr(stream, "aclose") else settled(stream.close()))
    return left


async def with_and_a_look(make: Make) -> float:
    async with entered(make()) as stream:
        await first(stream)
    return now()


async def with_alone(make: Make) -> float:
    async with entered(make()):
        pass
    return now()


async def break_within_with(make: Make) -> float:
    async with entered(make()) as stream:
        if hasattr(stream, "__aiter__"):
            async for _ in stream:
                break
        else:
            for _ in stream:
                break
    return now()


async def exception_in_the_body_sync(make: Make) -> float:
    with pytest.raises(Wrong):
        for _ in make():
            raise Wrong
    return now()


async def exception_in_the_body_async(make: Make) -> float:
    with pytest.raises(Wrong):
        async for _ in make():
            raise Wrong
    return now()


async def exception_in_with(make: Make) -> float:
    with pytest.raises(Wrong):
        async with entered(make()) as stream:
            await first(stream)
            raise Wrong
    return now()


async def dropped(make: Make) -> float:
    stream = make()
    await first(stream)
    left = now()
    del stream
    return left


async def dropped_in_a_cycle(make: Make) -> float:
    stream = make()
    await first(stream)
    left: list[float] = []
    found = weakref.ref(stream, lambda _: left.append(now()))
    holder: list[Any] = [stream]
    holder.append(holder)
    del holder, stream
    gc.collect()
    assert found() is None
    return left[0]  # when the collector found it, which it may take its time for


async def iterator_dropped(make: Make) -> float:
    stream = make()
    iterator = aiter(stream) if hasattr(stream, "__aiter__") else iter(stream)
    await first(iterator)
    left = now()
    del iterator  # the stream itself is still held
    await asyncio.sleep(0)
    return left


async def iterator_closed(make: Make) -> float:
    stream = make()
    iterator: Any = aiter(stream) if hasattr(stream, "__aiter__") else iter(stream)
    await first(iterator)
    left = now()
    await settled(iterator.aclose() if hasattr(iterator, "aclose") else iterator.close())
    return left


async def one_of_many_sync(make: Make) -> float:
    assert len(list(itertools.islice(make(), 1))) == 1
    return now()


async def events_left(make: Make) -> float:
    events = each(make().events())
    assert type(await anext(events)) is StreamStarted
    left = now()
    await events.aclose()  # type: ignore[attr-defined]
    return left


async def text_left(make: Make) -> float:
    texts = each(make().text_stream())
    await anext(texts)
    left = now()
    await texts.aclose()  # type: ignore[attr-defined]
    return left


async def task_cancelled_while_it_waits(make: Make) -> float:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in make():
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    left = now()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return left


async def task_cancelled_in_the_body(make: Make) -> float:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in make():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await begun.wait()
    left = now()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return left


async def closed_by_another_task(make: Make) -> float:
    stream = make()
    begun = asyncio.Event()
    seen = []

    async def read() -> None:
        async for value in stream:
            seen.append(value)
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    left = now()
    await stream.aclose()
    await task
    assert seen
    with pytest.raises(StreamStopped):
        await stream.get_final_response()
    return left


async def closed_by_another_thread(make: Make) -> float:
    stream = make()
    begun = Signal()
    left: list[float] = []

    def leave() -> None:
        begun.wait()
        left.append(now())
        stream.close()

    thread = threading.Thread(target=leave)
    thread.start()
    for _ in stream:
        begun.set()
    thread.join()
    with pytest.raises(StreamStopped):
        stream.get_final_response()
    return left[0]


BOTH: tuple[Leave, ...] = (
    close,
    aclose,
    with_and_a_look,
    with_alone,
    break_within_with,
    exception_in_with,
    dropped,
    dropped_in_a_cycle,
    iterator_dropped,
    iterator_closed,
    events_left,
    text_left,
)
WAYS: list[tuple[str, Leave]] = [
    *(("sync", way) for way in (break_sync, exception_in_the_body_sync, one_of_many_sync, *BOTH)),
    *(("async", way) for way in (break_async, exception_in_the_body_async, *BOTH)),
    *(("async", way) for way in (task_cancelled_while_it_waits, task_cancelled_in_the_body, closed_by_another_task)),
    ("sync", closed_by_another_thread),
]
MAIN_WAYS = {
    break_sync,
    break_async,
    close,
    dropped,
    exception_in_with,
    task_cancelled_while_it_waits,
    closed_by_another_task,
    closed_by_another_thread,
}
"""Those that are tried with every SDK."""


async def _noticed(server: ScriptedServer, left: float) -> None:
    exchange = server.exchanges[0]
    assert await exchange.disconnected.wait_async() - left < NOTICED_WITHIN
    assert not exchange.completed


async def _told(events: Events) -> Sequence[object]:
    """What the end of the stream was told as."""
    await events.ended.wait_async()
    ends = [event.outcome if type(event) is StreamEnded else type(event) for event in events[-2:]]
    assert sum(type(event) is StreamEnded for event in events) == 1
    return ends


def _marked(way: tuple[str, Leave], source: Source) -> Any:
    return pytest.param(way[0], way[1], source, id=f"{source.name}-{way[0]}-{way[1].__name__}", marks=source.marks)


OTHERS = ("openai-responses", "anthropic-tools", "genai-json", "litellm-tools")
ALL = [_marked(way, OPENAI) for way in WAYS] + [
    _marked(way, SOURCES[name]) for name in OTHERS for way in WAYS if way[1] in MAIN_WAYS
]


@pytest.mark.parametrize(("side", "leave", "source"), ALL)
async def test_leaving_closes(
    server: ScriptedServer, nothing_left: None, side: str, leave: Leave, source: Source
) -> None:
    server.add(reply(source.text(DOCUMENT), CUT, arrange=held_after(b"Ada", Signal())))
    events = Events()
    client = source.client(server, side)

    def make() -> Any:
        return client.create_partial(Thing, on_event=events.note, **source.ask)

    left = await leave(make)
    await _noticed(server, left)
    assert await _told(events) == [StreamCancelled, Outcome.CANCELLED]


@pytest.mark.parametrize("kind", ["create_iterable", "stream_text"])
@both_sides
async def test_leaving_other_streams_closes(server: ScriptedServer, nothing_left: None, side: str, kind: str) -> None:
    document = "Ada was here" if kind == "stream_text" else '{"tasks": [{"name": "Ada", "tags": []}, {"name": "Bo"'
    server.add(reply(document, 42, arrange=held_after(b"Ada", Signal())))
    events = Events()
    client = OPENAI.client(server, side, on_event=events.note)

    def make() -> Any:
        return (
            client.stream_text(**OPENAI.ask) if kind == "stream_text" else client.create_iterable(Thing, **OPENAI.ask)
        )

    left = await (break_async(make) if side == "async" else break_sync(make))
    await _noticed(server, left)
    assert await _told(events) == [StreamCancelled, Outcome.CANCELLED]


@both_sides
@sources("openai-tools", "anthropic-tools", "genai-json", "litellm-tools")
async def test_leaving_from_a_hook_closes(
    server: ScriptedServer, nothing_left: None, source: Source, side: str
) -> None:
    server.add(reply(source.text(DOCUMENT), CUT, arrange=held_after(b"Ada", Signal())))
    events = Events()
    left: list[float] = []

    def leave(partial: Any) -> Any:
        if partial.name != "Ada":
            return None
        left.append(now())
        return stream.close()

    stream = source.client(server, side).create_partial(Thing, on_partial=leave, on_event=events.note, **source.ask)
    async for _ in each(stream):
        pass
    await _noticed(server, left[0])
    assert await _told(events) == [StreamCancelled, Outcome.CANCELLED]
    with pytest.raises(StreamStopped) as stopped:
        await settled(stream.get_final_response())
    assert stopped.value.partial.name == "Ada"


@both_sides
async def test_a_hook_that_raises_closes(server: ScriptedServer, nothing_left: None, side: str) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    left: list[float] = []
    ended: list[StreamEnded] = []

    def fail(_: object) -> None:
        left.append(now())
        raise Wrong

    client = OPENAI.client(server, side, hook_errors="raise")
    with pytest.raises(Wrong):
        async for _ in each(client.create_partial(Thing, on_partial=fail, on_end=ended.append, **OPENAI.ask)):
            pass
    await _noticed(server, left[0])
    assert [end.outcome for end in ended] == [Outcome.FAILED]


@both_sides
async def test_stop_when_closes(server: ScriptedServer, nothing_left: None, side: str) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    events = Events()
    left: list[float] = []

    def stop(partial: Thing) -> bool:
        left.append(now())
        return partial.name == "Ada"

    stream = OPENAI.client(server, side).create_partial(Thing, stop_when=stop, on_event=events.note, **OPENAI.ask)
    seen = [partial.name async for partial in each(stream)]
    assert seen == ["Ada"]
    await _noticed(server, left[-1])
    assert await _told(events) == [StreamCancelled, Outcome.CANCELLED]
    assert not stream.is_final
    for _ in range(2):
        with pytest.raises(StreamStopped) as stopped:
            await settled(stream.get_final_response())
    assert stopped.value.partial.name == "Ada"
    assert stopped.value.text == DOCUMENT[:CUT]
    assert stopped.value.stats is not None


@both_sides
async def test_after_leaving_there_is_no_final(server: ScriptedServer, nothing_left: None, side: str) -> None:
    server.add(reply(DOCUMENT, CUT))  # the rest would come, if it were asked for
    stream = OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask)
    if side == "async":
        async for _ in stream:
            break
    else:
        for _ in stream:
            break
    errors = []
    for _ in range(2):
        with pytest.raises(StreamStopped) as stopped:
            await settled(stream.get_final_response())
        errors.append(stopped.value)
    assert errors[0] is errors[1]
    assert errors[0].partial.name == "Ada"


async def test_asking_for_the_final_right_after_a_cancelled_loop_is_no_second_closing() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    stream = fake_client([DOCUMENT], async_client=True).create_partial(Thing, "go")
    reads = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            reads.set()
            await asyncio.Event().wait()

    reading = asyncio.create_task(read())
    await reads.wait()
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    del reading
    with pytest.raises(StreamStopped) as caught:
        await stream.get_final_response()
    assert caught.value.text
    await asyncio.sleep(0)
    gc.collect()
    assert told == []


async def test_cancelling_before_the_headers_closes(server: ScriptedServer, nothing_left: None) -> None:
    gate = Signal()
    server.add(reply(DOCUMENT, CUT, arrange=lambda chunks: [held_first(gate), *map(bytes, chunks)]))
    events = Events()
    stream = OPENAI.client(server, "async").create_partial(Thing, on_event=events.note, **OPENAI.ask)
    task = asyncio.create_task(stream.get_final_response())
    await server.exchange_async()
    left = now()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _noticed(server, left)
    assert [type(event) for event in events] == [StreamCancelled, StreamEnded]


def held_first(gate: Signal) -> Any:
    from tests.server import Wait

    return Wait(gate)


async def test_a_timeout_of_the_callers_closes(server: ScriptedServer, nothing_left: None) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    stream = OPENAI.client(server, "async").create_partial(Thing, **OPENAI.ask)
    await anext(stream)
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await stream.get_final_response()
    left = now()
    await _noticed(server, left)


def test_a_loop_that_ends_right_after_a_break_closes(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    events = Events()

    async def main() -> None:
        from instructor_stream_ext import wrap
        from tests.server import clients

        client = wrap(clients.async_openai_client(server))
        server.closers.clear()
        async for _ in client.create_partial(Thing, on_event=events.note, **OPENAI.ask):
            break

    asyncio.run(main())
    left = now()
    assert server.exchanges[0].disconnected.wait() - left < NOTICED_WITHIN
    assert asyncio.run(_told(events)) == [StreamCancelled, Outcome.CANCELLED]


@pytest.mark.parametrize("name", ["openai-tools", "openai-responses", "anthropic-tools", "genai-json", "litellm-tools"])
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
def test_a_whole_stream_leaves_nothing_to_the_loop(server: ScriptedServer, name: str) -> None:
    """A loop that is stopped at once, and never closed, would complain of any task that closes a generator."""
    source = SOURCES[name]
    server.add(reply(source.text(DOCUMENT), 4))
    loop = asyncio.new_event_loop()
    try:
        stream = loop.run_until_complete(_made(source, server))
        assert loop.run_until_complete(stream.get_final_response()) == Thing(name="Ada", tags=["a", "b"])
        assert {task for task in asyncio.all_tasks(loop) if _ours(task)} == set()
        while server.closers:
            closing = server.closers.pop()()
            if asyncio.iscoroutine(closing):
                loop.run_until_complete(closing)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _made(source: Source, server: ScriptedServer) -> Any:
    return source.client(server, "async").create_partial(Thing, **source.ask)


@both_sides
async def test_a_partial_is_no_reason_to_stay(server: ScriptedServer, nothing_left: None, side: str) -> None:
    """What was shown may be kept; it does not hold the connection."""
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    client = OPENAI.client(server, side)
    stream = client.create_partial(Thing, **OPENAI.ask)
    kept = await first(stream)
    left = now()
    del stream
    await _noticed(server, left)
    assert kept.name == "Ada"


@both_sides
async def test_events_that_are_kept_do_not_hold_the_connection(
    server: ScriptedServer, nothing_left: None, side: str
) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", Signal())))
    kept: list[StreamEvent] = []
    events: Any = OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask).events()
    while not kept or type(kept[-1]) is not PartialEmitted:
        kept.append(await first(events))
    left = now()
    del events
    await _noticed(server, left)
