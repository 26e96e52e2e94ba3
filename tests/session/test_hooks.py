"""Hooks: who is called with what and when, who may listen, and what happens to the stream when a listener fails."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields
from typing import Any, get_args

import openai
import pytest
from instructor import Mode
from instructor.v2.core.hooks import HookName
from instructor.v2.core.hooks import Hooks as InstructorHooks
from openai.types.chat import ChatCompletion
from pydantic import BaseModel, Field

from instructor_stream_ext import (
    DeltaReceived,
    FieldTransition,
    Hooks,
    ItemCompleted,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamCancelled,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    StreamStarted,
    StreamStopped,
    Throttle,
    wrap,
)
from instructor_stream_ext.session.dispatch import CALLED
from instructor_stream_ext.session.hooks import HOOK_NAMES
from tests.server import Cut, Request, ScriptedServer, Signal, Status, Wait, chunks_for, reply
from tests.server.clients import openai_client
from tests.server.wire_format import chat_tools
from tests.twins import ASYNC, SYNC, Recorder, StillClock, Twin, both, settled


class Report(BaseModel):
    title: str
    score: int = Field(default=0, ge=0)
    tags: list[str] = []


TEXT = '{"title": "Tides", "tags": ["sea", "moon"]}'
BAD = '{"title": "Tides", "score": -1}'
ASK: dict[str, Any] = {"response_model": Report, "messages": "tides?", "model": "m"}

NAMED: dict[type[Any], str] = {
    StreamStarted: "start",
    DeltaReceived: "delta",
    PartialEmitted: "partial",
    FieldTransition: "transition",
    ItemCompleted: "item",
    StreamRestarted: "restart",
    StreamCompleted: "final",
    StreamFailed: "error",
    StreamEnded: "end",
}


def _arguments(event: Any) -> tuple[Any, ...]:
    """What the contract says the event's own hook is called with."""
    match event:
        case DeltaReceived():
            return (event.text,)
        case PartialEmitted():
            return (event.partial,)
        case ItemCompleted():
            return (event.item, event.path)
        case StreamCompleted():
            return (event.result,)
        case StreamFailed():
            return (event.error,)
        case _:
            return (event,)


def _cut(request: Request) -> Any:
    return [*chunks_for(request, TEXT)[:6], Cut()]


def _length(_: Request) -> Any:
    return chat_tools(TEXT[:20], name="Report", finish="length")


STORIES: dict[str, tuple[list[Any], type[Exception] | None]] = {
    "success": ([reply(TEXT)], None),
    "re-ask": ([reply(BAD), reply(TEXT)], None),
    "exhausted": ([reply(BAD), reply(BAD)], RetriesExhausted),
    "cut": ([_cut], StreamInterrupted),
    "truncated": ([_length], OutputTruncated),
    "refused by the provider": ([Status(401)], openai.AuthenticationError),
}
stories = pytest.mark.parametrize("story", STORIES)


# ---------------------------------------------------------------------- called with what, in which order


@stories
@both
async def test_each_event_calls_on_event_and_then_its_own_hook(server: ScriptedServer, twin: Twin, story: str) -> None:
    scripts, error = STORIES[story]
    for script in scripts:
        server.add(script)
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, max_retries=len(scripts) - 1, **heard.hooks())
    if error is None:
        await twin.final(stream)
    else:
        with pytest.raises(error):
            await twin.final(stream)
    events = [event for (event,) in heard.of("event")]
    expected: list[tuple[str, tuple[Any, ...]]] = []
    for event in events:
        expected.append(("event", (event,)))
        if type(event) in NAMED:
            expected.append((NAMED[type(event)], _arguments(event)))
    assert heard.calls == expected
    assert [type(event) for event in events].count(StreamEnded) == 1
    assert type(events[-1]) is StreamEnded
    assert type(events[-2]) is (StreamCompleted if error is None else StreamFailed)
    assert [event.outcome for event in events[-1:]] == ["completed" if error is None else "failed"]
    if story == "success":
        assert {type(event) for event in events} == {*NAMED} - {StreamRestarted, StreamFailed}
    if story == "re-ask":
        assert [type(event) for event in events].count(StreamRestarted) == 1


@both
async def test_what_the_hooks_are_given(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 3))
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, **heard.hooks())
    values = await twin.values(stream)
    assert "".join(text for (text,) in heard.of("delta")) == TEXT
    assert [partial for (partial,) in heard.of("partial")] == values[:-1]
    assert all(type(partial) is not Report and isinstance(partial, Report) for (partial,) in heard.of("partial"))
    assert heard.of("final") == [(values[-1],)]
    assert heard.of("final")[0][0] is values[-1]
    assert heard.of("item") == [("sea", ("tags", 0)), ("moon", ("tags", 1))]
    ((started,),) = heard.of("start")
    assert (started.model, started.provider, started.attempt) == ("m", "openai", 1)
    moves = [(event.path, event.before.value, event.after.value) for (event,) in heard.of("transition")]
    assert moves[0] == ((), "missing", "streaming")
    assert moves[-1] == ((), "streaming", "complete")
    assert (("title",), "streaming", "complete") in moves
    ((ended,),) = heard.of("end")
    assert ended.stats == stream.stats
    assert ended.stats.partials_yielded == len(values) - 1


