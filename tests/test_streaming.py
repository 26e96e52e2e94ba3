"""Streams stream: partials come as the provider sends them, for every client, mode and response model."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable
from typing import Any, Generic, Literal, Optional, TypedDict, TypeVar, Union

import instructor
import openai
import pytest
from instructor import Partial
from pydantic import BaseModel, Field, RootModel, TypeAdapter
from pydantic_core import to_jsonable_python

import instructor_stream_ext as package
from instructor_stream_ext import (
    AsyncPartialStream,
    ClientNotSupported,
    FieldState,
    Hooks,
    NoOutput,
    Outcome,
    OutputTruncated,
    PartialStream,
    StreamEnded,
    StreamMisuse,
    StreamStopped,
    Usage,
    wrap,
)
from tests.server import Answer, End, Request, Script, ScriptedServer, Signal, Start, Status, clients, reply, sends
from tests.server.wire_format import chat_answer, chat_chunk, chat_content
from tests.sides import SOURCES, Source, both_sides, each, entered, everything, first, held_after, settled, sources

DOCUMENT = '{"name": "Ada", "tags": ["a", "b"], "n": -12.5e3}'
CUT = 14
"""Characters in the first piece, so that it holds the whole of the first field."""
T = TypeVar("T")
USAGE = Usage(input_tokens=11, output_tokens=7, total_tokens=18)
OPENAI = SOURCES["openai-tools"]


class Thing(BaseModel):
    """A thing."""

    name: str
    tags: list[str]
    n: float


THING = Thing(name="Ada", tags=["a", "b"], n=-12500.0)


# -- it streams -----------------------------------------------------------------------------------------------------


@both_sides
@sources()
async def test_a_partial_is_here_before_the_server_sends_more(
    server: ScriptedServer, source: Source, side: str
) -> None:
    gate = Signal()
    server.add(reply(source.text(DOCUMENT), CUT, arrange=held_after(b"Ada", gate)))
    stream = source.client(server, side).create_partial(Thing, max_retries=0, **source.ask)
    seen = []
    async for value in each(stream):
        seen.append(value)
        if value.name == "Ada" and not gate.is_set():
            assert not server.exchanges[0].finished.is_set()
            gate.set()
    *partials, final = seen
    assert partials
    assert all(isinstance(partial, Thing) and type(partial) is not Thing for partial in partials)
    assert type(final) is Thing
    assert final == THING == await settled(stream.get_final_response())
    assert len({type(partial) for partial in partials}) == 1


@both_sides
async def test_items_are_here_before_the_server_sends_more(server: ScriptedServer, side: str) -> None:
    gate = Signal()
    document = '{"tasks": [{"name": "Ada", "tags": [], "n": 1}, {"name": "Bo", "tags": [], "n": 2}]}'
    server.add(reply(document, 50, arrange=held_after(b"Ada", gate)))
    items = OPENAI.client(server, side).create_iterable(Thing, **OPENAI.ask)
    items = await settled(items)
    seen = []
    async for item in each(items):
        assert type(item) is Thing
        seen.append(item.name)
        gate.set()
    assert seen == ["Ada", "Bo"]
    assert [item.name for item in await settled(items.get_final_response())] == seen


@both_sides
@sources("openai-json", "openai-responses", "anthropic-json", "anthropic-schema", "genai-json", "litellm-tools")
async def test_text_is_here_before_the_server_sends_more(server: ScriptedServer, source: Source, side: str) -> None:
    gate = Signal()
    server.add(reply("Once upon a time", 4, arrange=held_after(b"Once", gate)))
    stream = source.client(server, side).stream_text(**source.ask)
    pieces = []
    async for piece in each(stream):
        pieces.append(piece)
        gate.set()
    assert pieces == ["Once", " upo", "n a ", "time"]
    assert stream.text == "Once upon a time" == await settled(stream.get_final_response())


# -- the code people write ------------------------------------------------------------------------------------------


class Idea(BaseModel):
    title: str
    points: list[str] = []


IDEAS = '{"tasks": [{"title": "One", "points": ["a"]}, {"title": "Two"}]}'


def test_the_tutorials_code_runs_as_printed(server: ScriptedServer) -> None:
    server.add(reply(IDEAS))
    client = wrap(clients.openai_client(server, instructor.Mode.RESPONSES_TOOLS))
    shown: list[list[Idea]] = []

    stream = client.responses.stream(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Two ideas, please"}],
        response_model=list[Idea],
    )
    for partial in stream:
        shown.append(partial)  # noqa: PERF402 - as people write it
    ideas = stream.get_final_response()

    assert [idea.title for idea in ideas] == ["One", "Two"]
    assert all(type(idea) is Idea for idea in ideas)
    assert all(isinstance(idea, Idea) for partial in shown for idea in partial or [])
    assert shown[-1] is ideas
    assert server.requests[0].path == "/v1/responses"


async def test_the_tutorials_async_code_runs_as_printed(server: ScriptedServer) -> None:
    server.add(reply(IDEAS))
    client = wrap(clients.async_openai_client(server, instructor.Mode.RESPONSES_TOOLS))
    shown: list[list[Idea]] = []

    stream = client.responses.stream(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": "Two ideas, please"}],
        response_model=list[Idea],
    )
    async for partial in stream:
        shown.append(partial)  # noqa: PERF401 - as people write it
    ideas = await stream.get_final_response()

    assert [idea.title for idea in ideas] == ["One", "Two"]
    assert shown[-1] is ideas


class User(BaseModel):
    name: str
    age: int


USER = '{"name": "Jason", "age": 25}'
USERS = '{"tasks": [{"name": "Jason", "age": 25}, {"name": "Sarah", "age": 30}]}'
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Jason is 25"}]}


@both_sides
async def test_instructors_documented_create_partial(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER))
    client = OPENAI.client(server, side)
    ways: list[Any] = [client, client.chat.completions, client.completions, client.messages, client.chat]
    for way in ways:
        users = await everything(way.create_partial(response_model=User, **ASK))
        assert users[-1] == User(name="Jason", age=25)
    users = await everything(await settled(client.create(response_model=Partial[User], stream=True, **ASK)))
    assert users[-1] == User(name="Jason", age=25)
    assert type(users[-1]) is User


@both_sides
async def test_instructors_documented_create_iterable(server: ScriptedServer, side: str) -> None:
    server.always(reply(USERS))
    client = OPENAI.client(server, side)
    expected = [User(name="Jason", age=25), User(name="Sarah", age=30)]
    assert await everything(client.create_iterable(response_model=User, **ASK)) == expected
    assert await everything(await settled(client.create(response_model=Iterable[User], stream=True, **ASK))) == expected
    assert bare(await settled(client.create(response_model=Iterable[User], **ASK))) == bare(expected)


@both_sides
async def test_instructors_documented_hooks(server: ScriptedServer, side: str) -> None:
    told: list[str] = []
    kwargs_seen: list[Any] = []
    answers: list[Any] = []
    server.always(reply(USER))
    client = OPENAI.client(server, side)

    def log_completion_kwargs(*args: Any, **kwargs: Any) -> None:
        told.append("kwargs")
        kwargs_seen.append(kwargs)

    def log_response(response: Any) -> None:
        told.append("response")
        answers.append(response)

    client.on("completion:kwargs", log_completion_kwargs)
    client.on("completion:response", log_response)
    await everything(client.create_partial(response_model=User, **ASK))
    await settled(client.create(response_model=User, **ASK))
    client.off("completion:response", log_response)
    await everything(client.create_partial(response_model=User, **ASK))
    client.clear()
    await everything(client.create_partial(response_model=User, **ASK))

    assert told == ["kwargs", "response"] * 2 + ["kwargs"]
    assert kwargs_seen[0]["stream"] is True
    assert kwargs_seen[0]["messages"] == ASK["messages"]
    streamed, plain = answers
    assert {type(streamed), type(plain)} == {openai.types.chat.ChatCompletion}
    assert streamed.choices[0].message.tool_calls[0].function.arguments == USER
    assert streamed.usage.total_tokens == plain.usage.total_tokens


@both_sides
async def test_instructors_documented_max_retries(server: ScriptedServer, side: str) -> None:
    import tenacity

    kind = tenacity.AsyncRetrying if side == "async" else tenacity.Retrying
    for max_retries in (2, kind(stop=tenacity.stop_after_attempt(2))):
        server.add(reply('{"name": "Jason", "age": "old"}')).add(reply(USER))
        client = OPENAI.client(server, side)
        users = await everything(client.create_partial(response_model=User, max_retries=max_retries, **ASK))
        assert users[-1] == User(name="Jason", age=25)
    again = server.requests[1].json["messages"]
    assert "old" in str(again[1])  # the model's own bad answer
    assert "valid integer" in str(again[2])


# -- what a response model may be -----------------------------------------------------------------------------------


class Animal(BaseModel):
    kind: Literal["animal"]
    legs: int


class Plant(BaseModel):
    kind: Literal["plant"]
    leaves: int


class Box(BaseModel, Generic[T]):
    value: T


class Numbers(RootModel[list[int]]):
    """Numbers."""


class Alias(BaseModel):
    full_name: str = Field(alias="fullName")


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Typed(TypedDict):
    name: str
    age: int


@dataclasses.dataclass
class Point:
    x: int
    y: int
    name: str = ""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


def bare(value: Any) -> Any:
    """As plain data: instructor keeps the provider's answer in the object, which makes equal models unequal."""
    return to_jsonable_python(value)


