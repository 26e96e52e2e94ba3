"""testing/fakes.py: clients without HTTP, through the same core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from instructor import Mode
from pydantic import BaseModel, field_validator

from instructor_stream_ext import (
    AsyncStreamClient,
    DeltaReceived,
    NoOutput,
    OutputFiltered,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamClient,
    StreamCompleted,
    StreamEnded,
    StreamFailed,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    StreamStarted,
    StreamTimeout,
    Timeouts,
    Usage,
)
from instructor_stream_ext.testing import FakeAnswer, FakeClock, GeneratedStream, fake_client, record_events, streams
from tests.twins import Twin, both, settled


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int

    @field_validator("age")
    @classmethod
    def _grown(cls, age: int) -> int:
        if age < 18:
            raise ValueError("too young")
        return age


@dataclass
class Point:
    """A place."""

    x: int
    y: int


ADA = Person(name="Ada Lovelace", age=36)
MODES = [Mode.JSON_SCHEMA, Mode.TOOLS, Mode.JSON, Mode.MD_JSON]


def client_of(twin: Twin, answers: Any, *args: Any, **settings: Any) -> Any:
    settings.setdefault("clock", FakeClock())
    client = fake_client(answers, *args, async_client=twin.is_async, **settings)
    assert isinstance(client, AsyncStreamClient if twin.is_async else StreamClient)
    return client


async def final_of(twin: Twin, answer: Any, model: Any, **settings: Any) -> Any:
    stream = client_of(twin, [answer], **settings).create_partial(response_model=model, messages="go")
    return await settled(stream.get_final_response())


@both
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_an_object_streams_and_is_validated(twin: Twin, mode: Mode) -> None:
    clock = FakeClock()
    client = client_of(twin, [ADA], chunk_size=5, delay=0.5, clock=clock, mode=mode)
    events = await settled(record_events(client.create_partial(Person, "go")))
    assert [type(event) for event in events if type(event) in (StreamStarted, StreamCompleted, StreamEnded)] == [
        StreamStarted,
        StreamCompleted,
        StreamEnded,
    ]
    deltas = [event for event in events if type(event) is DeltaReceived]
    assert "".join(event.text for event in deltas) == ADA.model_dump_json()
    assert [event.at for event in deltas] == [0.5 * number for number in range(1, len(deltas) + 1)]
    names = [event.partial.name for event in events if type(event) is PartialEmitted and event.partial.name]
    assert names[0] != names[-1] == "Ada Lovelace"
    assert events[-2].result == ADA
    assert events[-1].stats.usage == Usage(
        input_tokens=events[-1].stats.usage.input_tokens,
        output_tokens=len(deltas),
        total_tokens=events[-1].stats.usage.input_tokens + len(deltas),
    )


@both
@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (Person, ADA),
        (Person, {"name": "Ada", "age": 36}),
        (Person, '{"name": "Ada", "age": 36}'),
        (Person, b'{"name": "Ada", "age": 36}'),
        (Point, Point(1, 2)),
        (list[int], [1, 2, 3]),
        (list[Person], [ADA, ADA]),
        (int, 5),
        (str, "plain"),
    ],
    ids=str,
)
async def test_answers_of_every_kind(twin: Twin, model: Any, answer: Any) -> None:
    wrapped = {"content": answer} if model is str else answer  # text is sent as it is
    final = await final_of(twin, wrapped, model)
    expected = answer if not isinstance(answer, str | bytes | dict) else {"name": "Ada", "age": 36}
    if isinstance(final, BaseModel):
        assert final.model_dump() == (expected if isinstance(expected, dict) else expected.model_dump())
    else:
        assert final == answer


@both
async def test_items_text_and_plain_create(twin: Twin) -> None:
    client = client_of(twin, [[ADA, ADA], "plain text", ADA, ADA])
    items = client.create_iterable(Person, "go")
    assert await twin.values(items) == [ADA, ADA]
    assert "".join(await twin.values(client.stream_text("go"))) == "plain text"
    answer, completion = await settled(client.create_with_completion(Person, "go"))
    assert answer.model_dump() == ADA.model_dump()
    assert completion.choices[0].finish_reason == "stop"
    assert (await settled(client.create(Person, "go", on_partial=lambda _: None))).model_dump() == ADA.model_dump()
    assert [request.get("stream", False) for request in client.requests] == [True, True, False, True]


@both
async def test_a_failed_validation_is_asked_again(twin: Twin) -> None:
    client = client_of(twin, ['{"name": "Bob", "age": 3}', ADA])
    events = await settled(record_events(client.create_partial(Person, "go")))
    assert [event.reason for event in events if type(event) is StreamRestarted] == ["reask"]
    assert events[-2].result == ADA
    assert "too young" in str(client.requests[1]["messages"])


@both
async def test_answers_that_go_wrong(twin: Twin) -> None:
    cases: list[tuple[Any, dict[str, Any], type[Exception]]] = [
        (FakeAnswer(answer=ADA, finish_reason="length"), {}, OutputTruncated),
        (FakeAnswer(answer=ADA, finish_reason="content_filter"), {}, OutputFiltered),
        ('{"name": "A', {"finish_reason": ""}, OutputTruncated),
        ("I would rather not.", {}, NoOutput),
        (ADA, {"fail_at": 3}, StreamInterrupted),
        ('{"name": "A", "age": 1}', {}, RetriesExhausted),
        (TimeoutError("slow"), {}, TimeoutError),
        (KeyError, {}, KeyError),
    ]
    for answer, options, error in cases:
        stream = client_of(twin, [answer], **options).create_partial(Person, "go", max_retries=0)
        with pytest.raises(error):
            await settled(stream.get_final_response())


@both
async def test_a_connection_breaks_after_so_many_pieces(twin: Twin) -> None:
    client = client_of(twin, [ADA], 4, 0, 3)
    events = await settled(record_events(client.create_partial(Person, "go")))
    assert "".join(event.text for event in events if type(event) is DeltaReceived) == ADA.model_dump_json()[:12]
    assert type(events[-2]) is StreamFailed
    assert type(events[-2].error) is StreamInterrupted


@both
async def test_each_answer_may_have_settings_of_its_own(twin: Twin) -> None:
    clock = FakeClock()
    answers = [FakeAnswer(answer=ADA, chunk_size=100, delay=2, usage=Usage(input_tokens=3, output_tokens=4)), ADA]
    client = client_of(twin, answers, chunk_size=1, usage=(7, 8), clock=clock)
    first = client.create_partial(Person, "go")
    await settled(first.get_final_response())
    assert (clock(), first.stats.deltas) == (2.0, 1)
    assert (first.usage.input_tokens, first.usage.output_tokens) == (3, 4)
    second = client.create_partial(Person, "go")
    await settled(second.get_final_response())
    assert (second.stats.deltas, second.usage.total_tokens) == (len(ADA.model_dump_json()), 15)


@both
async def test_more_questions_than_answers(twin: Twin) -> None:
    client = client_of(twin, ADA)
    await settled(client.create_partial(Person, "go").get_final_response())
    with pytest.raises(StreamMisuse, match="was asked 2 times and was given 1 answers"):
        await settled(client.create_partial(Person, "go").get_final_response())


@both
async def test_recording_may_stop_early(twin: Twin) -> None:
    events = await settled(record_events(client_of(twin, ADA).create_partial(Person, "go"), limit=2))
    assert [type(event) for event in events] == [StreamStarted, DeltaReceived]


@both
async def test_errors_are_in_the_events_and_misuse_is_raised(twin: Twin) -> None:
    refused = OSError("no route")
    events = await settled(record_events(client_of(twin, refused).create_partial(Person, "go")))
    assert [type(event) for event in events] == [StreamFailed, StreamEnded]
    assert events[0].error is refused
    stream = client_of(twin, ADA).create_partial(Person, "go")
    await twin.values(stream)
    with pytest.raises(StreamMisuse, match="read once"):
        await settled(record_events(stream))


def test_the_same_input_and_clock_give_the_same_events() -> None:
    def events() -> list[Any]:
        client = fake_client([ADA], delay=0.25, clock=FakeClock())
        return record_events(client.create_partial(Person, "go"))

    assert events() == events()


def test_a_clock_stands_until_it_is_moved() -> None:
    clock = FakeClock(5)
    assert clock() == clock() == 5.0
    clock.advance(2.5)
    assert clock() == 7.5
    assert repr(clock) == "FakeClock(7.5)"
    with pytest.raises(ValueError, match="cannot be moved by -1"):
        clock.advance(-1)


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="chunk_size is 1 or more"):
        fake_client([ADA], chunk_size=0)
    with pytest.raises(ValueError, match="delay 0 or more"):
        fake_client([ADA], delay=-1)
    with pytest.raises(ValueError, match="chunk_size is 1 or more"):
        FakeAnswer(answer=ADA, chunk_size=0)
    with pytest.raises(ValueError, match="delay 0 or more"):
        FakeAnswer(answer=ADA, delay=-1)
    with pytest.raises(ValueError, match="fail_at=-1"):
        fake_client([ADA], fail_at=-1)
    for usage in (5, (1, 2, 3)):
        with pytest.raises(ValueError, match=r"usage=.*must be a Usage"):
            fake_client([ADA], usage=usage)


class Leaf(BaseModel):
    """What a strategy makes."""

    label: str
    weights: list[float] = []
    inner: Leaf | None = None


@settings(max_examples=settings().max_examples // 2)
@given(streams(Leaf))
def test_any_stream_of_a_model_gives_its_final(stream: GeneratedStream[Leaf]) -> None:
    assert "".join(stream.pieces) == stream.text
    client = fake_client([stream.text], chunk_size=7)
    assert client.create_partial(Leaf, "go").get_final_response() == stream.final


@both
@pytest.mark.parametrize(
    ("bounds", "kind", "text"),
    [({"idle": 0.3}, "idle", '{"na'), ({"first_delta": 0.3}, "first_delta", '{"na'), ({"total": 1.0}, "total", None)],
)
async def test_a_fake_that_is_too_slow_is_a_timeout(twin: Twin, bounds: Any, kind: str, text: str | None) -> None:
    """Nobody can interrupt a fake: when a chunk comes, its arrival is held against the bound."""
    clock = FakeClock()
    client = fake_client(
        [{"name": "Ada"}], delay=0.4, clock=clock, async_client=twin.is_async, timeouts=Timeouts(**bounds)
    )
    with pytest.raises(StreamTimeout) as caught:
        await twin.final(client.create_partial(Named, "go", model="m", max_retries=0))
    assert caught.value.kind == kind
    if text is not None:
        assert caught.value.text == text


class Named(BaseModel):
    name: str
