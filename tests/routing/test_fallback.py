"""A fallback begins anew: what broke is void, no text of two models is joined, and the policy is kept."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import redis.asyncio
from pydantic import BaseModel, field_validator

from instructor_stream_ext import (
    DeltaReceived,
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamCompleted,
    StreamEnded,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    StreamStarted,
    StreamTimeout,
    Timeouts,
)
from instructor_stream_ext._instructor import closing
from instructor_stream_ext.routing import FALLBACK_ON, route, unavailable
from instructor_stream_ext.routing.router import router_arguments
from tests.playing import Played, play, still
from tests.routing.calls import DOCUMENT, FINAL, PROVIDERS, QUIET, Person, litellm, routed
from tests.server import Cut, Request, Reset, Script, ScriptedServer, Signal, Silent, Start, Status, Wait, reply, sends
from tests.server.wire_format import chat_error, chat_tools
from tests.sides import both_sides

pytestmark = QUIET

GPT, CLAUDE, FLASH = (PROVIDERS[name].model for name in ("openai", "anthropic", "gemini"))
OTHER = '{"name": "Bob of the Hills", "age": 5}'
PART = '{"name": "Ann of t'


def begun(*after: Any) -> Callable[[Request], Script]:
    """An answer of which only the first part comes, and then this."""
    return reply(PART, arrange=lambda chunks: [sends(_open(chunks)), *after])


def _open(chunks: list[bytes]) -> list[bytes]:
    """The chunks up to the last text, without an end."""
    return chunks[: next(number for number, chunk in reversed(list(enumerate(chunks))) if b" t" in chunk) + 1]


def broken_by_an_error(request: Request) -> Script:
    return sends(
        [*chat_tools(PART, name=request.json["tools"][0]["function"]["name"], finish=None, done=False), chat_error()]
    )


def cut_by_length(request: Request) -> Script:
    return sends(chat_tools(PART, name=request.json["tools"][0]["function"]["name"], finish="length"))


BREAKS = {
    "cut": (begun(), OutputTruncated),
    "connection-cut": (begun(Cut()), StreamInterrupted),
    "reset": (begun(Reset()), StreamInterrupted),
    "error": (broken_by_an_error, StreamInterrupted),
    "length": (cut_by_length, OutputTruncated),
}


def restarts(played: Played) -> list[tuple[Any, ...]]:
    """Who took over from whom, and why."""
    return [
        (event.reason, type(event.error), event.from_model, event.to_model, event.attempt)
        for event in played.of(StreamRestarted)
    ]


@both_sides
@pytest.mark.parametrize("how", BREAKS)
async def test_the_next_model_begins_anew(server: ScriptedServer, how: str, side: str) -> None:
    script, error = BREAKS[how]
    server.add(script).add(reply(OTHER))
    client = routed(server, "openai", "anthropic", is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == Person(name="Bob of the Hills", age=5)
    assert restarts(played) == [("fallback", error, GPT, CLAUDE, 2)]
    (restart,) = played.of(StreamRestarted)
    assert restart.error.text == PART
    assert restart.error.partial.name == "Ann of t"
    at = played.events.index(restart)
    before, after = played.events[:at], played.events[at:]
    assert "".join(event.text for event in before if type(event) is DeltaReceived) == PART
    assert "".join(event.text for event in after if type(event) is DeltaReceived) == OTHER
    assert {event.attempt for event in before} == {1}
    assert {event.attempt for event in after} == {2}
    names = [event.partial.name or "" for event in after if type(event) is PartialEmitted]
    assert all("Bob of the Hills".startswith(name) for name in names)
    assert played.of(StreamStarted) == [
        StreamStarted(at=0.0, attempt=1, model=GPT, provider="openai"),
        StreamStarted(at=0.0, attempt=2, model=CLAUDE, provider="anthropic"),
    ]
    assert played.stream.text == OTHER
    assert played.stream.attempt == 2
    second = server.exchanges[1].request.json
    assert "Ann" not in str(second["messages"])
    played.check_the_end()


@pytest.mark.parametrize("how", BREAKS)
async def test_sync_and_async_tell_the_same(server: ScriptedServer, how: str) -> None:
    told = []
    for is_async in (False, True):
        server.add(BREAKS[how][0]).add(reply(OTHER))
        client = routed(server, "openai", "anthropic", is_async=is_async, clock=still)
        events = (await play(client.create_partial(Person, "go"))).events
        told.append([_bare(event) for event in events])
    assert told[0] == told[1]


def _bare(event: Any) -> Any:
    """An event with its error's type only: transports word a broken connection in their own ways."""
    if type(event) is StreamRestarted:
        return ("restart", type(event.error), event.from_model, event.to_model)
    return ("end", event.outcome, event.stats.partials_yielded) if type(event) is StreamEnded else event


