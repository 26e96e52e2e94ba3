"""Debouncing on real streams, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from instructor_stream_ext import (
    Debounce,
    DeltaReceived,
    EveryDelta,
    EveryN,
    FieldTransition,
    FinalOnly,
    Growth,
    InvalidJSON,
    OnItem,
    OnTransition,
    PartialEmitted,
    Pending,
    Throttle,
    wrap,
)
from tests.server import ScriptedServer, Signal, Wait, reply, sends
from tests.server.wire_format import chat_tools
from tests.twins import ASYNC, StillClock, Twin, both


class Note(BaseModel):
    title: str
    tags: list[str] = []


TEXT = json.dumps({"title": "x" * 60, "tags": ["one", "two", "three"]})
ASK: dict[str, Any] = {"response_model": Note, "messages": "go", "model": "m"}


def _wait(_: Pending) -> float:
    return math.inf


_never: Any = _wait
"""`Any`, since a function's `|` is found at run time only."""


async def _instants(server: ScriptedServer, twin: Twin, *, wrapped: Any = None, **call: Any) -> list[float]:
    """At which instants partials came, where a second passes after each delta of two characters."""
    server.always(reply(TEXT, 2))
    clock = StillClock()
    seen: list[Any] = []
    client = twin.client(server, clock=clock, debounce=wrapped)

    def tick(event: Any) -> None:
        if type(event) is DeltaReceived:
            clock.advance(1)

    stream = client.create_partial(**ASK, **call, on_event=tick)
    events = await twin.events(stream, seen)
    final = await twin.final(stream)
    assert final == Note.model_validate_json(TEXT)
    assert type(final) is Note
    return [event.at for event in events if type(event) is PartialEmitted]


@both
async def test_the_first_at_once_then_one_per_interval(server: ScriptedServer, twin: Twin) -> None:
    instants = await _instants(server, twin, debounce=5)
    assert instants[0] == 0
    gaps = [after - before for before, after in itertools.pairwise(instants)]
    assert min(gaps) >= 5
    assert sorted(gaps)[len(gaps) // 2] == 5
    assert len(instants) == math.ceil(len(TEXT) / 2 / 5)


@pytest.mark.parametrize(
    ("debounce", "same"),
    [
        (5, Throttle(5)),
        (5.0, Throttle(5)),
        (timedelta(seconds=5), Throttle(5)),
        (None, EveryDelta()),
        (0, EveryDelta()),
        (EveryN(1), EveryDelta()),
        (lambda pending: pending.now, EveryDelta()),
        (_never, FinalOnly()),
        (Throttle(5) | FinalOnly(), Throttle(5)),
        (Throttle(5) & EveryDelta(), Throttle(5)),
        (Throttle(3) & Throttle(5), Throttle(5)),
        (Throttle(9) | Throttle(5), Throttle(5)),
        (Throttle(5) | _never, Throttle(5)),
        (_never | EveryDelta(), EveryDelta()),
        (Debounce(1000, max_wait=1000), FinalOnly()),
    ],
)
@both
async def test_different_words_for_the_same(server: ScriptedServer, twin: Twin, debounce: Any, same: Any) -> None:
    assert await _instants(server, twin, debounce=debounce) == await _instants(server, twin, debounce=same)


@both
async def test_how_many_partials_each_policy_shows(server: ScriptedServer, twin: Twin) -> None:
    async def count(policy: Any) -> int:
        return len(await _instants(server, twin, debounce=policy))

    every = await count(None)
    assert every > 40
    assert await count(FinalOnly()) == 0
    assert await count(EveryN(10)) == len(TEXT) // 2 // 10
    assert 5 < await count(Growth(1.3)) < 20
    assert await count(OnItem()) == 3
    assert 4 < await count(OnTransition()) < 16
    assert await count(Debounce(0.5)) > 30
    assert await count(Debounce(2)) == 0
    assert await count(Throttle(10) | OnItem()) > await count(OnItem())


@both
async def test_a_calls_debounce_wins(server: ScriptedServer, twin: Twin) -> None:
    every = await _instants(server, twin)
    assert await _instants(server, twin, wrapped=5) == await _instants(server, twin, debounce=5)
    assert await _instants(server, twin, wrapped=5, debounce=None) == every
    assert await _instants(server, twin, wrapped=FinalOnly(), debounce=7) == await _instants(server, twin, debounce=7)
    assert await _instants(server, twin, wrapped=3, debounce=FinalOnly()) == []


@both
async def test_the_newest_wins_and_the_final_is_never_held_back(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 2))
    client = twin.client(server, clock=StillClock(), debounce=3600)
    values = await twin.values(client.create_partial(**ASK))
    assert [type(value) is Note for value in values] == [False, True]
    assert values[-1].tags == ["one", "two", "three"]


