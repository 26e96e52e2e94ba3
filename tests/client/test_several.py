"""Many streams at once: merged, gathered, raced; and that none is left open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, Field

from instructor_stream_ext import (
    AsyncPartialStream,
    AsyncStreamClient,
    DeltaReceived,
    OutputRefused,
    RetriesExhausted,
    StreamCompleted,
    StreamEnded,
    StreamFailed,
    StreamInterrupted,
    StreamMisuse,
    StreamStopped,
    gather,
    merge,
    race,
    wrap,
)
from tests.playing import still
from tests.server import Cut, Forever, Request, ScriptedServer, Signal, Wait, chunks_for, reply, sends
from tests.server.clients import async_openai_client, openai_client
from tests.server.wire_format import chat_chunk, chat_content, chat_refusal

PATIENCE = 10


class Person(BaseModel):
    name: str = Field(max_length=5)


def asks(model: str) -> Any:
    """Whether a request is for this model."""

    def match(request: Request) -> bool:
        return bool(request.json["model"] == model)

    return match


def streams(client: AsyncStreamClient, *models: str, **call: Any) -> dict[str, Any]:
    return {
        model: client.create_partial(model=model, messages="go", response_model=Person, max_retries=0, **call)
        for model in models
    }


@pytest.fixture
def client(server: ScriptedServer) -> AsyncStreamClient:
    return wrap(async_openai_client(server), clock=still)


def answer(server: ScriptedServer, model: str, name: str, *gates: Signal) -> None:
    """Answer a model's request with a person, holding the last chunks back until the gates open."""

    def script(request: Request) -> Any:
        chunks = chunks_for(request, f'{{"name": "{name}"}}')
        return [sends(chunks[:4]), *map(Wait, gates), sends(chunks[4:])]

    server.add(script, match=asks(model))


def endless(server: ScriptedServer, model: str) -> None:
    """Answer a model's request with a text that has no end."""
    server.add(Forever([chat_chunk({"content": "on and "})]), match=asks(model))


def text(client: AsyncStreamClient, model: str) -> Any:
    return client.stream_text("go", model=model)


async def test_all_events_come_with_their_labels(server: ScriptedServer, client: AsyncStreamClient) -> None:
    answer(server, "a", "Ada")
    answer(server, "b", "Bob")
    merged: dict[str, list[Any]] = {"a": [], "b": []}
    async for label, event in merge(streams(client, "a", "b")):
        merged[label].append(event)
    answer(server, "a", "Ada")
    answer(server, "b", "Bob")
    alone = {label: [e async for e in stream.events()] for label, stream in streams(client, "a", "b").items()}
    assert merged == alone
    assert merged["a"][-2].result == Person(name="Ada")


async def test_events_come_as_they_come(server: ScriptedServer, client: AsyncStreamClient) -> None:
    first, second = Signal(), Signal()
    answer(server, "a", "Ada", first)
    answer(server, "b", "Bob", second)
    order = []
    second.set()
    async for label, event in merge(streams(client, "a", "b")):
        if isinstance(event, StreamEnded):
            order.append(label)
            first.set()
    assert order == ["b", "a"]


async def test_a_failure_is_told_and_stops_nobody(server: ScriptedServer, client: AsyncStreamClient) -> None:
    answer(server, "a", "Ada")
    server.add([sends(chat_content("x", size=1, finish=None, done=False)), Cut()], match=asks("b"))
    ends = {}
    async for label, event in merge(streams(client, "a", "b")):
        if isinstance(event, (StreamCompleted, StreamFailed)):
            ends[label] = event  # noqa: PERF403  a loop is what is tried
    assert isinstance(ends["a"], StreamCompleted)
    assert isinstance(ends["b"], StreamFailed)
    assert isinstance(ends["b"].error, StreamInterrupted)


async def test_a_failure_stops_all_if_asked(server: ScriptedServer, client: AsyncStreamClient) -> None:
    endless(server, "a")
    server.add(sends(chat_refusal()), match=asks("b"))
    both = {"a": text(client, "a"), **streams(client, "b")}
    told = []
    with pytest.raises(OutputRefused):
        async for label, event in merge(both, stop_on_error=True):
            told += [type(event)] * (label == "b")
    assert told[-2:] == [StreamFailed, StreamEnded]
    await closed(server)


