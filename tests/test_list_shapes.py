"""Lists: the shapes in which models send them, and paths that begin at the list, whatever stands around it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from instructor_stream_ext import (
    FieldState,
    FieldTransition,
    InvalidJSON,
    ItemCompleted,
    NoOutput,
    RetriesExhausted,
    StreamMisuse,
)
from tests.server import ScriptedServer, reply
from tests.sides import each
from tests.twins import Twin, both, settled

LISBON, PORTO = '{"name": "Lisbon", "people": 545, "tags": ["a", "b"]}', '{"name": "Porto", "people": 232}'
ASK: dict[str, Any] = {"messages": "which?", "model": "m"}
MODES = [Mode.TOOLS, Mode.JSON, Mode.MD_JSON]


class City(BaseModel):
    name: str
    people: int = Field(default=0, ge=0)
    tags: list[str] = []


BOTH = [City(name="Lisbon", people=545, tags=["a", "b"]), City(name="Porto", people=232)]

SHAPES = {
    "tasks": f'{{"tasks": [{LISBON}, {PORTO}]}}',
    "items": f'{{"items": [{LISBON}, {PORTO}]}}',
    "named after the model": f'{{"City": [{LISBON}, {PORTO}]}}',
    "beside others": f'{{"n": 2, "errors": [], "page": {{"next": [1]}}, "cities": [{LISBON}, {PORTO}], "left": [3]}}',
    "twice, the known name counts": f'{{"old": [{PORTO}], "tasks": [{LISBON}, {PORTO}]}}',
    "bare": f"[{LISBON}, {PORTO}]",
    "one a line": f"{LISBON}\n{PORTO}\n",
    "one after another": f"{LISBON}{PORTO}",
    "with commas": f"{LISBON},\n{PORTO}",
    "with a key of its own before": f'{{"id": 7, {LISBON[1:]}\n{PORTO}',
}
"""What models send for a list of cities."""

IN_PROSE = {
    "one a line": f"Here they are:\n```json\n{LISBON}\n{PORTO}\n```\nThat is all.",
    "bare": f"Two: [{LISBON}, {PORTO}].",
    "items": f'So: {{"items": [{LISBON}, {PORTO}]}}.',
    "as a list": f"1. {LISBON}\n2. {PORTO}\n",
    "after a draft": f"Maybe {PORTO}?\n```json\n[{LISBON}, {PORTO}]\n```",
    "after a draft alike": f"Maybe {PORTO}?\n```\n{LISBON}\n{PORTO}\n```",
    "after an example": f'As in {{"tasks": [{PORTO}]}}: [{LISBON}, {PORTO}]',
}


@both
@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_object_around_models_is_the_empty_list(server: ScriptedServer, twin: Twin, mode: Mode) -> None:
    """As in instructor, where the list within its own object has a default."""
    server.always(reply("{}"))
    client = twin.client(server, mode)
    whole = client.create_partial(list[City], **ASK, max_retries=0)
    assert await twin.values(whole) == [[]]
    assert whole.json_text == "[]"
    assert await twin.final(client.create_iterable(City, **ASK, max_retries=0)) == []
    with pytest.raises(NoOutput, match="no list in the answer, only an empty object"):
        await twin.final(client.create_partial(list[int], **ASK, max_retries=0))


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 7, None])
async def test_every_shape_is_the_list(
    server: ScriptedServer, twin: Twin, shape: str, mode: Mode, size: int | None
) -> None:
    server.always(reply(SHAPES[shape], size))
    client = twin.client(server, mode)
    items = client.create_iterable(City, **ASK, max_retries=0)
    values = await twin.values(items)
    assert values[-2:] == BOTH  # where the list came twice, those of the first were told before
    assert await twin.final(items) == BOTH
    partials = client.create_partial(list[City], **ASK, max_retries=0)
    shown = await twin.values(partials)
    assert all(isinstance(partial, list) for partial in shown)
    assert shown[-1] == await twin.final(partials) == BOTH
    assert len(server.exchanges) == 2


@both
@pytest.mark.parametrize("text", IN_PROSE)
@pytest.mark.parametrize("size", [1, 7, None])
async def test_every_shape_is_found_in_prose(server: ScriptedServer, twin: Twin, text: str, size: int | None) -> None:
    server.always(reply(IN_PROSE[text], size))
    client = twin.client(server, Mode.MD_JSON)
    items = client.create_iterable(City, **ASK, max_retries=0)
    assert (await twin.values(items))[-2:] == await twin.final(items) == BOTH
    assert await twin.final(client.create_partial(list[City], **ASK, max_retries=0)) == BOTH


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, None])
async def test_an_object_is_a_list_of_one(server: ScriptedServer, twin: Twin, mode: Mode, size: int | None) -> None:
    server.always(reply(LISBON, size))
    client = twin.client(server, mode)
    assert await twin.values(client.create_iterable(City, **ASK, max_retries=0)) == BOTH[:1]
    assert await twin.final(client.create_partial(list[City], **ASK, max_retries=0)) == BOTH[:1]


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("of", "text", "final"),
    [(list[int], "[1, 2]", [1, 2]), (list[int], '{"content": [1, 2]}', [1, 2]), (int, '{"content": 5}', 5)],
    ids=str,
)
async def test_plain_values(server: ScriptedServer, twin: Twin, mode: Mode, of: Any, text: str, final: Any) -> None:
    server.always(reply(text, 1))
    stream = twin.client(server, mode).create_partial(of, **ASK, max_retries=0)
    shown = await twin.values(stream)
    assert shown[-1] == await twin.final(stream) == final
    assert stream.json_text == text.removeprefix('{"content": ').removesuffix("}")


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("of", "text", "said"),
    [
        (list[City], '{"note": "none", "page": {"tasks": [1]}}', "no list in the answer, only 'note', 'page'"),
        (list[City], '{"City": {"name": "Lisbon"}}', "no list in the answer, only 'City'"),
        (int, '{"answer": 5}', "no 'content' in the answer, only 'answer'"),
        (int, "{}", "no 'content' in the answer, only an empty object"),
    ],
    ids=str,
)
async def test_what_is_there_in_place_of_it_is_named(
    server: ScriptedServer, twin: Twin, mode: Mode, of: Any, text: str, said: str
) -> None:
    server.always(reply(text, 3))
    with pytest.raises(NoOutput, match=said):
        await twin.final(twin.client(server, mode).create_partial(of, **ASK, max_retries=0))


@both
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1, 9, None])
async def test_paths_begin_at_the_list(
    server: ScriptedServer, twin: Twin, shape: str, size: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    server.always(reply(SHAPES[shape], size))
    stream = twin.client(server, log_transitions=True).create_partial(list[City], **ASK)
    with caplog.at_level(logging.INFO, logger="instructor_stream_ext"):
        events = await twin.events(stream)
    transitions = [event for event in events if isinstance(event, FieldTransition)]
    assert {event.path for event in transitions} == {
        (),
        *((number, *rest) for number in (0, 1) for rest in ((), ("name",), ("people",))),
        (0, "tags"),
        (0, "tags", 0),
        (0, "tags", 1),
    }
    states = [event.after for event in transitions if event.path == ()]
    assert states[-2:] == [FieldState.STREAMING, FieldState.COMPLETE]
    items = [event.path for event in events if isinstance(event, ItemCompleted) and len(event.path) == 1]
    assert items[-2:] == [(0,), (1,)]
    assert stream.state("[0].name") is stream.state("") is FieldState.COMPLETE
    assert stream.state("[2]") is FieldState.MISSING
    with pytest.raises(StreamMisuse, match="tasks"):
        stream.state("tasks[0]")
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "[0].name" in told
    assert "tasks" not in told


@both
@pytest.mark.parametrize("shape", ["tasks", "items", "bare", "one a line"])
async def test_states_while_it_comes(server: ScriptedServer, twin: Twin, shape: str) -> None:
    server.always(reply(SHAPES[shape], 1))
    seen: list[tuple[Any, ...]] = []
    stream = twin.client(server).create_partial(list[City], **ASK)

    async for _ in each(stream):
        row = tuple(stream.state(path) for path in ("", "[0]", "[0].name", "[1]", "[1].name"))
        if not seen or seen[-1] != row:
            seen.append(row)
    missing, streaming, complete = FieldState.MISSING, FieldState.STREAMING, FieldState.COMPLETE
    wanted = [
        (streaming, streaming, streaming, missing, missing),
        (streaming, streaming, complete, missing, missing),
        (streaming, complete, complete, streaming, streaming),
        (complete,) * 5,
    ]
    assert [row for row in seen if row in wanted] == wanted


@both
async def test_a_validation_error_names_the_place_in_the_list(server: ScriptedServer, twin: Twin) -> None:
    bad = PORTO.replace("232", "-1")
    for text in (f'{{"tasks": [{LISBON}, {bad}]}}', f"{LISBON}\n{bad}"):
        server.always(reply(text))
        with pytest.raises(RetriesExhausted) as caught:
            await twin.final(twin.client(server).create_partial(list[City], **ASK, max_retries=0))
        assert isinstance(caught.value.__cause__, ValidationError)
        assert caught.value.__cause__.errors()[0]["loc"] == (1, "people")
        stream = twin.client(server).create_iterable(City, **ASK, on_bad_item="skip")
        assert await twin.values(stream) == BOTH[:1]
        assert [item.path for item in stream.skipped] == [(1,)]
        assert stream.skipped[0].errors[0]["loc"] == ("people",)


@both
async def test_a_text_field_of_an_item_is_streamed(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(SHAPES["items"], 1))
    stream = twin.client(server).create_partial(list[City], **ASK)
    assert "".join(await twin.values(stream.text_of("[1].name"))) == "Porto"


@both
async def test_a_thousand_lines_in_one_piece(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(f"{PORTO}\n" * 1000, None))
    assert await twin.values(twin.client(server).create_iterable(City, **ASK)) == BOTH[1:] * 1000


@both
async def test_a_broken_line_is_told_and_nothing_that_came_is_lost(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(f"{LISBON}\n{PORTO[:-1]} oh"))
    stream = twin.client(server).create_iterable(City, **ASK, max_retries=0)
    with pytest.raises(InvalidJSON, match="expected ',' or '}', found 'o'") as caught:
        await twin.values(stream)
    assert caught.value.partial == BOTH


class Odd(BaseModel):
    name: str

    @field_validator("name")
    @classmethod
    def _odd(cls, name: str) -> str:
        if name == "own":
            raise PydanticCustomError("own_kind", "of {its} own: {name}", {"name": name})
        if name == "value":
            raise ValueError("no {such} value")
        assert name != "assert", "not asserted"
        return name


@both
@pytest.mark.parametrize("name", ["own", "value", "assert"])
async def test_create_tells_the_model_the_place_within_the_object_that_it_was_asked_for(
    server: ScriptedServer, twin: Twin, name: str
) -> None:
    for _ in range(2):
        server.add(reply(f'{{"tasks": [{{"name": "{name}"}}]}}')).add(reply('{"tasks": [{"name": "good"}]}'))
    made = [Odd(name="good")]
    assert await settled(twin.client(server).create(list[Odd], **ASK, on_partial=lambda _: None)) == made
    assert await twin.final(twin.client(server).create_partial(list[Odd], **ASK)) == made
    with_hooks, stream = (server.requests[number].json["messages"][-1]["content"] for number in (1, 3))
    assert "tasks.0.name" in with_hooks
    assert "\n0.name" in stream
    assert with_hooks.partition("0.name")[2] == stream.partition("0.name")[2]