@both_sides
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_refused_request_goes_to_the_next_model_at_once(server: ScriptedServer, status: int, side: str) -> None:
    server.add(Status(status)).add(reply(DOCUMENT))
    client = routed(server, "openai", "gemini", is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    (restart,) = played.of(StreamRestarted)
    assert restart.error.status_code in (status, 503)
    assert (restart.from_model, restart.to_model) == (GPT, FLASH)
    assert len(server.exchanges) == 2


@both_sides
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_callers_mistake_goes_nowhere(server: ScriptedServer, status: int, side: str) -> None:
    server.add(Status(status))
    client = routed(server, "openai", "anthropic", is_async=side == "async", usage=False)
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, openai.APIError)  # of which litellm's are
    assert getattr(played.error, "status_code", None) == status
    assert restarts(played) == []
    assert len(server.exchanges) == 1


@both_sides
async def test_a_server_that_is_not_there(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT))
    gone = {"model": "openai/gone", "api_base": "http://127.0.0.1:9/v1", "api_key": "key"}
    client = routed(server, gone, "anthropic", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert [event.from_model for event in played.of(StreamRestarted)] == ["openai/gone"]


@both_sides
@pytest.mark.parametrize(
    ("script", "bounds"),
    [
        pytest.param(Silent(), Timeouts(first_delta=1.0), id="silent"),
        pytest.param([Start(), Silent()], Timeouts(first_delta=1.0), id="silent-after-headers"),
        pytest.param(begun(Wait(Signal())), Timeouts(idle=1.0), id="idle"),
    ],
)
async def test_a_timeout_of_ours(server: ScriptedServer, script: Any, bounds: Timeouts, side: str) -> None:
    server.add(script).add(reply(DOCUMENT))
    client = routed(server, "openai", "anthropic", is_async=side == "async", timeouts=bounds)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    (restart,) = played.of(StreamRestarted)
    assert isinstance(restart.error, StreamTimeout)
    assert restart.error.kind == ("idle" if bounds.idle else "first_delta")


@both_sides
async def test_the_total_spans_all_models(server: ScriptedServer, side: str) -> None:
    server.add(begun()).add(begun(Wait(Signal())))
    client = routed(server, "openai", "anthropic", "gemini", is_async=side == "async", timeouts=Timeouts(total=2.0))
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, StreamTimeout)
    assert played.error.kind == "total"
    assert [event.to_model for event in played.of(StreamRestarted)] == [CLAUDE]
    assert len(server.exchanges) == 2


@both_sides
async def test_when_all_have_failed_the_last_error_names_the_others(server: ScriptedServer, side: str) -> None:
    server.add(Status(500)).add(begun()).add(begun())
    client = routed(server, "openai", "anthropic", "gemini", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, OutputTruncated)
    notes = "\n".join(played.error.__notes__)
    assert f"{GPT} failed: InternalServerError" in notes
    assert f"{CLAUDE} failed: OutputTruncated" in notes
    assert played.error.attempt == 3
    played.check_the_end()


@both_sides
async def test_max_fallbacks(server: ScriptedServer, side: str) -> None:
    server.add(begun()).add(begun())
    client = routed(server, "openai", "anthropic", "gemini", is_async=side == "async", max_fallbacks=1)
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, OutputTruncated)
    assert len(server.exchanges) == 2
    client = routed(server, "openai", "anthropic", is_async=side == "async", max_fallbacks=0)
    server.add(begun())
    assert restarts(await play(client.create_partial(Person, "go"))) == []