Either = Union[Animal, Plant]  # noqa: UP007 - instructor's older spelling
FORMS: dict[str, tuple[Any, str, Any]] = {
    "model": (User, USER, User(name="Jason", age=25)),
    "nested": (
        Node,
        '{"name": "a", "children": [{"name": "b"}]}',
        Node(name="a", children=[Node(name="b")]),
    ),
    "generic": (Box[int], '{"value": 1}', Box[int](value=1)),
    "root model": (Numbers, "[1, 2]", Numbers([1, 2])),
    "alias": (Alias, '{"fullName": "Ada L."}', Alias(fullName="Ada L.")),
    "list of models": (list[User], USERS, [User(name="Jason", age=25), User(name="Sarah", age=30)]),
    "iterable": (Iterable[User], USERS, [User(name="Jason", age=25), User(name="Sarah", age=30)]),
    "Union": (Either, '{"content": {"kind": "plant", "leaves": 3}}', Plant(kind="plant", leaves=3)),
    "A | B": (Animal | Plant, '{"content": {"kind": "animal", "legs": 4}}', Animal(kind="animal", legs=4)),
    "list of A | B": (
        list[Animal | Plant],
        '{"tasks": [{"kind": "plant", "leaves": 3}]}',
        [Plant(kind="plant", leaves=3)],
    ),
    "optional": (Optional[User], '{"content": null}', None),  # noqa: UP045 - instructor's older spelling
    "TypedDict": (Typed, USER, User(name="Jason", age=25)),  # instructor gives a model of that name
    "str": (str, '{"content": "hello"}', "hello"),
    "int": (int, '{"content": 42}', 42),
    "float": (float, '{"content": 1.5}', 1.5),
    "bool": (bool, '{"content": true}', True),
    "Enum": (Colour, '{"content": "blue"}', Colour.BLUE),
    "Literal": (Literal["yes", "no"], '{"content": "no"}', "no"),
    "Partial": (Partial[User], USER, User(name="Jason", age=25)),
    "dict": (dict[str, int], '{"content": {"a": 1}}', {"a": 1}),
    "list of int": (list[int], '{"content": [1, 2]}', [1, 2]),
    "dataclass": (Point, '{"x": 1, "y": 2}', Point(1, 2)),
}
forms = pytest.mark.parametrize("form", FORMS)


