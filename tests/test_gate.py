"""The gate on real streams: validators run once, on the final only, and the final is what `create` would have given."""

from __future__ import annotations

import dataclasses
import enum
import gc
import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID, uuid4

import pytest
from instructor import Mode, llm_validator
from instructor.core.exceptions import InstructorRetryException
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from instructor_stream_ext import InvalidJSON, NoOutput, RetriesExhausted, StreamMisuse
from tests.server import ScriptedServer, reply, sends
from tests.server.wire_format import chat_content
from tests.sides import Source, both_sides, everything, sources
from tests.twins import SYNC, Twin, both, settled

RUNS: list[str] = []


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    RUNS.clear()


def _noted(name: str) -> Callable[[Any], Any]:
    def note(value: Any) -> Any:
        RUNS.append(name)
        return value

    return note


def _wrapped(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    RUNS.append("wrap")
    return handler(value)


class Item(BaseModel):
    name: str
    count: Annotated[int, AfterValidator(_noted("item after"))] = Field(ge=0)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        RUNS.append("item field")
        return name

    @model_validator(mode="after")
    def _check(self) -> Item:
        RUNS.append("item model")
        return self


class Order(BaseModel):
    customer: Annotated[
        str, BeforeValidator(_noted("before")), AfterValidator(_noted("after")), WrapValidator(_wrapped)
    ] = Field(min_length=3, pattern="^[A-Z]")
    items: list[Item] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _before(cls, data: Any) -> Any:
        RUNS.append("model before")
        return data

    @model_validator(mode="wrap")
    @classmethod
    def _wrap(cls, data: Any, handler: Any) -> Any:
        RUNS.append("model wrap")
        return handler(data)

    @model_validator(mode="after")
    def _after(self) -> Order:
        RUNS.append("model after")
        return self

    def model_post_init(self, context: Any) -> None:
        RUNS.append("post init")


def _order(items: int) -> str:
    return json.dumps({"customer": "Ada", "items": [{"name": f"item {n}", "count": n} for n in range(items)]})


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON, Mode.MD_JSON])
@both
async def test_fifty_items_in_small_pieces_run_each_validator_once(
    server: ScriptedServer, twin: Twin, mode: Mode
) -> None:
    text = _order(50)
    server.always(reply(f"```json\n{text}\n```" if mode is Mode.MD_JSON else text, 4))
    during: list[int] = []

    def stream_of_partials(_: object) -> None:
        during.append(len(RUNS))

    stream = twin.client(server, mode).create_partial(Order, "order", model="m", on_partial=stream_of_partials)
    values = await twin.values(stream)
    assert len(during) > 200
    assert not any(during), "a validator ran on a partial"
    assert all(type(value) is not Order and isinstance(value, Order) for value in values[:-1])
    assert type(values[-1]) is Order
    once = ["before", "after", "wrap", "model before", "model wrap", "model after", "post init"]
    per_item = ["item field", "item after", "item model"]
    assert {name: RUNS.count(name) for name in {*RUNS}} == dict.fromkeys(once, 1) | dict.fromkeys(per_item, 50)


@sources()
@both_sides
async def test_an_answer_in_one_piece_is_validated_by_the_gate_alone(
    server: ScriptedServer, side: str, source: Source
) -> None:
    """google-genai's SDK validates by itself whatever piece is whole JSON, and swallows only its ValueErrors."""
    server.always(reply(source.text(_order(2)), None))
    stream = source.client(server, side).create_partial(Order, max_retries=0, **source.ask)
    final = (await everything(stream))[-1]
    assert final.customer == "Ada"
    assert [RUNS.count(name) for name in ("model before", "item model", "model after")] == [1, 2, 1]


