"""The markers on real streams: what the provider is sent, what partials show, what the final is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from instructor import Mode
from pydantic import BaseModel, Field, field_validator
from typing_extensions import TypedDict

from instructor_stream_ext import Done, FieldState, FieldTransition, NotNull, Streamed, StreamMisuse, WithState
from tests.server import ScriptedServer, reply
from tests.sides import each
from tests.twins import Twin, both

MISSING, STREAMING, COMPLETE = FieldState
ASK: dict[str, Any] = {"messages": "go", "model": "m"}


def is_text(title: Any) -> Any:
    """For a validator: it is never shown what partials show."""
    assert isinstance(title, str)
    return title


def plain() -> Any:
    """An order without markers."""

    class Line(BaseModel):
        id: int
        note: str = Field("", description="what it is")

    class Cash(BaseModel):
        kind: Literal["cash"]
        amount: float

    class Card(BaseModel):
        kind: Literal["card"]
        number: str

    class Place(TypedDict):
        city: str

    class Order(BaseModel):
        title: str
        lines: list[Line]
        by_name: dict[str, Line] = {}
        paid: Cash | Card = Field(discriminator="kind")
        place: Place
        whole: list[int] = []
        _title = field_validator("title")(is_text)

    return Order


def marked() -> Any:
    """The same with markers at all depths."""

    class Line(BaseModel):
        id: Annotated[int, NotNull()]
        note: Annotated[str, Done()] = Field("", description="what it is")

    class Cash(BaseModel):
        kind: Literal["cash"]
        amount: Annotated[float, WithState()]

    class Card(BaseModel):
        kind: Literal["card"]
        number: Annotated[str, Done()]

    class Place(TypedDict):
        city: Annotated[str, WithState()]

    class Order(BaseModel):
        title: Annotated[str, WithState()]
        lines: list[Line]
        by_name: dict[str, Line] = {}
        paid: Cash | Card = Field(discriminator="kind")
        place: Place
        whole: Annotated[list[int], Done()] = []
        _title = field_validator("title")(is_text)

    return Order


DOCUMENT = (
    '{"title": "An order", "lines": [{"note": "first", "id": 1}, {"id": 2, "note": "second"}], '
    '"by_name": {"a": {"note": "x", "id": 3}}, "paid": {"kind": "cash", "amount": 12.5}, '
    '"place": {"city": "Lisbon"}, "whole": [1, 2]}'
)


@both
@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON_SCHEMA, Mode.JSON, Mode.MD_JSON, Mode.RESPONSES_TOOLS], ids=str)
async def test_what_the_provider_is_sent_does_not_know_them(server: ScriptedServer, twin: Twin, mode: Mode) -> None:
    text = f"```json\n{DOCUMENT}\n```" if mode is Mode.MD_JSON else DOCUMENT
    server.always(reply(text))
    for model in (plain(), marked()):
        await twin.final(twin.client(server, mode).create_partial(model, **ASK))
    without, with_them = (request.json for request in server.requests)
    assert with_them == without
    assert "what it is" in str(without)


@both
@pytest.mark.parametrize("size", [1, 3, 11, None])
async def test_the_final_does_not_know_them_and_partials_keep_their_promises(
    server: ScriptedServer, twin: Twin, size: int | None
) -> None:
    server.always(reply(DOCUMENT, size))
    client = twin.client(server)
    alike = await twin.final(client.create_partial(plain(), **ASK))
    *partials, final = await twin.values(client.create_partial(marked(), **ASK))
    assert final.model_dump() == alike.model_dump()
    assert final.title == "An order"
    assert partials
    for partial in partials:
        assert isinstance(partial.title, Streamed)
        assert "An order".startswith(partial.title.value or "")
        for line in [*partial.lines, *partial.by_name.values()]:
            assert line.id in (1, 2, 3)
            assert line.note in ("", "first", "second", "x")
        assert partial.whole in ([], [1, 2])
        if hasattr(partial.paid, "amount"):  # a plain dict until its kind is known
            assert partial.paid.amount in (Streamed(None, MISSING), Streamed(None, STREAMING), Streamed(12.5, COMPLETE))
        if isinstance(partial.place, dict) and "city" in partial.place:
            assert isinstance(partial.place["city"], Streamed)
    last = partials[-1]
    assert last.title == Streamed("An order", COMPLETE)
    assert last.paid.amount == Streamed(12.5, COMPLETE)
    assert last.place["city"] == Streamed("Lisbon", COMPLETE)
    assert [line.note for line in last.lines] == ["first", "second"]


class Report(BaseModel):
    title: Annotated[str, WithState()]
    owner: Annotated[str, Done()] = "nobody"
    total: int = 0


@both
async def test_states_as_they_change(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"title": "ab", "owner": "me", "total": 5}', 1))
    stream = twin.client(server).create_partial(Report, **ASK)
    seen = [
        (partial.title, partial.owner, stream.state("title"), stream.state(("owner",)))
        async for partial in each(stream)
    ]
    assert seen == [
        (Streamed(None, MISSING), "nobody", MISSING, MISSING),
        (Streamed("", STREAMING), "nobody", STREAMING, MISSING),
        (Streamed("a", STREAMING), "nobody", STREAMING, MISSING),
        (Streamed("ab", STREAMING), "nobody", STREAMING, MISSING),
        (Streamed("ab", COMPLETE), "nobody", COMPLETE, MISSING),
        (Streamed("ab", COMPLETE), "me", COMPLETE, COMPLETE),
        (Streamed("ab", COMPLETE), "me", COMPLETE, COMPLETE),
        ("ab", "me", COMPLETE, COMPLETE),
    ]


@both
async def test_transitions_tell_the_value_that_is_complete(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"title": "ab", "owner": "me", "total": 5}', 2))
    events = await twin.events(twin.client(server).create_partial(Report, **ASK))
    changes = [event for event in events if isinstance(event, FieldTransition) and event.path]
    assert [(change.path[0], change.after, change.value) for change in changes] == [
        ("title", STREAMING, None),
        ("title", COMPLETE, "ab"),
        ("owner", STREAMING, None),
        ("owner", COMPLETE, "me"),
        ("total", STREAMING, None),
        ("total", COMPLETE, 5),
    ]


@both
async def test_an_unknown_path_is_refused_with_what_there_is_and_the_stream_unharmed(
    server: ScriptedServer, twin: Twin
) -> None:
    server.add(reply('{"title": "ab"}'))
    stream = twin.client(server).create_partial(Report, **ASK)
    with pytest.raises(StreamMisuse, match="Report has title, owner, total"):
        stream.state("tittle")
    with pytest.raises(StreamMisuse, match="not a path"):
        stream.state("title..x")
    assert not server.requests
    assert (await twin.final(stream)).title == "ab"


class Misplaced(BaseModel):
    numbers: list[Annotated[int, NotNull()]]


@both
@pytest.mark.parametrize("wrong", [Misplaced, list[Annotated[int, NotNull()]]], ids=["a field", "the response"])
async def test_a_marker_where_it_means_nothing_is_refused_before_anything_is_sent(
    server: ScriptedServer, twin: Twin, wrong: Any
) -> None:
    client = twin.client(server)
    with pytest.raises(StreamMisuse, match=r"NotNull\(\) marks a field of an object"):
        client.create_partial(wrong, **ASK)
    assert not server.requests


@both
async def test_markers_on_the_items_of_an_item_stream(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"tasks": [{"title": "a", "total": 1}, {"title": "b"}]}', 2))
    recorded: list[Any] = []
    stream = twin.client(server).create_iterable(Report, **ASK, on_partial=recorded.append)
    items = await twin.values(stream)
    assert [item.title for item in items] == ["a", "b"]
    assert recorded[-1][1].title == Streamed("b", COMPLETE)