@both_sides
async def test_fallback_on_is_the_callers(server: ScriptedServer, side: str) -> None:
    is_async = side == "async"
    server.add(begun())
    client = routed(server, "openai", "anthropic", is_async=is_async, fallback_on=unavailable)
    assert isinstance((await play(client.create_partial(Person, "go"))).error, OutputTruncated)
    server.add(Status(401)).add(reply(DOCUMENT))
    client = routed(server, "openai", "anthropic", is_async=is_async, fallback_on=[litellm.AuthenticationError])
    assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert len(server.exchanges) == 3


class Picky(BaseModel):
    name: str
    age: int

    @field_validator("name")
    @classmethod
    def is_bob(cls, name: str) -> str:
        if not name.startswith("Bob"):
            raise ValueError("only a Bob will do")
        return name


@both_sides
async def test_validation_that_is_used_up_if_asked_for(server: ScriptedServer, side: str) -> None:
    is_async = side == "async"
    asked = (*FALLBACK_ON, RetriesExhausted)
    server.add(reply(DOCUMENT)).add(reply(DOCUMENT)).add(reply(DOCUMENT)).add(reply(OTHER))
    client = routed(server, "openai", "anthropic", is_async=is_async, fallback_on=asked, clock=still)
    played = await play(client.create_partial(Picky, "go", max_retries=1))
    assert played.final.name == "Bob of the Hills"
    assert [event.reason for event in played.of(StreamRestarted)] == ["reask", "fallback", "reask"]
    exhausted = played.of(StreamRestarted)[1].error
    assert isinstance(exhausted, RetriesExhausted)
    assert len(exhausted.failed_attempts or ()) == 2
    first_of_claude = server.exchanges[2].request.json
    assert "only a Bob will do" not in str(first_of_claude)
    assert "only a Bob will do" in str(server.exchanges[3].request.json)

    server.add(reply(DOCUMENT)).add(reply(DOCUMENT))
    client = routed(server, "openai", "anthropic", is_async=is_async)
    played = await play(client.create_partial(Picky, "go", max_retries=1))
    assert isinstance(played.error, RetriesExhausted)
    assert [event.reason for event in played.of(StreamRestarted)] == ["reask"]


@both_sides
@pytest.mark.parametrize(("text", "error"), [("Sorry.", NoOutput), ('{"name": oops', InvalidJSON)])
async def test_validation_without_retries(server: ScriptedServer, text: str, error: type[Exception], side: str) -> None:
    server.add(reply(text)).add(reply(DOCUMENT))
    client = routed(server, "mistral", "openai", is_async=side == "async", fallback_on=RetriesExhausted)
    played = await play(client.create_partial(Person, "go", max_retries=0))
    assert played.final == FINAL
    assert restarts(played) == [("fallback", error, PROVIDERS["mistral"].model, GPT, 2)]


@both_sides
async def test_a_filter_is_no_reason(server: ScriptedServer, side: str) -> None:
    server.add(lambda request: sends(chat_tools(PART, name="Person", finish="content_filter")))
    client = routed(server, "openai", "anthropic", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, OutputFiltered)
    assert len(server.exchanges) == 1


