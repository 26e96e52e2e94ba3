"""Several tools at once: each call streams, is validated once when it closes, and is of the type that was called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, field_validator

from instructor_stream_ext import (
    ClientNotSupported,
    FieldTransition,
    ItemCompleted,
    Limits,
    NoOutput,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamCompleted,
    StreamEnded,
    StreamInterrupted,
    StreamMisuse,
    wrap,
)
from tests.playing import play
from tests.recordings import recordings
from tests.server import Cut, Script, ScriptedServer, Signal, Wait, clients, sends
from tests.server.wire_format import anthropic_calls, anthropic_text, chat_calls, chat_content
from tests.sides import both_sides, each, everything, settled

validated: list[str] = []


class Weather(BaseModel):
    city: str
    days: int = 1

    @field_validator("city")
    @classmethod
    def note(cls, city: str) -> str:
        validated.append(city)
        return city


class Search(BaseModel):
    """Has the field of the other tool: only the name tells them apart."""

    city: str
    query: str = ""


Tool = Weather | Search
ROME, PARIS = '{"city": "Rome", "days": 3}', '{"city": "Paris"}'
CALLS = [("Weather", ROME), ("Search", PARIS), ("Weather", '{"city": "Oslo"}')]
FINAL = [Weather(city="Rome", days=3), Search(city="Paris"), Weather(city="Oslo")]

CLAUDE = {"model": "claude", "max_tokens": 100}
PROVIDERS: dict[str, tuple[tuple[Any, Any], Callable[..., list[bytes]], dict[str, Any]]] = {
    "openai": ((clients.openai_client, clients.async_openai_client), chat_calls, {"model": "gpt-4o"}),
    "anthropic": ((clients.anthropic_client, clients.async_anthropic_client), anthropic_calls, CLAUDE),
    "litellm": ((clients.litellm_client, clients.async_litellm_client), chat_calls, {"model": "openai/gpt-4o"}),
}
every_provider = pytest.mark.parametrize("provider", PROVIDERS)
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")


def client_of(server: ScriptedServer, provider: str, side: str, **settings: Any) -> Any:
    return wrap(PROVIDERS[provider][0][side == "async"](server, Mode.PARALLEL_TOOLS), **settings)


def asking(provider: str) -> dict[str, Any]:
    return {"messages": "Weather and news.", **PROVIDERS[provider][2]}


def calling(provider: str, calls: Sequence[tuple[str, str]] = CALLS, **how: Any) -> Script:
    return sends(PROVIDERS[provider][1](calls, **how))


@pytest.fixture(autouse=True)
def forget() -> None:
    validated.clear()


@both_sides
@every_provider
async def test_each_call_is_what_was_called(server: ScriptedServer, side: str, provider: str) -> None:
    server.add(calling(provider))
    stream = client_of(server, provider, side).create_iterable(Iterable[Tool], **asking(provider))
    items = await everything(stream)
    assert items == FINAL == await settled(stream.get_final_response())
    assert [type(item) for item in items] == [Weather, Search, Weather]
    assert validated == ["Rome", "Oslo"]
    offered = json.dumps(server.requests[0].json["tools"])
    assert '"Weather"' in offered
    assert '"Search"' in offered
    assert server.requests[0].json["stream"] is True
    assert stream.completion is not None


@both_sides
@every_provider
async def test_the_request_is_that_of_plain_instructor(server: ScriptedServer, side: str, provider: str) -> None:
    server.add(calling(provider))
    await everything(client_of(server, provider, side).create_iterable(Iterable[Tool], **asking(provider)))
    plain = PROVIDERS[provider][0][side == "async"](server, Mode.PARALLEL_TOOLS)
    messages = [{"role": "user", "content": "Weather and news."}]
    with pytest.raises(Exception, match="no script"):
        await settled(plain.create(response_model=Iterable[Tool], **{**asking(provider), "messages": messages}))
    ours, theirs = (server.requests[at].json for at in (0, 1))
    for added in ("stream", "stream_options"):
        ours.pop(added, None)
    assert ours == theirs


@both_sides
@every_provider
async def test_partials_come_with_their_number(server: ScriptedServer, side: str, provider: str) -> None:
    server.add(calling(provider, size=3))
    stream = client_of(server, provider, side).create_iterable(Iterable[Tool], **asking(provider))
    seen = await everything(stream.partials())
    last: dict[int, Any] = dict(seen)
    assert [last[number] for number in sorted(last)] == FINAL
    assert [type(last[number]) for number in (0, 1, 2)] == [Weather, Search, Weather]
    romes = [partial for number, partial in seen if number == 0]
    assert [partial.city for partial in romes[:3]] == ["", "Ro", "Rome"] or "Ro" in {one.city for one in romes}
    assert all(isinstance(partial, Weather) and type(partial) is not Weather for partial in romes[:-1])
    assert type(romes[-1]) is Weather
    assert all(isinstance(partial, Search) for number, partial in seen if number == 1)
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)


@both_sides
async def test_a_call_is_given_before_the_next_begins(server: ScriptedServer, side: str) -> None:
    gate = Signal()
    chunks = chat_calls(CALLS, size=100)
    until = next(number for number, chunk in enumerate(chunks) if b"Rome" in chunk) + 1
    server.add([sends(chunks[:until]), Wait(gate), sends(chunks[until:])])
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    seen = []
    async for item in each(stream):
        seen.append(item)
        gate.set()
    assert seen == FINAL


@both_sides
@pytest.mark.parametrize("size", [1, 5])
async def test_calls_that_come_in_turns_stay_apart(server: ScriptedServer, side: str, size: int) -> None:
    server.add(calling("openai", interleaved=True, size=size))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    played = await play(stream)
    assert played.error is None
    (completed,) = played.of(StreamCompleted)
    assert completed.result == FINAL  # in the provider's order, although the shortest call closes first
    assert [event.path for event in played.of(ItemCompleted)] != [(0,), (1,), (2,)]
    for event in played.of(PartialEmitted):
        finals: list[Any] = FINAL
        for partial, final in zip(event.partial, finals, strict=False):
            assert partial is None or final.city.startswith(partial.city or "")
            assert partial is None or isinstance(partial, type(final))


@both_sides
async def test_paths_and_states_begin_with_the_number(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai"))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    states = []
    transitions = []
    async for event in each(stream.events()):
        if isinstance(event, PartialEmitted):
            states.append(stream.state("[1].city").value)
        if isinstance(event, FieldTransition):
            transitions.append((event.path, event.after.value))
    assert list(dict.fromkeys(states)) == ["missing", "streaming", "complete"]
    assert transitions[0] == ((), "streaming")
    assert transitions[-1] == ((), "complete")
    assert ((1, "city"), "complete") in transitions
    assert stream.state("[1]").value == "complete"
    assert stream.state("[1].days").value == "missing"  # the other tool's
    assert stream.json_text == f"[{ROME}, {PARIS}, {CALLS[2][1]}]"
    with pytest.raises(StreamMisuse):
        stream.state("[1].nothing")


@both_sides
async def test_the_text_of_a_field_of_a_call(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai", size=2))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    assert "".join(await everything(stream.text_of("[2].city"))) == "Oslo"


BAD = [("Weather", '{"city": "Rome", "days": "many"}'), ("Search", PARIS)]
BROKEN = [("Weather", '{"city": Rome}'), ("Search", PARIS)]
STRAY = [("Weather", ROME), ("Launch", '{"at": "dawn"}'), ("Search", PARIS)]


@both_sides
@every_provider
@pytest.mark.parametrize(("calls", "said"), [(BAD, "valid integer"), (STRAY, "Launch")])
async def test_a_bad_call_is_asked_for_again(
    server: ScriptedServer, side: str, provider: str, calls: Any, said: str
) -> None:
    server.add(calling(provider, calls)).add(calling(provider))
    restarts: list[Any] = []
    stream = client_of(server, provider, side).create_iterable(
        Iterable[Tool], on_restart=restarts.append, **asking(provider)
    )
    await everything(stream)
    assert await settled(stream.get_final_response()) == FINAL
    assert [event.attempt for event in restarts] == [2]
    assert said in json.dumps(server.requests[1].json["messages"])
    assert server.requests[1].json["stream"] is True


@both_sides
@pytest.mark.parametrize(
    ("calls", "kind", "left"),
    [
        (BAD, "int_type", [Search(city="Paris")]),
        (BROKEN, "json_invalid", [Search(city="Paris")]),
        (STRAY, "unknown_tool", [FINAL[0], Search(city="Paris")]),
    ],
    ids=["bad", "broken", "stray"],
)
async def test_a_bad_call_is_skipped(server: ScriptedServer, side: str, calls: Any, kind: str, left: list[Any]) -> None:
    server.add(calling("openai", calls))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], on_bad_item="skip", **asking("openai"))
    assert await everything(stream) == left
    (skipped,) = stream.skipped
    assert skipped.errors[0]["type"] == kind
    assert skipped.path == ((1,) if kind == "unknown_tool" else (0,))


@both_sides
@pytest.mark.parametrize(("calls", "match"), [(BAD, "valid integer"), (STRAY, "'Launch', which the request")])
async def test_a_bad_call_ends_the_stream(server: ScriptedServer, side: str, calls: Any, match: str) -> None:
    server.add(calling("openai", calls))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], on_bad_item="raise", **asking("openai"))
    with pytest.raises(RetriesExhausted, match=match):
        await everything(stream)
    assert len(server.requests) == 1


@both_sides
@every_provider
async def test_prose_in_place_of_calls(server: ScriptedServer, side: str, provider: str) -> None:
    prose = anthropic_text if provider == "anthropic" else chat_content
    server.add(sends(prose("I need no tool for that.")))
    stream = client_of(server, provider, side).create_iterable(Iterable[Tool], max_retries=0, **asking(provider))
    with pytest.raises(NoOutput):
        await everything(stream)
    assert stream.text == "I need no tool for that."


@both_sides
@pytest.mark.parametrize("how", ["length", "end", "cut"])
async def test_an_answer_that_stops_between_calls_is_not_whole(server: ScriptedServer, side: str, how: str) -> None:
    chunks = chat_calls(CALLS[:2], finish="length" if how == "length" else None, done=how == "length")
    server.add([sends(chunks), *([Cut()] if how == "cut" else [])])
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    played = await play(stream)
    assert isinstance(played.error, StreamInterrupted if how == "cut" else OutputTruncated)
    assert [item.city for item in played.error.partial] == ["Rome", "Paris"]
    assert len(server.requests) == 1


@both_sides
async def test_a_call_that_is_cut_off(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai", [*CALLS[:1], ("Search", '{"city": "Par')], finish="length"))
    played = await play(client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai")))
    assert isinstance(played.error, OutputTruncated)
    assert [item.city for item in played.error.partial] == ["Rome", "Par"]


@both_sides
async def test_a_call_without_arguments(server: ScriptedServer, side: str) -> None:
    class Ping(BaseModel):
        loud: bool = False

    server.add(calling("openai", [("Ping", ""), ("Weather", ROME)]))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Ping | Weather], **asking("openai"))
    await everything(stream)
    assert await settled(stream.get_final_response()) == [Ping(), FINAL[0]]


class Loose(BaseModel):
    city: str = "nowhere"


@both_sides
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("arguments", ['{}{"city": "Rome"}', '{"city": "Rome"}{"city": "Rome"}', '{"city": "Rome"} \n'])
async def test_what_stands_around_the_arguments_and_says_nothing(
    server: ScriptedServer, side: str, arguments: str, size: int
) -> None:
    """A placeholder before them, as gateways to Gemini send it, or the same once more."""
    server.add(calling("openai", [("Loose", arguments), ("Loose", "{}")], size=size))
    stream = client_of(server, "openai", side).create_iterable(Loose, **asking("openai"))
    assert await everything(stream) == [Loose(city="Rome"), Loose()]


@both_sides
@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("on_bad_item", ["reask", "skip"])
@pytest.mark.parametrize("arguments", ['{"city": "Rome"} and more', '{"city": "Rome"}{"city": "Oslo"}'])
async def test_more_than_a_call_is_not_dropped_in_silence(
    server: ScriptedServer, side: str, arguments: str, size: int, on_bad_item: Any
) -> None:
    server.add(calling("openai", [("Loose", arguments), ("Loose", "{}")], size=size))
    server.add(calling("openai", [("Loose", '{"city": "Rome"}')], size=size))
    stream = client_of(server, "openai", side).create_iterable(Loose, on_bad_item=on_bad_item, **asking("openai"))
    await everything(stream)
    comes_with_the_brace = size == 100 or (size == 3 and arguments.endswith("more"))
    if on_bad_item == "skip" and comes_with_the_brace:  # found before the call was told
        assert [item.city for item in stream.partial or ()] == ["nowhere"]
        assert stream.skipped[0].errors[0]["type"] == "json_invalid"
    else:
        assert await settled(stream.get_final_response()) == [Loose(city="Rome")]
        assert len(server.requests) == 2


@both_sides
async def test_it_ends_when_it_is_full(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai"))
    stream = client_of(server, "openai", side).create_iterable(
        Iterable[Tool], limits=Limits(max_items=2), **asking("openai")
    )
    assert await everything(stream) == FINAL[:2]


@both_sides
async def test_one_tool_alone(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai", [CALLS[0], CALLS[2]]))
    stream = client_of(server, "openai", side).create_iterable(Weather, **asking("openai"))
    assert await everything(stream) == [FINAL[0], FINAL[2]]


@both_sides
async def test_create_streams_calls_with_stream_true(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai"))
    client = client_of(server, "openai", side)
    stream = await settled(client.create(response_model=Iterable[Tool], stream=True, **asking("openai")))
    assert await everything(stream) == FINAL


@both_sides
@every_provider
async def test_create_with_a_hook_gives_the_calls(server: ScriptedServer, side: str, provider: str) -> None:
    server.add(calling(provider, BAD)).add(calling(provider))
    partials: list[Any] = []
    client = client_of(server, provider, side, on_partial=partials.append)
    assert await settled(client.create(response_model=Iterable[Tool], **asking(provider))) == FINAL
    assert [type(call).__name__ for call in partials[-1]] == ["PartialWeather", "PartialSearch", "PartialWeather"]
    assert len(server.requests) == 2


@both_sides
async def test_partials_of_all_calls(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai"))
    *partials, final = await everything(
        client_of(server, "openai", side).create_partial(Iterable[Tool], **asking("openai"))
    )
    assert final == FINAL
    assert [len(partial) for partial in partials] == sorted(len(partial) for partial in partials)


@both_sides
async def test_hooks_and_what_they_are_told(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai"))
    items: list[Any] = []
    ends: list[Any] = []
    finals: list[Any] = []
    stream = client_of(server, "openai", side).create_iterable(
        Iterable[Tool],
        on_item=lambda _, path: items.append(path),
        on_end=ends.append,
        on_final=finals.append,
        **asking("openai"),
    )
    await everything(stream)
    assert items == [(0,), (1,), (2,)]
    assert finals == [FINAL]
    assert isinstance(ends[0], StreamEnded)


@both_sides
async def test_a_restart_begins_the_numbers_anew(server: ScriptedServer, side: str) -> None:
    server.add(calling("openai", BAD)).add(calling("openai"))
    stream = client_of(server, "openai", side).create_iterable(Iterable[Tool], **asking("openai"))
    seen = await everything(stream.partials())
    assert [item for number, item in seen if type(item) in (Weather, Search)] == FINAL


@both_sides
async def test_partials_of_a_list(server: ScriptedServer, side: str) -> None:
    """`partials()` is there for every stream of items."""
    document = '{"tasks": [{"city": "Rome"}, {"city": "Paris"}]}'
    server.add(sends(clients_tools(document)))
    maker = clients.async_openai_client if side == "async" else clients.openai_client
    stream = wrap(maker(server)).create_iterable(Weather, messages="go", model="m")
    seen = await everything(stream.partials())
    assert {number for number, _ in seen} == {0, 1}
    assert [item.city for _, item in seen if type(item) is Weather] == ["Rome", "Paris"]
    assert any(type(item) is not Weather for _, item in seen)


def clients_tools(document: str) -> list[bytes]:
    return chat_calls([("IterableWeather", document)])


class Point(BaseModel):
    x: int


def namesake() -> type[BaseModel]:
    class Weather(BaseModel):
        x: int

    return Weather


@pytest.mark.parametrize(
    ("model", "match"),
    [(Weather | int, "cannot be a tool"), (list[Weather], "cannot be a tool"), (Weather | namesake(), "two tools")],
)
def test_what_cannot_be_a_tool(server: ScriptedServer, model: Any, match: str) -> None:
    with pytest.raises(StreamMisuse, match=match):
        client_of(server, "openai", "sync").create_iterable(model, **asking("openai"))
    assert not server.requests


@both_sides
async def test_what_does_not_go_with_it(server: ScriptedServer, side: str) -> None:
    client = client_of(server, "openai", side)
    with pytest.raises(ClientNotSupported, match="create_iterable"):
        client.create_partial(Weather, **asking("openai"))
    with pytest.raises(StreamMisuse, match="on_truncated"):
        client.create_iterable(Iterable[Tool], on_truncated="continue", **asking("openai"))
    stream = client.create_iterable(Iterable[Tool], **asking("openai"))
    stream.partials()
    with pytest.raises(StreamMisuse, match="already read as partials"):
        stream.events()
    assert not server.requests


RECORDED = [each for each in recordings() if len(each.texts) > 1 and each.api in ("chat", "messages")]


@pytest.mark.skipif(not RECORDED, reason="the recordings are not beside this checkout")
@pytest.mark.parametrize("recording", RECORDED, ids=lambda each: each.file)
def test_recorded_calls(server: ScriptedServer, recording: Any) -> None:
    """Each recorded call comes back as it was written, whatever it is called."""
    if recording.mode == "invoke-tools":
        pytest.skip("Bedrock's own framing is read by another test")
    names = [name for name, _ in recording.calls]
    models = {name: type(name, (BaseModel,), {"model_config": {"extra": "allow"}}) for name in dict.fromkeys(names)}
    provider = "anthropic" if recording.api == "messages" else "openai"
    server.add(sends([recording.sse]))
    union: Any = models[names[0]]
    for model in list(models.values())[1:]:
        union = union | model
    stream = client_of(server, provider, "sync").create_iterable(union, max_retries=0, **asking(provider))
    items = stream.get_final_response()
    assert [type(item).__name__ for item in items] == names
    assert [item.model_dump() for item in items] == [json.loads(text or "{}") for text in recording.carried]