async def closed(server: ScriptedServer) -> None:
    """Every connection has been closed by us or has come to its end."""
    for exchange in server.exchanges:
        signal = exchange.finished if exchange.completed else exchange.disconnected
        assert await signal.wait_async(PATIENCE)


@pytest.mark.parametrize("leave", ["break", "aclose", "cancel"])
async def test_leaving_closes_all(server: ScriptedServer, client: AsyncStreamClient, leave: str) -> None:
    endless(server, "a")
    endless(server, "b")
    both = {label: text(client, label) for label in "ab"}
    seen: set[str] = set()

    async def read(merged: Any) -> None:
        async for label, event in merged:
            seen.add(label if isinstance(event, DeltaReceived) else "")
            if leave != "cancel" and {"a", "b"} <= seen:
                break

    merged = merge(both)
    if leave == "cancel":
        task = asyncio.create_task(read(merged))
        while not {"a", "b"} <= seen:  # noqa: ASYNC110  it is another thread or the loop itself that is waited for
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        await read(merged)
    if leave == "aclose":
        await merged.aclose()
        assert all(stream.stats.ended_at is not None for stream in both.values())
    del merged
    await closed(server)
    assert {exchange.completed for exchange in server.exchanges} == {False}
    while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  it is another thread or the loop itself that is waited for
        await asyncio.sleep(0)


async def test_nobody_runs_ahead_of_the_consumer(server: ScriptedServer, client: AsyncStreamClient) -> None:
    taken: dict[str, int] = {"a": 0, "b": 0}

    def count(label: str) -> Any:
        def told(event: object) -> None:
            taken[label] += 1

        return told

    for label in "ab":
        endless(server, label)
    both = {label: client.stream_text("go", model=label, on_event=count(label)) for label in "ab"}
    given = 0
    async for _ in merge(both):
        given += 1
        for _ in range(50):
            await asyncio.sleep(0)
        # one event of each stream may wait to be handed over, and one in the queue between
        assert sum(taken.values()) <= given + 3
        if given == 40:
            break
    await closed(server)


