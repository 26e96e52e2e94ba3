"""Events: the whole list, in order, the same from both drivers, on a clock that only the test moves."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import json
import pickle
from collections.abc import Callable
from typing import Any, get_args, get_origin

import pytest
from instructor import Mode
from pydantic import BaseModel, Field

import instructor_stream_ext
from instructor_stream_ext import (
    DeltaReceived,
    FieldState,
    FieldTransition,
    ItemCompleted,
    LimitExceeded,
    Limits,
    NoOutput,
    OutputRefused,
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
    StreamStats,
    Usage,
    is_partial,
)
from instructor_stream_ext.core.events import EVENTS, Event, RestartReason
from tests.server import Cut, Request, ScriptedServer, chunks_for, reply, sends
from tests.server.wire_format import chat_content, chat_refusal, chat_tools
from tests.sides import each
from tests.twins import ASYNC, SYNC, StillClock, Twin, both, settled


class Chapter(BaseModel):
    name: str
    pages: int = Field(ge=0)


class Book(BaseModel):
    title: str
    chapters: list[Chapter]


GOOD = '{"title": "Tides", "chapters": [{"name": "Sea", "pages": 3}, {"name": "Moon", "pages": 4}]}'
BAD = '{"title": "Tides", "chapters": [{"name": "Sea", "pages": -3}]}'
ITEMS = '{"tasks": [{"name": "Sea", "pages": 3}, {"name": "Moon", "pages": 4}]}'
BAD_ITEMS = '{"tasks": [{"name": "Sea", "pages": 3}, {"name": "Moon", "pages": -4}]}'
MESSAGES = [{"role": "user", "content": "x"}]

Listen = Callable[[Twin, Any, list[Any]], Any]


async def _all(twin: Twin, stream: Any, seen: list[Any]) -> None:
    await twin.events(stream, seen)


async def _two(twin: Twin, stream: Any, seen: list[Any]) -> None:
    """Two values; the events come through the hook, since the rest of them has no reader."""
    seen.append(await twin.first(stream, 2))


def _cut(request: Request) -> Any:
    return [*chunks_for(request, GOOD)[:9], Cut()]


@dataclasses.dataclass(frozen=True)
class Story:
    """One way that a stream may go."""

    scripts: tuple[Any, ...]
    open: Callable[[Any, dict[str, Any]], Any] = lambda client, options: client.create_partial(
        Book, MESSAGES, model="m", **options
    )
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    mode: Mode = Mode.TOOLS
    listen: Listen = _all
    error: type[Exception] | None = None
    ends: type[Event] = StreamCompleted


def _items(client: Any, options: dict[str, Any]) -> Any:
    return client.create_iterable(Chapter, MESSAGES, model="m", **options)


def _text(client: Any, options: dict[str, Any]) -> Any:
    return client.stream_text(MESSAGES, model="m", **options)


def _failed(*scripts: Any, error: type[Exception], **rest: Any) -> Story:
    return Story(scripts, error=error, ends=StreamFailed, **rest)


def _left(*scripts: Any, **rest: Any) -> Story:
    return Story(scripts, ends=StreamCancelled, **rest)


STORIES = {
    "success": Story((reply(GOOD),)),
    "success in JSON mode": Story((reply(GOOD),), mode=Mode.JSON),
    "prose around": Story((reply(f"Sure!\n```json\n{GOOD}\n```\nDone."),), mode=Mode.MD_JSON),
    "debounced": Story((reply(GOOD),), options={"debounce": 1.0}),
    "re-ask": Story((reply(BAD), reply(GOOD))),
    "re-ask after invalid JSON": Story((reply('{"title": Tides'), reply(GOOD))),
    "exhausted": _failed(reply(BAD), reply(BAD), error=RetriesExhausted, options={"max_retries": 1}),
    "cut": _failed(_cut, error=StreamInterrupted),
    "truncated": _failed(lambda _: chat_tools(GOOD[:40], name="Book", finish="length"), error=OutputTruncated),
    "refused": _failed(lambda _: chat_refusal(), error=OutputRefused),
    "too much": _failed(reply(GOOD), error=LimitExceeded, options={"limits": Limits(max_chars=30)}),
    "no JSON": _failed(reply("Sorry."), error=NoOutput, mode=Mode.JSON, options={"max_retries": 0}),
    "left": _left(reply(GOOD), listen=_two),
    "left after a re-ask": _left(reply('{"title" x'), reply(GOOD), listen=_two),
    "stopped": _left(reply(GOOD), options={"stop_when": lambda book: len(book.chapters) == 1}),
    "items": Story((reply(ITEMS),), open=_items),
    "items asked again": Story((reply(BAD_ITEMS), reply(ITEMS)), open=_items),
    "items exhausted": _failed(reply(BAD_ITEMS), error=RetriesExhausted, open=_items, options={"max_retries": 0}),
    "items left": _left(reply(ITEMS), open=_items, listen=_two),
    "text": Story((reply("The sea is wide."),), open=_text),
    "text debounced": Story((reply("The sea is wide."),), open=_text, options={"debounce": 1.0}),
    "text left": _left(reply("The sea is wide."), open=_text, listen=_two),
    "text without an end": _failed(
        lambda _: chat_content("The sea", finish=None, done=False), error=OutputTruncated, open=_text
    ),
}
every_story = pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))


async def _told(story: Story, twin: Twin) -> tuple[list[Any], list[Any]]:
    """What `on_event` was told, and what the consumer saw; half a second passes after each delta."""
    clock = StillClock()
    told: list[Any] = []

    def hear(event: Any) -> None:
        told.append(event)
        if type(event) is DeltaReceived:
            clock.advance(0.5)

    seen: list[Any] = []
    with ScriptedServer() as server:
        for script in story.scripts:
            server.add(script)
        client = twin.client(server, story.mode, clock=clock)
        stream = story.open(client, {"on_event": twin.hook(hear), **story.options})
        if story.error is None:
            await story.listen(twin, stream, seen)
        else:
            with pytest.raises(story.error):
                await story.listen(twin, stream, seen)
        assert server.scripts_left == 0
        for close in server.closers:
            await settled(close())
    return told, seen


def _shown(events: list[Any]) -> list[str]:
    """Events as text: errors and partials are equal if they say the same."""
    return [repr(event) for event in events]


@every_story
async def test_both_sides_tell_the_same_events_and_again_the_same(story: Story) -> None:
    told, seen = await _told(story, SYNC)
    twins_told, twins_seen = await _told(story, ASYNC)
    again, _ = await _told(story, SYNC)
    assert len(told) > 4
    assert _shown(told) == _shown(twins_told) == _shown(again)
    assert _shown(seen) == _shown(twins_seen)
    if story.listen is _all:
        assert [id(event) for event in seen] == [id(event) for event in told]


@every_story
async def test_the_grammar_of_events(story: Story) -> None:
    told, _ = await _told(story, SYNC)
    kinds = [type(event) for event in told]
    ends = (StreamCompleted, StreamFailed, StreamCancelled)
    assert kinds[0] is StreamStarted
    assert kinds[-1] is StreamEnded
    assert kinds[-2] is story.ends
    assert sum(kind in ends for kind in kinds) == kinds.count(StreamEnded) == 1
    outcome = {StreamCompleted: "completed", StreamFailed: "failed", StreamCancelled: "cancelled"}[kinds[-2]]
    assert told[-1].outcome == outcome
    instants = [event.at for event in told]
    assert instants[0] == 0
    assert instants == sorted(instants)
    attempts = [event.attempt for event in told]
    assert attempts == sorted(attempts)
    assert attempts[-1] == len(story.scripts)
    partials = [event for event in told if type(event) is PartialEmitted]
    assert [event.sequence for event in partials] == list(range(1, len(partials) + 1))
    for before, after in itertools.pairwise(kinds):
        if before is StreamRestarted:
            assert after is StreamStarted
        if before is PartialEmitted:
            assert after not in (FieldTransition, ItemCompleted)
    restarts = [event for event in told if type(event) is StreamRestarted]
    assert [event.attempt for event in restarts] == list(range(2, len(story.scripts) + 1))
    stats = told[-1].stats
    assert stats.deltas == kinds.count(DeltaReceived)
    assert stats.chars == sum(len(event.text) for event in told if type(event) is DeltaReceived)
    left_before_its_partial = story.listen is _two and type(told[-3]) is not PartialEmitted
    assert stats.partials_yielded - len(partials) in ({0, 1} if left_before_its_partial else {0})
    assert stats.attempts == len(story.scripts)
    assert stats.ended_at == told[-1].at


async def test_each_delta_is_followed_by_what_it_did(server: ScriptedServer) -> None:
    """Within a delta: transitions and items in document order, then the partial; all at the delta's own instant."""
    told, _ = await _told(Story((reply('{"title": "T", "chapters": [{"name": "S", "pages": 3}]}', 100),)), SYNC)
    document: list[Any] = [
        ((), "missing", "streaming"),
        (("title",), "missing", "streaming"),
        (("title",), "streaming", "complete"),
        (("chapters",), "missing", "streaming"),
        (("chapters", 0), "missing", "streaming"),
        (("chapters", 0, "name"), "missing", "streaming"),
        (("chapters", 0, "name"), "streaming", "complete"),
        (("chapters", 0, "pages"), "missing", "streaming"),
        (("chapters", 0, "pages"), "streaming", "complete"),
        (("chapters", 0), "streaming", "complete"),
        "item",
        (("chapters",), "streaming", "complete"),
        ((), "streaming", "complete"),
    ]
    moves = [
        "item" if type(event) is ItemCompleted else (event.path, event.before.value, event.after.value)
        for event in told
        if type(event) in (FieldTransition, ItemCompleted)
    ]
    assert moves == document
    kinds = [type(event) for event in told]
    assert kinds[:2] == [StreamStarted, DeltaReceived]
    assert kinds[-3:] == [PartialEmitted, StreamCompleted, StreamEnded]
    assert {event.at for event in told[:-2]} == {0}
    assert server.requests == []


