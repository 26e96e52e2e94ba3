"""`repair=`: an answer that is no JSON is mended by the caller's function before the model is asked again."""

from __future__ import annotations

from typing import Any

import pytest
from instructor import Mode
from json_repair import repair_json
from pydantic import BaseModel, Field

from instructor_stream_ext import (
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamEnded,
    StreamError,
    StreamMisuse,
    StreamRestarted,
)
from tests.server import ScriptedServer, reply, sends
from tests.server.wire_format import chat_content, chat_tools
from tests.twins import Twin, both, settled

ASK: dict[str, Any] = {"messages": "which?", "model": "m"}
MODES = [Mode.TOOLS, Mode.JSON, Mode.MD_JSON]


class City(BaseModel):
    name: str
    people: int = Field(default=0, ge=0)


LISBON, PORTO = City(name="Lisbon", people=545), City(name="Porto", people=232)
BROKEN = '{"name": "Lisbon", \'people\': 545,} // that is all'
GOOD = '{"name": "Lisbon", "people": 545}'


class Repair:
    """Gives the texts it was told to, and keeps what it was asked."""

    def __init__(self, *gives: Any) -> None:
        self.gives = list(gives)
        self.asked: list[tuple[str, Exception]] = []

    def __call__(self, text: str, error: Exception) -> Any:
        self.asked.append((text, error))
        given = self.gives.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, 5, None])
async def test_json_repairs_function_fits_as_it_is(
    server: ScriptedServer, twin: Twin, mode: Mode, size: int | None
) -> None:
    server.always(reply(BROKEN, size))
    client = twin.client(server, mode, repair=repair_json)
    stream = client.create_partial(City, **ASK)
    values = await twin.values(stream)
    assert values[-1] == await twin.final(stream) == LISBON
    assert all(value.people == 0 for value in values[:-1])  # partials end where the text stops being JSON
    assert (stream.stats.repaired, stream.stats.attempts) == (True, 1)
    assert stream.text == BROKEN
    assert stream.json_text == '{"name": "Lisbon", "people": 545}'
    assert await twin.final(client.create_iterable(City, **ASK)) == [LISBON]
    assert len(server.exchanges) == 2


@both
@pytest.mark.parametrize("mode", MODES)
async def test_it_is_given_the_whole_text_and_the_error(server: ScriptedServer, twin: Twin, mode: Mode) -> None:
    server.always(reply(BROKEN, 3))
    repair = Repair(GOOD)
    stream = twin.client(server, mode).create_partial(City, **ASK, repair=twin.hook(repair))
    assert await twin.final(stream) == LISBON
    ((text, error),) = repair.asked
    assert text == BROKEN
    assert isinstance(error, InvalidJSON)
    assert "single quote" in str(error)


@both
async def test_create_uses_it_with_hooks_and_without(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BROKEN, 3))
    for client, more in (
        (twin.client(server, repair=repair_json), {}),
        (twin.client(server), {"repair": repair_json}),
        (twin.client(server, repair=repair_json), {"on_partial": lambda _: None}),
    ):
        assert await settled(client.create(City, **ASK, **more)) == LISBON


@both
async def test_prose_is_repaired_too(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("It is Lisbon, with 545 thousand people.", 4))
    repair = Repair(GOOD)
    stream = twin.client(server, Mode.MD_JSON).create_partial(City, **ASK, repair=repair)
    assert await twin.final(stream) == LISBON
    assert isinstance(repair.asked[0][1], NoOutput)


@both
@pytest.mark.parametrize("gives", [None, "", "still 'no' json", "[1]", ValueError("no idea")], ids=repr)
async def test_what_cannot_be_repaired_is_asked_again(server: ScriptedServer, twin: Twin, gives: Any) -> None:
    server.add(reply(BROKEN, 3)).add(reply(GOOD, 3))
    repair = Repair(gives)
    stream = twin.client(server).create_partial(City, **ASK, repair=repair)
    events = await twin.events(stream)
    (restart,) = [event for event in events if isinstance(event, StreamRestarted)]
    assert restart.reason == "reask"
    assert isinstance(restart.error, Exception)
    assert await twin.final(stream) == LISBON
    assert (stream.stats.repaired, stream.stats.attempts) == (False, 2)
    assert len(repair.asked) == 1