@forms
@both_sides
async def test_every_response_model_streams(server: ScriptedServer, form: str, side: str) -> None:
    response_model, document, expected = FORMS[form]
    server.add(reply(document, 1))
    stream = OPENAI.client(server, side).create_partial(response_model, max_retries=0, **OPENAI.ask)
    *partials, final = await everything(stream)
    assert bare(final) == bare(expected)
    if form == "TypedDict":
        assert type(final).__name__ == "Typed"
    else:
        assert type(final) is type(expected)
        assert final == expected
    assert partials or expected is None
    if isinstance(final, BaseModel):
        assert all(isinstance(partial, type(final)) for partial in partials if not isinstance(partial, dict | None))
    if dataclasses.is_dataclass(expected):
        assert all(isinstance(partial, Point) for partial in partials)
    if isinstance(expected, list):
        lengths = [len(partial or []) for partial in partials]
        assert lengths == sorted(lengths)


@forms
@both_sides
async def test_create_takes_every_response_model(server: ScriptedServer, form: str, side: str) -> None:
    response_model, document, expected = FORMS[form]
    server.always(reply(document))
    client = OPENAI.client(server, side)
    plain = await settled(client.create(response_model, max_retries=0, **OPENAI.ask))
    streamed = await settled(client.create(response_model, max_retries=0, on_delta=str, **OPENAI.ask))
    assert bare(plain) == bare(streamed) == bare(expected)
    if form not in {"Partial", "TypedDict"}:  # instructor gives classes of its own for these
        assert isinstance(plain, type(expected))
        wanted = type(plain) if isinstance(expected, list) else type(expected)  # instructor's ListResponse
        assert type(streamed) is wanted
    assert [bool(request.json.get("stream")) for request in server.requests] == [False, True]