@both
async def test_transitions_move_forward_only_and_agree_with_state(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(GOOD, 3))
    stream = twin.client(server).create_partial(Book, MESSAGES, model="m")
    where: dict[Any, FieldState] = {}
    checked = 0
    events = stream.events()

    def check(event: Any) -> int:
        if type(event) is FieldTransition:
            assert where.get(event.path, FieldState.MISSING) is event.before
            where[event.path] = event.after
        if type(event) is not PartialEmitted:
            return 0
        for path, state in where.items():
            assert stream.state(path) is state, path
        return len(where)

    async for event in each(events):
        checked += check(event)
    assert checked > 50
    assert set(where.values()) == {FieldState.COMPLETE}


@both
async def test_the_clock_gives_the_instants(server: ScriptedServer, twin: Twin) -> None:
    told, _ = await _told(Story((reply(GOOD, 10),)), twin)
    deltas = [event for event in told if type(event) is DeltaReceived]
    assert [event.at for event in deltas] == [n * 0.5 for n in range(len(deltas))]
    stats = told[-1].stats
    assert stats == StreamStats(
        model="m",
        provider="openai",
        first_delta_at=0.0,
        first_partial_at=0.0,
        ended_at=len(deltas) * 0.5,
        longest_gap=0.5,
        deltas=len(deltas),
        chars=len(GOOD),
        partials_built=stats.partials_built,
        partials_yielded=stats.partials_yielded,
        attempts=1,
        end_signal="tool_calls",
        usage=Usage(11, 7, 18),
    )
    assert server.requests == []