@both
async def test_a_repaired_answer_passes_the_gate_like_any_other(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BROKEN, 3))
    stream = twin.client(server).create_partial(
        City, **ASK, repair=Repair('{"name": "Lisbon", "people": -1}'), max_retries=0
    )
    with pytest.raises(RetriesExhausted, match="greater than or equal to 0"):
        await twin.final(stream)


@both
@pytest.mark.parametrize(
    ("finish", "error"), [("length", OutputTruncated), ("content_filter", OutputFiltered), (None, InvalidJSON)]
)
async def test_an_answer_that_is_not_whole_is_not_repaired(
    server: ScriptedServer, twin: Twin, finish: str | None, error: type[StreamError]
) -> None:
    server.always(sends(chat_content("{'name': 'Lis", finish=finish)))
    repair = Repair()
    stream = twin.client(server, Mode.JSON).create_partial(City, **ASK, repair=repair, max_retries=0)
    with pytest.raises(error) as caught:
        await twin.final(stream)
    assert caught.value.text == "{'name': 'Lis"
    assert not repair.asked


@both
async def test_json_that_is_not_closed_is_not_repaired(server: ScriptedServer, twin: Twin) -> None:
    server.always(sends(chat_tools('{"name": "Lis', name="City")))
    with pytest.raises(OutputTruncated):
        await twin.final(twin.client(server).create_partial(City, **ASK, repair=Repair(), max_retries=0))


@both
async def test_valid_json_is_not_repaired(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Lisbon", "people": -1}'))
    with pytest.raises(RetriesExhausted):
        await twin.final(twin.client(server).create_partial(City, **ASK, repair=Repair(), max_retries=0))


@both
@pytest.mark.parametrize("size", [1, None])
async def test_items_begin_anew(server: ScriptedServer, twin: Twin, size: int | None) -> None:
    server.always(reply('[{"name": "Lisbon", "people": 545}, {"name": "Porto", "people": 232,}]', size))
    stream = twin.client(server).create_iterable(City, **ASK, repair=repair_json)
    events = await twin.events(stream)
    assert await twin.final(stream) == [LISBON, PORTO]
    restarts = [event for event in events if isinstance(event, StreamRestarted)]
    assert [event.reason for event in restarts] == ["draft"]
    after = events[events.index(restarts[0]) :]
    assert [event.path for event in after if type(event).__name__ == "ItemCompleted"] == [(0,), (1,)]
    assert isinstance(after[-1], StreamEnded)
    assert after[-1].stats.repaired


@both
async def test_partials_are_what_they_are_without_it(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BROKEN, 1))
    shown = []
    for repair in (None, repair_json):
        stream = twin.client(server).create_partial(City, **ASK, repair=repair, max_retries=0)
        events: list[Any] = []
        try:
            await twin.events(stream, events)
        except InvalidJSON:
            assert repair is None
        shown.append([event.partial for event in events if isinstance(event, PartialEmitted)])
    assert shown[0] == shown[1]


@pytest.mark.parametrize("repair", [5, "text"])
def test_what_is_no_callable_is_refused(server: ScriptedServer, repair: Any) -> None:
    twin = Twin(is_async=False)
    with pytest.raises(StreamMisuse, match="repair"):
        twin.client(server).create_partial(City, **ASK, repair=repair)
    with pytest.raises(StreamMisuse, match="repair"):
        twin.client(server, repair=repair)


def test_a_sync_stream_cannot_await_it(server: ScriptedServer) -> None:
    async def repair(text: str, error: Exception) -> None:
        """Never called."""

    with pytest.raises(StreamMisuse, match="coroutine"):
        Twin(is_async=False).client(server).create_partial(City, **ASK, repair=repair)


@both
async def test_what_is_no_text_is_refused(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BROKEN, 3))
    with pytest.raises(StreamMisuse, match="repair must give a text or None, not int"):
        await twin.final(twin.client(server).create_partial(City, **ASK, repair=Repair(5)))
