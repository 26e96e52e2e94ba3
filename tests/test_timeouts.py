"""Bounds in time hold against silence and trickle, sync and async; bounds in size end what grows too large.

The instants compared are those of the stream's own events; what a bound allows is what the contract says.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import instructor
import openai
import pytest
from pydantic import BaseModel

from instructor_stream_ext import (
    DeltaReceived,
    FinalOnly,
    InvalidJSON,
    LimitExceeded,
    Limits,
    Outcome,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
    StreamTimeout,
    Timeouts,
    wrap,
)
from tests.bounds import NOTICED_WITHIN as SLACK
from tests.server import Request, Script, ScriptedServer, Signal, Silent, Start, Trickle, Wait, chunks_for, reply, sends
from tests.server.wire_format import chat_chunk, gemini_chunk, sse
from tests.sides import SOURCES, Source, both_sides, each, everything, held_after, settled, sources

DOCUMENT = '{"name": "Ada", "tags": ["a", "b"]}'
CUT = 14
BOUND = 0.5  # seconds in which a request reaches the server, on a machine that has other things to do as well
OPENAI = SOURCES["openai-tools"]
everywhere = sources("openai-tools", "openai-responses", "anthropic-tools", "genai-json", "litellm-tools")


class Thing(BaseModel):
    name: str
    tags: list[str]


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def upto(piece: bytes, then: Script) -> Callable[[list[bytes]], Script]:
    """The chunks up to the first with these bytes, then something else."""

    def arrange(chunks: list[bytes]) -> Script:
        until = next(number for number, chunk in enumerate(chunks) if piece in chunk) + 1
        return [sends(chunks[:until]), then]

    return arrange


def talkless(request: Request) -> bytes:
    """A chunk of this provider that carries neither text nor reasoning."""
    if request.path.endswith("/messages"):
        return sse({"type": "ping"}, event="ping")
    if "enerateContent" in request.path:
        return sse(gemini_chunk([]), newline="\r\n")
    if request.path.endswith("/responses"):
        return chunks_for(request, DOCUMENT)[1]
    return chat_chunk({"role": "assistant", "content": None})


_WARM: set[tuple[str, str]] = set()


async def warmed(server: ScriptedServer, source: Source, side: str, **settings: Any) -> Any:
    """The wrapped client of an SDK that has imported what it imports with its first stream, outside of any bound."""
    if (source.name, side) not in _WARM:
        with ScriptedServer() as other:
            other.add(reply(source.text(DOCUMENT)))
            await settled(source.client(other, side).create_partial(Thing, **source.ask).get_final_response())
            server.closers += other.closers
        _WARM.add((source.name, side))
    return source.client(server, side, **settings)


NEVER = Signal()
SILENCES: dict[str, Callable[[Request], Script]] = {
    "no headers": lambda _: Silent(),
    "headers only": lambda _: [Start(), Wait(NEVER)],
    "keep-alives": lambda _: [Start(), Trickle()],
    "chunks without text": lambda request: [
        sends(chunks_for(request, DOCUMENT, CUT)[:1]) if "enerateContent" not in request.path else [],
        Trickle(talkless(request)),
    ],
}
PAUSES: dict[str, Callable[[Request], Script]] = {
    "silence": reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))),
    "keep-alives": reply(DOCUMENT, CUT, arrange=upto(b"Ada", Trickle())),
    "chunks without text": lambda request: reply(DOCUMENT, CUT, arrange=upto(b"Ada", Trickle(talkless(request))))(
        request
    ),
}


async def timed_out(stream: Any) -> StreamTimeout:
    with pytest.raises(StreamTimeout) as caught:
        async for _ in each(stream):
            pass
    with pytest.raises(StreamTimeout) as again:
        await settled(stream.get_final_response())
    assert again.value is caught.value
    assert isinstance(caught.value, TimeoutError)
    assert not [thread.name for thread in threading.enumerate() if "watchdog" in thread.name]
    return caught.value


def failed_at(events: list[StreamEvent], since: float = 0.0) -> float:
    """How long after `since` the stream failed; its end must have been told properly."""
    failed, ended = events[-2:]
    assert type(failed) is StreamFailed
    assert type(ended) is StreamEnded
    assert ended.outcome is Outcome.FAILED
    assert type(failed.error) is StreamTimeout
    return failed.at - since


# -- silence at the beginning ---------------------------------------------------------------------------------------


def speaks_to(source: Source, what: str) -> bool:
    """google-genai takes a comment for broken JSON: Gemini sends none."""
    return not (source.name.startswith("genai") and what == "keep-alives")


def crossed(whats: dict[str, Any]) -> pytest.MarkDecorator:
    names = ("openai-tools", "openai-responses", "anthropic-tools", "genai-json", "litellm-tools")
    return pytest.mark.parametrize(
        ("source", "what"),
        [
            pytest.param(SOURCES[name], what, id=f"{name}-{what}", marks=SOURCES[name].marks)
            for name in names
            for what in whats
            if speaks_to(SOURCES[name], what)
        ],
    )


@crossed(SILENCES)
@both_sides
async def test_first_delta(server: ScriptedServer, source: Source, side: str, what: str) -> None:
    server.add(SILENCES[what])
    events: list[StreamEvent] = []
    client = await warmed(server, source, side, timeouts=Timeouts(first_delta=BOUND))
    error = await timed_out(client.create_partial(Thing, on_event=events.append, **source.ask))
    assert (error.kind, error.seconds) == ("first_delta", BOUND)
    assert (error.text, error.partial, error.attempt) == ("", None, 1)
    assert BOUND <= failed_at(events) < BOUND + SLACK
    for exchange in server.exchanges:  # on a busy machine the bound may pass before the request has arrived
        assert await exchange.disconnected.wait_async()
    assert len(server.exchanges) <= 1


@pytest.mark.parametrize(
    ("timeouts", "kind"),
    [
        (Timeouts(idle=BOUND), "idle"),
        (Timeouts(total=BOUND), "total"),
        (Timeouts(first_delta=BOUND, idle=9, total=9), "first_delta"),
        (Timeouts(first_delta=9, idle=BOUND / 2, total=BOUND), "total"),
    ],
)
@pytest.mark.parametrize("silence", ["no headers", "keep-alives"])
@both_sides
async def test_the_nearest_bound_counts(
    server: ScriptedServer, side: str, silence: str, timeouts: Timeouts, kind: str
) -> None:
    server.add(SILENCES[silence])
    events: list[StreamEvent] = []
    client = OPENAI.client(server, side)
    error = await timed_out(client.create_partial(Thing, timeouts=timeouts, on_event=events.append, **OPENAI.ask))
    assert error.kind == kind
    assert BOUND <= failed_at(events) < BOUND + SLACK


# -- silence later --------------------------------------------------------------------------------------------------


@crossed(PAUSES)
@both_sides
async def test_idle(server: ScriptedServer, source: Source, side: str, what: str) -> None:
    server.add(PAUSES[what])
    events: list[StreamEvent] = []
    client = await warmed(server, source, side, timeouts=Timeouts(first_delta=9, idle=BOUND))
    error = await timed_out(client.create_partial(Thing, on_event=events.append, **source.ask))
    assert (error.kind, error.seconds) == ("idle", BOUND)
    assert error.text == DOCUMENT[:CUT]
    assert isinstance(error.partial, Thing)
    assert error.partial.name == "Ada"
    assert error.stats is not None
    assert error.stats.deltas == 1
    (delta,) = [event for event in events if type(event) is DeltaReceived]
    assert BOUND <= failed_at(events, delta.at) < BOUND + SLACK
    assert await server.exchanges[0].disconnected.wait_async()
    assert len(server.exchanges) == 1


@crossed({"silence": PAUSES["silence"], "chunks without text": PAUSES["chunks without text"]})
@both_sides
async def test_idle_where_nobody_listens(server: ScriptedServer, source: Source, side: str, what: str) -> None:
    """Without hooks a chunk takes a shorter way through the session, on which the bound counts as well."""
    server.add(PAUSES[what])
    client = await warmed(server, source, side, timeouts=Timeouts(first_delta=9, idle=BOUND))
    error = await timed_out(client.create_partial(Thing, **source.ask))
    assert (error.kind, error.seconds, error.text) == ("idle", BOUND, DOCUMENT[:CUT])
    assert await server.exchanges[0].disconnected.wait_async()


def endless(request: Request) -> Script:
    """A string that goes on and on."""
    letter = reply("x", None, arrange=lambda chunks: next(chunk for chunk in chunks if b'"x"' in chunk))
    start = reply('{"name": "Ada', None, arrange=upto(b"Ada", []))(request)
    return [start, Trickle(letter(request))]  # type: ignore[arg-type]


@both_sides
@everywhere
async def test_total(server: ScriptedServer, source: Source, side: str) -> None:
    """Text that keeps coming is no reason to go on."""
    server.add(endless)
    clock = Clock()

    def pass_time(_: str) -> None:
        clock.now += 0.25

    events: list[StreamEvent] = []
    client = await warmed(server, source, side, clock=clock, timeouts=Timeouts(idle=9, total=1.0))
    error = await timed_out(client.create_partial(Thing, on_delta=pass_time, on_event=events.append, **source.ask))
    assert error.kind == "total"
    assert error.partial.name.startswith("Adax")
    assert error.text.startswith('{"name": "Adax')
    assert 1.0 <= failed_at(events) <= 1.25


@both_sides
async def test_total_of_a_real_clock(server: ScriptedServer, side: str) -> None:
    total = 5 * BOUND
    server.add(endless)
    events: list[StreamEvent] = []
    client = await warmed(server, OPENAI, side, timeouts=Timeouts(idle=9, total=total))
    error = await timed_out(client.create_partial(Thing, on_event=events.append, **OPENAI.ask))
    assert (error.kind, error.text[:14]) == ("total", '{"name": "Adax')
    assert total <= failed_at(events) < total + SLACK


@both_sides
async def test_total_spans_attempts(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"name": 1, "tags": []}')).add(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))
    events: list[StreamEvent] = []
    total = 5 * BOUND  # in which two requests are made
    client = OPENAI.client(server, side, timeouts=Timeouts(total=total))
    error = await timed_out(client.create_partial(Thing, on_event=events.append, **OPENAI.ask))
    assert (error.kind, error.attempt) == ("total", 2)
    assert total <= failed_at(events) < total + SLACK
    assert len(server.exchanges) == 2


# -- what keeps a stream alive --------------------------------------------------------------------------------------


@both_sides
async def test_reasoning_is_alive(server: ScriptedServer, side: str) -> None:
    enough = Signal()

    def think_long(request: Request) -> Script:
        thought = chat_chunk({"reasoning_content": "hm"})
        return [Trickle(thought, every=0.02, until=enough), sends(chunks_for(request, DOCUMENT))]

    server.add(think_long)
    timer = threading.Timer(2 * BOUND, enough.set)
    timer.start()
    events: list[StreamEvent] = []
    client = OPENAI.client(server, side, timeouts=Timeouts(first_delta=BOUND, idle=BOUND))
    *_, final = await everything(client.create_partial(Thing, on_event=events.append, **OPENAI.ask))
    timer.join()
    assert final == Thing(name="Ada", tags=["a", "b"])
    delta = next(event for event in events if type(event) is DeltaReceived)
    assert delta.at > BOUND


@both_sides
@sources("openai-tools", "anthropic-tools", "genai-json")
async def test_the_first_bound_does_not_bound_what_follows(server: ScriptedServer, source: Source, side: str) -> None:
    gate, begun = Signal(), Signal()
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", gate)))
    clock = Clock()

    def pause() -> None:
        begun.wait()
        clock.now = 3600.0
        gate.set()

    pausing = threading.Thread(target=pause)
    pausing.start()
    client = source.client(server, side, clock=clock, timeouts=Timeouts(first_delta=60))
    stream = client.create_partial(Thing, on_partial=lambda _: begun.set(), **source.ask)
    assert await settled(stream.get_final_response()) == Thing(name="Ada", tags=["a", "b"])
    pausing.join()
    assert stream.stats.longest_gap == 3600.0


def test_the_first_bound_is_no_timeout_of_the_sdks(server: ScriptedServer) -> None:
    """A read timeout given to the SDK would go on counting, in real time, after the headers have come."""
    gate = Signal()
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", gate)))
    client = OPENAI.client(server, "sync", timeouts=Timeouts(first_delta=0.6))
    timer = threading.Timer(0.8, gate.set)

    def begin(_: object) -> None:
        if timer.ident is None:
            timer.start()

    stream = client.create_partial(Thing, on_partial=begin, **OPENAI.ask)
    assert stream.get_final_response() == Thing(name="Ada", tags=["a", "b"])
    timer.join()


@both_sides
async def test_thinking_alone_is_idle_in_the_end(server: ScriptedServer, side: str) -> None:
    source = SOURCES["anthropic-json"]

    def thought(request: Request) -> Script:
        start = chunks_for(request, "x")[0]
        block = {"type": "thinking", "thinking": "", "signature": ""}
        opened = sse({"type": "content_block_start", "index": 0, "content_block": block}, event="content_block_start")
        delta = {"type": "thinking_delta", "thinking": "hm"}
        thinking = sse({"type": "content_block_delta", "index": 0, "delta": delta}, event="content_block_delta")
        return [start, opened, thinking, Wait(NEVER)]

    server.add(thought)
    client = await warmed(server, source, side, timeouts=Timeouts(first_delta=9, idle=BOUND))
    error = await timed_out(client.create_partial(Thing, **source.ask))
    assert (error.kind, error.text) == ("idle", "")


@both_sides
async def test_the_consumers_time_does_not_count(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, 4))
    clock = Clock()
    client = OPENAI.client(server, side, clock=clock, timeouts=Timeouts(first_delta=1, idle=1))
    seen = 0
    async for _ in each(client.create_partial(Thing, **OPENAI.ask)):
        clock.now += 1000
        seen += 1
    assert seen > 5


@both_sides
async def test_the_hooks_time_does_not_count(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, 4))
    clock = Clock()

    def dawdle(_: object) -> None:
        clock.now += 1000

    client = OPENAI.client(server, side, clock=clock, timeouts=Timeouts(first_delta=1, idle=1))
    stream = client.create_partial(Thing, on_start=dawdle, on_delta=dawdle, on_partial=dawdle, **OPENAI.ask)
    assert await settled(stream.get_final_response()) == Thing(name="Ada", tags=["a", "b"])
    assert clock.now > 5000


@both_sides
async def test_the_consumers_time_counts_for_total(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, 4))
    clock = Clock()
    client = OPENAI.client(server, side, clock=clock, timeouts=Timeouts(total=10))
    stream = client.create_partial(Thing, **OPENAI.ask)
    seen = []
    with pytest.raises(StreamTimeout) as caught:
        async for partial in each(stream):
            seen.append(partial)
            clock.now += 6
    assert caught.value.kind == "total"
    assert len(seen) == 2


@both_sides
async def test_a_clock_of_the_callers(server: ScriptedServer, side: str) -> None:
    """An hour passes on it while the provider is silent."""
    server.add(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))
    clock = Clock()
    begun = Signal()

    def wait_an_hour() -> None:
        begun.wait()
        clock.now = 3600.0

    passing = threading.Thread(target=wait_an_hour)
    passing.start()
    events: list[StreamEvent] = []

    def note(event: StreamEvent) -> None:
        events.append(event)
        if type(event) is DeltaReceived:
            begun.set()

    client = OPENAI.client(server, side, clock=clock, timeouts=Timeouts(idle=60))
    error = await timed_out(client.create_partial(Thing, on_event=note, **OPENAI.ask))
    passing.join()
    assert error.kind == "idle"
    assert events[-1].at == 3600.0
    assert error.stats is not None
    assert error.stats.ended_at == 3600.0


@both_sides
async def test_a_stream_in_time_has_no_timeout(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    client = OPENAI.client(server, side, timeouts=Timeouts(first_delta=9, idle=9, total=9))
    for _ in range(2):
        *_, final = await everything(client.create_partial(Thing, **OPENAI.ask))
        assert final == Thing(name="Ada", tags=["a", "b"])
    assert not [thread.name for thread in threading.enumerate() if "watchdog" in thread.name]


# -- the SDK's own --------------------------------------------------------------------------------------------------


@both_sides
async def test_the_sdks_retries_do_not_stretch_a_bound(server: ScriptedServer, side: str) -> None:
    server.always(Silent())
    inner = OPENAI.plain(server, side, max_retries=2)
    events: list[StreamEvent] = []
    client = wrap(inner, timeouts=Timeouts(first_delta=BOUND))
    await timed_out(client.create_partial(Thing, on_event=events.append, **OPENAI.ask))
    assert BOUND <= failed_at(events) < BOUND + SLACK
    assert len(server.exchanges) == 1


@both_sides
async def test_the_sdks_own_timeout_keeps_its_type(server: ScriptedServer, side: str) -> None:
    server.always(Silent())
    inner = OPENAI.plain(server, side, timeout=0.05)
    for timeouts in (None, Timeouts(first_delta=9)):
        stream = wrap(inner).create_partial(Thing, timeouts=timeouts, timeout=0.05, **OPENAI.ask)
        with pytest.raises(openai.APITimeoutError):
            await settled(stream.get_final_response())


@both_sides
async def test_a_callers_own_timeout_is_kept_when_it_is_shorter(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT))
    client = OPENAI.client(server, side, timeouts=Timeouts(first_delta=9))
    assert await settled(client.create_partial(Thing, timeout=5.0, **OPENAI.ask).get_final_response())


async def test_a_bound_passes_while_other_tasks_work(server: ScriptedServer) -> None:
    """The loop is not blocked by a stream that waits."""
    server.always(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))
    client = OPENAI.client(server, "async", timeouts=Timeouts(idle=BOUND))
    streams = [client.create_partial(Thing, **OPENAI.ask) for _ in range(5)]
    ended = await asyncio.gather(*(stream.get_final_response() for stream in streams), return_exceptions=True)
    assert [type(error) for error in ended] == [StreamTimeout] * 5
    assert max(stream.stats.ended_at for stream in streams) < BOUND + 5 * SLACK


@pytest.mark.parametrize("name", ["first_delta", "idle", "total"])
@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
def test_bounds_that_make_no_sense(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: wrong})


# -- bounds in size -------------------------------------------------------------------------------------------------


async def exceeded(stream: Any) -> LimitExceeded:
    with pytest.raises(LimitExceeded) as caught:
        await everything(stream)
    with pytest.raises(LimitExceeded) as again:
        await settled(stream.get_final_response())
    assert again.value is caught.value
    return caught.value


@both_sides
@sources("openai-tools", "openai-json", "anthropic-tools", "genai-json")
async def test_max_chars(server: ScriptedServer, source: Source, side: str) -> None:
    server.add(reply(DOCUMENT, 5, arrange=upto(b"tag", Wait(NEVER))))
    client = source.client(server, side, limits=Limits(max_chars=17))
    error = await exceeded(client.create_partial(Thing, **source.ask))
    assert (error.limit, error.allowed) == ("max_chars", 17)
    assert error.text == DOCUMENT[:20]
    assert error.partial.name == "Ada"
    assert await server.exchanges[0].disconnected.wait_async()
    assert len(server.exchanges) == 1


@both_sides
async def test_max_chars_of_a_text(server: ScriptedServer, side: str) -> None:
    server.add(reply("Hello there", 4))
    error = await exceeded(OPENAI.client(server, side).stream_text("go", model="m", limits=Limits(max_chars=6)))
    assert (error.limit, error.text) == ("max_chars", "Hello th")


@both_sides
async def test_max_depth(server: ScriptedServer, side: str) -> None:
    server.always(reply('{"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}'))
    client = OPENAI.client(server, side, limits=Limits(max_depth=3))
    error = await exceeded(client.create_partial(Node, **OPENAI.ask))
    assert (error.limit, error.allowed) == ("max_depth", 3)
    assert error.partial.children[0].name == "b"
    assert len(server.exchanges) == 1
    stream = client.create_partial(Node, limits=Limits(max_depth=5), **OPENAI.ask)  # the call's own wins
    assert (await settled(stream.get_final_response())).children[0].children[0].name == "c"


@both_sides
async def test_max_items(server: ScriptedServer, side: str) -> None:
    server.always(reply('{"name": "a", "tags": ["1", "2", "3"]}'))
    client = OPENAI.client(server, side)
    error = await exceeded(client.create_partial(Thing, limits=Limits(max_items=2), **OPENAI.ask))
    assert (error.limit, error.allowed) == ("max_items", 2)
    assert error.partial.tags == ["1", "2"]
    stream = client.create_partial(Thing, limits=Limits(max_items=3), **OPENAI.ask)
    assert (await settled(stream.get_final_response())).tags == ["1", "2", "3"]


@both_sides
async def test_max_items_of_an_item_stream(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"tasks": [{"name": "a", "tags": []}, {"name": "b", "tags": []}, {"name": "c", "tags": []}]}'))
    stream = OPENAI.client(server, side).create_iterable(Thing, limits=Limits(max_items=2), **OPENAI.ask)
    assert [item.name for item in await everything(stream)] == ["a", "b"]  # full: the rest is not waited for
    assert [item.name for item in await settled(stream.get_final_response())] == ["a", "b"]


@both_sides
async def test_limits_and_faults_are_noticed_although_no_partial_is_due(server: ScriptedServer, side: str) -> None:
    """Pending text is scanned at least every 4,096 characters, although the policy waits for the end."""
    deep = '{"name": "' + "x" * 6000 + '", "tags": [[[["'
    broken = '{"name": "' + "x" * 6000 + '", "tags": [?'
    long = "y" * 5000
    for document, limits, kind in ((deep, Limits(max_depth=3), LimitExceeded), (broken, None, InvalidJSON)):
        server.add(reply(document + long, 1000, arrange=lambda chunks: [sends(chunks[:-3]), Wait(NEVER)]))
        client = OPENAI.client(server, side, debounce=FinalOnly())
        with pytest.raises(kind):
            await everything(client.create_partial(Thing, limits=limits, max_retries=0, **OPENAI.ask))


@both_sides
async def test_there_are_limits_by_default(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"name": ' + "[" * 200))
    with pytest.raises(LimitExceeded, match="max_depth"):
        await everything(OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask))
    assert Limits().max_chars == 4_000_000
    assert Limits().max_items is None


@pytest.mark.parametrize("name", ["max_chars", "max_depth", "max_items"])
def test_sizes_that_make_no_sense(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


# -- stop_when ------------------------------------------------------------------------------------------------------


@both_sides
async def test_stop_when_that_never_says_so(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, 4))
    asked: list[Thing] = []

    def never(partial: Thing) -> bool:
        asked.append(partial)
        return False

    *partials, final = await everything(
        OPENAI.client(server, side).create_partial(Thing, stop_when=never, **OPENAI.ask)
    )
    assert asked == partials  # of the final it is not asked
    assert type(final) is Thing


@both_sides
async def test_stop_when_that_raises_ends_the_stream_with_its_error(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))

    def fail(_: Thing) -> bool:
        raise LookupError("no idea")

    stream = OPENAI.client(server, side).create_partial(Thing, stop_when=fail, **OPENAI.ask)
    with pytest.raises(LookupError, match="no idea"):
        await everything(stream)
    assert await server.exchanges[0].disconnected.wait_async()


async def test_stop_when_may_be_async(server: ScriptedServer) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))
    events: list[StreamEvent] = []

    async def named(partial: Thing) -> bool:
        await asyncio.sleep(0)
        return partial.name == "Ada"

    client = OPENAI.client(server, "async")
    seen = await everything(client.create_partial(Thing, stop_when=named, on_event=events.append, **OPENAI.ask))
    assert [partial.name for partial in seen] == ["Ada"]
    assert type(events[0]) is StreamStarted
    assert type(events[-1]) is StreamEnded
    assert events[-1].outcome is Outcome.CANCELLED


@both_sides
async def test_bounds_of_the_client_hold_for_create_as_well(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, CUT, arrange=upto(b"Ada", Wait(NEVER))))
    client = OPENAI.client(server, side, timeouts=Timeouts(total=5 * BOUND))
    with pytest.raises(StreamTimeout) as caught:
        created = client.create(Thing, **OPENAI.ask)
        if side == "async":
            await created
    assert caught.value.kind == "total"
    assert caught.value.partial.name.startswith("Ada")


# -- a bound that passes in the moment in which something comes -----------------------------------------------------


class _Late(httpx2.SyncByteStream):
    """A body whose next piece has been received when the socket is shut down, but was not yet handed on."""

    def __init__(self, pieces: list[bytes], then: Exception | None, peer: socket.socket) -> None:
        self._first, self._late = pieces
        self._then = then
        self._peer = peer

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        assert self._peer.recv(1) == b""  # the bound has passed
        yield self._late
        if self._then is not None:
            raise self._then


class _Under:
    """What httpx tells of the connection under a response."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def get_extra_info(self, name: str) -> Any:
        return self._sock if name == "socket" else None


@pytest.mark.parametrize("then", [httpx2.ReadError("gone"), None], ids=["broken", "ended"])
def test_what_comes_too_late_is_kept_and_the_end_is_a_timeout(then: Exception | None) -> None:
    pieces = [chat_chunk({"content": text}) for text in ('{"name": "A', "da")]

    sock, peer = socket.socketpair()
    peer.settimeout(10)

    def answer(_: httpx2.Request) -> httpx2.Response:
        head = {"content-type": "text/event-stream"}
        extensions = {"network_stream": _Under(sock)}
        return httpx2.Response(200, headers=head, stream=_Late(pieces, then, peer), extensions=extensions)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    bare = openai.OpenAI(api_key="k", http_client=http, max_retries=0)
    inner = instructor.from_openai(bare, mode=instructor.Mode.JSON)
    stream = wrap(inner, timeouts=Timeouts(idle=BOUND)).create_partial(Thing, **OPENAI.ask)
    with sock, peer, pytest.raises(StreamTimeout) as caught:
        stream.get_final_response()
    assert (caught.value.kind, caught.value.seconds) == ("idle", BOUND)
    assert caught.value.text == '{"name": "Ada'
    assert caught.value.partial.name == "Ada"
