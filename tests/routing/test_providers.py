"""Each provider streams through litellm: from its own wire format on loopback, partial by partial, sync and async."""

from __future__ import annotations

from typing import Any

import pytest
from instructor import Mode

from instructor_stream_ext import PartialEmitted, StreamStarted, Usage
from tests.playing import play, still
from tests.routing.calls import DOCUMENT, FINAL, PROVIDERS, QUIET, Person, Provider, every_provider, single
from tests.server import Request, ScriptedServer, Signal, Status, reply
from tests.sides import both_sides, entered, everything, first, held_after

pytestmark = QUIET

TOLD = Usage(11, 7, 18)
ABOUT_A_MODEL = "/api/show"
"""litellm asks Ollama for that before a request, now and then; a server that knows nothing of it does no harm."""


def _is_about_a_model(request: Request) -> bool:
    return request.path.endswith(ABOUT_A_MODEL)


@pytest.fixture(autouse=True)
def knows_nothing_of_models(server: ScriptedServer) -> None:
    for _ in range(8):
        server.add(Status(404), match=_is_about_a_model)


@both_sides
@every_provider
async def test_partials_come_while_the_rest_is_held_back(server: ScriptedServer, provider: Provider, side: str) -> None:
    gate = Signal()
    server.add(reply(DOCUMENT, arrange=held_after(b" the", gate)))
    client = single(server, provider, is_async=side == "async", timeout=10)
    async with entered(client.create_partial(Person, "go")) as stream:
        early = await first(stream)
        while not early.name:
            early = await first(stream)
        assert isinstance(early, Person)
        assert DOCUMENT.startswith(f'{{"name": "{early.name}')
        assert not gate.is_set()
        gate.set()
        *_, last = await everything(stream)
    assert last == FINAL
    assert type(last) is Person


@both_sides
@every_provider
async def test_the_whole_stream(server: ScriptedServer, provider: Provider, side: str) -> None:
    server.add(reply(DOCUMENT))
    client = single(server, provider, is_async=side == "async", clock=still)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert played.text == DOCUMENT
    assert played.of(StreamStarted) == [StreamStarted(at=0.0, attempt=1, model=provider.model, provider=provider.name)]
    names = [partial.name or "" for partial in played.partials]
    assert len(set(names)) >= 4
    assert names == sorted(names, key=len)
    assert [event.sequence for event in played.of(PartialEmitted)] == list(range(1, len(names) + 1))
    assert played.stream.stats.end_signal in {"stop", "tool_calls"}
    if provider.name != "mistral":  # which tells its usage unasked; litellm does not ask it
        assert played.stream.usage == TOLD
    asked = [exchange.request for exchange in server.exchanges if not _is_about_a_model(exchange.request)]
    assert [request.path for request in asked] == [provider.asked]
    _check_mode(asked[0].json, provider)


def _check_mode(asked: dict[str, Any], provider: Provider) -> None:
    """The request is of the mode that the provider's table entry says."""
    has_tools = "tools" in asked or "toolConfig" in asked
    assert has_tools == (provider.mode is Mode.TOOLS)
    if provider.mode is Mode.JSON_SCHEMA:
        assert "response_format" in asked or "format" in asked or "generationConfig" in asked


@every_provider
async def test_sync_and_async_tell_the_same(server: ScriptedServer, provider: Provider) -> None:
    told = []
    for is_async in (False, True):
        server.add(reply(DOCUMENT))
        client = single(server, provider, is_async=is_async, clock=still)
        played = await play(client.create_partial(Person, "go"))
        told.append(played.comparable())
    assert told[0] == told[1]


@both_sides
@every_provider
async def test_items_and_text(server: ScriptedServer, provider: Provider, side: str) -> None:
    client = single(server, provider, is_async=side == "async")
    server.add(reply(f'{{"tasks": [{DOCUMENT}, {DOCUMENT}]}}'))
    assert await everything(client.create_iterable(Person, "go")) == [FINAL, FINAL]
    server.add(reply("Some words on Ann."))
    assert "".join(await everything(client.stream_text("go"))) == "Some words on Ann."


@pytest.mark.parametrize("name", ["gemini", "groq", "mistral"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_tool_mode_may_be_asked_for_all_the_same(server: ScriptedServer, name: str, *, is_async: bool) -> None:
    server.add(reply(DOCUMENT))
    client = single(server, PROVIDERS[name], is_async=is_async, mode=Mode.TOOLS)
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert "tools" in server.exchanges[0].request.json