@forms
def test_both_ways_ask_the_model_for_the_same(server: ScriptedServer, form: str) -> None:
    """The final is what `create` would have returned, so the request must be what `create` would have sent."""
    response_model, document, _ = FORMS[form]
    server.always(reply(document))
    client = OPENAI.client(server, "sync", usage=False)
    client.create(response_model, max_retries=0, **OPENAI.ask)
    client.create_partial(response_model, max_retries=0, **OPENAI.ask).get_final_response()
    plain, streamed = (request.json for request in server.requests)
    assert streamed.pop("stream") is True
    plain.pop("stream", None)
    if form == "Partial":  # asked for whole: instructor's Partial makes all fields optional
        streamed.pop("tools"), plain.pop("tools")
        streamed.pop("tool_choice"), plain.pop("tool_choice")
    assert streamed == plain


def test_a_dataclass_is_sent_as_an_object(server: ScriptedServer) -> None:
    server.add(reply('{"x": 1, "y": 2}'))
    OPENAI.client(server, "sync").create_partial(Point, **OPENAI.ask).get_final_response()
    function = server.requests[0].json["tools"][0]["function"]
    assert function["name"] == "Point"
    assert function["parameters"]["type"] == "object"
    assert set(function["parameters"]["properties"]) == {"x", "y", "name"}


REFUSED: dict[str, tuple[Any, str]] = {
    "a number": (5, "5"),
    "a name": ("User", "User"),
    "a function": (len, "len"),
    "a module": (enum, "enum"),
    "bare list": (list, "list"),
    "bare Iterable": (Iterable, "Iterable"),
    "a callable": (Callable[[int], int], "Callable"),
    "no pydantic type": (ScriptedServer, "ScriptedServer"),
}


@pytest.mark.parametrize("what", REFUSED)
@both_sides
async def test_what_cannot_work_is_refused_before_any_request(server: ScriptedServer, what: str, side: str) -> None:
    response_model, name = REFUSED[what]
    client = OPENAI.client(server, side)
    with pytest.raises(StreamMisuse, match=name) as refused:
        client.create_partial(response_model, **OPENAI.ask)
    assert isinstance(refused.value, TypeError)
    with pytest.raises(StreamMisuse, match=name):
        client.create_iterable(5, **OPENAI.ask) if what == "a number" else client.create_partial(
            response_model, **OPENAI.ask
        )
    with pytest.raises((TypeError, ValueError), match=r"response_model|cannot be a response model"):
        await settled(client.create(response_model, **OPENAI.ask))
    assert server.exchanges == []


@both_sides
async def test_no_response_model_is_refused_by_create_partial(server: ScriptedServer, side: str) -> None:
    with pytest.raises(StreamMisuse, match="None"):
        OPENAI.client(server, side).create_partial(None, **OPENAI.ask)
    assert server.exchanges == []


# -- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 5, "client", openai.OpenAI, Thing])
def test_only_instructor_clients_are_wrapped(wrong: Any) -> None:
    with pytest.raises(ClientNotSupported, match=type(wrong).__name__) as refused:
        wrap(wrong)
    assert isinstance(refused.value, TypeError)


def test_an_sdk_client_is_not_wrapped(server: ScriptedServer) -> None:
    with pytest.raises(ClientNotSupported, match="OpenAI"):
        wrap(clients.bare_openai(server))  # type: ignore[call-overload]


@both_sides
async def test_parallel_tools_are_refused_before_any_request(server: ScriptedServer, side: str) -> None:
    inner = OPENAI.makers[side == "async"](server, instructor.Mode.PARALLEL_TOOLS)
    with pytest.raises(ClientNotSupported, match="PARALLEL_TOOLS"):
        wrap(inner).create_partial(Thing, **OPENAI.ask)
    assert server.exchanges == []


