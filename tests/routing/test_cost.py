"""What a stream costs: litellm's prices over all attempts and models, estimated where a provider could not say."""

from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext import LimitExceeded, Limits, StreamEnded, StreamMisuse, Usage
from tests.playing import Played, play
from tests.routing.calls import DOCUMENT, FINAL, PROVIDERS, QUIET, Person, litellm, routed, single
from tests.server import ScriptedServer, Signal, Wait, reply, sends
from tests.sides import both_sides, entered, first

pytestmark = QUIET

GPT, CLAUDE = PROVIDERS["openai"], PROVIDERS["anthropic"]


def priced(model: str, asked: int = 11, said: int = 7) -> float:
    return float(sum(litellm.cost_per_token(model=model, prompt_tokens=asked, completion_tokens=said)))


def ended(played: Played) -> Any:
    (event,) = played.of(StreamEnded)
    return event.stats


@both_sides
@pytest.mark.parametrize("provider", [GPT, CLAUDE, PROVIDERS["gemini"]], ids=["openai", "anthropic", "gemini"])
async def test_one_answer(server: ScriptedServer, provider: Any, side: str) -> None:
    at_the_final: list[Any] = []
    server.add(reply(DOCUMENT))
    client = single(server, provider, is_async=side == "async")
    stream: Any = client.create_partial(
        Person, "go", on_final=lambda _: at_the_final.append((stream.cost, stream.usage))
    )
    played = await play(stream)
    cost = priced(provider.model)
    assert 0 < cost < 0.001
    assert stream.cost == pytest.approx(cost)
    assert at_the_final == [(stream.cost, Usage(11, 7, 18))]
    assert ended(played).cost == stream.cost
    assert ended(played).usage == Usage(11, 7, 18)
    assert not ended(played).cost_estimated


@both_sides
async def test_the_sum_over_attempts(server: ScriptedServer, side: str) -> None:
    server.add(reply('{"name": 7, "age": 7}')).add(reply(DOCUMENT))
    client = single(server, GPT, is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert played.stream.cost == pytest.approx(2 * priced(GPT.model))
    assert played.stream.usage == Usage(22, 14, 36)


@both_sides
async def test_the_sum_over_models_with_an_abandoned_one(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, arrange=lambda chunks: sends(chunks[:6]))).add(reply(DOCUMENT))
    client = routed(server, "openai", "anthropic", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    stats = ended(played)
    assert stats.cost_estimated
    abandoned = stats.cost - priced(CLAUDE.model)
    assert priced(GPT.model, 5, 3) < abandoned < priced(GPT.model, 200, 30)
    assert stats.usage == Usage(11, 7, 18)  # the one that was told


@both_sides
@pytest.mark.parametrize("provider", [GPT, CLAUDE, PROVIDERS["gemini"]], ids=["openai", "anthropic", "gemini"])
async def test_left_in_the_middle(server: ScriptedServer, provider: Any, side: str) -> None:
    gate = Signal()
    server.add(reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), Wait(gate)]))
    client = single(server, provider, is_async=side == "async")
    unread = client.create_partial(Person, "go")
    assert unread.cost is None
    async with entered(unread) as stream:
        await first(stream)
        underway = stream.cost
    assert underway > 0
    assert stream.cost >= underway
    assert stream.stats.cost == stream.cost
    counts_as_it_goes = provider is PROVIDERS["gemini"]
    assert stream.stats.cost_estimated is not counts_as_it_goes


@both_sides
async def test_prices_that_nobody_knows(server: ScriptedServer, side: str) -> None:
    for _ in range(2):
        server.add(reply(DOCUMENT))
    client = single(server, PROVIDERS["hosted_vllm"], is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.stream.cost is None
    assert ended(played).cost is None
    own = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}
    client = single(server, PROVIDERS["hosted_vllm"], is_async=side == "async", **own)
    played = await play(client.create_partial(Person, "go", model="hosted_vllm/priced"))
    assert played.stream.cost == pytest.approx(11 * 0.001 + 7 * 0.01)


@both_sides
async def test_one_unknown_price_leaves_the_sum_unknown(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, arrange=lambda chunks: sends(chunks[:6]))).add(reply(DOCUMENT))
    client = routed(server, "hosted_vllm", "openai", is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert played.final == FINAL
    assert played.stream.cost is None


@both_sides
async def test_a_bound_on_money_holds_for_a_route(server: ScriptedServer, side: str) -> None:
    entry = {"model_name": "fast", "litellm_params": {"model": GPT.model, **GPT.at(server)}}
    client = routed(server, entry, is_async=side == "async")
    server.add(reply(DOCUMENT, size=4)).add(reply('{"name": "' + "word " * 2_000))
    limits = Limits(max_cost=0.0001)
    played = await play(client.create_partial(Person, "go", limits=limits))
    assert played.final == FINAL
    assert played.stream.cost == pytest.approx(priced(GPT.model))
    runaway = await play(client.create_partial(Person, "go", limits=limits))
    assert isinstance(runaway.error, LimitExceeded)
    unpriced = {"model_name": "own", "litellm_params": {**entry["litellm_params"], "model": "openai/our-own"}}  # type: ignore[dict-item]
    with pytest.raises(StreamMisuse, match="litellm's price list has no 'openai/our-own'"):
        routed(server, unpriced, is_async=side == "async").create_partial(Person, "go", limits=limits)