@both
async def test_events_listened_to_without_hooks_are_the_same(server: ScriptedServer, twin: Twin) -> None:
    """Without any hook a delta takes a shorter way through the stream; what is told must not differ."""
    server.always(reply(GOOD))
    client = twin.client(server, clock=StillClock())
    bare = await twin.events(client.create_partial(Book, MESSAGES, model="m"))
    told: list[Any] = []
    await twin.final(client.create_partial(Book, MESSAGES, model="m", on_event=told.append))
    assert _shown(bare) == _shown(told)
    values = await twin.values(client.create_partial(Book, MESSAGES, model="m"))
    partials = [event.partial for event in bare if type(event) is PartialEmitted]
    assert [repr(value) for value in values[:-1]] == [repr(partial) for partial in partials]


@both
async def test_a_stream_is_read_as_events_or_as_values(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(GOOD))
    stream = twin.client(server).create_partial(Book, MESSAGES, model="m")
    await twin.events(stream)
    with pytest.raises(StreamMisuse, match="events"):
        await twin.events(stream)
    with pytest.raises(StreamMisuse, match="events"):
        await twin.values(stream)
    assert (await twin.final(stream)).title == "Tides"


@both
async def test_text_stream_gives_the_deltas(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(GOOD, 7))
    stream = twin.client(server).create_partial(Book, MESSAGES, model="m")
    pieces = await twin.values(stream.text_stream())
    assert pieces == [GOOD[start : start + 7] for start in range(0, len(GOOD), 7)]