@both_sides
async def test_a_client_is_wrapped_twice_and_a_wrapped_one_again(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER, 1))
    inner = OPENAI.plain(server, side)
    before = dict(vars(inner))
    outer_seen: list[Any] = []
    inner_seen: list[Any] = []
    every = wrap(inner, on_partial=inner_seen.append)
    last_only = wrap(inner, debounce=package.FinalOnly())
    both = wrap(every, debounce=package.EveryN(8), on_partial=outer_seen.append)

    assert len(await everything(last_only.create_partial(User, **ASK))) == 1
    many = len(await everything(every.create_partial(User, **ASK)))
    assert many > 5
    assert len(inner_seen) == many - 1
    inner_seen.clear()
    few = len(await everything(both.create_partial(User, **ASK)))
    assert 1 < few < many
    assert len(inner_seen) == len(outer_seen) == few - 1
    assert every.wrapped is last_only.wrapped is both.wrapped is inner
    assert both.mode is inner.mode  # other attributes are the inner client's
    assert dict(vars(inner)) == before
    assert bare(await settled(inner.create(response_model=User, **ASK))) == {"name": "Jason", "age": 25}
    assert not any(inner.hooks._handlers.values())


def test_what_is_no_attribute_says_so(server: ScriptedServer) -> None:
    client = OPENAI.client(server, "sync")
    with pytest.raises(AttributeError):
        _ = client._nothing
    with pytest.raises(AttributeError):
        _ = client.nothing_at_all
    assert "openai" in repr(client)


# -- arguments ------------------------------------------------------------------------------------------------------


@both_sides
async def test_messages_may_be_text_or_called_input(server: ScriptedServer, side: str) -> None:
    server.always(lambda request: reply(USERS if "tasks" in str(request.json["tools"]) else USER)(request))
    client = OPENAI.client(server, side)
    model: Any = {"model": "m"}
    await everything(client.create_partial(User, "Jason is 25", **model))
    await everything(client.create_partial(User, input="Jason is 25", **model))
    await settled(client.create(User, "Jason is 25", **model))
    await settled(client.create(User, input=[{"role": "user", "content": "Jason is 25"}], **model))
    await everything(client.responses.create_iterable("Jason is 25", User, **model))
    await settled(client.responses.create_with_completion("Jason is 25", User, **model))
    for request in server.requests:
        assert request.json["messages"] == [{"role": "user", "content": "Jason is 25"}]
        assert "input" not in request.json
    with pytest.raises(TypeError, match="only one of"):
        client.create_partial(User, "a", input="b", **model)
    with pytest.raises(TypeError, match="must be given"):
        client.create_partial(User, **model)


@both_sides
@sources("openai-tools", "litellm-tools")
async def test_usage_is_asked_for(server: ScriptedServer, source: Source, side: str) -> None:
    server.always(reply(USER))
    stream = source.client(server, side).create_partial(User, **source.ask)
    await settled(stream.get_final_response())
    assert server.requests[0].json["stream_options"] == {"include_usage": True}
    assert stream.usage == USAGE
    silent = source.client(server, side, usage=False).create_partial(User, **source.ask)
    await settled(silent.get_final_response())
    assert "stream_options" not in server.requests[1].json
    own = source.client(server, side).create_partial(User, stream_options={"include_usage": False}, **source.ask)
    await settled(own.get_final_response())
    assert server.requests[2].json["stream_options"] == {"include_usage": False}


@both_sides
@pytest.mark.parametrize("status", [400, 422])
async def test_a_server_that_knows_no_stream_options_is_asked_once_without(
    server: ScriptedServer, side: str, status: int
) -> None:
    def picky(request: Request) -> Script:
        if "stream_options" in request.json:
            return Status(status, {"error": {"message": "unknown field: stream_options"}})
        return reply(USER)(request)

    server.always(picky)
    client = OPENAI.client(server, side)
    ended: list[StreamEnded] = []
    first_stream = client.create_partial(User, on_end=ended.append, **ASK)
    assert await settled(first_stream.get_final_response()) == User(name="Jason", age=25)
    assert first_stream.usage is None
    assert [end.outcome for end in ended] == [Outcome.COMPLETED]
    assert first_stream.attempt == 1
    await settled(client.create_partial(User, **ASK).get_final_response())
    await settled(wrap(client).create_partial(User, **ASK).get_final_response())
    assert ["stream_options" in request.json for request in server.requests] == [True, False, False, False]


@both_sides
async def test_another_400_is_not_repeated(server: ScriptedServer, side: str) -> None:
    server.always(Status(400, {"error": {"message": "no such model", "code": "model_not_found"}}))
    with pytest.raises(openai.BadRequestError):
        await settled(OPENAI.client(server, side).create_partial(User, **ASK).get_final_response())
    assert len(server.exchanges) == 1


