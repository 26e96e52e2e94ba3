"""`create` with hooks: it streams underneath, and gives what it gives without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, Field

from instructor_stream_ext import Hooks, Limits, RetriesExhausted, StreamMisuse, Timeouts
from tests.server import ScriptedServer, reply
from tests.twins import Recorder, Twin, both, settled

PROVIDERS: dict[str, tuple[str, Mode, dict[str, Any]]] = {
    "openai tools": ("openai", Mode.TOOLS, {"model": "m"}),
    "openai schema": ("openai", Mode.JSON_SCHEMA, {"model": "m"}),
    "openai responses": ("openai", Mode.RESPONSES_TOOLS, {"model": "m"}),
    "anthropic tools": ("anthropic", Mode.TOOLS, {"model": "m", "max_tokens": 9}),
    "genai json": ("genai", Mode.JSON, {"model": "m"}),
}
providers = pytest.mark.parametrize("provider", PROVIDERS)
ADA = '{"name": "Ada", "age": 36}'


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


def made(server: ScriptedServer, twin: Twin, provider: str, **options: Any) -> tuple[Any, dict[str, Any]]:
    name, mode, ask = PROVIDERS[provider]
    return twin.client(server, mode, provider=name, **options), {"messages": [{"role": "user", "content": "go"}], **ask}


def streamed(server: ScriptedServer, index: int = -1) -> bool:
    request = server.requests[index]
    return bool((request.json or {}).get("stream")) or "streamGenerateContent" in request.path


def said(completion: Any) -> str:
    """The text of an SDK's own answer."""
    if hasattr(completion, "choices"):
        return str(completion.choices[0].message.content)
    if hasattr(completion, "output_text"):
        return str(completion.output_text)
    if hasattr(completion, "candidates"):
        return str(completion.text)
    return "".join(block.text for block in completion.content if block.type == "text")


@both
@providers
async def test_the_same_callback_for_chat_and_for_structured_answers(
    server: ScriptedServer, twin: Twin, provider: str
) -> None:
    recorder = Recorder(twin)
    client, ask = made(server, twin, provider, on_delta=recorder.handler("delta"))
    server.add(reply(ADA, 3))
    person = await settled(client.create(response_model=Person, **ask))
    assert person == Person(name="Ada", age=36)
    deltas = [text for (text,) in recorder.of("delta")]
    assert "".join(deltas) == ADA
    assert len(deltas) > 5
    recorder.calls.clear()
    server.add(reply("Just some words.", 3))
    chat = await settled(client.create(response_model=None, **ask))
    assert said(chat) == "Just some words."
    deltas = [text for (text,) in recorder.of("delta")]
    assert "".join(deltas) == "Just some words."
    assert len(deltas) > 3
    assert streamed(server, 0)
    assert streamed(server, 1)


@both
@providers
async def test_a_hook_of_one_call(server: ScriptedServer, twin: Twin, provider: str) -> None:
    recorder = Recorder(twin)
    client, ask = made(server, twin, provider)
    server.always(reply(ADA))
    assert (await settled(client.create(response_model=Person, **ask))).age == 36
    assert not streamed(server)
    person = await settled(client.create(response_model=Person, **ask, on_delta=recorder.handler("delta")))
    assert person == Person(name="Ada", age=36)
    assert streamed(server)
    assert "".join(text for (text,) in recorder.of("delta")) == ADA


@both
@providers
async def test_with_completion(server: ScriptedServer, twin: Twin, provider: str) -> None:
    server.always(reply(ADA))
    recorder = Recorder(twin)
    plain, ask = made(server, twin, provider)
    client, _ = made(server, twin, provider, on_delta=recorder.handler("delta"))
    person, completion = await settled(client.create_with_completion(response_model=Person, **ask))
    alike, without = await settled(plain.create_with_completion(response_model=Person, **ask))
    assert person == Person(name="Ada", age=36)
    assert alike.model_dump() == person.model_dump()  # of a class that instructor derives
    assert type(completion).__name__ == type(without).__name__.replace("Parsed", "")
    assert person._raw_response is completion
    assert "".join(text for (text,) in recorder.of("delta")) == ADA
    server.always(reply("words"))
    answer, completion = await settled(client.create_with_completion(response_model=None, **ask))
    assert answer is completion
    assert said(answer) == "words"


