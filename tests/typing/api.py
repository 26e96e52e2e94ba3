"""What type checkers see. Nothing here runs: pyright (strict) and mypy read it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict, Union, assert_type

import instructor
import openai
from pydantic import BaseModel

from instructor_stream_ext import (
    AsyncItemStream,
    AsyncPartialStream,
    AsyncStreamClient,
    AsyncTextStream,
    Debounce,
    EveryN,
    FieldState,
    Hooks,
    ItemStream,
    Limits,
    OnItem,
    PartialStream,
    Pending,
    StreamClient,
    StreamEnded,
    StreamError,
    StreamEvent,
    StreamRestarted,
    StreamStats,
    TextStream,
    Throttle,
    Timeouts,
    Usage,
    wrap,
)


class Report(BaseModel):
    title: str


class Figures(TypedDict):
    price: float


@dataclass
class Point:
    x: int


def show(partial: Report) -> None: ...


async def ashow(partial: Report) -> None: ...


def restarted(event: StreamRestarted) -> None: ...


def ended(event: StreamEnded) -> None: ...


def when(pending: Pending, /) -> float:
    return pending.now + 1


def clients() -> None:
    sync = wrap(instructor.from_openai(openai.OpenAI()))
    assert_type(sync, StreamClient)
    assert_type(wrap(sync, debounce=0.1), StreamClient)
    asynchronous = wrap(instructor.from_openai(openai.AsyncOpenAI()))
    assert_type(asynchronous, AsyncStreamClient)
    assert_type(wrap(asynchronous), AsyncStreamClient)
    wrap(
        instructor.from_openai(openai.OpenAI()),
        debounce=timedelta(seconds=1),
        hooks=Hooks(on_partial=show, on_restart=[restarted], on_end=ended),
        hook_errors="raise",
        timeouts=Timeouts(first_delta=1, idle=2, total=3),
        limits=Limits(max_chars=10),
        usage=False,
        clock=lambda: 0.0,
        on_partial=show,
    )
    wrap(sync, debounce=Throttle(1) | EveryN(2) & OnItem())
    wrap(sync, debounce=Debounce(1, max_wait=2) | when)
    wrap(sync, debounce=(Throttle(1) | when) & (EveryN(2) | OnItem()))
    wrap(sync, debounce=when)
    wrap(asynchronous, on_partial=ashow)


def streams(client: StreamClient) -> None:
    stream = client.create_partial(Report, "x", model="m")
    assert_type(stream, PartialStream[Report])
    for partial in stream:
        assert_type(partial, Report)
    assert_type(iter(stream), Iterator[Report])
    assert_type(next(stream), Report)
    assert_type(stream.get_final_response(), Report)
    assert_type(stream.partial, Report | None)
    assert_type(stream.is_final, bool)
    assert_type(stream.text, str)
    assert_type(stream.json_text, str)
    assert_type(stream.attempt, int)
    assert_type(stream.usage, Usage | None)
    assert_type(stream.stats, StreamStats)
    assert_type(stream.state("items[3].name"), FieldState)
    assert_type(stream.state(("items", 3, "name")), FieldState)
    assert_type(stream.messages, list[Any])
    assert_type(stream.text_stream(), Iterator[str])
    for event in stream.events():
        assert_type(event, StreamEvent[Report])
    with client.stream(Report, "x", model="m") as entered:
        assert_type(entered, PartialStream[Report])
    assert_type(client.chat.completions.create_partial(Report, "x"), PartialStream[Report])
    assert_type(client.messages.create(Report, "x"), Report)
    assert_type(client.create(Report, "x", on_partial=show), Report)
    assert_type(client.create(int, "x"), int)
    assert_type(client.create(list[Report], "x"), list[Report])
    assert_type(client.create(Report | int, "x"), Report | int)
    assert_type(client.create_with_completion(Report, "x"), tuple[Report, Any])
    assert_type(client.responses.create_with_completion("x", Report), tuple[Report, Any])
    assert_type(client.responses.create_partial("x", Report), PartialStream[Report])
    assert_type(client.responses.stream(messages="x", response_model=Report), PartialStream[Report])
    assert_type(client.responses.create("x", Report), Report)
    assert_type(client.responses.create_iterable("x", Report), ItemStream[Report])
    items = client.create_iterable(Report, "x")
    assert_type(items, ItemStream[Report])
    for item in items:
        assert_type(item, Report)
    for number, report in client.create_iterable(Report, "x").partials():
        assert_type(number, int)
        assert_type(report, Report)
    client.create_partial(Report, "x", on_truncated="continue", max_continuations=2)
    assert_type(items.partial, list[Report] | None)
    assert_type(items.get_final_response(), list[Report])
    text = client.stream_text("x", model="m")
    assert_type(text, TextStream)
    for piece in text:
        assert_type(piece, str)
    assert_type(text.get_final_response(), str)


async def async_streams(client: AsyncStreamClient) -> None:
    stream = client.create_partial(Report, "x", model="m", on_partial=ashow)
    assert_type(stream, AsyncPartialStream[Report])
    async for partial in stream:
        assert_type(partial, Report)
    assert_type(aiter(stream), AsyncIterator[Report])
    assert_type(await anext(stream), Report)
    assert_type(await stream.get_final_response(), Report)
    assert_type(stream.partial, Report | None)
    assert_type(stream.text_stream(), AsyncIterator[str])
    async for event in stream.events():
        assert_type(event, StreamEvent[Report])
    async with client.stream(Report, "x", model="m") as entered:
        assert_type(entered, AsyncPartialStream[Report])
    assert_type(await client.create(Report, "x", on_partial=ashow), Report)
    assert_type(await client.chat.completions.create(Report, "x"), Report)
    assert_type(client.responses.create_partial("x", Report), AsyncPartialStream[Report])
    assert_type(await client.responses.create("x", Report), Report)
    assert_type(client.responses.create_iterable("x", Report), AsyncItemStream[Report])
    items = client.create_iterable(Report, "x")
    assert_type(items, AsyncItemStream[Report])
    assert_type(await items, AsyncItemStream[Report])
    async for item in items:
        assert_type(item, Report)
    async for number, report in client.create_iterable(Report, "x").partials():
        assert_type(number, int)
        assert_type(report, Report)
    assert_type(items.partial, list[Report] | None)
    assert_type(await items.get_final_response(), list[Report])
    text = client.stream_text("x", model="m")
    assert_type(text, AsyncTextStream)
    async for piece in text:
        assert_type(piece, str)
    assert_type(await text.get_final_response(), str)


def forms(client: StreamClient, dynamic: type[BaseModel], unknown: Any) -> None:
    assert_type(client.create_partial(list[Report], "x"), PartialStream[list[Report]])
    assert_type(client.create_partial(Report | int, "x"), PartialStream[Report | int])
    assert_type(client.create_partial(Union[Report, str], "x"), PartialStream[Report | str])  # noqa: UP007
    assert_type(client.create_partial(Iterable[Report], "x"), PartialStream[Iterable[Report]])
    assert_type(client.create_partial(Literal["a", "b"], "x"), PartialStream[Literal["a", "b"]])
    assert_type(client.create_partial(Figures, "x"), PartialStream[Figures])
    assert_type(client.create_partial(Point, "x"), PartialStream[Point])
    assert_type(client.create_iterable(Report | int, "x"), ItemStream[Report | int])
    assert_type(client.create_partial(dynamic, "x"), PartialStream[BaseModel])
    assert_type(client.create_partial(unknown, "x"), PartialStream[Any])


def options(client: StreamClient, aclient: AsyncStreamClient) -> None:
    client.create_partial(Report, "x", on_partial=lambda partial: assert_type(partial, Report))
    client.create_partial(Report, "x", on_final=[show, lambda final: assert_type(final, Report)])
    client.create_iterable(Report, "x", on_partial=lambda partial: assert_type(partial, list[Report]))
    client.create_iterable(
        Report, "x", on_item=lambda item, path: assert_type(path, tuple[str | int, ...]), on_bad_item="skip"
    )
    client.create_partial(Report, "x", on_event=lambda event: assert_type(event, StreamEvent[Report]))
    client.create(Report, "x", stop_when=lambda partial: bool(partial.title), final_checks=[show])
    client.stream_text("x", on_partial=lambda text: assert_type(text, str))
    aclient.create_partial(Report, "x", on_partial=ashow, on_restart=restarted, debounce=OnItem())
    client.create_partial(Report, "x", model="m", temperature=0, max_tokens=10, extra_body={"a": 1})
    rare: dict[str, Any] = {"an_argument_of_one_sdk": 1}
    client.create_partial(Report, "x", model="m", **rare)


def hooks(client: StreamClient) -> None:
    client.on("partial", show)
    client.off("partial", show)
    client.clear()
    client.clear("partial")
    client.create_partial(Report, "x", hooks=Hooks(on_partial=show) + Hooks(on_event=print))


def failures(error: StreamError) -> None:
    assert_type(error.text, str)
    assert_type(error.attempt, int)
    assert_type(error.usage, Usage | None)
    assert_type(error.stats, StreamStats | None)