@both_sides
async def test_unknown_hooks_and_wrong_arguments_are_refused(server: ScriptedServer, side: str) -> None:
    client = OPENAI.client(server, side)
    with pytest.raises(StreamMisuse, match="on_partials"):
        client.create_partial(User, on_partials=print, **ASK)
    with pytest.raises(StreamMisuse, match="hooks must be"):
        client.create_partial(User, hooks=[print], **ASK)
    with pytest.raises(StreamMisuse, match="unknown hook"):
        client.on("partials", print)
    with pytest.raises(StreamMisuse, match="unknown hook"):
        client.off("partials", print)
    with pytest.raises(StreamMisuse, match="unknown hook"):
        client.clear("partials")
    with pytest.raises(StreamMisuse, match="callable"):
        client.create_partial(User, on_partial=[5], **ASK)
    with pytest.raises(StreamMisuse, match="final_checks"):
        client.create_partial(User, final_checks=[5], **ASK)
    with pytest.raises(StreamMisuse, match="max_retries"):
        client.create_partial(User, max_retries="3", **ASK)
    with pytest.raises(TypeError, match="debounce"):
        client.create_partial(User, debounce="fast", **ASK)
    with pytest.raises(TypeError, match="token_budget"):
        client.create_partial(User, token_budget="many", **ASK)
    with pytest.raises(ValueError, match="token_budget"):
        client.create_partial(User, token_budget=0, **ASK)
    with pytest.raises(StreamMisuse, match="hook_errors"):
        wrap(client, hook_errors="ignore")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="debounce"):
        wrap(client, debounce="fast")  # type: ignore[call-overload]
    assert server.exchanges == []


# -- create ---------------------------------------------------------------------------------------------------------


@both_sides
async def test_create_with_stream(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER))
    client = OPENAI.client(server, side)
    partial = await settled(client.create(Partial[User], stream=True, **ASK))
    assert type(partial) is (AsyncPartialStream if side == "async" else PartialStream)
    assert type((await everything(partial))[-1]) is User
    assert await settled(client.create(User, stream=True, **ASK)) == User(name="Jason", age=25)
    assert await settled(client.create(list[User], stream=True, **ASK)) == [User(name="Jason", age=25)]
    assert all(request.json["stream"] for request in server.requests)


@both_sides
async def test_create_with_stream_and_no_model_is_the_sdks_stream(server: ScriptedServer, side: str) -> None:
    server.always(sends(chat_content("hello")))
    client = OPENAI.client(server, side)
    stream = await settled(client.create(None, stream=True, **ASK))
    chunks = await everything(stream)
    assert all(type(chunk) is openai.types.chat.ChatCompletionChunk for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "hello"


@both_sides
async def test_create_without_model(server: ScriptedServer, side: str) -> None:
    server.add(Answer(chat_answer("hello", kind="content"))).add(reply("hello"))
    client = OPENAI.client(server, side)
    plain = await settled(client.create(None, **ASK))
    streamed = await settled(client.create(None, on_delta=str, **ASK))
    for completion in (plain, streamed):
        assert type(completion) is openai.types.chat.ChatCompletion
        assert completion.choices[0].message.content == "hello"


@both_sides
async def test_create_with_completion(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER))
    client = OPENAI.client(server, side)
    hooks = Hooks(on_partial=lambda _: None)
    for more in ({}, {"hooks": hooks}, {"stream": True}):
        user, completion = await settled(client.create_with_completion(User, **ASK, **more))
        assert bare(user) == {"name": "Jason", "age": 25}
        assert {type(completion)} == {openai.types.chat.ChatCompletion}
        assert completion.choices[0].message.tool_calls[0].function.arguments == USER
        assert completion.usage.total_tokens == 18
    assert [bool(request.json.get("stream")) for request in server.requests] == [False, True, True]
    point, completion = await settled(client.create_with_completion(Typed, **ASK))
    assert bare(point) == {"name": "Jason", "age": 25}
    assert type(completion) is openai.types.chat.ChatCompletion


