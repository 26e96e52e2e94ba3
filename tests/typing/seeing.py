"""What type checkers see of conversations, of many streams and of sinks. Nothing here runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, assert_type

from pydantic import BaseModel

from instructor_stream_ext import (
    AsyncPartialStream,
    AsyncStreamClient,
    AsyncTextStream,
    Conversation,
    FieldTransition,
    ItemCompleted,
    PartialEmitted,
    PartialStream,
    SkippedItem,
    StreamClient,
    StreamCompleted,
    StreamEvent,
    TextStream,
    TransitionLog,
    gather,
    merge,
    race,
    wrap,
)
from instructor_stream_ext.routing import from_litellm
from instructor_stream_ext.sinks.telemetry import telemetry
from instructor_stream_ext.sinks.terminal import alive, live


class Report(BaseModel):
    title: str


def chosen(change: FieldTransition | ItemCompleted) -> bool:
    return change.path == ("title",)


def conversations(client: StreamClient, aclient: AsyncStreamClient) -> None:
    assert_type(Conversation(client).say("hi"), TextStream)
    assert_type(Conversation(client).say("hi", Report, model="m"), PartialStream[Report])
    assert_type(Conversation(aclient, "Be brief.", 3).say("hi"), AsyncTextStream)
    assert_type(Conversation(aclient).say("hi", Report), AsyncPartialStream[Report])
    assert_type(Conversation(client).messages, list[dict[str, Any]])


def text(client: StreamClient, aclient: AsyncStreamClient) -> None:
    assert_type(client.stream_text("hi", by="word", buffer=3), TextStream)
    assert_type(client.create_partial(Report).text_of("title"), Iterator[str])
    assert_type(aclient.create_partial(Report).text_of("title"), AsyncIterator[str])
    assert_type(client.create_iterable(Report, on_bad_item="skip").skipped, list[SkippedItem])


def logs(client: StreamClient) -> None:
    assert_type(wrap(client, log_transitions=True), StreamClient)
    assert_type(wrap(client, log_transitions=TransitionLog(level="DEBUG", when=chosen)), StreamClient)
    assert_type(wrap(client, on_event=telemetry(usage=True)), StreamClient)


def routes() -> None:
    assert_type(wrap(from_litellm("openai/gpt-4o-mini"), litellm_reader="wrapper"), StreamClient)
    assert_type(from_litellm("openai/gpt-4o-mini", async_client=True, litellm_reader="auto"), AsyncStreamClient)


async def many(aclient: AsyncStreamClient) -> None:
    streams = {1: aclient.create_partial(Report), 2: aclient.create_partial(Report)}
    assert_type(merge(streams), AsyncGenerator[tuple[int, StreamEvent[Report]], None])
    assert_type(await gather(streams), dict[int, Report | Exception])
    assert_type(await gather(streams, stop_on_error=True), dict[int, Report])
    assert_type(await race(streams), tuple[int, Report])
    items = {"a": aclient.create_iterable(Report)}
    assert_type(await gather(items), dict[str, list[Report] | Exception])
    assert_type(await race(items), tuple[str, list[Report]])
    texts = {"a": aclient.stream_text("hi")}
    assert_type(await race(texts), tuple[str, str])
    mixed: dict[str, AsyncPartialStream[Report] | AsyncPartialStream[int]] = {
        "report": aclient.create_partial(Report),
        "number": aclient.create_partial(int),
    }
    assert_type(await race(mixed), tuple[str, Report | int])  # type: ignore[assert-type]  # mypy joins them to `object`
    async for label, event in merge(streams):
        assert_type(label, int)
        if isinstance(event, PartialEmitted):
            assert_type(event.partial, Report)
        if isinstance(event, StreamCompleted):
            assert_type(event.result, Report)


async def terminals(client: StreamClient, aclient: AsyncStreamClient) -> None:
    assert_type(live(client.create_partial(Report)), Report)
    assert_type(live(client.create_iterable(Report), view="table", total=3), list[Report])
    assert_type(live(client.stream_text("hi")), str)
    assert_type(await alive(aclient.create_partial(Report)), Report)
    assert_type(await alive(aclient.create_iterable(Report)), list[Report])
    assert_type(await alive(aclient.stream_text("hi")), str)