async def test_an_error_of_closing_holds_nobody_up(
    server: ScriptedServer, client: AsyncStreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(server, "one", "Ada")
    asked = streams(client, "one")
    close = AsyncPartialStream.aclose

    async def fail(stream: AsyncPartialStream[Any]) -> None:
        await close(stream)
        raise OSError("closing failed")

    monkeypatch.setattr(AsyncPartialStream, "aclose", fail)
    async with asyncio.timeout(PATIENCE):
        events = [event async for _, event in merge(asked)]
    assert isinstance(events[-1], StreamEnded)


async def test_gather_gives_finals_and_errors(server: ScriptedServer, client: AsyncStreamClient) -> None:
    answer(server, "a", "Ada")
    answer(server, "b", "Bartholomew")
    server.add(sends(chat_refusal()), match=asks("c"))
    ended = await gather(streams(client, "a", "b", "c"))
    assert list(ended) == ["a", "b", "c"]
    assert ended["a"] == Person(name="Ada")
    assert isinstance(ended["b"], RetriesExhausted)
    assert isinstance(ended["c"], OutputRefused)


async def test_gather_reads_all_at_once(server: ScriptedServer, client: AsyncStreamClient) -> None:
    gates = {label: Signal() for label in "abc"}
    for label, gate in gates.items():
        answer(server, label, label, gate)

    async def open_all() -> None:
        while len(server.exchanges) < 3:  # noqa: ASYNC110  it is another thread or the loop itself that is waited for
            await asyncio.sleep(0)
        for gate in reversed(gates.values()):
            gate.set()

    ended, _ = await asyncio.gather(gather(streams(client, "a", "b", "c")), open_all())
    assert [person.name for person in ended.values()] == ["a", "b", "c"]


async def test_gather_stops_at_a_failure_if_asked(server: ScriptedServer, client: AsyncStreamClient) -> None:
    endless(server, "a")
    server.add(sends(chat_refusal()), match=asks("b"))
    with pytest.raises(OutputRefused):
        await gather({"a": text(client, "a"), **streams(client, "b")}, stop_on_error=True)
    await closed(server)


async def test_a_cancelled_gather_closes_all(server: ScriptedServer, client: AsyncStreamClient) -> None:
    endless(server, "a")
    endless(server, "b")
    task = asyncio.create_task(gather({label: text(client, label) for label in "ab"}))
    while sum(exchange.sent for exchange in server.exchanges) < 4 or len(server.exchanges) < 2:  # noqa: ASYNC110  it is another thread or the loop itself that is waited for
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await closed(server)


async def test_the_first_through_the_gate_wins_and_the_others_are_closed(
    server: ScriptedServer, client: AsyncStreamClient
) -> None:
    never, after = Signal(), Signal()
    server.add(reply('{"name": "Bartholomew"}'), match=asks("bad"))  # first at its end, but not through the gate
    answer(server, "good", "Ada", after)
    answer(server, "slow", "Bob", never)
    runners = streams(client, "bad", "slow", "good")

    async def wait_for_the_bad_one() -> None:
        while len(server.exchanges) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        bad = next(each for each in server.exchanges if each.request.json["model"] == "bad")
        assert await bad.finished.wait_async(PATIENCE)
        after.set()

    (label, final), _ = await asyncio.gather(race(runners), wait_for_the_bad_one())
    assert (label, final) == ("good", Person(name="Ada"))
    slow = next(each for each in server.exchanges if each.request.json["model"] == "slow")
    assert await slow.disconnected.wait_async(PATIENCE)
    assert not slow.completed
    with pytest.raises(StreamStopped):
        await runners["slow"].get_final_response()
    assert await runners["good"].get_final_response() is final


async def test_if_none_passes_all_errors_are_raised(server: ScriptedServer, client: AsyncStreamClient) -> None:
    server.add(sends(chat_refusal()), match=asks("a"))
    answer(server, "b", "Bartholomew")
    with pytest.raises(ExceptionGroup) as caught:
        await race(streams(client, "a", "b"))
    refused, exhausted = caught.value.exceptions
    assert isinstance(refused, OutputRefused)
    assert isinstance(exhausted, RetriesExhausted)
    assert refused.__notes__ == ["the stream labelled 'a'"]


async def test_none_at_all(client: AsyncStreamClient) -> None:
    nothing: dict[str, Any] = {}
    assert [label async for label, _ in merge(nothing)] == []
    assert await gather({}) == {}
    with pytest.raises(StreamMisuse, match="at least one"):
        await race({})


async def test_a_sync_stream_is_refused_before_anything_is_sent(
    server: ScriptedServer, client: AsyncStreamClient
) -> None:
    wrong: Any = {**streams(client, "a"), "b": wrap(openai_client(server)).stream_text("go", model="b")}
    with pytest.raises(StreamMisuse, match="'b' is not an async stream"):
        merge(wrong)
    with pytest.raises(StreamMisuse, match="'b' is not an async stream"):
        await gather(wrong)
    with pytest.raises(StreamMisuse, match="'b' is not an async stream"):
        await race(wrong)
    assert not server.requests
    await wrong["a"].close()
    wrong["b"].close()


async def test_streams_without_labels_or_under_two_are_refused(client: AsyncStreamClient) -> None:
    listed: Any = list(streams(client, "a").values())
    twice = dict.fromkeys(("a", "b"), streams(client, "a")["a"])
    for wrong, said in (
        (listed, "with their labels, as {label: stream}, not as list"),
        (twice, "'a' and 'b' are the same"),
    ):
        with pytest.raises(StreamMisuse, match=said):
            merge(wrong)
        with pytest.raises(StreamMisuse, match=said):
            await gather(wrong)
        with pytest.raises(StreamMisuse, match=said):
            await race(wrong)
    for stream in (*listed, twice["a"]):
        await stream.close()