@both_sides
async def test_create_streams_underneath_when_somebody_listens(server: ScriptedServer, side: str) -> None:
    server.always(reply(USER, 1))
    shown: list[Any] = []
    client = OPENAI.client(server, side)
    await settled(client.create(User, **ASK))
    user = await settled(client.create(User, on_partial=shown.append, **ASK))
    assert user._raw_response.id == "chatcmpl-1"
    assert bare(shown[-1]) == bare(user)
    client.on("partial", shown.append)
    await settled(client.create(User, **ASK))
    assert [bool(request.json.get("stream")) for request in server.requests] == [False, True, True]


# -- what a stream can be asked -------------------------------------------------------------------------------------


@both_sides
@sources()
async def test_members_of_a_stream(server: ScriptedServer, source: Source, side: str) -> None:
    server.add(reply(source.text(DOCUMENT), 4))
    stream = source.client(server, side).create_partial(Thing, **source.ask)
    assert stream.text == ""
    assert [stream.partial, stream.usage, stream.completion] == [None] * 3
    assert not stream.is_final
    assert stream.attempt == 1
    assert stream.stats.attempts == 0
    assert stream.state("name") is FieldState.MISSING
    final = await settled(stream.get_final_response())
    assert stream.partial is final
    assert stream.is_final
    assert TypeAdapter(dict[str, Any]).validate_json(stream.json_text) == THING.model_dump()
    assert stream.json_text in stream.text
    assert stream.state("name") is stream.state(("tags", 1)) is stream.state("tags[1]") is FieldState.COMPLETE
    assert stream.state("tags[2]") is FieldState.MISSING
    with pytest.raises(StreamMisuse):
        stream.state("nothing")
    assert stream.usage == USAGE
    assert stream.messages == [*source.ask["messages"], {"role": "assistant", "content": stream.text}]
    stats = stream.stats
    assert stats.attempts == 1
    assert stats.chars == len(stream.text)
    assert stats.deltas >= 1
    assert stats.partials_yielded >= 1
    assert stats.partials_built >= stats.partials_yielded
    assert stats.first_delta_at is not None
    assert stats.first_partial_at is not None
    assert stats.ended_at is not None
    assert 0 <= stats.first_delta_at <= stats.first_partial_at <= stats.ended_at
    assert stats.end_signal
    answer_type = type(stream.completion)
    assert answer_type.__name__ in {"ChatCompletion", "Response", "Message", "GenerateContentResponse", "ModelResponse"}
    assert "Ada" in str(stream.completion)


@both_sides
async def test_members_in_mid_stream(server: ScriptedServer, side: str) -> None:
    gate = Signal()
    server.add(reply(DOCUMENT, CUT, arrange=held_after(b"Ada", gate)))
    stream = OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask)
    async with entered(stream) as inside:
        assert inside is stream
        partial = await first(stream)
        assert stream.partial is partial
        assert not stream.is_final
        assert stream.text == stream.json_text == DOCUMENT[:CUT]
        assert stream.state("name") is FieldState.COMPLETE
        assert stream.state("tags") is FieldState.MISSING
        assert stream.completion.choices[0].message.tool_calls[0].function.arguments == DOCUMENT[:CUT]
        gate.set()
        rest = await everything(stream)  # a loop goes on where next() stopped
        assert rest[-1] == THING
    assert await settled(stream.get_final_response()) is rest[-1]
    assert partial.tags == []


@both_sides
async def test_text_stream_and_events(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT, 7))
    client = OPENAI.client(server, side)
    stream = client.create_partial(Thing, **OPENAI.ask)
    assert "".join(await everything(stream.text_stream())) == DOCUMENT
    assert await settled(stream.get_final_response()) == THING
    stream = client.create_partial(Thing, **OPENAI.ask)
    events = await everything(stream.events())
    names = [type(event).__name__ for event in events]
    assert names[0] == "StreamStarted"
    assert names[-2:] == ["StreamCompleted", "StreamEnded"]
    assert {"DeltaReceived", "FieldTransition", "ItemCompleted", "PartialEmitted"} <= set(names)
    assert await settled(stream.get_final_response()) is events[-2].result


@both_sides
async def test_the_same_answer_gives_the_same_events_sync_and_async(server: ScriptedServer, side: str) -> None:
    """Both sides are compared with the sync one, whole."""

    async def events(side: str) -> list[Any]:
        stream = OPENAI.client(server, side, clock=lambda: 0.0).create_partial(Thing, **OPENAI.ask)
        return await everything(stream.events())

    server.always(reply(DOCUMENT, 3))
    assert await events(side) == await events("sync")