# ---------------------------------------------------------------------- the words


def test_events_are_frozen_and_slotted() -> None:
    kinds: list[Any] = [get_origin(kind) or kind for kind in get_args(StreamEvent)]
    assert len(kinds) == 11
    for kind in kinds:
        fields = [field.name for field in dataclasses.fields(kind)]
        assert kind.__dataclass_params__.frozen
        assert not hasattr(kind(**dict.fromkeys(fields, 0)), "__dict__")
        assert kind.__name__ in instructor_stream_ext.__all__


def test_events_are_made_as_dataclasses_are() -> None:
    for kind in EVENTS:
        parameters = inspect.signature(kind).parameters
        assert [*parameters] == [field.name for field in dataclasses.fields(kind)]
        assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
        event = kind(**dict.fromkeys(parameters, 0))
        assert event == copy.copy(event) == pickle.loads(pickle.dumps(event)) == dataclasses.replace(event)
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.attempt = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"DeltaReceived.__init__\(\) missing .* 'text'"):
        DeltaReceived(at=0.0, attempt=1)  # type: ignore[call-arg]
    assert FieldTransition(
        at=0.0, attempt=1, path=(), before=FieldState.MISSING, after=FieldState.STREAMING
    ) == FieldTransition(
        at=0.0, attempt=1, path=(), before=FieldState.MISSING, after=FieldState.STREAMING, value="not compared"
    )


def test_events_carry_what_the_contract_names() -> None:
    named: dict[type[Any], tuple[str, ...]] = {
        StreamStarted: ("model", "provider"),
        DeltaReceived: ("text",),
        FieldTransition: ("path", "before", "after", "value"),
        PartialEmitted: ("partial", "sequence"),
        ItemCompleted: ("path", "item"),
        StreamRestarted: ("reason", "error", "from_model", "to_model"),
        StreamCompleted: ("result",),
        StreamFailed: ("error",),
        StreamCancelled: (),
        StreamEnded: ("outcome", "stats", "partial", "text"),
    }
    for kind, names in named.items():
        assert tuple(field.name for field in dataclasses.fields(kind)) == ("at", "attempt", *names)


@both
@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
async def test_the_end_carries_what_arrived_for_a_client_wide_hook(
    server: ScriptedServer, twin: Twin, how: str
) -> None:
    """Whoever stores answers that were left or broke off has only the client's own `on_end`."""
    cut = chat_content(GOOD[: len(GOOD) // 2], size=10, finish="length")
    server.add(sends(cut) if how == "failed" else reply(GOOD, 10))
    ended: list[Any] = []
    client = twin.client(server, Mode.JSON, on_end=ended.append)
    stream = client.create_partial(response_model=Book, messages="go", model="m")
    if how == "cancelled":
        await twin.first(stream, 3)
    elif how == "failed":
        with pytest.raises(OutputTruncated):
            await twin.final(stream)
    else:
        final = await twin.final(stream)
    (end,) = ended
    assert end.outcome == how
    assert end.text == stream.text
    assert end.text
    if how == "completed":
        assert end.partial is final
    else:
        assert GOOD.startswith(end.text)
        assert end.partial == stream.partial
        assert is_partial(end.partial)


def test_reasons_and_outcomes_are_text() -> None:
    restarted = StreamRestarted(at=0, attempt=2, reason=RestartReason.REASK, error=None)
    assert restarted.reason == "reask"
    assert json.dumps([restarted.reason, instructor_stream_ext.Outcome.FAILED]) == '["reask", "failed"]'
