"""What plain instructor 1.17 does on streams, and what the wrapped client does there: a pair of tests for each fault.

The plain half of a pair says `with instructor_does(n)`. Where it fails, instructor has mended the fault: that half can
go, and with it the divergence in docs/comparison.md.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import gc
import pathlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any, Literal, Optional, Union

import openai
import pytest
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel, Field, computed_field, field_validator

from instructor_stream_ext import (
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    StreamInterrupted,
    StreamTimeout,
    Timeouts,
)
from tests.server import Answer, Cut, ScriptedServer, Signal, Trickle, reply, sends
from tests.server.wire_format import (
    DONE,
    chat_answer,
    chat_calls,
    chat_choices,
    chat_content,
    chat_refusal,
    chat_tools,
    responses_tools,
)
from tests.sides import SOURCES, Source, both_sides, everything, held_after, settled

OPENAI = SOURCES["openai-tools"]
JSON = SOURCES["openai-json"]
ASK: dict[str, Any] = {"model": "test-model", "messages": [{"role": "user", "content": "go"}]}
USER = '{"name": "Ada", "age": 36}'


class User(BaseModel):
    name: str
    age: int


@contextmanager
def instructor_does(fact: int) -> Iterator[None]:
    """Plain instructor still has the fault; the message says what to do when it has not."""
    try:
        yield
    except (AssertionError, pytest.fail.Exception) as error:
        message = f"instructor seems to have mended fact {fact}: drop this half of the pair, and see docs/comparison.md"
        raise AssertionError(message) from error


def plain_partials(
    server: ScriptedServer, response_model: Any = User, source: Source = OPENAI, **call: Any
) -> list[Any]:
    """All that plain instructor's sync `create_partial` gives."""
    client = source.plain(server, "sync")
    return list(client.create_partial(response_model=response_model, **{**source.ask, **call}))


async def wrapped(
    server: ScriptedServer, side: str, response_model: Any = User, source: Source = OPENAI, **call: Any
) -> Any:
    """The final of the wrapped client."""
    stream = source.client(server, side).create_partial(response_model, **{**source.ask, **call})
    return await settled(stream.get_final_response())


# -- 1: sync does not stream ----------------------------------------------------------------------------------------


