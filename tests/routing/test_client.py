"""`from_litellm`: one string is a client; and what users have of litellm's is wrapped as well."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import instructor
import pytest
from instructor import Mode

from instructor_stream_ext import (
    EveryN,
    MissingExtra,
    OutputTruncated,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    Timeouts,
    wrap,
)
from instructor_stream_ext.routing import from_litellm
from tests.playing import play
from tests.routing.calls import DOCUMENT, FINAL, PROVIDERS, QUIET, Person, litellm, retiring, single
from tests.server import Cut, Reset, ScriptedServer, Status, reply, sends
from tests.server.clients import close_litellm
from tests.server.wire_format import chat_tools
from tests.sides import both_sides, everything, settled

pytestmark = QUIET

GPT, CLAUDE, FLASH = (PROVIDERS[name] for name in ("openai", "anthropic", "gemini"))
PART = DOCUMENT[:16]


# -- one string -------------------------------------------------------------------------------------------------------


@both_sides
async def test_litellms_arguments_pass_through(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT))
    client = single(
        server, GPT, is_async=side == "async", api_key="secret", extra_headers={"x-who": "me"}, temperature=0.5, seed=7
    )
    played = await play(client.create_partial(Person, "go", temperature=0.25))
    assert played.final == FINAL
    (exchange,) = server.exchanges
    assert exchange.request.headers["authorization"] == "Bearer secret"
    assert exchange.request.headers["x-who"] == "me"
    assert exchange.request.json["model"] == "gpt-4o-mini"
    assert exchange.request.json["temperature"] == 0.25
    assert exchange.request.json["seed"] == 7


@both_sides
async def test_wraps_arguments_are_wraps(server: ScriptedServer, side: str) -> None:
    shown: list[Any] = []
    server.add(reply(DOCUMENT))
    client = single(server, GPT, is_async=side == "async", debounce=EveryN(3), on_partial=shown.append, usage=False)
    played = await play(client.create_partial(Person, "go"))
    assert shown == played.partials
    assert 0 < len(shown) <= 4
    assert "stream_options" not in server.exchanges[0].request.json
    again = wrap(client, debounce=0.0)
    assert again._calls.link is client._calls.link


@both_sides
async def test_a_call_may_name_another_model(server: ScriptedServer, side: str) -> None:
    client = single(server, CLAUDE, is_async=side == "async")
    for provider in (FLASH, CLAUDE, GPT):
        server.add(reply(DOCUMENT))
        base = server.url + provider.path
        played = await play(client.create_partial(Person, "go", model=provider.model, api_base=base))
        assert played.final == FINAL
        request = server.exchanges[-1].request
        assert request.path == provider.asked
        assert ("tools" in request.json) == (provider.mode is Mode.TOOLS)
    assert client._calls.link.mode is Mode.TOOLS


@both_sides
async def test_a_given_mode_holds_for_all_models(server: ScriptedServer, side: str) -> None:
    client = single(server, GPT, is_async=side == "async", mode=Mode.MD_JSON)
    for provider in (GPT, PROVIDERS["deepseek"]):
        server.add(reply(DOCUMENT))
        assert (await play(client.create_partial(Person, "go", model=provider.model))).final == FINAL
        assert not {"tools", "response_format"} & set(server.exchanges[-1].request.json)


@both_sides
async def test_create_in_the_mode_of_its_model(server: ScriptedServer, side: str) -> None:
    client = single(server, CLAUDE, is_async=side == "async")
    for provider in (CLAUDE, GPT, PROVIDERS["hosted_vllm"]):
        server.add(reply(DOCUMENT))
        base = server.url + provider.path
        made = await settled(client.create(Person, "go", model=provider.model, api_base=base))
        assert made.model_dump() == FINAL.model_dump()
        request = server.exchanges[-1].request
        assert not request.json.get("stream")
        assert ("tools" in request.json) == (provider.mode is Mode.TOOLS)


@both_sides
async def test_hidden_retries_are_off_unless_asked_for(server: ScriptedServer, side: str) -> None:
    server.always(Status(500))
    client = single(server, GPT, is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, litellm.InternalServerError)
    assert len(server.exchanges) == 1
    played = await play(client.create_partial(Person, "go", timeouts=Timeouts(total=20)))
    assert isinstance(played.error, litellm.InternalServerError)
    assert len(server.exchanges) == 2
    server.add(Status(500)).add(reply(DOCUMENT))
    client = single(server, GPT, is_async=side == "async", num_retries=1)
    assert (await play(client.create_partial(Person, "go"))).final == FINAL
    assert len(server.exchanges) == 4


async def test_a_key_goes_to_its_own_provider_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setenv("GROQ_API_KEY", "groqs-own")
    client = from_litellm("anthropic/claude-haiku-4-5", api_key="anthropics")
    client.on("completion:kwargs", lambda **kwargs: sent.append(kwargs))
    for model in ("groq/gpt-oss", "anthropic/claude-sonnet-4-0"):
        stream = client.create_partial(Person, "go", model=model, mock_response=DOCUMENT)
        stream.close()
        with pytest.raises(Exception):  # noqa: B017, PT011  whatever litellm makes of a mocked stream
            client.create_partial(Person, "go", model=model, mock_response=Exception("mocked")).get_final_response()
    assert [kwargs["api_key"] for kwargs in sent] == [None, "anthropics"]


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["nobody/gpt", "gpt-unheard-of", "", "  ", "/x", None, 7])
def test_an_unknown_provider_is_told_at_once(model: Any) -> None:
    said = "LLM Provider NOT provided" if isinstance(model, str) and model.strip() else "a model is text"
    with pytest.raises(StreamMisuse, match=said) as raised:
        from_litellm(model)
    if "LLM" in said:
        assert isinstance(raised.value.__cause__, litellm.BadRequestError)


async def test_an_unknown_provider_of_a_call(server: ScriptedServer) -> None:
    client = single(server, GPT, is_async=False)
    with pytest.raises(StreamMisuse, match="LLM Provider NOT provided"):
        client.create_partial(Person, "go", model="nobody/gpt")
    with pytest.raises(StreamMisuse, match="LLM Provider NOT provided"):
        client.create(Person, "go", model="nobody/gpt")
    assert server.exchanges == []


@both_sides
@pytest.mark.parametrize(
    ("model", "key"),
    [
        ("anthropic/claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("deepseek/deepseek-chat", "DEEPSEEK_API_KEY"),
        ("gemini/gemini-2.5-flash", "GEMINI_API_KEY"),
        ("groq/x", "GROQ_API_KEY"),
        ("mistral/mistral-small-latest", "MISTRAL_API_KEY"),
        ("openai/gpt-4o-mini", "OPENAI_API_KEY"),
        ("xai/grok-3", "XAI_API_KEY"),
    ],
)
async def test_a_model_without_credentials(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, model: str, key: str, side: str
) -> None:
    client: Any = from_litellm(model, async_client=side == "async", api_base=server.url)
    with pytest.raises(StreamMisuse, match=f"{model} has no credentials: litellm does not find .*{key}"):
        client.create_partial(Person, "go")
    monkeypatch.setenv(key, "key")
    await settled(client.create_partial(Person, "go").close())
    assert server.exchanges == []


@pytest.mark.parametrize("name", ["messages", "response_model", "stream"])
def test_arguments_of_a_call(name: str) -> None:
    with pytest.raises(StreamMisuse, match=f"{name} is an argument of a call"):
        from_litellm("openai/gpt-4o-mini", **{name: None})  # type: ignore[call-overload]


def test_an_unknown_hook() -> None:
    with pytest.raises(StreamMisuse, match="unknown hook"):
        from_litellm("openai/gpt-4o-mini", on_nothing=print)


def test_without_litellm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(MissingExtra, match=r"instructor_stream_ext\[litellm\]"):
        from_litellm("openai/gpt-4o-mini")


def test_litellm_is_imported_when_used() -> None:
    program = "import sys, instructor_stream_ext.routing as r; assert 'litellm' not in sys.modules; print(len(r.MODES))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 10


# -- what users have already ------------------------------------------------------------------------------------------


def _function(server: ScriptedServer, *, is_async: bool) -> Any:
    call = litellm.acompletion if is_async else litellm.completion
    return instructor.from_litellm(functools.partial(call, **_at(server)), async_client=is_async)  # type: ignore[call-overload]


def _router(server: ScriptedServer, *, is_async: bool) -> Any:
    router = litellm.Router(
        [{"model_name": "openai/mine", "litellm_params": {"model": "openai/gpt-4o", **_at(server)}}]
    )
    server.closers.append(retiring(router))
    return instructor.from_litellm(router.acompletion if is_async else router.completion, async_client=is_async)  # type: ignore[call-overload]


def _by_name(server: ScriptedServer, *, is_async: bool) -> Any:
    client: Any = instructor.from_provider("litellm/openai/mine", async_client=is_async, **_at(server))  # type: ignore[call-overload]
    return client


def _at(server: ScriptedServer) -> dict[str, Any]:
    return {"api_base": f"{server.url}/v1", "api_key": "key", "num_retries": 0}


WAYS: dict[str, Callable[..., Any]] = {"function": _function, "Router": _router, "from_provider": _by_name}
every_way = pytest.mark.parametrize("way", WAYS)


def had(server: ScriptedServer, way: str, side: str) -> Any:
    server.closers.append(close_litellm)
    return wrap(WAYS[way](server, is_async=side == "async"))


@both_sides
@every_way
async def test_all_methods_of_what_users_have(server: ScriptedServer, way: str, side: str) -> None:
    client = had(server, way, side)
    model = {"model": "openai/mine", "api_key": "key"}  # both of which from_provider forgets
    server.add(reply(DOCUMENT))
    played = await play(client.create_partial(Person, "go", **model))
    assert played.final == FINAL
    assert len(played.partials) > 3
    server.add(reply(f'{{"tasks": [{DOCUMENT}, {DOCUMENT}]}}'))
    assert await everything(client.create_iterable(Person, "go", **model)) == [FINAL, FINAL]
    server.add(reply(DOCUMENT))
    assert (await settled(client.create(Person, "go", **model))).model_dump() == FINAL.model_dump()
    server.add(reply("Some words."))
    assert await settled(client.stream_text("go", **model).get_final_response()) == "Some words."


@both_sides
@every_way
@pytest.mark.parametrize("after", [(), (Cut(),), (Reset(),)], ids=["cut", "connection-cut", "reset"])
async def test_a_broken_stream_of_what_users_have(
    server: ScriptedServer, way: str, after: tuple[Any, ...], side: str
) -> None:
    """The Router would have the same model continue, in other words than its own; that is another answer."""
    client = had(server, way, side)
    model = {"model": "openai/mine", "api_key": "key"}  # both of which from_provider forgets
    server.add(reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), *after])).always(Status(400))
    played = await play(client.create_partial(Person, "go", **model))
    assert isinstance(played.error, StreamInterrupted if after else OutputTruncated)
    assert played.error.text == PART


@both_sides
async def test_a_client_that_lost_its_model(server: ScriptedServer, side: str) -> None:
    client = had(server, "from_provider", side)
    with pytest.raises(StreamMisuse, match="does not keep it; name it in the call"):
        client.create_partial(Person, "go")
    assert server.exchanges == []


@both_sides
async def test_the_continuation_of_the_users_router_is_another_answer(server: ScriptedServer, side: str) -> None:
    server.closers.append(close_litellm)
    params = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **_at(server)}} for name in ("a", "b")]
    router = litellm.Router(params, fallbacks=[{"a": ["b"]}], num_retries=0)
    server.closers.append(retiring(router))
    is_async = side == "async"
    plain: Any = instructor.from_litellm(router.acompletion if is_async else router.completion, async_client=is_async)  # type: ignore[call-overload]
    client = wrap(plain)
    server.add(reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[:6]), Reset()]))
    bob = '{"name": "Bob of the Hills", "age": 5}'
    server.always(sends([chunk.replace(b"chatcmpl-1", b"chatcmpl-2") for chunk in chat_tools(bob, name="Person")]))
    played = await play(client.create_partial(Person, "go", model="a"))
    if played.error is None:
        assert played.final.name == "Bob of the Hills"
        assert [event.reason for event in played.of(StreamRestarted)] == ["fallback"]
    else:
        assert isinstance(played.error, StreamInterrupted)
    assert not any("Ann" in (partial.name or "") and "Bob" in (partial.name or "") for partial in played.partials)