@sources("openai-json", "genai-json")
@both_sides
async def test_a_validator_that_breaks_is_told_as_such(server: ScriptedServer, side: str, source: Source) -> None:
    class Broken(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _check(cls, name: str) -> str:
            raise KeyError(name)

    server.always(reply(source.text('{"name": "Ada"}'), None))
    with pytest.raises(KeyError, match="Ada"):
        await everything(source.client(server, side).create_partial(Broken, max_retries=0, **source.ask))


@both
async def test_each_attempt_runs_each_validator_once(server: ScriptedServer, twin: Twin) -> None:
    bad = json.dumps({"customer": "ada", "items": [{"name": "x", "count": 1}]})
    server.add(reply(bad, 3)).add(reply(bad, 3)).add(reply(_order(1), 3))
    final = await twin.final(twin.client(server).create_partial(Order, "order", model="m"))
    assert final.customer == "Ada"
    assert [RUNS.count(name) for name in ("model before", "item model", "model after")] == [3, 3, 1]


@both
async def test_items_of_an_iterable_are_validated_once_each(server: ScriptedServer, twin: Twin) -> None:
    tasks = [{"name": f"item {n}", "count": n} for n in range(50)]
    server.always(reply(json.dumps({"tasks": tasks}), 4))
    items = await twin.values(twin.client(server).create_iterable(Item, "items", model="m"))
    assert [item.count for item in items] == list(range(50))
    assert {type(item) for item in items} == {Item}
    assert [RUNS.count(name) for name in ("item field", "item after", "item model")] == [50, 50, 50]


@both
async def test_a_model_behind_a_validator_is_asked_once_per_item(server: ScriptedServer, twin: Twin) -> None:
    judge = twin.plain(server) if not twin.is_async else SYNC.plain(server)
    checked = llm_validator("is polite", judge, model="judge")

    class Remark(BaseModel):
        text: Annotated[str, BeforeValidator(checked)]

    class Remarks(BaseModel):
        remarks: list[Remark]

    verdict = json.dumps({"is_valid": True, "reason": None, "fixed_value": None})
    for _ in range(10):
        server.add(reply(verdict), match=lambda request: request.json["model"] == "judge")
    said = [{"text": f"remark number {n}, politely"} for n in range(10)]
    server.add(reply(json.dumps({"remarks": said}), 4), match=lambda request: request.json["model"] == "writer")
    values = await twin.values(twin.client(server).create_partial(Remarks, "go", model="writer"))
    assert len(values) > 50
    assert [request.json["model"] for request in server.requests] == ["writer"] + ["judge"] * 10


@both
async def test_nothing_runs_while_the_stream_is_left_early(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(_order(5), 4))
    assert len(await twin.first(twin.client(server).create_partial(Order, "order", model="m"), 20)) == 20
    assert RUNS == []


# ---------------------------------------------------------------------- the same final as `create`


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.5


class Movie(TypedDict, total=False):
    title: str
    year: int


class Pair(NamedTuple):
    left: int
    right: str


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Aliased(BaseModel):
    full_name: str = Field(alias="fullName")
    years: int = Field(validation_alias="age")


class Names(RootModel[list[str]]):
    pass


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Made(BaseModel):
    name: str
    tags: list[str] = Field(default_factory=lambda: ["made"])
    key: str = Field(default_factory=lambda data: data["name"].upper())


class Told(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _told(cls, name: str, info: ValidationInfo) -> str:
        assert info.context is not None
        return f"{name} {info.context['suffix']}"


def _holder(annotation: Any) -> type[BaseModel]:
    return type("Holder", (BaseModel,), {"__annotations__": {"value": annotation}, "__module__": __name__})


FIELDS: dict[str, tuple[Any, Any]] = {
    "enum": (Colour, "blue"),
    "int enum": (Level, 1),
    "bad enum": (Colour, "green"),
    "datetime": (datetime, "2024-05-06T07:08:09Z"),
    "date": (date, "2024-05-06"),
    "date out of datetime": (date, "2024-05-06T00:00:00"),
    "time": (time, "07:08:09"),
    "timedelta": (timedelta, "PT90S"),
    "decimal": (Decimal, "1.10"),
    "decimal out of number": (Decimal, 1.5),
    "uuid": (UUID, "12345678-1234-5678-1234-567812345678"),
    "set": (set[int], [3, 1, 3]),
    "frozenset": (frozenset[str], ["a"]),
    "tuple": (tuple[int, str], [1, "a"]),
    "long tuple": (tuple[int, ...], [1, 2, 3]),
    "short tuple": (tuple[int, str], [1]),
    "bytes": (bytes, "abc\u00e9"),
    "path": (Path, "/tmp/x"),
    "address": (IPv4Address, "127.0.0.1"),
    "secret": (SecretStr, "hush"),
    "dataclass": (Point, {"x": 1}),
    "typed dict": (Movie, {"title": "M", "year": 1931}),
    "named tuple": (Pair, [1, "a"]),
    "discriminated": (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "tricks": ["sit"]}),
    "undiscriminated": (Cat | Dog, {"kind": "cat", "lives": 9}),
    "unknown tag": (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cow"}),
    "smart union": (int | str, "12"),
    "optional": (int | None, None),
    "optional list": (list[Tree] | None, [{"name": "a"}]),
    "dict": (dict[str, Tree], {"k": {"name": "a"}}),
    "dict of numbers": (dict[int, float], {"1": 2}),
    "lists": (list[list[Cat]], [[{"kind": "cat", "lives": 1}], []]),
    "float out of int": (float, 3),
    "int out of float": (int, 3.0),
    "int out of text": (int, "3"),
    "bool out of text": (bool, "true"),
    "text out of int": (str, 3),
    "any": (Any, {"a": [1, None]}),
    "constrained": (Annotated[int, Field(gt=5)], 4),
    "root": (Names, ["a", "b"]),
    "generic": (Box[Point], {"content": {"x": 2, "y": 1}}),
}

MODELS: dict[str, tuple[Any, Any]] = {
    "aliases": (Aliased, {"fullName": "Ada", "age": 36}),
    "aliases by name": (Aliased, {"full_name": "Ada", "years": 36}),
    "default factories": (Made, {"name": "ada"}),
    "recursion": (Tree, {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}),
    "frozen": (Frozen, {"name": "a"}),
    "extra forbidden": (Strict, {"name": "a", "more": 1}),
    "extra allowed": (Loose, {"name": "a", "more": {"x": 1}}),
    "generic of model": (Box[Tree], {"content": {"name": "a"}}),
    "missing": (Tree, {"children": []}),
    "repeated keys": (Tree, None),
}

CASES = [
    *(pytest.param(_holder(kind), {"value": value}, id=name) for name, (kind, value) in FIELDS.items()),
    *(pytest.param(model, value, id=name) for name, (model, value) in MODELS.items()),
]


async def _outcome(call: Callable[[], Any]) -> Any:
    """What a call gives; the details of the validation where it fails."""
    try:
        return await settled(call())
    except InstructorRetryException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ValidationError):
            cause = cause.__cause__ or cause.__context__
        return "no validation failed" if cause is None else cause.errors(include_url=False)


@pytest.mark.parametrize("strict", [None, False], ids=["strict by default", "lax"])
@pytest.mark.parametrize(("model", "value"), CASES)
async def test_the_final_is_what_create_gives(server: ScriptedServer, model: Any, value: Any, strict: Any) -> None:
    twin = SYNC
    text = '{"name": "a", "name": "b"}' if value is None else json.dumps(value)
    server.always(reply(text, 5))
    arguments = {"response_model": model, "messages": [{"role": "user", "content": "x"}], "model": "m"}
    arguments |= {"max_retries": 0} | ({} if strict is None else {"strict": strict})
    plain, client = twin.plain(server), twin.client(server)
    created = await _outcome(lambda: plain.create(**arguments))
    streamed = await _outcome(lambda: twin.final(client.create_partial(**arguments)))
    if isinstance(created, BaseModel):
        assert type(streamed) is model  # instructor's is of a subclass, so that == would say no
        assert [getattr(streamed, name) for name in model.model_fields] == [
            getattr(created, name) for name in model.model_fields
        ]
        assert streamed.model_fields_set == created.model_fields_set
        assert streamed.model_extra == created.model_extra
        assert repr(streamed) == repr(created)
    else:
        assert streamed == created


def test_the_cases_hold_both_good_and_bad_answers() -> None:
    """The comparison above means something only if some pass and some fail."""
    good = 0
    for case in CASES:
        model: Any
        model, value = case.values
        try:
            model.model_validate_json(json.dumps(value or {"name": "b"}), strict=True)
        except ValidationError:
            continue
        good += 1
    assert 30 < good < len(CASES) - 8


@pytest.mark.parametrize("mode", [Mode.JSON, Mode.MD_JSON, Mode.RESPONSES_TOOLS])
@both
async def test_strict_fields_pass_in_other_modes(server: ScriptedServer, twin: Twin, mode: Mode) -> None:
    class Facts(BaseModel):
        colour: Colour
        day: date
        price: Decimal
        key: UUID
        tags: set[str]

    facts = {"colour": "red", "day": "2024-01-02", "price": "1.10", "key": str(uuid4()), "tags": ["a", "b"]}
    text = json.dumps(facts)
    server.always(reply(f"```json\n{text}\n```" if mode is Mode.MD_JSON else text))
    final = await twin.final(twin.client(server, mode).create_partial(Facts, "x", model="m"))
    assert final == Facts.model_validate_json(text, strict=True)
    assert len(server.requests) == 1


@pytest.mark.parametrize("provider", ["anthropic", "genai"])
@both
async def test_strict_fields_pass_with_other_providers(server: ScriptedServer, twin: Twin, provider: str) -> None:
    mode = Mode.TOOLS if provider == "anthropic" else Mode.JSON
    extra = {"max_tokens": 100} if provider == "anthropic" else {}
    day = _holder(date)
    server.always(reply('{"value": "2024-05-06"}'))
    client = twin.client(server, mode, provider=provider)
    final = await twin.final(client.create_partial(day, [{"role": "user", "content": "x"}], model="m", **extra))
    assert final == day(value=date(2024, 5, 6))
    assert len(server.requests) == 1


@both
async def test_validators_get_the_context(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada"}'))
    arguments = {"response_model": Told, "messages": [{"role": "user", "content": "x"}], "model": "m"}
    arguments["context"] = {"suffix": "told"}
    created = await settled(twin.plain(server).create(**arguments))
    stream = twin.client(server).create_partial(**arguments)
    values = await twin.values(stream)
    assert values[-1].name == created.name == "Ada told"
    assert values[-2].name == "Ada"


@both
async def test_items_get_the_context(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"tasks": [{"name": "Ada"}, {"name": "Bob"}]}'))
    stream = twin.client(server).create_iterable(Told, "x", model="m", context={"suffix": "told"})
    assert [item.name for item in await twin.values(stream)] == ["Ada told", "Bob told"]


# ---------------------------------------------------------------------- final_checks


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("kind", [ValueError, AssertionError])
@both
async def test_a_final_check_that_objects_is_a_failed_validation(
    server: ScriptedServer, twin: Twin, kind: type[Exception]
) -> None:
    server.add(reply('{"name": "Ada", "age": 1}')).add(reply('{"name": "Ada", "age": 36}'))
    seen: list[Person] = []

    def grown_up(person: Person) -> None:
        seen.append(person)
        if person.age < 18:
            raise kind("too young")

    client = twin.client(server)
    stream = client.create_partial(Person, "x", model="m", final_checks=[twin.hook(grown_up)])
    final = await twin.final(stream)
    assert seen == [Person(name="Ada", age=1), Person(name="Ada", age=36)]
    assert seen[-1] is final
    assert stream.attempt == 2
    assert "too young" in json.dumps(server.requests[1].json["messages"])


@both
async def test_checks_run_in_order_and_one_that_fails_stops_the_rest(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada", "age": 36}'))
    seen: list[str] = []

    def first(_: Person) -> None:
        seen.append("first")

    def second(_: Person) -> None:
        seen.append("second")
        raise ValueError("no")

    def third(_: Person) -> None:
        seen.append("third")

    stream = twin.client(server).create_partial(
        Person, "x", model="m", max_retries=0, final_checks=[first, twin.hook(second), third]
    )
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(stream)
    assert seen == ["first", "second"]
    assert isinstance(caught.value.__cause__, ValueError)
    assert len(server.requests) == 1


@both
async def test_other_exceptions_of_a_check_come_out(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada", "age": 36}'))

    def broken(_: Person) -> None:
        raise LookupError("a bug of the caller")

    ends: list[Any] = []
    stream = twin.client(server).create_partial(
        Person, "x", model="m", final_checks=[twin.hook(broken)], on_end=ends.append
    )
    with pytest.raises(LookupError, match="a bug of the caller"):
        await twin.final(stream)
    assert len(server.requests) == 1
    assert [end.outcome for end in ends] == ["failed"]


@both
async def test_items_are_checked_together_at_the_end(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"tasks": [{"name": "a", "age": 1}]}'))
    server.add(reply('{"tasks": [{"name": "a", "age": 1}, {"name": "b", "age": 2}]}'))

    def two(people: list[Person]) -> None:
        assert len(people) == 2, "two, please"

    stream = twin.client(server).create_iterable(Person, "x", model="m", final_checks=[twin.hook(two)])
    assert len(await twin.final(stream)) == 2
    assert "two, please" in json.dumps(server.requests[1].json)


@both
async def test_create_streams_underneath_for_a_check(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada", "age": 36}'))
    seen: list[Person] = []
    final = await settled(twin.client(server).create(Person, "x", model="m", final_checks=[seen.append]))
    assert seen == [final]
    assert server.requests[0].json["stream"] is True


def test_a_sync_stream_refuses_async_checks(server: ScriptedServer) -> None:
    async def check(_: Person) -> None: ...

    client = SYNC.client(server)
    with pytest.raises(StreamMisuse, match="coroutine"):
        client.create_partial(Person, "x", model="m", final_checks=[check])
    assert server.requests == []


@both
async def test_a_text_answer_is_checked_too(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("hello"))
    seen: list[str] = []
    stream = twin.client(server).stream_text("x", model="m", final_checks=[seen.append])
    assert await twin.final(stream) == "hello"
    assert seen == ["hello"]


# ---------------------------------------------------------------------- mending


@pytest.mark.parametrize(
    ("inside", "shown"),
    [
        ("a\nb\tc", "a\nb\tc"),
        ("del \x7f nel \x85 \x9f", "del \x7f nel \x85 \x9f"),
        ("\x01", "\x01"),
        ("half \\ud83d pair", "half \ufffd pair"),
        ("\\ude00 low", "\ufffd low"),
        ("whole \\ud83d\\ude00", "whole \U0001f600"),
        ("\\\\ud83d", "\\ud83d"),
    ],
)
@both
async def test_what_models_send_and_json_forbids_is_mended(
    server: ScriptedServer, twin: Twin, inside: str, shown: str
) -> None:
    server.always(reply(f'{{"name": "{inside}", "age": 3}}', 3))
    values = await twin.values(twin.client(server).create_partial(Person, "x", model="m", max_retries=0))
    assert values[-1] == Person(name=shown, age=3)
    assert type(values[-1]) is Person
    assert values[-2].name == shown


@both
async def test_validators_run_once_on_mended_text_too(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"customer": "Ad\na", "items": [{"name": "\\ud83d", "count": 1}]}', 3))
    await twin.final(twin.client(server).create_partial(Order, "x", model="m", max_retries=0))
    assert [RUNS.count(name) for name in ("item model", "model after", "post init")] == [1, 1, 1]


@both
async def test_json_that_cannot_be_mended_is_refused(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada", age: 3}', 3))
    with pytest.raises(InvalidJSON) as caught:
        await twin.final(twin.client(server).create_partial(Person, "x", model="m", max_retries=0))
    assert caught.value.offset == 16
    assert caught.value.partial.name == "Ada"


@both
@pytest.mark.parametrize("way", ["create_partial", "create_iterable"])
@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON])
@pytest.mark.parametrize(
    "text",
    [
        '{"tasks": {"name": "Ada", "age": 36}}',
        '{"tasks": "Ada"}',
        '{"tasks": null}',
        '{"count": 0, "more": {"tasks": []}}',
        "36",
    ],
)
async def test_an_answer_without_the_list_is_no_empty_list(
    server: ScriptedServer, twin: Twin, text: str, mode: Mode, way: str
) -> None:
    server.always(reply(text, 3))
    client = twin.client(server, mode)
    of = list[Person] if way == "create_partial" else Person
    with pytest.raises((NoOutput, RetriesExhausted)):
        await twin.final(getattr(client, way)(of, "x", model="m", max_retries=0))


# ---------------------------------------------------------------------- classes


def _classes() -> int:
    gc.collect()
    return sum(issubclass(type(thing), type) for thing in gc.get_objects())  # isinstance would wake lazy proxies


@both
async def test_a_hundred_calls_make_no_class(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada", "age": 36}', None))
    client = twin.client(server)

    async def call(times: int) -> None:
        for _ in range(times):
            await twin.final(client.create_partial(Person, "x", model="m"))
            with pytest.raises(NoOutput, match="no 'content' in the answer, only 'name', 'age'"):
                # the errors' path makes none either
                await twin.final(client.create_partial(Person | Item, "x", model="m", max_retries=0))

    await call(3)
    before, subclasses = _classes(), len(Person.__subclasses__())
    await call(50)
    assert _classes() == before
    assert len(Person.__subclasses__()) == subclasses


@both
async def test_a_pair_that_a_provider_cut_in_two_is_joined(server: ScriptedServer, twin: Twin) -> None:
    """Each half is a JSON escape in a chunk of its own, so the SDK hands over two lone surrogates."""
    chunks = chat_content('{"name": "<>!", "age": 3}', size=1)
    halves = {b'"content": "<"': b'"content": "\\ud83d"', b'"content": ">"': b'"content": "\\ude00"'}
    for old, new in halves.items():
        chunks = [chunk.replace(old, new) for chunk in chunks]
    server.always(sends(chunks))
    values = await twin.values(twin.client(server, Mode.JSON).create_partial(Person, "x", model="m", max_retries=0))
    assert values[-1] == Person(name="\U0001f600!", age=3)
    assert "\ufffd" not in repr(values)