def test_1_plain_waits_for_the_last_byte(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(reply(USER, 14, arrange=held_after(b"Ada", gate)))
    came = Signal()

    def read() -> None:
        for _ in OPENAI.plain(server, "sync").create_partial(response_model=User, **ASK):
            came.set()

    reader = threading.Thread(target=read)
    reader.start()
    exchange = server.exchange()
    with instructor_does(1), pytest.raises(TimeoutError):
        came.wait(0.05)
    gate.set()
    reader.join()
    assert came.is_set()
    assert exchange.sent > 1


def test_1_wrapped_does_not(server: ScriptedServer) -> None:
    gate = Signal()
    server.add(reply(USER, 14, arrange=held_after(b"Ada", gate)))
    for partial in OPENAI.client(server, "sync").create_partial(User, **ASK):
        if partial.name == "Ada":
            gate.set()
    assert gate.is_set()


# -- 2: valid values that strict validation of parsed objects refuses -------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


RICH: dict[str, tuple[Any, str, Any]] = {
    "enum": (Colour, '"red"', Colour.RED),
    "datetime": (dt.datetime, '"2026-01-02T03:04:05"', dt.datetime(2026, 1, 2, 3, 4, 5)),  # noqa: DTZ001
    "date": (dt.date, '"2026-01-02"', dt.date(2026, 1, 2)),
    "decimal": (decimal.Decimal, '"1.50"', decimal.Decimal("1.50")),
    "uuid": (uuid.UUID, f'"{uuid.UUID(int=7)}"', uuid.UUID(int=7)),
    "set": (set[int], "[1, 2]", {1, 2}),
    "tuple": (tuple[int, str], '[1, "a"]', (1, "a")),
    "bytes": (bytes, '"abc"', b"abc"),
    "path": (pathlib.Path, '"/tmp/x"', pathlib.Path("/tmp/x")),
}


def holder(kind: Any) -> type[BaseModel]:
    class Holder(BaseModel):
        value: kind

    return Holder


@pytest.mark.parametrize("name", ["enum", "datetime", "set"])
def test_2_plain_refuses_valid_values(server: ScriptedServer, name: str) -> None:
    kind, value, _ = RICH[name]
    server.always(reply(f'{{"value": {value}}}'))
    with instructor_does(2):
        with pytest.raises(InstructorRetryException):
            plain_partials(server, holder(kind), max_retries=1)
        assert len(server.exchanges) > 1


@pytest.mark.parametrize("name", RICH)
@both_sides
async def test_2_wrapped_takes_them_as_create_does(server: ScriptedServer, side: str, name: str) -> None:
    kind, value, expected = RICH[name]
    server.always(reply(f'{{"value": {value}}}'))
    model = holder(kind)
    assert (await wrapped(server, side, model)).value == expected
    assert len(server.exchanges) == 1
    created = await settled(OPENAI.plain(server, side).create(response_model=model, **ASK))
    assert created.value == expected


# -- 3: what did not end well ends as success -------------------------------------------------------------------------

HALF = '{"name": "Ada", "a'
CUT_OFF: dict[str, tuple[Source, list[bytes], type[Exception]]] = {
    "length": (OPENAI, chat_tools(HALF, name="User", finish="length"), OutputTruncated),
    "content_filter": (OPENAI, chat_tools(HALF, name="User", finish="content_filter"), OutputFiltered),
    "a clean cut": (OPENAI, chat_tools(HALF, name="User", finish=None, done=False), OutputTruncated),
    "incomplete": (
        SOURCES["openai-responses"],
        responses_tools(HALF, name="User", ending="incomplete"),
        OutputTruncated,
    ),
    "failed": (SOURCES["openai-responses"], responses_tools(HALF, name="User", ending="failed"), StreamInterrupted),
}


@pytest.mark.parametrize("how", CUT_OFF)
def test_3_plain_takes_it_for_success(server: ScriptedServer, how: str) -> None:
    source, chunks, _ = CUT_OFF[how]
    server.add(sends(chunks))
    with instructor_does(3):
        partials = plain_partials(server, source=source)
        assert partials[-1].name == "Ada"
        assert partials[-1].age is None


@pytest.mark.parametrize("how", CUT_OFF)
@both_sides
async def test_3_wrapped_says_what_happened(server: ScriptedServer, side: str, how: str) -> None:
    source, chunks, error = CUT_OFF[how]
    server.add(sends(chunks))
    with pytest.raises(error) as caught:
        await wrapped(server, side, source=source)
    assert caught.value.partial.name == "Ada"  # type: ignore[attr-defined]
    assert len(server.exchanges) == 1


# -- 4: something after the JSON, or within ---------------------------------------------------------------------------

WRONG = '{"name": "Ada", "age": "old"}'


@pytest.mark.parametrize("tail", ["\n```", " That is all.", "{}"])
def test_4_plain_skips_validation(server: ScriptedServer, tail: str) -> None:
    server.add(sends(chat_content(WRONG + tail)))
    with instructor_does(4):
        partials = plain_partials(server, source=JSON, max_retries=0)
        assert partials[-1].name == "Ada"
        assert partials[-1].age != 36


@pytest.mark.parametrize("tail", ["\n```", " That is all.", "{}"])
@both_sides
async def test_4_wrapped_validates(server: ScriptedServer, side: str, tail: str) -> None:
    server.add(sends(chat_content(WRONG + tail))).add(sends(chat_content(USER + tail)))
    assert await wrapped(server, side, source=JSON, max_retries=1) == User(name="Ada", age=36)
    assert len(server.exchanges) == 2


BROKEN = '{"name": "Ada", "tags": ["a" "b"], "age": 36}'


class Tagged(BaseModel):
    name: str
    tags: list[str] = []
    age: int = 0


def test_4_plain_drops_what_follows_a_fault(server: ScriptedServer) -> None:
    server.add(sends(chat_tools(BROKEN, name="Tagged")))
    with instructor_does(4):
        assert plain_partials(server, Tagged, max_retries=0)[-1].age != 36


@both_sides
async def test_4_wrapped_raises(server: ScriptedServer, side: str) -> None:
    server.add(sends(chat_tools(BROKEN, name="Tagged")))
    with pytest.raises(InvalidJSON) as caught:
        await wrapped(server, side, Tagged, max_retries=0)
    assert caught.value.offset == BROKEN.index('"b"')


# -- 5: validators run at each chunk ----------------------------------------------------------------------------------


def counted() -> tuple[type[BaseModel], list[str]]:
    runs: list[str] = []

    class Item(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def note(cls, value: str) -> str:
            runs.append(value)
            return value

    class Items(BaseModel):
        items: list[Item]

    return Items, runs


ITEMS = '{"items": [' + ", ".join(f'{{"name": "n{n}"}}' for n in range(10)) + "]}"


def test_5_plain_runs_them_again_and_again(server: ScriptedServer) -> None:
    model, runs = counted()
    server.add(reply(ITEMS))
    plain_partials(server, model)
    with instructor_does(5):
        assert len(runs) > 100


@both_sides
async def test_5_wrapped_runs_each_once(server: ScriptedServer, side: str) -> None:
    model, runs = counted()
    server.add(reply(ITEMS))
    await wrapped(server, side, model)
    assert runs == [f"n{n}" for n in range(10)]


# -- 6: retries -------------------------------------------------------------------------------------------------------


async def test_6_plain_async_does_not_retry(server: ScriptedServer) -> None:
    server.add(reply(WRONG)).add(reply(USER))
    stream = OPENAI.plain(server, "async").create_partial(response_model=User, max_retries=1, **ASK)
    with instructor_does(6), suppress(Exception):
        await everything(stream)
    with instructor_does(6):
        assert len(server.exchanges) == 1


def test_6_plain_sync_does_not_show_the_model_its_answer(server: ScriptedServer) -> None:
    server.add(reply(WRONG)).add(reply(USER))
    plain_partials(server, max_retries=1)
    with instructor_does(6):
        assert len(server.exchanges) == 2
        assert "old" not in str([m for m in server.requests[1].json["messages"] if m["role"] == "assistant"])


def test_6_plain_iterable_never_retries(server: ScriptedServer) -> None:
    server.add(reply('{"tasks": [' + WRONG + "]}")).add(reply('{"tasks": [' + USER + "]}"))
    with instructor_does(6):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whichever it is
            list(OPENAI.plain(server, "sync").create_iterable(response_model=User, max_retries=1, **ASK))
        assert len(server.exchanges) == 1


@both_sides
async def test_6_wrapped_asks_again_with_the_bad_answer(server: ScriptedServer, side: str) -> None:
    server.add(reply(WRONG)).add(reply(USER))
    assert await wrapped(server, side, max_retries=1) == User(name="Ada", age=36)
    answers = [message for message in server.requests[1].json["messages"] if message["role"] == "assistant"]
    assert answers[0]["tool_calls"][0]["function"]["arguments"] == WRONG


@both_sides
async def test_6_wrapped_items_are_asked_for_again(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"tasks": [' + WRONG + "]}")).add(reply('{"tasks": [' + USER + "]}"))
    stream = OPENAI.client(server, side).create_iterable(User, max_retries=1, **ASK)
    assert await everything(stream) == [User(name="Ada", age=36)]
    assert len(server.exchanges) == 2


# -- 7: leaving does not close ----------------------------------------------------------------------------------------


async def test_7_plain_stays_connected(server: ScriptedServer) -> None:
    server.add(reply(USER, 14, arrange=held_after(b"Ada", Signal())))
    stream = OPENAI.plain(server, "async").create_partial(response_model=User, **ASK)
    async for _ in stream:
        break
    await stream.aclose()
    with instructor_does(7), pytest.raises(TimeoutError):
        await server.exchanges[0].disconnected.wait_async(0.1)
    del stream
    gc.collect()
    await asyncio.sleep(0)


async def test_7_wrapped_closes(server: ScriptedServer) -> None:
    server.add(reply(USER, 14, arrange=held_after(b"Ada", Signal())))
    async for _ in OPENAI.client(server, "async").create_partial(User, **ASK):
        break
    await server.exchanges[0].disconnected.wait_async()


# -- 8: litellm -------------------------------------------------------------------------------------------------------

LITELLM = SOURCES["litellm-tools"]


def test_8_plain_cannot_stream_litellm_in_sync(server: ScriptedServer) -> None:
    server.add(reply(USER))
    with instructor_does(8):
        with pytest.raises((TypeError, InstructorRetryException), match="async"):
            plain_partials(server, source=LITELLM, max_retries=0)
        assert len(server.exchanges) == 1


@both_sides
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
async def test_8_wrapped_can(server: ScriptedServer, side: str) -> None:
    server.add(reply(USER))
    assert await wrapped(server, side, source=LITELLM) == User(name="Ada", age=36)


# -- 9: no answer at all ----------------------------------------------------------------------------------------------

EMPTY: dict[str, tuple[Any, type[Exception]]] = {
    "refusal": (sends(chat_refusal("No.")), OutputRefused),
    "prose": (sends(chat_content("I would rather talk.")), NoOutput),
    "nothing": (sends([DONE]), NoOutput),
    "not a stream": (Answer(chat_answer(USER, name="User")), NoOutput),
}


@pytest.mark.parametrize("what", EMPTY)
def test_9_plain_gives_nothing_and_says_nothing(server: ScriptedServer, what: str) -> None:
    server.add(EMPTY[what][0])
    with instructor_does(9):
        assert plain_partials(server) == []
        assert len(server.exchanges) == 1


@pytest.mark.parametrize("what", EMPTY)
@both_sides
async def test_9_wrapped_says_so(server: ScriptedServer, side: str, what: str) -> None:
    script, error = EMPTY[what]
    server.add(script)
    with pytest.raises(error):
        await wrapped(server, side, max_retries=0)


@both_sides
async def test_9_wrapped_asks_again_for_prose(server: ScriptedServer, side: str) -> None:
    server.add(EMPTY["prose"][0]).add(reply(USER))
    assert await wrapped(server, side) == User(name="Ada", age=36)


# -- 10: hooks --------------------------------------------------------------------------------------------------------


def test_10_plain_hooks_see_the_live_stream_and_no_usage(server: ScriptedServer) -> None:
    server.add(reply(USER))
    client = OPENAI.plain(server, "sync")
    answers: list[Any] = []
    usages: list[Any] = []
    client.on("completion:response", answers.append)
    client.on("completion:usage", usages.append)
    list(client.create_partial(response_model=User, stream_options={"include_usage": True}, **ASK))
    with instructor_does(10):
        assert usages == []
        assert type(answers[0]) is openai.Stream


@both_sides
async def test_10_wrapped_hooks_see_what_they_see_without_streaming(server: ScriptedServer, side: str) -> None:
    server.add(reply(USER))
    answers: list[Any] = []
    usages: list[Any] = []
    client = OPENAI.client(server, side)
    client.on("completion:response", answers.append)
    client.on("completion:usage", lambda usage, **_: usages.append(usage))
    await settled(client.create_partial(User, **ASK).get_final_response())
    assert type(answers[0]) is openai.types.chat.ChatCompletion
    assert [usage.total_tokens for usage in usages] == [18]


async def test_10_wrapped_awaits_and_tells_of_errors(server: ScriptedServer) -> None:
    server.add(sends(chat_tools(USER, name="User")[:4]), Cut())
    told: list[str] = []

    async def note(error: Exception, **_: Any) -> None:
        await asyncio.sleep(0)
        told.append(type(error).__name__)

    client = OPENAI.client(server, "async")
    client.on("completion:error", note)
    with pytest.raises(StreamInterrupted):
        await client.create_partial(User, **ASK).get_final_response()
    assert len(told) == 1


# -- 11: types that cannot stream -------------------------------------------------------------------------------------


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Home(BaseModel):
    pet: Annotated[Union[Cat, Dog], Field(discriminator="kind")]  # noqa: UP007


class Fresh(BaseModel):
    name: str
    key: uuid.UUID = Field(default_factory=uuid.uuid4)


HOME = '{"pet": {"kind": "dog", "tricks": ["sit", "roll"]}}'


def test_11_plain_cannot_stream_discriminated_unions(server: ScriptedServer) -> None:
    server.add(reply(HOME))
    with instructor_does(11), pytest.raises(Exception):  # noqa: B017, PT011 - a failure of pydantic within instructor
        plain_partials(server, Home, max_retries=0)


@both_sides
async def test_11_wrapped_streams_them(server: ScriptedServer, side: str) -> None:
    server.add(reply(HOME))
    *partials, final = await everything(OPENAI.client(server, side).create_partial(Home, **ASK))
    assert final.pet == Dog(kind="dog", tricks=["sit", "roll"])
    assert any(isinstance(partial.pet, Dog) for partial in partials)


def test_11_plain_makes_a_new_default_in_each_partial(server: ScriptedServer) -> None:
    server.add(reply('{"name": "Ada Lovelace"}'))
    with instructor_does(11):
        assert len({partial.key for partial in plain_partials(server, Fresh, strict=False)}) > 2


@both_sides
async def test_11_wrapped_makes_one(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"name": "Ada Lovelace"}'))
    *partials, _ = await everything(OPENAI.client(server, side).create_partial(Fresh, **ASK))
    assert len({partial.key for partial in partials}) == 1


# -- 12: classes ------------------------------------------------------------------------------------------------------


def classes_of(model: type[BaseModel]) -> int:
    made = [found for found in gc.get_objects() if isinstance(found, type) and model.__name__ in found.__name__]
    return sum(1 for found in made if not found.__module__.startswith("openai"))  # which loads its own when needed


def test_12_plain_makes_classes_with_each_call(server: ScriptedServer) -> None:
    server.always(reply(USER, None))
    client = OPENAI.plain(server, "sync")

    def call() -> None:
        list(client.create_partial(response_model=User, **ASK))

    call()
    before = classes_of(User)
    for _ in range(4):
        call()
    with instructor_does(12):
        assert classes_of(User) >= before + 4


@both_sides
async def test_12_wrapped_makes_them_once(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER, None))
    client = OPENAI.client(server, side)
    await everything(client.create_partial(User, **ASK))
    before = classes_of(User)
    for _ in range(4):
        await everything(client.create_partial(User, **ASK))
    assert classes_of(User) == before


# -- 13: partials -----------------------------------------------------------------------------------------------------


class Part(BaseModel):
    name: str


class Whole(BaseModel):
    n: float
    tags: list[str]
    size: Literal["small", "large"]
    part: Optional[Part] = None  # noqa: UP045
    table: dict[str, Part] = {}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return self.size.upper()


WHOLE = '{"n": -12.5e3, "tags": ["a"], "size": "small", "part": {"name": "p"}, "table": {"k": {"name": "q"}}}'


def test_13_plain_partials_are_untrue(server: ScriptedServer) -> None:
    server.add(reply(WHOLE, 1))
    client = OPENAI.plain(server, "async")
    del client
    partials = plain_partials(server, Whole, strict=False)
    with instructor_does(13):
        assert partials[0].model_fields_set == set(Whole.model_fields)
        assert partials[0].tags is None
        assert {-1, -12} & {partial.n for partial in partials}
        assert "sm" in [partial.size for partial in partials]
        with pytest.raises(AttributeError):
            repr(partials[0])


@both_sides
async def test_13_wrapped_partials_are_true(server: ScriptedServer, side: str) -> None:
    server.add(reply(WHOLE, 1))
    *partials, final = await everything(OPENAI.client(server, side).create_partial(Whole, **ASK))
    assert partials[0].model_fields_set == set()
    assert partials[0].tags == []
    assert {partial.n for partial in partials} == {None, -12500.0}
    assert {partial.size for partial in partials} == {None, "small"}
    assert all(partial.part is None or isinstance(partial.part, Part) for partial in partials)
    assert all(isinstance(value, Part) for partial in partials for value in partial.table.values())
    assert all(repr(partial) for partial in partials)
    assert final.shout == "SMALL"


# -- 14: items --------------------------------------------------------------------------------------------------------


BESIDE = '{"tasks": [' + USER + '], "note": {"name": "Eve", "age": 1}}'


def test_14_plain_takes_any_object_for_an_item(server: ScriptedServer) -> None:
    server.add(reply(BESIDE))
    items = list(OPENAI.plain(server, "sync").create_iterable(response_model=User, **ASK))
    with instructor_does(14):
        assert [item.name for item in items] == ["Ada", "Eve"]


@both_sides
async def test_14_wrapped_does_not(server: ScriptedServer, side: str) -> None:
    server.add(reply(BESIDE))
    items = await everything(OPENAI.client(server, side).create_iterable(User, **ASK))
    assert [item.name for item in items] == ["Ada"]


def test_14_plain_loses_objects_that_come_together(server: ScriptedServer) -> None:
    server.add(reply(USER * 3, None))
    items = list(OPENAI.plain(server, "sync").create_iterable(response_model=User, **ASK))
    with instructor_does(14):
        assert len(items) == 1


@both_sides
async def test_14_wrapped_takes_all_of_them(server: ScriptedServer, side: str) -> None:
    server.add(reply(USER * 3, None))
    items = await everything(OPENAI.client(server, side).create_iterable(User, **ASK))
    assert [item.name for item in items] == ["Ada"] * 3
    assert len(server.exchanges) == 1


@both_sides
async def test_14_wrapped_takes_an_empty_list(server: ScriptedServer, side: str) -> None:
    for document in ('{"tasks": []}', "{}"):
        server.add(reply(document))
        assert await everything(OPENAI.client(server, side).create_iterable(User, **ASK)) == []


def test_14_plain_gives_no_scalars(server: ScriptedServer) -> None:
    server.add(reply('{"tasks": [1, 2, 3]}'))
    with instructor_does(14):
        try:
            items = list(OPENAI.plain(server, "sync").create_iterable(response_model=int, **ASK))
        except Exception:  # noqa: BLE001 - no items either way
            items = []
        assert items == []


@both_sides
async def test_14_wrapped_gives_them(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"tasks": [1, 2, 3]}'))
    assert await everything(OPENAI.client(server, side).create_iterable(int, **ASK)) == [1, 2, 3]


# -- 15: cost ---------------------------------------------------------------------------------------------------------


def characters_parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is given to jiter and to json, in characters: a measure of cost that no load changes."""
    import jiter

    parsed: list[int] = []
    true = jiter.from_json

    def counting(data: bytes, *args: Any, **kwargs: Any) -> Any:
        parsed.append(len(data))
        return true(data, *args, **kwargs)

    for module in list(__import__("sys").modules.values()):
        if getattr(module, "from_json", None) is true:
            monkeypatch.setattr(module, "from_json", counting)
    return parsed


LONG = '{"name": "' + "x" * 2000 + '", "age": 1}'


def test_15_plain_parses_everything_again(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add(reply(LONG, 8))
    parsed = characters_parsed(monkeypatch)
    plain_partials(server)
    with instructor_does(15):
        assert sum(parsed) > 50 * len(LONG)


@both_sides
async def test_15_wrapped_does_not(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    server.add(reply(LONG, 8))
    parsed = characters_parsed(monkeypatch)
    assert (await wrapped(server, side)).age == 1
    assert sum(parsed) <= 2 * len(LONG)


# -- 16: fences and thoughts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [f"```json\n{USER}\n```", f"<think>Let me see {{}}</think>{USER}"])
def test_16_plain_fails_at_a_fence_or_a_thought(server: ScriptedServer, text: str) -> None:
    server.add(sends(chat_content(text)))
    with instructor_does(16):
        try:
            partials = plain_partials(server, source=JSON, max_retries=0)
        except Exception:  # noqa: BLE001 - no answer either way
            partials = []
        assert not partials or partials[-1].age != 36


@pytest.mark.parametrize("text", [f"```json\n{USER}\n```", f"<think>Let me see {{}}</think>{USER}"])
@both_sides
async def test_16_wrapped_reads_past_it(server: ScriptedServer, side: str, text: str) -> None:
    server.add(sends(chat_content(text)))
    assert await wrapped(server, side, source=JSON) == User(name="Ada", age=36)


async def test_16_plain_md_json_holds_everything_back(server: ScriptedServer) -> None:
    source = SOURCES["openai-md"]
    gate = Signal()
    server.add(reply(source.text(USER), 14, arrange=held_after(b"Ada", gate)))
    stream = source.plain(server, "async").create_partial(response_model=User, **ASK)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.wait([task], timeout=0.05)
    with instructor_does(16):
        assert not task.done()
    gate.set()
    await task
    await everything(stream)


# -- 17: characters ---------------------------------------------------------------------------------------------------

ODD = '{"name": "a\x85b\nc", "age": 36}'


def test_17_plain_deletes_characters(server: ScriptedServer) -> None:
    server.add(sends(chat_tools(ODD, name="User", size=None)))
    partials = plain_partials(server)
    with instructor_does(17):
        assert partials[-1].name == "abc"


@both_sides
async def test_17_wrapped_keeps_them(server: ScriptedServer, side: str) -> None:
    server.add(sends(chat_tools(ODD, name="User", size=None)))
    assert (await wrapped(server, side)).name == "a\x85b\nc"


def test_17_plain_dies_of_half_a_character(server: ScriptedServer) -> None:
    server.add(sends(chat_tools('{"name": "\\uD83D", "age": 36}', name="User")))
    with instructor_does(17), pytest.raises(Exception):  # noqa: B017, PT011 - whichever it is
        assert plain_partials(server, max_retries=0)[-1].age == 36


@both_sides
async def test_17_wrapped_does_not(server: ScriptedServer, side: str) -> None:
    server.add(sends(chat_tools('{"name": "\\uD83D", "age": 36}', name="User")))
    assert await wrapped(server, side) == User(name="\ufffd", age=36)


# -- 18: several answers ----------------------------------------------------------------------------------------------

EVE = '{"name": "Eve", "age": 1}'


def test_18_plain_mixes_calls_and_choices(server: ScriptedServer) -> None:
    server.add(sends(chat_calls([("User", USER), ("User", EVE)], interleaved=True)))
    server.add(sends(chat_choices([USER, EVE], kind="tools", name="User")))
    calls: tuple[dict[str, Any], ...] = ({}, {"n": 2})
    for call in calls:
        with instructor_does(18):
            try:
                partials = plain_partials(server, max_retries=0, **call)
            except Exception:  # noqa: BLE001 - no answer either way
                partials = []
            assert not partials or partials[-1] != User(name="Ada", age=36)


@both_sides
async def test_18_wrapped_reads_the_first(server: ScriptedServer, side: str) -> None:
    server.add(sends(chat_calls([("User", USER), ("User", EVE)], interleaved=True)))
    server.add(sends(chat_choices([USER, EVE], kind="tools", name="User")))
    assert await wrapped(server, side) == User(name="Ada", age=36)
    assert await wrapped(server, side, n=2) == User(name="Ada", age=36)


# -- 19: timeouts and broken connections ------------------------------------------------------------------------------


async def test_19_plain_timeout_is_none_on_a_trickle(server: ScriptedServer) -> None:
    server.add(reply(USER, 14, arrange=lambda chunks: [sends(chunks[:2]), Trickle()]))
    stream = OPENAI.plain(server, "async").create_partial(response_model=User, timeout=0.05, **ASK)
    task = asyncio.ensure_future(everything(stream))
    with instructor_does(19):
        await asyncio.wait([task], timeout=0.2)
        assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@both_sides
async def test_19_wrapped_timeout_holds(server: ScriptedServer, side: str) -> None:
    server.add(reply(USER, 14, arrange=lambda chunks: [sends(chunks[:2]), Trickle()]))
    with pytest.raises(StreamTimeout):
        await wrapped(server, side, timeouts=Timeouts(idle=0.05, first_delta=0.05))


BREAKS = ("openai-tools", "anthropic-tools", "genai-json", "litellm-tools")


@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
async def test_19_plain_has_as_many_errors_as_clients(server: ScriptedServer) -> None:
    kinds = set()
    server.always(reply(USER, 4, arrange=lambda chunks: [sends(chunks[:4]), Cut()]))
    for name, side in (("openai-tools", "sync"), ("openai-tools", "async"), ("anthropic-tools", "async")):
        source = SOURCES[name]
        with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the question
            stream = source.plain(server, side).create_partial(response_model=User, max_retries=0, **source.ask)
            await everything(stream)
        kinds.add(type(caught.value))
    with instructor_does(19):
        assert len(kinds) > 1


@pytest.mark.parametrize("name", BREAKS)
@both_sides
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
async def test_19_wrapped_has_one(server: ScriptedServer, side: str, name: str) -> None:
    source = SOURCES[name]
    server.add(reply(USER, 4, arrange=lambda chunks: [sends(chunks[:4]), Cut()]))
    with pytest.raises(StreamInterrupted) as caught:
        await wrapped(server, side, source=source)
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.__cause__ is not None