@both
async def test_all_the_ways_to_create(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(ADA))
    recorder = Recorder(twin)
    client, ask = made(server, twin, "openai tools", on_delta=recorder.handler("delta"))
    wanted = Person(name="Ada", age=36)
    for create in (client.create, client.chat.completions.create, client.messages.create, client.responses.create):
        recorder.calls.clear()
        assert await settled(create(response_model=Person, **ask)) == wanted
        assert recorder.names
        assert set(recorder.names) == {"delta"}


@both
@pytest.mark.parametrize(
    ("model", "sent", "wanted"),
    [
        (list[Person], f'{{"tasks": [{ADA}]}}', [Person(name="Ada", age=36)]),
        (Iterable[Person], f'{{"tasks": [{ADA}]}}', [Person(name="Ada", age=36)]),
        (int, '{"content": 7}', 7),
        (str, '{"content": "seven"}', "seven"),
        (Person | None, f'{{"content": {ADA}}}', Person(name="Ada", age=36)),
    ],
    ids=str,
)
async def test_whatever_the_response_is(server: ScriptedServer, twin: Twin, model: Any, sent: str, wanted: Any) -> None:
    server.always(reply(sent))
    recorder = Recorder(twin)
    client, ask = made(server, twin, "openai tools", on_delta=recorder.handler("delta"))
    assert await settled(client.create(response_model=model, **ask)) == wanted
    assert "".join(text for (text,) in recorder.of("delta")) == sent


@both
async def test_a_re_ask_while_it_streams(server: ScriptedServer, twin: Twin) -> None:
    bad = '{"name": "Ada", "age": -1}'
    server.add(reply(bad))
    server.add(reply(ADA))
    recorder = Recorder(twin)
    client, ask = made(server, twin, "openai tools", **recorder.hooks("delta", "restart", "final"))
    assert (await settled(client.create(response_model=Person, **ask))).age == 36
    assert "".join(text for (text,) in recorder.of("delta")) == bad + ADA
    assert len(recorder.of("restart")) == len(recorder.of("final")) == 1
    server.always(reply(bad))
    with pytest.raises(RetriesExhausted):
        await settled(client.create(response_model=Person, **ask, max_retries=0))


@both
@pytest.mark.parametrize(
    "option",
    [
        {"on_end": print},
        {"hooks": Hooks(on_end=lambda _: None)},
        {"final_checks": [bool]},
        {"timeouts": Timeouts(total=60)},
        {"limits": Limits(max_chars=1000)},
        {"stop_when": lambda _: False},
    ],
    ids=lambda option: next(iter(option)),
)
async def test_whatever_only_a_stream_can_do_makes_it_stream(
    server: ScriptedServer, twin: Twin, option: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server.always(reply(ADA))
    client, ask = made(server, twin, "openai tools")
    assert (await settled(client.create(response_model=Person, **ask, **option))).age == 36
    assert streamed(server)


@both
@pytest.mark.parametrize("model", [Person, None])
async def test_an_option_of_streams_that_asks_for_nothing_is_not_sent(
    server: ScriptedServer, twin: Twin, model: Any
) -> None:
    server.always(reply(ADA))
    client, ask = made(server, twin, "openai tools")
    nothing = dict.fromkeys(("on_end", "final_checks", "timeouts", "limits", "stop_when"))
    await settled(client.create(response_model=model, **ask, debounce=0.5, **nothing))
    assert not streamed(server)
    with pytest.raises(TypeError, match="debounce must be"):
        await settled(client.create(response_model=model, **ask, debounce="0.5"))


@both
async def test_the_sdks_own_stream_knows_no_option_of_ours(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(ADA))
    client, ask = made(server, twin, "openai tools")
    nothing = {**dict.fromkeys(("on_end", "final_checks", "timeouts", "limits", "stop_when")), "hooks": Hooks()}
    assert await twin.values(await settled(client.create(None, stream=True, **ask, debounce=0.5, **nothing)))
    for option in ({"on_end": print}, {"hooks": Hooks(on_end=print)}, {"limits": Limits(max_chars=9)}):
        (name,) = option
        with pytest.raises(StreamMisuse, match=f"the SDK's own stream, which knows no {name}"):
            await settled(client.create(None, stream=True, **ask, **option))
    assert len(server.requests) == 1