@both_sides
async def test_modes_change_with_the_model(server: ScriptedServer, side: str) -> None:
    prose = f"Here it is, for {{you}}: {DOCUMENT} Good?"
    server.add(begun()).add(begun()).add(reply(prose))
    client = routed(server, "openai", "gemini", "groq", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    asked = [exchange.request.json for exchange in server.exchanges]
    assert ["tools" in each for each in asked] == [True, False, False]
    assert "generationConfig" in asked[1]
    assert "response_format" not in asked[2]


@both_sides
async def test_items_and_text_and_create(server: ScriptedServer, side: str) -> None:
    is_async = side == "async"
    client = routed(server, "openai", "anthropic", is_async=is_async)
    items = f'{{"tasks": [{DOCUMENT}, {OTHER}]}}'
    server.add(reply(items, arrange=lambda chunks: sends(chunks[:14]))).add(reply(items))
    played = await play(client.create_iterable(Person, "go"))
    assert [person.name for person in played.final] == ["Ann of the Fens", "Bob of the Hills"]
    assert len(played.of(StreamRestarted)) == 1

    server.add(reply("Once upon a time", arrange=lambda chunks: sends(chunks[:3]))).add(reply("It was a dark night."))
    played = await play(client.stream_text("go"))
    assert played.final == "It was a dark night."

    server.add(begun()).add(reply(DOCUMENT))
    made = client.create(Person, "go")
    assert (await made if is_async else made) == FINAL


@both_sides
async def test_a_call_may_say_which_model_comes_first(server: ScriptedServer, side: str) -> None:
    client = routed(server, "openai", "anthropic", is_async=side == "async")
    server.add(begun()).add(reply(DOCUMENT))
    played = await play(client.create_partial(Person, "go", model=CLAUDE))
    assert [event.model for event in played.of(StreamStarted)] == [CLAUDE, GPT]
    with pytest.raises(StreamMisuse, match=f"no model 'gpt-9'; it has {GPT}, {CLAUDE}"):
        client.create_partial(Person, "go", model="gpt-9")


async def _read(stream: Any) -> list[Any]:
    """All chunks of litellm's own stream, which leaves it to the garbage collector to close its connection."""
    chunks: list[Any] = []
    held: list[Any] = []
    async for chunk in stream:
        held = held or [*closing.responses_under(stream), *closing.generators_under(stream)]
        chunks.append(chunk)
    await closing.aclose(stream, held)
    return chunks


@both_sides
@pytest.mark.parametrize("named", [None, CLAUDE])
async def test_the_stream_of_litellm_itself_is_of_the_first_model(
    server: ScriptedServer, named: str | None, side: str
) -> None:
    client = routed(server, "openai", "anthropic", is_async=side == "async")
    server.add(reply("Once upon a time"))
    given = client.create(None, "go", stream=True, **({} if named is None else {"model": named}))
    chunks = list(given) if side == "sync" else await _read(await given)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Once upon a time"
    assert (named or GPT).endswith(server.requests[0].json["model"])


@both_sides
async def test_hooks_hear_of_it_once(server: ScriptedServer, side: str) -> None:
    heard: list[Any] = []
    server.add(begun()).add(reply(DOCUMENT))
    client = routed(
        server,
        "openai",
        "anthropic",
        is_async=side == "async",
        on_restart=heard.append,
        on_final=heard.append,
        on_error=heard.append,
        on_end=heard.append,
    )
    played = await play(client.create_partial(Person, "go"))
    assert [type(each) for each in heard] == [StreamRestarted, Person, StreamEnded]
    assert len(played.of(StreamCompleted)) == 1


@both_sides
async def test_nothing_is_tried_twice_in_secret(server: ScriptedServer, side: str) -> None:
    server.always(Status(500))
    client = routed(server, "openai", "anthropic", "groq", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, litellm.InternalServerError)
    assert len(server.exchanges) == 3


# -- the Router's part ------------------------------------------------------------------------------------------------


def deployment(server: ScriptedServer, key: str, **more: Any) -> dict[str, Any]:
    return {"model": GPT, "api_base": f"{server.url}/v1", "api_key": key, **more}


def keys(server: ScriptedServer) -> list[str]:
    """Which deployments were asked, by their keys."""
    return [exchange.request.headers["authorization"].removeprefix("Bearer ") for exchange in server.exchanges]


@both_sides
async def test_deployments_are_drawn_by_weight(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    light, heavy = deployment(server, "light", weight=0), deployment(server, "heavy", weight=1)
    client = routed(server, light, heavy, is_async=side == "async")
    for _ in range(4):
        assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert keys(server) == ["heavy"] * 4


@both_sides
@pytest.mark.parametrize("script", [begun(), begun(Cut()), Status(500)])
async def test_the_other_deployments_come_before_the_next_model(server: ScriptedServer, script: Any, side: str) -> None:
    server.add(script).add(script).add(script).add(reply(DOCUMENT))
    three = [deployment(server, key) for key in ("a", "b", "c")]
    client = routed(server, *three, "anthropic", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert sorted(keys_of_gpt(server)) == ["a", "b", "c"]
    assert [event.to_model for event in played.of(StreamRestarted)] == [GPT, GPT, CLAUDE]


def keys_of_gpt(server: ScriptedServer) -> list[str]:
    asked = [exchange.request.headers for exchange in server.exchanges]
    return [headers["authorization"].removeprefix("Bearer ") for headers in asked if "authorization" in headers]


@pytest.mark.parametrize("script", [begun(), begun(Cut()), Status(500), Status(429)])
async def test_what_failed_cools_down(server: ScriptedServer, script: Any) -> None:
    """As litellm does it: what failed is left alone for a while, if there is another one."""
    server.add(script).always(reply(DOCUMENT))
    two = [deployment(server, key) for key in ("a", "b")]
    client = routed(server, *two, is_async=True, allowed_fails=0, cooldown_time=600)
    for _ in range(6):
        assert (await play(client.create_partial(Person, "go"))).final == FINAL
    failed, *others = keys(server)
    assert failed not in others


async def test_when_all_cool_down_the_next_model_is_asked(server: ScriptedServer) -> None:
    server.add(Status(429)).add(Status(429)).always(reply(DOCUMENT))
    two = [deployment(server, key) for key in ("a", "b")]
    client = routed(server, *two, "anthropic", is_async=True, cooldown_time=600)
    for _ in range(3):
        assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert len(keys_of_gpt(server)) == 2
    assert len(server.exchanges) == 5


@both_sides
@pytest.mark.parametrize("script", [begun(), begun(Cut()), begun(Reset()), broken_by_an_error, Status(500)])
async def test_each_failure_counts_once(server: ScriptedServer, script: Any, side: str) -> None:
    """With `allowed_fails=1` the second failure has a deployment cool down, whoever tells the Router of it."""
    server.add(script).add(reply(DOCUMENT)).add(script).always(reply(DOCUMENT))
    nearly_always, other = deployment(server, "a", weight=1), deployment(server, "b", weight=1e-12)
    client = routed(server, nearly_always, other, is_async=side == "async", allowed_fails=1, cooldown_time=600)
    for _ in range(3):
        assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert keys(server) == ["a", "b", "a", "b", "b"]


@both_sides
async def test_a_limit_of_parallel_requests_is_of_those_underway(server: ScriptedServer, side: str) -> None:
    server.always(reply(DOCUMENT))
    client = routed(server, deployment(server, "a", max_parallel_requests=1), is_async=side == "async")
    for _ in range(3):
        assert (await play(client.create_partial(Person, "go"))).final == FINAL


@both_sides
async def test_the_routers_retries_if_asked_for(server: ScriptedServer, side: str) -> None:
    server.add(Status(500)).add(Status(500)).add(reply(DOCUMENT))
    client = routed(server, "openai", "anthropic", is_async=side == "async", num_retries=2)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert restarts(played) == []
    assert len(server.exchanges) == 3


OF_ITS_OWN = ("enable_mid_stream_fallback_continuation", "enable_weighted_failover")
"""What later Routers can be told to do with what breaks."""


@both_sides
@pytest.mark.parametrize("after", [(), (Cut(),), (Reset(),)], ids=["cut", "connection-cut", "reset"])
async def test_no_text_of_two_deployments_is_joined(server: ScriptedServer, after: tuple[Any, ...], side: str) -> None:
    settings = {name: True for name in OF_ITS_OWN if name in router_arguments()}
    two = [deployment(server, key) for key in ("a", "b")]
    client = routed(server, *two, is_async=side == "async", **settings)
    server.add(reply("Once upon a time", arrange=lambda chunks: [sends(chunks[:3]), *after]))
    server.add(reply("It was a dark night."))
    played = await play(client.stream_text("go"))
    assert played.final == "It was a dark night."
    assert [event.reason for event in played.of(StreamRestarted)] == ["fallback"]
    assert "Once" not in str(server.exchanges[1].request.json["messages"])


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "match"),
    [
        ([], "at least one model"),
        ("openai/gpt-4o", "a list"),
        ([{}], "no 'model'"),
        ([{"api_key": "key"}], "no 'model'"),
        ([7], "text or a mapping"),
        (["nobody/gpt"], "LLM Provider NOT provided"),
        (["openai/gpt-4o", {"model": "nobody/gpt"}], "LLM Provider NOT provided"),
    ],
)
def test_models_that_cannot_work(models: Any, match: str) -> None:
    with pytest.raises(StreamMisuse, match=match):
        route(models)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"max_fallbacks": -1}, "max_fallbacks"),
        ({"max_fallbacks": "2"}, "max_fallbacks"),
        ({"model": "openai/gpt-4o"}, "model: the models of a route are its first argument"),
        ({"model_list": []}, "model_list: the models of a route are its first argument"),
        ({"messages": []}, "messages is an argument of a call"),
        ({"stream": True}, "stream is an argument of a call"),
        ({"fallback_on": ["5xx"]}, "fallback_on"),
        ({"fallback_on": [KeyboardInterrupt]}, "fallback_on"),
        ({"fallbacks": [{"a": ["b"]}]}, "the models of a route are its fallbacks"),
        ({"on_nothing": print}, "unknown hook"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(StreamMisuse, match=match):
        route(["openai/gpt-4o"], **arguments)


def test_a_model_without_credentials_is_told_before_anything_is_sent(server: ScriptedServer) -> None:
    client = routed(server, "openai", "anthropic/claude-haiku-4-5", is_async=False)
    with pytest.raises(StreamMisuse, match=r"claude-haiku-4-5 has no credentials: .*ANTHROPIC_API_KEY"):
        client.create_partial(Person, "go")
    assert server.exchanges == []


@pytest.fixture
def redis_address() -> Iterator[str]:
    """A Redis, in so far as it is one, on loopback."""
    fakeredis = pytest.importorskip("fakeredis")
    running = fakeredis.TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"redis://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()
    thread.join()


async def test_state_is_shared_through_redis(server: ScriptedServer, redis_address: str) -> None:
    """What one route lets cool down, another one leaves alone: its first request goes straight to the next model."""
    server.add(Status(429)).add(Status(429)).always(reply(DOCUMENT))
    two = [deployment(server, key) for key in ("a", "b")]
    for _ in range(2):
        client = routed(server, *two, "anthropic", is_async=True, cooldown_time=600, redis_url=redis_address)
        assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert len(keys_of_gpt(server)) == 2
    # litellm's Router keeps its connections to itself, and never closes them
    pools = [found for found in gc.get_objects() if type(found) is redis.asyncio.BlockingConnectionPool]
    assert pools
    for pool in pools:
        await pool.disconnect(inuse_connections=True)


@both_sides
async def test_the_same_model_writes_the_rest_of_its_answer(server: ScriptedServer, side: str) -> None:
    server.add(cut_by_length).add(reply(DOCUMENT[len(PART) :]))
    client = routed(server, "openai", "anthropic", is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go", on_truncated="continue"))
    assert played.final == FINAL
    assert not restarts(played)
    assert (played.stream.stats.model, played.stream.stats.continuations) == (GPT, 1)


@both_sides
async def test_another_model_does_not_write_the_rest(server: ScriptedServer, side: str) -> None:
    server.add(cut_by_length).add(Status(500)).add(reply(OTHER))
    client = routed(server, "openai", "anthropic", is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go", on_truncated="continue"))
    assert played.final == Person(name="Bob of the Hills", age=5)
    assert restarts(played) == [("fallback", OutputTruncated, GPT, CLAUDE, 2)]
    assert "cut off" not in str(server.requests[-1].json)


# ---------------------------------------------------------------------- what servers send besides


def broken_by_a_line(request: Request) -> Script:
    """llama.cpp says what is wrong in a field of its own, which the SDK ignores."""
    name = request.json["tools"][0]["function"]["name"]
    return sends([*chat_tools(PART, name=name, finish=None, done=False), b'error: {"message": "out of pages"}\n\n'])


@both_sides
async def test_an_error_in_a_field_of_its_own_is_why_the_next_model_begins(server: ScriptedServer, side: str) -> None:
    server.add(broken_by_a_line).add(reply(OTHER))
    client = routed(server, "openai", "anthropic", is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == Person(name="Bob of the Hills", age=5)
    (restart,) = played.of(StreamRestarted)
    assert type(restart.error) is StreamInterrupted
    assert "out of pages" in str(restart.error)
    assert restart.error.text == PART