@both_sides
async def test_asked_again_a_stream_gives_the_same_object_or_error(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT)).add(reply(DOCUMENT[:20]))
    client = OPENAI.client(server, side)
    good = client.create_partial(Thing, **OPENAI.ask)
    assert await settled(good.get_final_response()) is await settled(good.get_final_response())
    bad = client.create_partial(Thing, **OPENAI.ask)
    errors = []
    for _ in range(2):
        with pytest.raises(OutputTruncated) as caught:
            await settled(bad.get_final_response())
        errors.append(caught.value)
    assert errors[0] is errors[1]
    assert errors[0].text == DOCUMENT[:20]
    assert len(server.exchanges) == 2


@both_sides
async def test_a_second_pass_is_misuse(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    client = OPENAI.client(server, side)
    stream = client.create_partial(Thing, **OPENAI.ask)
    await everything(stream)
    with pytest.raises(StreamMisuse, match="read once"):
        await everything(stream)
    with pytest.raises(StreamMisuse, match="read once"):
        stream.events()
    with pytest.raises(StreamMisuse, match="read once"):
        stream.text_stream()
    with pytest.raises(StreamMisuse, match="read once"):
        await first(stream)
    drained = client.create_partial(Thing, **OPENAI.ask)
    await settled(drained.get_final_response())
    with pytest.raises(StreamMisuse, match="already read as its final response"):
        await everything(drained)
    with pytest.raises(StreamMisuse, match="read once"):
        drained.text_stream()
    closed = client.create_partial(Thing, **OPENAI.ask)
    await settled(closed.close())
    with pytest.raises(StreamMisuse, match="closed"):
        await everything(closed)
    with pytest.raises(StreamStopped):
        await settled(closed.get_final_response())
    assert len(server.exchanges) == 2


@both_sides
async def test_the_final_of_a_stream_that_is_just_being_read_is_misuse(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    refused: list[Exception] = []

    def ask(_: Any) -> Any:
        return again() if side == "async" else refuse()

    def refuse() -> None:
        with pytest.raises(StreamMisuse, match="being read at this moment") as caught:
            stream.get_final_response()
        refused.append(caught.value)

    async def again() -> None:
        with pytest.raises(StreamMisuse, match="being read at this moment") as caught:
            await stream.get_final_response()
        refused.append(caught.value)

    stream = OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask, on_start=ask)
    final = await settled(stream.get_final_response())
    assert len(refused) == 1
    assert await settled(stream.get_final_response()) is final


@both_sides
async def test_nothing_is_sent_before_the_first_next_or_with(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    client = OPENAI.client(server, side)
    stream = client.create_partial(Thing, **OPENAI.ask)
    iterator = each(stream)
    assert server.exchanges == []
    await anext(iterator)
    assert len(server.exchanges) == 1
    await iterator.aclose()  # type: ignore[attr-defined]
    async with entered(client.create_partial(Thing, **OPENAI.ask)) as inside:
        assert len(server.exchanges) == 2
        assert (await everything(inside))[-1] == THING


@both_sides
async def test_with_and_nothing_else_closes(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    async with entered(OPENAI.client(server, side).create_partial(Thing, **OPENAI.ask)) as stream:
        final = await settled(stream.get_final_response())
    assert final == THING
    assert await settled(stream.get_final_response()) is final


@both_sides
async def test_text_answers(server: ScriptedServer, side: str) -> None:
    server.add(reply("Hello there")).add(chat_chunk({"content": "Hel"})).add(Start(), End())
    client = OPENAI.client(server, side)
    heard: list[str] = []
    stream = client.stream_text("hi", model="m", on_delta=heard.append)
    assert await settled(stream.get_final_response()) == "Hello there" == stream.text == "".join(heard)
    assert stream.messages[-1] == {"role": "assistant", "content": "Hello there"}
    assert stream.usage == USAGE
    with pytest.raises(StreamMisuse, match="no fields"):
        stream.state("x")
    with pytest.raises(OutputTruncated):  # plain text without an end signal
        await settled(client.stream_text("hi", model="m").get_final_response())
    with pytest.raises(NoOutput):
        await settled(client.stream_text("hi", model="m").get_final_response())


@both_sides
async def test_a_debounced_text_stream_loses_nothing(server: ScriptedServer, side: str) -> None:
    server.add(reply("Hello there", 1))
    client = OPENAI.client(server, side, debounce=package.EveryN(4))
    pieces = await everything(client.stream_text("hi", model="m"))
    assert pieces == ["Hell", "o th", "ere"]
