"""instructor's own cache is read and filled by streams and by `create` with hooks, under plain instructor's keys."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import pytest
from instructor import Mode
from instructor.cache import AutoCache
from pydantic import BaseModel

from instructor_stream_ext import RetriesExhausted
from tests.server import ScriptedServer, reply
from tests.twins import Recorder, Twin, both, settled

ASKS: dict[str, dict[str, Any]] = {"openai": {}, "anthropic": {"max_tokens": 9}, "genai": {}}
KINDS = [
    ("openai", Mode.TOOLS),
    ("openai", Mode.JSON),
    ("openai", Mode.MD_JSON),
    ("openai", Mode.RESPONSES_TOOLS),
]
NOT_CACHED = [("genai", Mode.JSON)]
if version("anthropic") >= "2":
    NOT_CACHED.append(("anthropic", Mode.TOOLS))
"""instructor 1.17 makes no key for the requests of anthropic 2 and google-genai 3, whose settings it cannot hash."""
kinds = pytest.mark.parametrize(("provider", "mode"), KINDS, ids=str)
ADA = '{"name": "Ada", "age": 36}'


class Person(BaseModel):
    name: str
    age: int


@dataclass
class Pair:
    name: str
    age: int


class Keys(AutoCache):
    """A cache that notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.filled: list[str] = []

    def get(self, key: str) -> Any:
        self.asked.append(key)
        return super().get(key)

    def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.filled.append(key)
        super().set(key, value, ttl)


def call(provider: str, cache: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "go"}]
    return {"model": "m", "messages": messages, "cache": cache, **ASKS[provider]}


def document(mode: Mode) -> str:
    return f"```json\n{ADA}\n```" if mode is Mode.MD_JSON else ADA


@both
@kinds
@pytest.mark.parametrize("response_model", [Person, Pair])
async def test_every_way_shares_the_entries(
    server: ScriptedServer, twin: Twin, provider: str, mode: Mode, response_model: Any
) -> None:
    server.always(reply(document(mode)))
    client = twin.client(server, mode, provider=provider)

    async def plain(cache: Any) -> Any:
        return await settled(client.create(response_model, **call(provider, cache)))

    async def hooked(cache: Any) -> Any:
        return await settled(client.create(response_model, on_delta=twin.hook(str), **call(provider, cache)))

    async def streamed(cache: Any) -> Any:
        return await twin.final(client.create_partial(response_model, **call(provider, cache)))

    keys = set()
    for fills in (plain, hooked, streamed):
        cache, before = Keys(), len(server.requests)
        wanted = await fills(cache)
        for reads in (plain, hooked, streamed):
            found = await reads(cache)
            assert (found.name, found.age) == (wanted.name, wanted.age) == ("Ada", 36)
        assert len(server.requests) == before + 1
        assert len(cache.filled) == 1
        assert set(cache.asked) == set(cache.filled)
        keys |= set(cache.filled)
    assert len(keys) == 1


@both
@pytest.mark.parametrize(("provider", "mode"), NOT_CACHED, ids=str)
async def test_where_instructor_has_no_key_nothing_is_cached(
    server: ScriptedServer, twin: Twin, provider: str, mode: Mode
) -> None:
    server.always(reply(document(mode)))
    client, cache = twin.client(server, mode, provider=provider), Keys()
    for hooks in ({}, {"on_delta": twin.hook(str)}):
        assert (await settled(client.create(Person, **call(provider, cache), **hooks))).age == 36
    assert cache.asked == cache.filled == []
    assert len(server.requests) == 2


@both
async def test_a_hit_gives_the_final_at_once(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(ADA))
    recorder = Recorder(twin)
    hooks: dict[str, Any] = recorder.hooks()
    client, ask = twin.client(server, **hooks), call("openai", AutoCache())
    await twin.final(client.create_partial(Person, **ask))
    recorder.calls.clear()
    stream = client.create_partial(Person, **ask)
    assert await twin.values(stream) == [Person(name="Ada", age=36)]
    assert recorder.names == ["event", "final", "event", "end"]
    ((ended,),) = recorder.of("end")
    assert ended.stats.from_cache
    assert ended.stats.attempts == 0
    assert stream.json_text == '{"name":"Ada","age":36}'
    assert type(stream.partial) is Person
    assert len(server.requests) == 1
    person, completion = await settled(client.create_with_completion(Person, **ask))
    assert person._raw_response is completion
    assert completion.id
    plain, without = await settled(twin.client(server).create_with_completion(Person, **ask | {"model": "other"}))
    assert plain._raw_response is without


@both
async def test_a_clients_own_cache_is_not_switched_off_by_a_hook(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(ADA))
    client = twin.client(server, on_delta=twin.hook(str))
    client.wrapped.kwargs["cache"] = AutoCache()  # where instructor.from_provider(..., cache=...) puts it
    ask = {name: value for name, value in call("openai", None).items() if name != "cache"}
    for _ in range(3):
        assert (await settled(client.create(Person, **ask))).age == 36
    assert len(server.requests) == 1
    assert (await settled(client.create(Person, **ask, cache=None))).age == 36
    assert len(server.requests) == 2


@both
async def test_what_did_not_pass_the_gate_fills_nothing(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply('{"name": "Ada"}'))
    cache = Keys()
    with pytest.raises(RetriesExhausted):
        await twin.final(twin.client(server).create_partial(Person, max_retries=0, **call("openai", cache)))
    assert cache.filled == []


@both
async def test_a_hit_passes_the_checks_of_its_call(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(ADA))
    client, ask = twin.client(server), call("openai", AutoCache())
    await twin.final(client.create_partial(Person, **ask))
    server.always(reply('{"name": "Bo", "age": 9}'))

    def is_young(person: Person) -> None:
        assert person.age < 10

    stream = client.create_partial(Person, final_checks=[is_young], **ask)
    assert (await twin.final(stream)).name == "Bo"
    assert not stream.stats.from_cache


@both
async def test_lists_are_not_cached_as_in_plain_instructor(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(f'{{"tasks": [{ADA}]}}'))
    cache = Keys()
    for hooks in ({}, {"on_delta": twin.hook(str)}):
        people = await settled(twin.client(server).create(list[Person], **call("openai", cache), **hooks))
        assert people[0].age == 36
        assert people._raw_response.id
    assert cache.filled == []