@both
async def test_the_same_final_whatever_the_policy(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 3))
    client = twin.client(server)
    for policy in (None, 0.0, 60, FinalOnly(), OnItem(), EveryN(7) & Growth(2)):
        assert (await twin.values(client.create_partial(**ASK, debounce=policy)))[-1] == Note.model_validate_json(TEXT)


@both
@pytest.mark.parametrize("given", ["0.1", True, [], object()])
async def test_what_is_no_debounce_is_refused_before_anything_is_sent(
    server: ScriptedServer, twin: Twin, given: Any
) -> None:
    client = twin.client(server)
    calls: list[Callable[[], Any]] = [
        lambda: twin.client(server, debounce=given),
        lambda: client.create_partial(**ASK, debounce=given),
        lambda: client.create_iterable(**ASK, debounce=given),
        lambda: client.stream_text("x", model="m", debounce=given),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="debounce"):
            call()
    for negative in (-1, timedelta(seconds=-1), math.nan):
        with pytest.raises(ValueError, match="Throttle"):
            client.create_partial(**ASK, debounce=negative)
    assert server.requests == []


# ---------------------------------------------------------------------- silence


async def _until(said: Callable[[], bool]) -> None:
    """Give way to the loop until it is so; the server and the driver need turns, not time."""
    async with asyncio.timeout(20):
        while not said():  # noqa: ASYNC110  what is waited for is said by a plain list
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("policy", [5, Debounce(5), Debounce(60, max_wait=5), Throttle(5) | Debounce(9)])
async def test_a_due_partial_comes_although_the_provider_is_silent(server: ScriptedServer, policy: Any) -> None:
    gate = Signal()
    chunks = chat_tools(TEXT, name="Note")
    server.always(sends(chunks[:12]), Wait(gate), sends(chunks[12:]))
    clock = StillClock()
    deltas: list[str] = []
    seen: list[Any] = []
    client = wrap(ASYNC.plain(server), debounce=policy, clock=clock)
    stream = client.create_partial(**ASK, on_delta=deltas.append)

    async def read() -> None:
        async for value in stream:
            seen.append(value)  # noqa: PERF401  looked at while it grows

    task = asyncio.create_task(read())
    await _until(lambda: len(deltas) == 10)
    at_once = len(seen)
    assert at_once == (0 if isinstance(policy, Debounce) else 1)
    clock.advance(4.9)
    looked = clock.reads
    await _until(lambda: clock.reads > looked + 2)
    assert len(seen) == at_once
    clock.advance(0.2)
    await _until(lambda: len(seen) > at_once)
    assert len(seen) == at_once + 1
    shown = "".join(deltas).removeprefix('{"title": "')
    assert seen[-1].title == shown
    clock.advance(100)
    gate.set()
    await task
    assert type(seen[-1]) is Note
    assert len({repr(value) for value in seen[:-1]}) == len(seen) - 1, "nothing new, nothing shown"


