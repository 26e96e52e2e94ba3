"""Item streams: what an item may be, what a bad one does, and where the list ends."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any, Literal

import pytest
from instructor import Mode, from_litellm
from pydantic import BaseModel, Field, ValidationError

from instructor_stream_ext import (
    ItemCompleted,
    LimitExceeded,
    Limits,
    NoOutput,
    NotNull,
    RetriesExhausted,
    SkippedItem,
    StreamCompleted,
    StreamEnded,
    StreamMisuse,
    StreamRestarted,
    wrap,
)
from instructor_stream_ext.core import gate
from instructor_stream_ext.core.document.scanner import Scanner
from tests.playing import arguments_for, client_for
from tests.server import ScriptedServer, Signal, Wait, reply, sends
from tests.server.clients import close_litellm
from tests.server.wire_format import anthropic_tools, chat_error, chat_tools
from tests.twins import Recorder, Twin, both

PATIENCE = 10
NAME = "IterablePerson"


class Tag(BaseModel):
    kind: Literal["tag"] = "tag"
    word: str


class Person(BaseModel):
    kind: Literal["person"] = "person"
    name: str
    age: int = Field(ge=0)


class Parcel(BaseModel):
    owner: Annotated[str | None, NotNull()] = None
    weight: int


def person(name: str, age: int = 1) -> dict[str, Any]:
    return {"name": name, "age": age}


def document(*items: Any) -> str:
    return json.dumps({"tasks": items})


ASK: dict[str, Any] = {"messages": "go", "model": "m"}
BAD = person("Bob", -1)
GOOD = [person("Ada"), person("Cleo"), person("Dan")]
MIXED = document(GOOD[0], BAD, GOOD[1])


@both
@pytest.mark.parametrize(
    ("item", "sent", "wanted"),
    [
        (Person, [GOOD[0]], [Person(name="Ada", age=1)]),
        (Person | Tag, [GOOD[0], {"kind": "tag", "word": "w"}], [Person(name="Ada", age=1), Tag(word="w")]),
        (int, [1, 22, 333], [1, 22, 333]),
        (str, ["a", "b,]", 'c"'], ["a", "b,]", 'c"']),
        (bool, [True, False], [True, False]),
        (list[int], [[1, 2], [], [3]], [[1, 2], [], [3]]),
        (list[list[Tag]], [[[{"word": "x"}]]], [[[Tag(word="x")]]]),
        (dict[str, int], [{"a": 1}, {}], [{"a": 1}, {}]),
        (Literal["red", "green"], ["green"], ["green"]),
        (
            Parcel,  # no partial shows one whose owner is null, and yet it is an item
            [{"owner": "Ada", "weight": 1}, {"owner": None, "weight": 2}, {"weight": 3}],
            [Parcel(owner="Ada", weight=1), Parcel(weight=2), Parcel(weight=3)],
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 5, None])
async def test_whatever_an_item_is(
    server: ScriptedServer, twin: Twin, item: Any, sent: list[Any], wanted: list[Any], size: int | None
) -> None:
    server.add(reply(document(*sent), size))
    stream = twin.client(server).create_iterable(item, **ASK)
    assert await twin.values(stream) == wanted
    assert await twin.final(stream) == wanted
    assert stream.skipped == []


@both
@pytest.mark.parametrize(
    ("sent", "yielded", "final"),
    [
        ('{"tasks": [], "tasks": [1]}', [1], [1]),
        ('{"tasks": [ ], "more": [[5], {}], "tasks" : [ 1 , 2 ] }', [1, 2], [1, 2]),
        ('{"tasks": [1, 2 ] , "tasks": [3]}', [1, 2, 3], [3]),
        ('{"tasks": [1], "tasks": []}', [1], []),
        ('{"tasks": [1, 2 ], "more": {"tasks": 0}, "tasks" : [ ] }', [1, 2], []),
        ('{"tasks": [1], "tasks": [], "tasks": [2], "more": []}', [1, 2], [2]),
    ],
)
@pytest.mark.parametrize("size", [1, None])
async def test_where_the_list_comes_twice_the_last_one_counts(
    server: ScriptedServer, twin: Twin, sent: str, yielded: list[int], final: list[int], size: int | None
) -> None:
    server.add(reply(sent, size))
    stream = twin.client(server).create_iterable(int, **ASK)
    assert await twin.values(stream) == yielded
    assert await twin.final(stream) == final


@both
async def test_where_something_else_comes_after_the_list_it_counts(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"tasks": [1], "tasks": null}'))
    stream = twin.client(server).create_iterable(int, **ASK, max_retries=0)
    with pytest.raises(NoOutput, match="no list"):
        await twin.values(stream)


@both
async def test_on_item_hears_of_items_of_all_lists(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(document([1, 2], [3])))
    recorder = Recorder(twin)
    stream = twin.client(server).create_iterable(list[int], **ASK, **recorder.hooks("item"))
    assert await twin.values(stream) == [[1, 2], [3]]
    assert recorder.of("item") == [(1, (0, 0)), (2, (0, 1)), ([1, 2], (0,)), (3, (1, 0)), ([3], (1,))]


SWAP = [person("Ann"), person("Ben"), person("Cat"), person("Dan")]


@both
@pytest.mark.parametrize("come", range(0, 100, 9))
@pytest.mark.parametrize("size", [3, None])
async def test_a_second_message_in_one_body_begins_the_items_anew(
    server: ScriptedServer, twin: Twin, come: int, size: int | None
) -> None:
    """Gateways in front of Anthropic answer a failure in mid-stream with a second `message_start`."""
    first = anthropic_tools(document(*SWAP)[:come], size=size, name=NAME, stop=None, end=False)[:-1]
    second = [part.replace(b"msg_1", b"msg_2") for part in anthropic_tools(document(*GOOD), size=size, name=NAME)]
    server.add(sends([*first, *second]))
    client = client_for(server, "anthropic", Mode.TOOLS, is_async=twin.is_async)
    recorder = Recorder(twin)
    hooks: dict[str, Any] = recorder.hooks("restart")
    stream: Any = client.create_iterable(Person, **arguments_for("anthropic"), **hooks)
    values = await twin.values(stream)
    wanted = [Person(**each) for each in GOOD]
    assert values[-len(GOOD) :] == wanted == await twin.final(stream)
    assert values[: -len(GOOD)] == [Person(**each) for each in SWAP][: len(values) - len(GOOD)]
    assert [event.reason for (event,) in recorder.of("restart")] == (["fallback"] if come else [])
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
@both
async def test_items_over_a_swap_of_litellms_router(server: ScriptedServer, twin: Twin) -> None:
    litellm = pytest.importorskip("litellm")
    if not hasattr(litellm.Router, "_acompletion_streaming_iterator"):
        pytest.skip("this litellm's Router has no other model go on with tool arguments")
    server.closers.append(close_litellm)
    at = {"model": "openai/m", "api_key": "key", "api_base": f"{server.url}/v1"}
    router = litellm.Router(
        [{"model_name": name, "litellm_params": at} for name in ("a", "b")], fallbacks=[{"a": ["b"]}], num_retries=0
    )
    server.closers.append(router.discard)
    make: Any = from_litellm
    client: Any = wrap(make(router.acompletion if twin.is_async else router.completion, async_client=twin.is_async))
    server.add(sends([*chat_tools(document(*SWAP)[:70], name=NAME, finish=None, done=False), chat_error()]))
    server.always(reply(document(*GOOD)))
    recorder = Recorder(twin)
    stream: Any = client.create_iterable(Person, messages="go", model="a", **recorder.hooks("restart"))
    values = await twin.values(stream)
    assert values[0] == Person(**SWAP[0])
    assert values[-len(GOOD) :] == [Person(**each) for each in GOOD] == await twin.final(stream)
    assert [event.reason for (event,) in recorder.of("restart")] == ["fallback"]


@both
async def test_a_bad_item_that_raises_ends_the_stream_without_asking_again(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(MIXED, 1))
    recorder = Recorder(twin)
    hooks = recorder.hooks("restart", "error")
    stream = twin.client(server).create_iterable(Person, **ASK, on_bad_item="raise", **hooks)
    seen: list[Any] = []
    with pytest.raises(RetriesExhausted) as caught:
        await twin.values(stream, seen)
    assert seen == [Person(name="Ada", age=1)]
    assert isinstance(caught.value.__cause__, ValidationError)
    assert len(caught.value.failed_attempts or ()) == caught.value.n_attempts == 1
    assert "Bob" in caught.value.text
    assert "Cleo" not in caught.value.text
    assert len(server.requests) == 1
    assert recorder.calls == [("error", (caught.value,))]
    assert server.exchanges[0].disconnected.wait(PATIENCE)


@both
async def test_a_bad_item_that_is_asked_for_again_begins_the_list_anew(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(MIXED))
    server.add(reply(document(*GOOD)))
    stream = twin.client(server).create_iterable(Person, **ASK, on_bad_item="reask")
    events = await twin.events(stream)
    (restarted,) = [event for event in events if type(event) is StreamRestarted]
    assert isinstance(restarted.error, ValidationError)
    assert await twin.final(stream) == [Person(**each) for each in GOOD]
    assert "Bob" in server.requests[1].body.decode()


@both
async def test_a_bad_item_that_is_skipped_is_reported(
    server: ScriptedServer, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(reply(MIXED, 3))
    stream = twin.client(server).create_iterable(Person, **ASK, on_bad_item="skip")
    with caplog.at_level(logging.WARNING, "instructor_stream_ext"):
        values = await twin.values(stream)
    wanted = [Person(name="Ada", age=1), Person(name="Cleo", age=1)]
    assert values == wanted
    assert await twin.final(stream) == wanted
    (skipped,) = stream.skipped
    assert isinstance(skipped, SkippedItem)
    assert skipped.path[-1] == 1
    assert json.loads(skipped.text) == BAD
    assert [(error["type"], error["loc"], error["input"]) for error in skipped.errors] == [
        ("greater_than_equal", ("age",), -1)
    ]
    assert len(server.requests) == 1
    (record,) = caplog.records
    assert record.getMessage() == "item 1 was skipped: age: greater_than_equal"
    assert "Bob" not in str(record.__dict__)


@both
async def test_validators_run_once_for_each_item_skipped_or_not(server: ScriptedServer, twin: Twin) -> None:
    asked: list[str] = []

    class Checked(BaseModel):
        name: str

        def model_post_init(self, context: object) -> None:
            asked.append(self.name)
            if self.name == "bad":
                raise ValueError("bad name")

    server.add(reply(document({"name": "a"}, {"name": "bad"}, {"name": "c"}), 2))
    stream = twin.client(server).create_iterable(Checked, **ASK, on_bad_item="skip")
    assert [item.name for item in await twin.values(stream)] == ["a", "c"]
    assert asked == ["a", "bad", "c"]


@both
async def test_an_unknown_word_for_bad_items_is_refused_before_anything_is_sent(
    server: ScriptedServer, twin: Twin
) -> None:
    with pytest.raises(StreamMisuse, match="raise, skip, reask"):
        twin.client(server).create_iterable(Person, **ASK, on_bad_item="ignore")
    assert not server.requests


@both
async def test_the_list_ends_when_it_is_full_and_the_connection_closes(server: ScriptedServer, twin: Twin) -> None:
    never = Signal()

    def arrange(chunks: list[bytes]) -> Any:
        return [sends(chunks[:-2]), Wait(never), sends(chunks[-2:])]

    server.add(reply(document(*GOOD), 3, arrange=arrange))
    stream = twin.client(server, limits=Limits(max_items=2)).create_iterable(Person, **ASK)
    events = await twin.events(stream)
    wanted = [Person(**each) for each in GOOD[:2]]
    assert await twin.final(stream) == wanted
    assert server.exchanges[0].disconnected.wait(PATIENCE)
    assert not server.exchanges[0].completed
    assert [event.path[-1] for event in events if type(event) is ItemCompleted] == [0, 1]
    *_, completed, ended = events
    assert isinstance(completed, StreamCompleted)
    assert completed.result == wanted
    assert isinstance(ended, StreamEnded)
    assert ended.outcome == "completed"
    assert ended.stats.end_signal is None


@both
@pytest.mark.parametrize("size", [1, 7, None])
async def test_a_full_list_is_the_same_whatever_the_chunks(
    server: ScriptedServer, twin: Twin, size: int | None
) -> None:
    server.add(reply(MIXED[:-2] + f", {json.dumps(GOOD[2])}]}}", size))
    stream = twin.client(server).create_iterable(Person, **ASK, on_bad_item="skip", limits=Limits(max_items=2))
    assert [item.name for item in await twin.values(stream)] == ["Ada", "Cleo"]  # what is skipped does not count
    assert len(await twin.final(stream)) == 2


@both
async def test_a_full_list_still_passes_the_checks(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(document(*GOOD)))
    server.add(reply(document(GOOD[1])))
    seen: list[Any] = []

    def check(items: list[Person]) -> None:
        seen.append([item.name for item in items])
        assert items[0].name == "Cleo"

    stream = twin.client(server).create_iterable(
        Person, **ASK, limits=Limits(max_items=1), final_checks=[twin.hook(check)]
    )
    assert [item.name for item in await twin.final(stream)] == ["Cleo"]
    assert seen == [["Ada"], ["Cleo"]]


@both
async def test_the_bound_is_the_streams_own_list_not_those_within_its_items(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(document([1, 2, 3], [4])))
    stream = twin.client(server).create_iterable(list[int], **ASK, limits=Limits(max_items=2))
    assert await twin.values(stream) == [[1, 2, 3], [4]]


@both
async def test_for_other_streams_too_many_items_are_an_error(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(document(*GOOD)))
    stream = twin.client(server).create_partial(list[Person], **ASK, limits=Limits(max_items=2))
    with pytest.raises(LimitExceeded, match="max_items"):
        await twin.final(stream)


async def test_the_work_grows_with_the_list_and_not_with_its_square(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated: list[int] = []
    validate = gate.validate_document

    def count(adapter: Any, text: str, **options: Any) -> Any:
        validated.append(len(text))
        return validate(adapter, text, **options)

    monkeypatch.setattr(gate, "validate_document", count)
    scanned = 0
    advance = Scanner.advance

    def counted(self: Scanner) -> None:
        nonlocal scanned
        scanned += self.pending_chars
        advance(self)

    monkeypatch.setattr(Scanner, "advance", counted)
    people = [person(f"name {number}") for number in range(400)]
    text = document(*people)
    server.add(reply(text, 40))
    twin = Twin(is_async=True)
    stream = twin.client(server).create_iterable(Person, **ASK)
    assert len(await twin.values(stream)) == 400
    assert len(validated) == 400
    assert sum(validated) < len(text)
    assert scanned == len(text)