@both
async def test_a_hook_runs_before_the_consumer_sees_it(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    told: list[str] = []
    stream = twin.client(server).create_partial(
        **ASK,
        on_partial=twin.hook(lambda _: told.append("hook")),
        on_final=twin.hook(lambda _: told.append("final hook")),
        on_end=twin.hook(lambda _: told.append("end hook")),
    )

    class Words(list[Any]):
        def append(self, value: Any) -> None:
            told.append("final" if type(value) is Report else "partial")

    await twin.values(stream, Words())
    assert len(told) > 10
    assert told[:-3] == ["hook", "partial"] * ((len(told) - 3) // 2)
    assert told[-3:] == ["final hook", "end hook", "final"]


@both
async def test_the_end_is_told_before_the_exception_leaves(server: ScriptedServer, twin: Twin) -> None:
    server.always(_length)
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, **heard.hooks("error", "end"))
    with pytest.raises(OutputTruncated) as caught:
        await twin.values(stream)
    assert heard.names == ["error", "end"]
    assert heard.of("error") == [(caught.value,)]
    with pytest.raises(OutputTruncated):
        await twin.final(stream)
    assert heard.names == ["error", "end"]


@both
async def test_leaving_early_is_told_once(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, **heard.hooks("event", "final", "error", "end"))
    assert len(await twin.first(stream, 2)) == 2
    await settled(stream.close())
    assert [name for name in heard.names if name != "event"] == ["end"]
    events = [event for (event,) in heard.of("event")]
    assert [type(event) for event in events[-2:]] == [StreamCancelled, StreamEnded]
    assert events[-1].outcome == "cancelled"


@both
async def test_a_stream_that_never_began_tells_nothing(server: ScriptedServer, twin: Twin) -> None:
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, **heard.hooks())
    await settled(stream.close())
    assert heard.calls == []
    assert server.requests == []


@both
async def test_deltas_are_not_debounced(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 2))
    heard = Recorder(twin)
    await twin.final(
        twin.client(server, debounce=10, clock=StillClock()).create_partial(**ASK, **heard.hooks("delta", "partial"))
    )
    assert len(heard.of("delta")) == (len(TEXT) + 1) // 2
    assert len(heard.of("partial")) == 1


# ---------------------------------------------------------------------- who may listen, and where it is said