async def test_a_due_text_comes_although_the_provider_is_silent(server: ScriptedServer) -> None:
    from tests.server.wire_format import chat_content

    gate = Signal()
    chunks = chat_content("The sea is wide.")
    server.always(sends(chunks[:4]), Wait(gate), sends(chunks[4:]))
    clock = StillClock()
    deltas: list[str] = []
    seen: list[str] = []
    stream = wrap(ASYNC.plain(server), debounce=5, clock=clock).stream_text("x", model="m", on_delta=deltas.append)

    async def read() -> None:
        async for piece in stream:
            seen.append(piece)  # noqa: PERF401  looked at while it grows

    task = asyncio.create_task(read())
    await _until(lambda: len(deltas) == 3)
    assert seen == ["The "]
    clock.advance(5)
    await _until(lambda: len(seen) == 2)
    assert seen == ["The ", "sea is w"]
    gate.set()
    await task
    assert "".join(seen) == "The sea is wide."


# ---------------------------------------------------------------------- scanning


@both
async def test_faults_are_noticed_although_no_partial_is_due(server: ScriptedServer, twin: Twin) -> None:
    """The rest is never sent: without the scan every 4,096 characters the stream would wait for it."""
    gate = Signal()
    bad = '{"title": "a", nope' + " " * 6000
    server.always(sends(chat_tools(bad, size=500, name="Note", finish=None, done=False)), Wait(gate))
    client = twin.client(server, debounce=FinalOnly())
    with pytest.raises(InvalidJSON):
        await twin.final(client.create_partial(**ASK, max_retries=0))
    assert not gate.is_set()


@both
async def test_transitions_come_at_each_delta_if_somebody_listens(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 2))
    client = twin.client(server, debounce=FinalOnly(), clock=StillClock())
    events = await twin.events(client.create_partial(**ASK))
    assert not [event for event in events if type(event) is PartialEmitted]
    moves = [event for event in events if type(event) is FieldTransition]
    assert len(moves) > 8
    at = {index for index, event in enumerate(events) if type(event) is DeltaReceived}
    first = events.index(moves[2])
    assert any(index > first for index in at), "told as it came, not at the end"


@both
async def test_a_users_policy_is_asked_at_each_delta(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 2))
    asked: list[tuple[int, int]] = []

    def policy(pending: Pending) -> float:
        asked.append((pending.deltas, pending.total_chars))
        return pending.now if pending.items else math.inf

    values = await twin.values(twin.client(server, debounce=policy).create_partial(**ASK))
    assert asked.pop(0) == (1, 1), "asked once before the request, so that one that cannot work is refused"
    assert [total for _, total in asked] == [*range(2, len(TEXT), 2), len(TEXT)]
    assert [value.tags for value in values[:-1]] == [["one"], ["one", "two"], ["one", "two", "three"]]


@both
@pytest.mark.parametrize("broken", [OnItem, EveryN, lambda _: math.nan, lambda _: None, lambda _: True])
async def test_a_policy_that_cannot_work_is_refused_before_a_request(
    server: ScriptedServer, twin: Twin, broken: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match=r"is a class: give an instance|not an instant in seconds"):
        twin.client(server).create_partial(**ASK, debounce=broken)
    with pytest.raises(ValueError, match=r"EveryN\(deltas=2\.5\): must be a whole number"):
        EveryN(2.5)  # type: ignore[arg-type]
    assert server.requests == []


@both
async def test_a_policy_that_raises_ends_the_stream(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(TEXT, 2))

    def broken(_: Pending) -> float:
        raise LookupError("a bug of the caller")

    ends: list[Any] = []
    with pytest.raises(LookupError, match="a bug of the caller"):
        await twin.final(twin.client(server, debounce=broken).create_partial(**ASK, on_end=ends.append))
    assert [end.outcome for end in ends] == ["failed"]


@both
async def test_items_are_not_debounced(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"tasks": [{"title": "a"}, {"title": "b"}, {"title": "c"}]}', 2))
    client = twin.client(server, debounce=FinalOnly())
    assert [item.title for item in await twin.values(client.create_iterable(**ASK))] == ["a", "b", "c"]
