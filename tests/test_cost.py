"""What a stream costs and what it may cost: by the provider's count at the end, by an estimate until then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from genai_prices import Usage as Counted
from genai_prices import calc_price
from pydantic import BaseModel

from instructor_stream_ext import LimitExceeded, Limits, MissingExtra, StreamEnded, StreamMisuse, Usage
from instructor_stream_ext._instructor import link, prices
from instructor_stream_ext._instructor.litellm_prices import LitellmPrices
from instructor_stream_ext.core.spending import Rates, Spending, estimated_tokens
from instructor_stream_ext.providers.anthropic import AnthropicReader
from instructor_stream_ext.providers.usage import cached_tokens
from tests.playing import play
from tests.server import ScriptedServer, Signal, reply, sends
from tests.server.wire_format import chat_chunk, sse
from tests.sides import SOURCES, both_sides, entered, first, held_after, sources

FIVE = [
    ("openai-tools", "gpt-4o-mini", "openai"),
    ("openai-schema", "gpt-4.1", "openai"),
    ("openai-responses", "gpt-4o", "openai"),
    ("anthropic-tools", "claude-sonnet-4-6", "anthropic"),
    ("genai-json", "gemini-2.5-flash", "google"),
]
DOCUMENT = '{"name": "Ada", "age": 36}'
LONG = '{"name": "' + "word " * 2_000 + '", "age": 36}'
EVERYWHERE = ("openai-tools", "openai-responses", "anthropic-tools", "genai-json", "litellm-tools")
MODELS = {
    "anthropic-tools": "claude-sonnet-4-6",
    "genai-json": "gemini-2.5-flash",
    "litellm-tools": "openai/gpt-4o-mini",
}


A_TOKEN = {"anthropic-tools": 15e-6, "genai-json": 2.5e-6}
"""US dollars for one of the answer; gpt-4o-mini takes 0.6e-6."""


class Person(BaseModel):
    name: str
    age: int


def priced(model: str, provider: str, **tokens: int) -> float:
    return float(calc_price(Counted(**tokens), model, provider_id=provider).total_price)


def asking(source: str, model: str | None = None) -> dict[str, Any]:
    return {**SOURCES[source].ask, "model": model or MODELS.get(source, "gpt-4o-mini")}


@both_sides
@pytest.mark.parametrize(("source", "model", "provider"), FIVE)
async def test_at_the_end_the_provider_has_counted(
    server: ScriptedServer, side: str, source: str, model: str, provider: str
) -> None:
    server.add(reply(DOCUMENT))
    stream = SOURCES[source].client(server, side).create_partial(Person, **asking(source, model))
    assert stream.cost is None
    played = await play(stream)
    (event,) = played.of(StreamEnded)
    assert event.stats.usage == Usage(11, 7, 18)
    assert event.stats.cost == stream.cost == pytest.approx(priced(model, provider, input_tokens=11, output_tokens=7))
    assert not event.stats.cost_estimated


@both_sides
@pytest.mark.parametrize(("source", "model", "provider"), FIVE)
async def test_until_then_it_is_estimated(
    server: ScriptedServer, side: str, source: str, model: str, provider: str
) -> None:
    gate = Signal()
    server.add(reply(LONG, size=4_000, arrange=held_after(b"word", gate)))
    stream = SOURCES[source].client(server, side).create_partial(Person, **asking(source, model))
    async with entered(stream):
        await first(stream)
        underway = stream.cost
        said = estimated_tokens(stream.text)
        gate.set()
    per_token = priced(model, provider, input_tokens=0, output_tokens=1_000) / 1_000
    assert underway > 0.9 * said * per_token > 0
    assert stream.cost >= underway
    assert stream.stats.cost_estimated


@both_sides
@sources(*EVERYWHERE)
@pytest.mark.parametrize("bound", ["max_output_tokens", "max_cost"])
async def test_a_runaway_answer_is_stopped(server: ScriptedServer, side: str, source: Any, bound: str) -> None:
    server.add(reply(LONG, size=40))
    most = 300
    dollars = most * A_TOKEN.get(source.name, 0.6e-6)
    limits = Limits(max_cost=dollars) if bound == "max_cost" else Limits(max_output_tokens=most)
    shown: list[Any] = []
    stream = source.client(server, side).create_partial(
        Person, on_partial=shown.append, limits=limits, **asking(source.name)
    )
    played = await play(stream)
    assert isinstance(played.error, LimitExceeded)
    assert played.error.limit == bound
    assert LONG.startswith(played.error.text)
    assert 0 < len(played.error.text) <= most * 4 + 40
    assert played.error.partial == shown[-1]
    assert stream.stats.cost_estimated
    if bound == "max_cost":
        assert str(played.error).startswith(f"max_cost: the answer goes beyond {dollars} US dollars")
        assert stream.cost == pytest.approx(dollars, rel=0.4)


@both_sides
async def test_reasoning_counts(server: ScriptedServer, side: str) -> None:
    server.add(sends([*(chat_chunk({"reasoning_content": "so " * 200}) for _ in range(9)), sse("[DONE]")]))
    client = SOURCES["openai-tools"].client(server, side)
    played = await play(client.create_partial(Person, limits=Limits(max_output_tokens=300), **asking("openai-tools")))
    assert isinstance(played.error, LimitExceeded)
    assert played.error.attempt == 1


@both_sides
async def test_an_answer_within_its_bounds(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT, size=3))
    limits = Limits(max_output_tokens=9, max_cost=0.01)
    stream = (
        SOURCES["openai-tools"].client(server, side, limits=limits).create_partial(Person, **asking("openai-tools"))
    )
    assert (await play(stream)).final == Person(name="Ada", age=36)


@both_sides
@sources("openai-tools", "litellm-tools")
async def test_a_price_that_nobody_knows(server: ScriptedServer, side: str, source: Any) -> None:
    client = source.client(server, side)
    ask = asking(source.name, "openai/no-such-model" if source.name == "litellm-tools" else "no-such-model")
    with pytest.raises(StreamMisuse, match=r"max_cost cannot be enforced: the price list lacks .*no-such-model"):
        client.create_partial(Person, limits=Limits(max_cost=0.1), **ask)
    assert not server.exchanges
    server.add(reply(DOCUMENT))
    played = await play(client.create_partial(Person, **ask))
    assert played.final == Person(name="Ada", age=36)
    assert played.stream.cost is None


@both_sides
async def test_without_a_price_list(server: ScriptedServer, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "find_spec", lambda _: None)
    prices.price_list.cache_clear()
    monkeypatch.setattr(link, "price_list", prices.price_list)
    try:
        client = SOURCES["openai-tools"].client(server, side)
        with pytest.raises(MissingExtra, match=r"instructor_stream_ext\[cost\]"):
            client.create_partial(Person, limits=Limits(max_cost=0.1), **asking("openai-tools"))
        server.add(reply(DOCUMENT)).add(reply(LONG, size=40))
        assert (await play(client.create_partial(Person, **asking("openai-tools")))).stream.cost is None
        limits = Limits(max_output_tokens=100)  # needs none
        played = await play(client.create_partial(Person, limits=limits, **asking("openai-tools")))
        assert isinstance(played.error, LimitExceeded)
    finally:
        prices.price_list.cache_clear()


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan")])
def test_bounds_that_are_none(bad: float) -> None:
    with pytest.raises(ValueError, match="max_cost"):
        Limits(max_cost=bad)
    with pytest.raises(ValueError, match="max_output_tokens"):
        Limits(max_output_tokens=0)


class Answered:
    """An answer so far."""

    def __init__(self, text: str, usage: Usage | None = None) -> None:
        self.text = text
        self.usage = usage

    @property
    def chars(self) -> int:
        return len(self.text)

    def written(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("text", "usage", "tokens"),
    [
        ("abcd" * 10, None, 10),
        ("abcd" * 10, Usage(5, 40, 45), 40),  # the provider knows better
        ("水" * 40, None, 30),
        ("", None, 0),
    ],
)
def test_tokens_are_the_providers_or_estimated(text: str, usage: Usage | None, tokens: int) -> None:
    Spending(Limits(max_output_tokens=max(tokens, 1))).check(Answered(text, usage))
    if tokens:
        with pytest.raises(LimitExceeded, match=f"max_output_tokens: the answer goes beyond {max(tokens - 1, 1)}"):
            Spending(Limits(max_output_tokens=max(tokens - 1, 1))).check(Answered(text, usage))


def test_what_came_since_the_provider_counted_is_estimated() -> None:
    spending = Spending(Limits(max_output_tokens=110))
    spending.check(Answered("a" * 40, Usage(5, 1, 6)))  # anthropic says 1 at the start, and the rest at the end
    spending.check(Answered("a" * 400, Usage(5, 1, 6)))
    with pytest.raises(LimitExceeded):
        spending.check(Answered("a" * 500, Usage(5, 1, 6)))


def test_the_money_of_earlier_attempts_counts() -> None:
    rates = Rates(asked=100, input=0.001, output=0.01)
    answer = Answered("a" * 40)  # 10 tokens: 0.1 for them, 0.1 for the question
    Spending(Limits(max_cost=0.7), rates, 0.49).check(answer)
    with pytest.raises(LimitExceeded):
        Spending(Limits(max_cost=0.7), rates, 0.51).check(answer)
    with pytest.raises(LimitExceeded):
        Spending(Limits(max_cost=0.7), rates, 0.49).check(Answered("a" * 40, Usage(200, 10, 210)))


@pytest.mark.parametrize(
    ("usage", "read_written"),
    [
        ({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 64}}, (64, 0)),
        ({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 32}}, (32, 0)),
        ({"cache_read_input_tokens": 5, "cache_creation_input_tokens": 7}, (5, 7)),
        ({"cacheReadInputTokens": 3, "cacheWriteInputTokens": 2}, (3, 2)),
        ({"prompt_tokens": 1, "prompt_tokens_details": None}, (0, 0)),
    ],
)
def test_cached_tokens(usage: dict[str, Any], read_written: tuple[int, int]) -> None:
    assert cached_tokens(usage) == read_written


def test_cached_input_is_cheaper() -> None:
    reader = AnthropicReader()
    told = {"input_tokens": 10, "cache_read_input_tokens": 990, "output_tokens": 1}
    reader.read({"type": "message_start", "message": {"usage": told, "model": "claude-sonnet-4-6"}})
    reader.read({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}})

    attempt: Any = SimpleNamespace(sent={}, model="claude-sonnet-4-6", provider="anthropic", reader=reader)
    cost = prices.PriceList()(attempt)
    full = priced("claude-sonnet-4-6", "anthropic", input_tokens=1000, output_tokens=100)
    part = priced("claude-sonnet-4-6", "anthropic", input_tokens=1000, cache_read_tokens=990, output_tokens=100)
    assert cost.dollars == pytest.approx(part)
    assert part < full / 2
    assert not cost.estimated


def test_pictures_are_no_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    text = {"type": "text", "text": "what is this?"}
    sent = {"model": "m", "messages": [{"role": "user", "content": [text, picture]}]}
    assert prices.asked_tokens(sent) < 30


@pytest.mark.parametrize("sent", [{"model": "ollama/llama3"}, {"model": "openai/no-such-model"}, {}])
def test_litellms_list_without_a_price(sent: dict[str, Any]) -> None:
    asked = {"messages": [{"role": "user", "content": "go"}], **sent}
    attempt: Any = SimpleNamespace(sent=asked, model="m", provider="litellm", reader=AnthropicReader())
    listed = LitellmPrices()
    assert not listed.knows(sent.get("model"), None, sent)
    assert listed.rates(attempt) is None
    assert listed(attempt).dollars is None