@both
async def test_the_hooks_of_client_and_call_add_up(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    told: list[str] = []

    def note(word: str) -> Callable[[Any], None]:
        return lambda _: told.append(word)

    client = twin.client(server, hooks=Hooks(on_end=note("set")), on_end=[note("one"), note("two")])
    client.on("end", note("later"))
    await twin.final(client.create_partial(**ASK, hooks=Hooks(on_end=note("call's set")), on_end=note("call")))
    assert told == ["set", "one", "two", "later", "call's set", "call"]
    told.clear()
    await twin.final(client.create_partial(**ASK))
    assert told == ["set", "one", "two", "later"]


@both
async def test_on_off_and_clear(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    heard = Recorder(twin)
    client = twin.client(server)
    end, final = heard.handler("end"), heard.handler("final")
    plain_kwargs = functools.partial(_drop_arguments, heard)

    async def run() -> list[str]:
        heard.calls.clear()
        await twin.final(client.create_partial(**ASK))
        return heard.names

    client.on("end", end)
    client.on("final", final)
    client.on("completion:kwargs", plain_kwargs)
    assert await run() == ["kwargs", "final", "end"]
    client.off("final", final)
    client.off("final", final)
    assert await run() == ["kwargs", "end"]
    client.off("completion:kwargs", plain_kwargs)
    assert await run() == ["end"]
    client.on(HookName.COMPLETION_KWARGS, plain_kwargs)
    client.clear("end")
    assert await run() == ["kwargs"]
    client.clear("completion:kwargs")
    assert await run() == []
    client.on("end", end)
    client.on("completion:kwargs", plain_kwargs)
    client.clear()
    assert await run() == []


def _drop_arguments(heard: Recorder, *_: Any, **__: Any) -> None:
    heard.calls.append(("kwargs", ()))


@both
async def test_instructors_hooks_are_taken_where_ours_are(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    told: list[str] = []

    def made(word: str) -> InstructorHooks:
        hooks = InstructorHooks()
        hooks.on("completion:response", lambda _: told.append(word))
        return hooks

    plain = twin.plain(server)
    plain.on("completion:response", lambda _: told.append("inside"))
    client = wrap(plain, hooks=made("wrap"))
    await twin.final(client.create_partial(**ASK, hooks=made("call")))
    assert told == ["inside", "wrap", "call"]
    told.clear()
    await settled(client.create(**ASK, hooks=made("call")))
    assert sorted(told) == ["call", "inside", "wrap"]
    assert server.requests[-1].json.get("stream") is None


@both
async def test_wrapping_again_adds_hooks_and_leaves_the_first_alone(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    told: list[str] = []
    first = twin.client(server, on_end=lambda _: told.append("first"))
    second = wrap(first, on_end=lambda _: told.append("second"))
    await twin.final(second.create_partial(**ASK))
    assert told == ["first", "second"]
    told.clear()
    await twin.final(first.create_partial(**ASK))
    assert told == ["first"]


@both
@pytest.mark.parametrize("handler", [print, None], ids=["callable", "None"])
async def test_an_unknown_name_is_refused_where_it_is_said(server: ScriptedServer, twin: Twin, handler: Any) -> None:
    client = twin.client(server)
    calls: list[Callable[[], Any]] = [
        lambda: twin.client(server, on_partail=handler),
        lambda: client.create_partial(**ASK, on_partail=handler),
        lambda: client.create_iterable(**ASK, on_partail=handler),
        lambda: client.stream_text("x", model="m", on_partail=handler),
        lambda: client.on("partail", print),
        lambda: client.off("partail", print),
        lambda: client.clear("partail"),
        lambda: client.on("on_partial", print),
        lambda: client.on("completion:kwarg", print),
        lambda: Hooks(on_partail=handler),  # type: ignore[call-arg]
        lambda: Hooks(partial=handler),  # type: ignore[call-arg]
    ]
    for call in calls:
        with pytest.raises(StreamMisuse, match="unknown hook") as caught:
            call()
        assert "on_partial" in str(caught.value)
    assert server.requests == []


@both
async def test_create_refuses_an_unknown_name_too(server: ScriptedServer, twin: Twin) -> None:
    with pytest.raises(StreamMisuse, match="unknown hook 'on_partail'"):
        await settled(twin.client(server).create(**ASK, on_partail=print, on_partial=print))
    with pytest.raises(StreamMisuse, match="unknown hook 'on_partail'"):
        await settled(twin.client(server).create(**ASK, on_partail=print))
    assert server.requests == []


@both
async def test_what_cannot_be_called_is_refused(server: ScriptedServer, twin: Twin) -> None:
    for given in (3, "partial"):
        with pytest.raises((StreamMisuse, TypeError)):
            twin.client(server, on_partial=given)
    with pytest.raises(StreamMisuse, match="callable"):
        twin.client(server).on("partial", 3)
    with pytest.raises(StreamMisuse, match="hooks"):
        twin.client(server, hooks=[print])
    with pytest.raises(StreamMisuse, match="hook_errors"):
        twin.client(server, hook_errors="ignore")


class _Awaits:
    async def __call__(self, *_: Any) -> None: ...

    async def method(self, *_: Any) -> None: ...


async def _awaits(*_: Any) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [_awaits, functools.partial(_awaits, 1), _Awaits(), _Awaits().method],
    ids=["function", "partial", "object", "method"],
)
def test_an_async_hook_is_refused_by_a_sync_client_where_it_is_registered(server: ScriptedServer, handler: Any) -> None:
    client = SYNC.client(server)
    theirs = InstructorHooks()
    theirs.on("completion:response", handler)
    calls: list[Callable[[], Any]] = [
        lambda: SYNC.client(server, on_partial=handler),
        lambda: SYNC.client(server, hooks=Hooks(on_partial=handler)),
        lambda: SYNC.client(server, hooks=theirs),
        lambda: client.on("partial", handler),
        lambda: client.on("completion:response", handler),
        lambda: client.create_partial(**ASK, on_partial=handler),
        lambda: client.create_partial(**ASK, hooks=theirs),
        lambda: client.create_iterable(**ASK, on_item=handler),
        lambda: client.stream_text("x", model="m", on_delta=handler),
        lambda: client.create(**ASK, on_partial=handler),
    ]
    for call in calls:
        with pytest.raises(StreamMisuse, match="coroutine"):
            call()
    assert server.requests == []


async def test_async_streams_await_hooks_in_order_and_take_plain_ones(server: ScriptedServer) -> None:
    server.always(reply(TEXT, None))
    told: list[str] = []

    async def slow(_: Any) -> None:
        for _turn in range(5):
            await asyncio.sleep(0)
        told.append("slow")

    class Sink:
        async def __call__(self, _: Any) -> None:
            await asyncio.sleep(0)
            told.append("object")

    client = ASYNC.client(server)
    for handler in (slow, lambda _: told.append("plain"), Sink(), slow):
        client.on("final", handler)
    await client.create_partial(**ASK, on_end=slow).get_final_response()
    assert told == ["slow", "plain", "object", "slow", "slow"]
    told.clear()
    in_order = [lambda delta: slow(delta), lambda _: told.append("plain"), Sink(), slow]  # noqa: PLW0108  no `async def`
    stream = ASYNC.client(server).create_partial(**ASK, on_delta=in_order)
    await stream.get_final_response()
    assert told == ["slow", "plain", "object", "slow"] * stream.stats.deltas


# ---------------------------------------------------------------------- listeners that fail


class _Oops(Exception):
    pass


def _fail(*_: Any) -> None:
    raise _Oops("a bug of the listener")


@pytest.mark.parametrize("name", Recorder.NAMES)
@both
async def test_a_hook_that_raises_does_not_hurt_the_stream(
    server: ScriptedServer, twin: Twin, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    scripts, error = STORIES["exhausted" if name == "error" else "re-ask"]
    for script in scripts:
        server.add(script)
    other = Recorder(twin)
    failing = twin.hook(_fail)
    client = twin.client(server)
    client.on(name, failing)
    seen: list[Any] = []
    stream = client.create_partial(**ASK, max_retries=1, **other.hooks())
    ending: AbstractContextManager[Any] = nullcontext() if error is None else pytest.raises(error)
    with (
        caplog.at_level(logging.ERROR),
        pytest.warns(RuntimeWarning, match="a bug of the listener") as warned,
        ending,
    ):
        await twin.values(stream, seen)
    assert other.of(name), "nothing was there to fail at"
    assert len(warned) == 1, "one warning per handler"
    first, *counted = caplog.records
    assert first.name == "instructor_stream_ext"
    assert first.exc_info is not None
    assert first.exc_info[0] is _Oops
    assert "in _fail" in str(caplog.handler.format(first))
    more = len(other.of(name)) - 1
    said = "once more" if more == 1 else f"{more} more times"
    assert [f"raised {said} in this stream" in record.getMessage() for record in counted] == [True] * bool(more)
    assert other.names[-1] == "end"
    if error is None:
        assert type(seen[-1]) is Report


@both
async def test_each_handler_is_warned_of_once_per_client(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    client = twin.client(server, on_partial=_fail)
    with pytest.warns(RuntimeWarning) as warned:
        await twin.final(client.create_partial(**ASK))
    assert len(warned) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await twin.final(client.create_partial(**ASK))
    for _ in range(3):  # handlers of later calls may lie where earlier ones lay in memory
        with pytest.warns(RuntimeWarning) as warned:
            await twin.final(client.create_partial(**ASK, on_final=lambda *_: _fail()))
        assert len(warned) == 1


@pytest.mark.parametrize("name", ["start", "delta", "partial", "transition", "item", "event"])
@both
async def test_hook_errors_can_be_raised(server: ScriptedServer, twin: Twin, name: str) -> None:
    server.always(reply(TEXT))
    other = Recorder(twin)
    client = twin.client(server, hook_errors="raise")
    stream = client.create_partial(**ASK, **{**other.hooks("error", "end"), f"on_{name}": twin.hook(_fail)})
    with pytest.raises(_Oops, match="a bug of the listener") as caught:
        await twin.values(stream)
    assert other.names == ["error", "end"]
    assert other.of("error") == [(caught.value,)]
    assert other.of("end")[0][0].outcome == "failed"
    with pytest.raises(_Oops) as again:
        await twin.final(stream)
    assert again.value is caught.value


@pytest.mark.parametrize("name", ["final", "end"])
@both
async def test_an_error_in_the_last_hooks_is_raised_after_all_were_told(
    server: ScriptedServer, twin: Twin, name: str
) -> None:
    server.always(reply(TEXT))
    other = Recorder(twin)
    client = twin.client(server, hook_errors="raise")
    client.on(name, twin.hook(_fail))
    stream = client.create_partial(**ASK, **other.hooks("final", "error", "end"))
    with pytest.raises(_Oops) as caught:
        await twin.final(stream)
    assert "end" in other.names
    with pytest.raises(_Oops) as again:
        await twin.final(stream)
    assert again.value is caught.value


class _Leaving(BaseException):
    """As a cancelled task's or Ctrl-C's."""


@pytest.mark.parametrize("name", ["event", "final", "error", "end"])
@both
async def test_who_leaves_in_one_of_the_last_hooks_keeps_nobody_from_being_told_of_the_end(
    server: ScriptedServer, twin: Twin, name: str
) -> None:
    server.add(_length if name == "error" else reply(TEXT))

    def leave(told: Any) -> None:
        if name != "event" or type(told) is StreamCompleted:
            raise _Leaving

    other = Recorder(twin)
    client = twin.client(server)
    client.on(name, twin.hook(leave))
    stream = client.create_partial(**ASK, **other.hooks("final", "error", "end"))
    with pytest.raises(_Leaving):
        await twin.values(stream)
    assert other.names == ["error" if name == "error" else "final", "end"]
    assert len(server.exchanges) == 1


async def test_a_task_that_is_cancelled_while_it_waits_in_on_final_is_told_of_the_end(server: ScriptedServer) -> None:
    server.always(reply(TEXT))
    waits = asyncio.Event()

    async def wait(_: Report) -> None:
        waits.set()
        await asyncio.Event().wait()

    other = Recorder(ASYNC)
    stream = ASYNC.client(server).create_partial(**ASK, on_final=wait, **other.hooks("error", "end"))
    reading = asyncio.create_task(ASYNC.final(stream))
    await waits.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert other.names == ["end"]
    assert await ASYNC.final(stream) == Report(title="Tides", tags=["sea", "moon"])


@both
async def test_an_error_hook_that_raises_does_not_hide_the_error(server: ScriptedServer, twin: Twin) -> None:
    server.always(_length)
    client = twin.client(server, hook_errors="raise", on_error=twin.hook(_fail))
    with pytest.raises(OutputTruncated):
        await twin.final(client.create_partial(**ASK))


def test_a_plain_function_that_gives_a_coroutine_is_a_failing_hook_in_sync(server: ScriptedServer) -> None:
    server.always(reply(TEXT))
    with pytest.warns(RuntimeWarning, match="cannot await") as warned:
        SYNC.client(server).create_partial(**ASK, on_final=lambda _: _awaits()).get_final_response()
    assert len(warned) == 1


def test_it_is_one_in_the_midst_of_a_stream_too(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    server.always(reply(TEXT))

    def hook(_: Any) -> Any:
        return _awaits()

    with pytest.warns(RuntimeWarning, match="cannot await") as warned:
        SYNC.client(server).create_partial(**ASK, on_delta=hook).get_final_response()
    assert len(warned) == 1
    assert "test_it_is_one_in_the_midst_of_a_stream_too.<locals>.hook" in caplog.messages[0]


async def test_a_plain_function_that_gives_a_coroutine_is_awaited(server: ScriptedServer) -> None:
    server.always(reply(TEXT))
    told: list[str] = []

    async def slow(delta: str) -> None:
        await asyncio.sleep(0)
        told.append(delta)

    def plainly(delta: str) -> Any:
        return slow(delta)

    stream = ASYNC.client(server).create_partial(**ASK, on_delta=[plainly, lambda _: None])
    await stream.get_final_response()
    assert "".join(told) == TEXT
    told.clear()

    async def fails() -> None:
        raise _Oops("a bug of the listener")

    with pytest.warns(RuntimeWarning, match="a bug of the listener") as warned:
        await ASYNC.client(server).create_partial(**ASK, on_delta=[lambda _: fails(), told.append]).get_final_response()
    assert len(warned) == 1
    assert "".join(told) == TEXT


@both
async def test_an_interrupt_in_a_hook_leaves_the_stream(server: ScriptedServer, twin: Twin) -> None:
    """Control-C may come while a hook runs: that is no failure of the stream's."""
    server.always(reply(TEXT))

    def interrupted(_: str) -> None:
        raise KeyboardInterrupt

    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, on_delta=interrupted, **heard.hooks("event", "error", "end"))
    with pytest.raises(KeyboardInterrupt):
        await twin.final(stream)
    assert [name for name in heard.names if name != "event"] == ["end"]
    assert [type(event) for (event,) in heard.of("event")][-2:] == [StreamCancelled, StreamEnded]


# ---------------------------------------------------------------------- slow hooks


@both
async def test_a_slow_hook_does_not_make_partials_pile_up(server: ScriptedServer, twin: Twin) -> None:
    """Each partial costs its listener three intervals; what came meanwhile is one partial, not thirty."""
    server.always(reply(json.dumps({"title": "x" * 400}), 2))
    clock = StillClock()
    shown: list[str] = []

    def slow(partial: Report) -> None:
        shown.append(partial.title or "")
        clock.advance(0.3)

    deltas: list[str] = []

    def tick(text: str) -> None:
        deltas.append(text)
        clock.advance(0.001)

    client = twin.client(server, debounce=0.1, clock=clock)
    final = await twin.final(client.create_partial(**ASK, on_partial=twin.hook(slow), on_delta=tick))
    assert len(deltas) > 200
    assert len(shown) <= 4
    assert final.title == "x" * 400


@both
async def test_a_hook_may_close_its_stream(server: ScriptedServer, twin: Twin) -> None:
    gate = Signal()
    server.always(lambda request: [*chunks_for(request, TEXT)[:6], Wait(gate), *chunks_for(request, TEXT)[6:]])
    heard = Recorder(twin)

    def leave(_: Any) -> Any:
        return stream.close()

    async def aleave(_: Any) -> None:
        await stream.close()

    stream = twin.client(server).create_partial(
        **ASK, on_partial=aleave if twin.is_async else leave, **heard.hooks("end")
    )
    values = await twin.values(stream)
    assert len(values) <= 1
    assert [end.outcome for (end,) in heard.of("end")] == ["cancelled"]
    await server.exchanges[0].disconnected.wait_async()
    with pytest.raises(StreamStopped):
        await twin.final(stream)


# ---------------------------------------------------------------------- instructor's own hooks on streams


class _Theirs:
    """Notes all of instructor's hooks with positional and keyword arguments."""

    def __init__(self, twin: Twin) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.hooks = InstructorHooks()
        for name in HookName:
            self.hooks.on(name, self._handler(twin, name.value))

    def _handler(self, twin: Twin, name: str) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> None:
            self.calls.append((name, args, kwargs))

        return twin.hook(note)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(args, kwargs) for called, args, kwargs in self.calls if called == name]


@both
async def test_instructors_hooks_on_a_stream_that_succeeds(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    theirs = _Theirs(twin)
    stream = twin.client(server).create_partial(**ASK, hooks=theirs.hooks)
    final = await twin.final(stream)
    assert final.title == "Tides"
    assert theirs.names == ["completion:kwargs", "completion:response", "completion:usage"]
    ((_, kwargs),) = theirs.of("completion:kwargs")
    assert kwargs["model"] == "m"
    assert kwargs["stream"] is True
    assert kwargs["tools"][0]["function"]["name"] == "Report"
    (((completion,), _),) = theirs.of("completion:response")
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].message.tool_calls[0].function.arguments == TEXT  # type: ignore[index,union-attr]
    assert completion.usage is not None
    (((usage,), told),) = theirs.of("completion:usage")
    assert usage.total_tokens == 18
    assert told["attempt_number"] == 1


@both
async def test_instructors_hooks_on_failing_attempts(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BAD))
    theirs = _Theirs(twin)
    with pytest.raises(RetriesExhausted):
        await twin.final(twin.client(server).create_partial(**ASK, hooks=theirs.hooks, max_retries=1))
    attempt = ["completion:kwargs", "completion:response", "completion:usage", "parse:error"]
    assert theirs.names == [*attempt, *attempt, "completion:last_attempt"]
    told = [kwargs for _, kwargs in theirs.of("parse:error")]
    assert [(one["attempt_number"], one["max_attempts"], one["is_last_attempt"]) for one in told] == [
        (1, 2, False),
        (2, 2, True),
    ]
    ((args, last),) = theirs.of("completion:last_attempt")
    assert type(args[0]).__name__ == "ValidationError"
    assert (last["attempt_number"], last["max_attempts"], last["is_last_attempt"]) == (2, 2, True)
    assert [usage.total_tokens for (usage,), _ in theirs.of("completion:usage")] == [18, 36]


@both
async def test_instructors_hooks_hear_the_same_as_without_streaming(server: ScriptedServer, twin: Twin) -> None:
    """The names, and the metadata of errors, as plain `create` tells them."""
    server.add(reply(BAD)).add(reply(TEXT)).add(reply(BAD)).add(reply(TEXT))
    plain, streamed = _Theirs(SYNC), _Theirs(twin)
    SYNC.plain(server).create(
        response_model=Report, messages=[{"role": "user", "content": "x"}], model="m", hooks=plain.hooks
    )
    await twin.final(twin.client(server).create_partial(**ASK, hooks=streamed.hooks))
    assert streamed.names == plain.names
    assert [kwargs for _, kwargs in streamed.of("parse:error")] == [kwargs for _, kwargs in plain.of("parse:error")]
    assert [kwargs for _, kwargs in streamed.of("completion:usage")] == [
        kwargs for _, kwargs in plain.of("completion:usage")
    ]


@both
@pytest.mark.parametrize(("script", "error"), [(_cut, StreamInterrupted), (Status(429), openai.RateLimitError)])
async def test_completion_error_is_told_when_the_provider_fails(
    server: ScriptedServer, twin: Twin, script: Any, error: type[Exception]
) -> None:
    server.always(script)
    theirs = _Theirs(twin)
    with pytest.raises(error):
        await twin.final(twin.client(server).create_partial(**ASK, hooks=theirs.hooks))
    last = ["completion:last_attempt"] if error is openai.RateLimitError else []  # as without streaming
    assert theirs.names == ["completion:kwargs", "completion:error", *last]
    (((told,), metadata),) = theirs.of("completion:error")
    assert isinstance(told, Exception)
    assert metadata["attempt_number"] == 1


@both
async def test_a_handler_without_room_for_metadata_is_called_without(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(TEXT))
    errors: list[Exception] = []
    client = twin.client(server)
    client.on("parse:error", errors.append)
    await twin.final(client.create_partial(**ASK))
    assert [type(error).__name__ for error in errors] == ["ValidationError"]


@both
async def test_instructors_hooks_that_raise_do_not_hurt_the_stream(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    client = twin.client(server)
    client.on("completion:response", twin.hook(_fail))
    with pytest.warns(RuntimeWarning, match="a bug of the listener"):
        assert (await twin.final(client.create_partial(**ASK))).title == "Tides"


@both
async def test_reading_the_response_in_a_hook_takes_nothing_from_the_stream(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    dumps: list[str] = []
    client = twin.client(server)
    client.on("completion:response", lambda completion: dumps.append(completion.model_dump_json()))
    assert len(await twin.values(client.create_partial(**ASK))) > 3
    assert len(dumps) == 1


@both
async def test_responses_mode_gives_its_own_completion(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    kinds: list[str] = []
    client = twin.client(server, Mode.RESPONSES_TOOLS)
    client.on("completion:response", lambda completion: kinds.append(type(completion).__name__))
    await twin.final(client.create_partial(**ASK))
    assert kinds == ["Response"]


# ---------------------------------------------------------------------- create


@both
@pytest.mark.parametrize("name", Recorder.NAMES)
async def test_create_streams_underneath_when_somebody_listens(server: ScriptedServer, twin: Twin, name: str) -> None:
    server.always(reply(TEXT))
    heard = Recorder(twin)
    final = await settled(twin.client(server).create(**ASK, **heard.hooks(name)))
    assert type(final) is Report
    raw: Any = getattr(final, "_raw_response")  # noqa: B009  instructor sets it without declaring it
    assert server.requests[0].json["stream"] is True
    assert bool(heard.calls) == (name not in ("restart", "error"))
    assert raw.choices[0].finish_reason == "tool_calls"


@both
async def test_create_streams_for_the_hooks_of_the_client(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    heard = Recorder(twin)
    client = twin.client(server, on_partial=heard.handler("partial"))
    final, completion = await settled(client.create_with_completion(**ASK))
    assert final.title == "Tides"
    assert isinstance(completion, ChatCompletion)
    assert len(heard.calls) > 3
    heard.calls.clear()
    client.clear()
    assert (await settled(client.create(**ASK))).title == "Tides"
    assert heard.calls == []
    assert server.requests[1].json.get("stream") is None


@both
async def test_create_without_listeners_is_instructors_own(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    theirs = _Theirs(SYNC)
    client = twin.client(server)
    final = await settled(client.create(**ASK, hooks=theirs.hooks))
    assert isinstance(final, Report)
    assert server.requests[0].json.get("stream") is None
    assert theirs.names == ["completion:kwargs", "completion:response", "completion:usage"]


# ---------------------------------------------------------------------- other streams


@both
async def test_item_streams_call_the_hooks(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"tasks": [{"title": "a"}, {"title": "b", "tags": ["x"]}]}'))
    heard = Recorder(twin)
    client = twin.client(server)
    items = await twin.values(client.create_iterable(**ASK, **heard.hooks("start", "item", "final", "end")))
    assert [item.title for item in items] == ["a", "b"]
    assert heard.of("final") == [(items,)]
    whole = [(item, path) for item, path in heard.of("item") if len(path) == 1]
    assert [path for _, path in whole] == [(0,), (1,)]
    assert [item.title for item, _ in whole] == ["a", "b"]
    assert all(type(item) is not Report and isinstance(item, Report) for item, _ in whole)
    assert [path for _, path in heard.of("item") if len(path) != 1] == [(1, "tags", 0)]
    assert heard.names[0] == "start"
    assert heard.names[-2:] == ["final", "end"]


@both
async def test_text_streams_call_the_hooks(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("The sea is wide."))
    heard = Recorder(twin)
    pieces = await twin.values(twin.client(server).stream_text("sea?", model="m", **heard.hooks()))
    assert "".join(pieces) == "The sea is wide."
    assert len(pieces) == 4
    assert "".join(text for (text,) in heard.of("delta")) == "The sea is wide."
    assert [text for (text,) in heard.of("partial")] == ["The ", "The sea ", "The sea is w", "The sea is wide."]
    assert heard.of("final") == [("The sea is wide.",)]
    assert heard.of("transition") == heard.of("item") == []
    assert [name for name in heard.names if name != "event"][-2:] == ["final", "end"]


@both
@pytest.mark.parametrize("debounce", [None, 0.0, 0.1, Throttle(5), 1000])
async def test_the_pieces_of_a_debounced_text_are_the_whole(server: ScriptedServer, twin: Twin, debounce: Any) -> None:
    text = "The sea is wide, and the moon pulls at it. " * 5
    server.always(reply(text, 3))
    clock = StillClock()
    client = twin.client(server, clock=clock, debounce=debounce)
    stream = client.stream_text("sea?", model="m", on_delta=lambda _: clock.advance(0.03))
    pieces = await twin.values(stream)
    assert "".join(pieces) == text == stream.text
    expected = {None: 72, 0.0: 72, 0.1: 18, Throttle(5): 2, 1000: 2}[debounce]
    assert abs(len(pieces) - expected) <= 1


# ---------------------------------------------------------------------- stop_when


@both
async def test_stop_when_ends_the_stream(server: ScriptedServer, twin: Twin) -> None:
    gate = Signal()
    chunks = chat_tools(TEXT, name="Report")
    server.always([*chunks[:8], Wait(gate), *chunks[8:]])
    heard = Recorder(twin)
    asked: list[str] = []

    def enough(partial: Report) -> bool:
        asked.append(partial.title or "")
        return len(partial.title or "") >= 3

    stream = twin.client(server).create_partial(**ASK, stop_when=twin.hook(enough), **heard.hooks())
    values = await twin.values(stream)
    assert values[-1].title.startswith("Tid")
    assert values[-1] is heard.of("partial")[-1][0]
    assert len(asked) == len(values)
    assert heard.of("final") == heard.of("error") == []
    events = [event for (event,) in heard.of("event")]
    assert [type(event) for event in events[-2:]] == [StreamCancelled, StreamEnded]
    assert events[-1].outcome == "cancelled"
    await server.exchanges[0].disconnected.wait_async()
    with pytest.raises(StreamStopped) as caught:
        await twin.final(stream)
    assert caught.value.partial is values[-1]
    assert caught.value.text.startswith('{"title": "Tid')
    assert not stream.is_final


@both
async def test_stop_when_that_never_holds_changes_nothing(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    values = await twin.values(twin.client(server).create_partial(**ASK, stop_when=lambda _: False))
    plain = await twin.values(twin.client(server).create_partial(**ASK))
    assert [repr(value) for value in values] == [repr(value) for value in plain]
    assert type(values[-1]) is Report


@both
async def test_an_error_in_stop_when_comes_out(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT))
    heard = Recorder(twin)
    with pytest.raises(_Oops) as caught:
        await twin.values(twin.client(server).create_partial(**ASK, stop_when=_fail, **heard.hooks("error", "end")))
    assert heard.of("error") == [(caught.value,)]
    assert heard.names == ["error", "end"]


@both
async def test_stop_when_on_text_and_on_create(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("abcdefghijkl"))
    stream = twin.client(server).stream_text("x", model="m", stop_when=lambda text: len(text) >= 8)
    assert "".join(await twin.values(stream)) == "abcdefgh"
    with pytest.raises(StreamStopped):
        await twin.final(stream)
    server.always(reply(TEXT))
    with pytest.raises(StreamStopped):
        await settled(twin.client(server).create(**ASK, stop_when=lambda partial: bool(partial.title)))


def test_where_warnings_are_errors_a_hook_that_raises_hurts_no_stream(server: ScriptedServer) -> None:
    server.add(reply(TEXT))
    seen: list[object] = []

    def fails(_: object) -> None:
        seen.append(_)
        raise ValueError("no")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = wrap(openai_client(server), on_partial=fails)
        assert client.create_partial(**ASK).get_final_response() == Report.model_validate_json(TEXT)
    assert len(seen) > 1


@both
async def test_a_hook_that_goes_on_failing_is_counted(
    server: ScriptedServer, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    server.always(reply('{"title": "Tides", "items": []}', 2))

    def fails(_: str) -> None:
        raise ValueError("no display")

    failing = twin.hook(fails)
    client = twin.client(server, on_delta=failing)
    with pytest.warns(RuntimeWarning, match="no display"):
        await settled(client.create(**ASK))
    await settled(client.create(**ASK))  # a second warning would be an error here
    with_traceback = [record for record in caplog.records if record.exc_info]
    counted = [record.getMessage() for record in caplog.records if "in this stream" in record.getMessage()]
    assert len(with_traceback) == 1
    assert [int(re.search(r"raised (\d+) more times", said)[1]) for said in counted] == [15, 16]  # type: ignore[index]


def test_every_event_has_its_hook() -> None:
    called = set()
    for kind in {getattr(kind, "__origin__", kind) for kind in get_args(StreamEvent)} - {StreamCancelled}:
        name, arguments = CALLED[kind]
        called.add(name)
        assert arguments(kind(**dict.fromkeys(field.name for field in fields(kind))))
    assert called == set(HOOK_NAMES) - {"event"}
    assert StreamCancelled not in CALLED  # of which `on_end` tells
