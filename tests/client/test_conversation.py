"""Conversations: what is asked, what is kept, and what the provider is sent of it."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, Field

from instructor_stream_ext import Conversation, RetriesExhausted, StreamInterrupted, StreamMisuse, wrap
from tests.server import Cut, Forever, ScriptedServer, Status, clients, reply, sends
from tests.server.wire_format import chat_chunk, chat_content
from tests.twins import Recorder, Twin, both

PATIENCE = 10


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


MAKERS: dict[str, tuple[tuple[Callable[..., Any], Callable[..., Any]], dict[str, Any]]] = {
    "openai": ((clients.openai_client, clients.async_openai_client), {"model": "m"}),
    "anthropic": ((clients.anthropic_client, clients.async_anthropic_client), {"model": "m", "max_tokens": 9}),
    "genai": ((clients.genai_client, clients.async_genai_client), {"model": "m"}),
    "litellm": ((clients.litellm_client, clients.async_litellm_client), {"model": "openai/m"}),
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, **mark: bool) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **mark}


SYSTEM = {"role": "system", "content": "Be brief."}


def sent(server: ScriptedServer, index: int = -1) -> list[Any]:
    """The messages of a request."""
    messages: list[Any] = server.requests[index].json["messages"]
    return messages


@both
@pytest.mark.parametrize("provider", MAKERS)
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
async def test_turn_by_turn_with_every_message_shape(server: ScriptedServer, twin: Twin, provider: str) -> None:
    makers, ask = MAKERS[provider]
    talk = Conversation(wrap(makers[twin.is_async](server)), system="Be brief.")
    server.add(reply("Hello!"))
    assert "".join(await twin.values(talk.say("Hi.", **ask))) == "Hello!"
    server.add(reply('{"name": "Ada", "age": 36}'))
    final = await twin.final(talk.say("Who?", Person, **ask))
    assert final == Person(name="Ada", age=36)
    server.add(reply("Bye."))
    assert await twin.final(talk.say("Bye!", **ask)) == "Bye."
    assert talk.messages == [
        SYSTEM,
        user("Hi."),
        assistant("Hello!"),
        user("Who?"),
        assistant('{"name": "Ada", "age": 36}'),
        user("Bye!"),
        assistant("Bye."),
    ]
    assert talk.system == "Be brief."
    if provider == "anthropic":
        assert sent(server) == talk.messages[1:-1]
        assert server.requests[-1].json["system"] == [{"type": "text", "text": "Be brief."}]
    elif provider == "genai":  # which has other names for it all
        said = [(turn["role"], turn["parts"][0]["text"]) for turn in server.requests[-1].json["contents"]]
        roles = {"user": "user", "assistant": "model"}
        assert said == [(roles[turn["role"]], turn["content"]) for turn in talk.messages[1:-1]]
        assert server.requests[-1].json["systemInstruction"]["parts"][0]["text"].strip() == "Be brief."
    else:
        assert sent(server) == talk.messages[:-1]


@both
async def test_a_turn_is_kept_only_at_its_end(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply("Hello!"))
    talk = Conversation(twin.client(server))
    stream: Any = talk.say("Hi.", model="m")
    assert talk.messages == []
    if twin.is_async:  # noqa: SIM108  side by side
        kept = [len(talk.messages) async for _ in stream]
    else:
        kept = [len(talk.messages) for _ in stream]
    assert kept[:-1] == [0] * (len(kept) - 1)
    assert talk.messages == [user("Hi."), assistant("Hello!")]


@both
async def test_an_answer_that_was_left_is_kept_and_marked_but_not_sent_with_the_mark(
    server: ScriptedServer, twin: Twin
) -> None:
    begun = chat_content("Hello, and ", size=5, finish=None, done=False)
    server.add(sends(begun), Forever([chat_chunk({"content": "more"})]))
    talk = Conversation(twin.client(server))
    seen = await twin.first(talk.say("Hi.", model="m"), 2)
    assert server.exchanges[0].disconnected.wait(PATIENCE)
    assert talk.messages == [user("Hi."), assistant("".join(seen), interrupted=True)]
    server.add(reply("Fine."))
    await twin.final(talk.say("Go on.", model="m"))
    assert sent(server) == [user("Hi."), assistant("".join(seen)), user("Go on.")]


@both
async def test_an_answer_that_was_left_is_kept_as_it_was_seen(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply("One two. Three four. Five six.", None))
    talk = Conversation(twin.client(server))
    assert await twin.first(talk.say("Count.", model="m", by="sentence"), 2) == ["One two. ", "Three four. "]
    assert talk.messages[-1] == assistant("One two. Three four. ", interrupted=True)


@both
async def test_an_answer_that_broke_off_is_kept_and_marked(server: ScriptedServer, twin: Twin) -> None:
    server.add([sends(chat_content("Hello, and", size=4, finish=None, done=False)), Cut()])
    talk = Conversation(twin.client(server))
    with pytest.raises(StreamInterrupted):
        await twin.final(talk.say("Hi.", model="m"))
    assert talk.messages == [user("Hi."), assistant("Hello, and", interrupted=True)]


@both
async def test_a_request_that_was_refused_leaves_nothing_behind(server: ScriptedServer, twin: Twin) -> None:
    server.add(Status(400))
    talk = Conversation(twin.client(server), "Be brief.")
    with pytest.raises(Exception, match="scripted status 400"):
        await twin.final(talk.say("Hi.", model="m"))
    assert talk.messages == [SYSTEM]


@both
async def test_a_re_ask_leaves_only_the_answer_that_passed(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"name": "Ada", "age": -1}'))
    server.add(reply('{"name": "Ada", "age": 36}'))
    talk = Conversation(twin.client(server))
    await twin.final(talk.say("Who?", Person, model="m"))
    assert talk.messages == [user("Who?"), assistant('{"name": "Ada", "age": 36}')]
    server.add(reply('{"name": "Ada", "age": -2}'))
    with pytest.raises(RetriesExhausted):
        await twin.final(talk.say("Again?", Person, model="m", max_retries=0))
    assert talk.messages[2:] == [user("Again?"), assistant('{"name": "Ada", "age": -2}', interrupted=True)]


@both
@pytest.mark.parametrize(("max_turns", "asked"), [(None, 5), (2, 5), (1, 3), (0, 1), (9, 5)])
async def test_only_the_latest_turns_are_sent(
    server: ScriptedServer, twin: Twin, max_turns: int | None, asked: int
) -> None:
    talk = Conversation(twin.client(server), "Be brief.", max_turns)
    for number in range(3):
        server.add(reply(f"answer {number}"))
        await twin.final(talk.say(f"question {number}", model="m"))
    assert sent(server) == [SYSTEM, *talk.messages[1:-1][-asked:]]
    assert len(talk.messages) == 7


@both
async def test_saved_and_loaded(server: ScriptedServer, twin: Twin, tmp_path: Path) -> None:
    server.add(reply("Grüße!"))
    client = twin.client(server)
    talk = Conversation(client, "Be brief.")
    await twin.first(talk.say("Hi.", model="m"), 1)
    talk.save(tmp_path / "talk.json")
    assert "Grü" in (tmp_path / "talk.json").read_text(encoding="utf-8")
    again = Conversation.load(tmp_path / "talk.json", client, max_turns=1)
    assert again.messages == talk.messages == json.loads(json.dumps(talk.messages))
    assert again.messages[-1]["interrupted"] is True
    server.add(reply("Fine."))
    await twin.final(again.say("Go on.", model="m"))
    assert sent(server) == [SYSTEM, user("Hi."), assistant("Grüß"), user("Go on.")]
    assert len(talk.messages) == 3


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class Part(BaseModel):
    type: str
    blob: bytes


@both
async def test_models_among_the_parts_are_saved_as_plain_data(
    server: ScriptedServer, twin: Twin, tmp_path: Path
) -> None:
    client = twin.client(server)
    talk = Conversation(client, messages=[{"role": "user", "content": [Part(type="a", blob=b"x"), {"n": 1}]}])
    talk.save(tmp_path / "talk.json")
    again = Conversation.load(tmp_path / "talk.json", client)
    assert again.messages == [{"role": "user", "content": [{"type": "a", "blob": "x"}, {"n": 1}]}]


@both
async def test_an_error_while_saving_leaves_the_file_as_it_was(
    server: ScriptedServer, twin: Twin, tmp_path: Path
) -> None:
    file = tmp_path / "talk.json"
    talk = Conversation(twin.client(server), messages=[user("Hi. \ud83d")])
    talk.save(file)
    before = file.read_text(encoding="utf-8")
    assert "Hi. \ufffd" in before
    talk.messages.append({"role": "user", "content": ["fine", object()]})
    with pytest.raises(StreamMisuse, match=r"messages\[1\]\.content\[1\] cannot be saved: object has no form"):
        talk.save(file)
    assert file.read_text(encoding="utf-8") == before
    assert files_in(tmp_path) == ["talk.json"]


@both
async def test_gone_on_from_messages_with_another_system(server: ScriptedServer, twin: Twin) -> None:
    before = [SYSTEM, user("Hi."), assistant("Hello!")]
    given = copy.deepcopy(before)
    talk = Conversation(twin.client(server), "Be long.", messages=given)
    server.add(reply("Fine."))
    await twin.final(talk.say("Go on.", model="m"))
    assert talk.messages[0] == {"role": "system", "content": "Be long."}
    assert talk.messages[1:3] == before[1:]
    assert given == before


@both
async def test_a_calls_own_arguments_and_hooks(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("Hello!"))
    recorder = Recorder(twin)
    talk = Conversation(twin.client(server))
    hooks = recorder.hooks("end", "delta")
    await twin.final(talk.say("Hi.", model="m", temperature=0.5, **hooks))
    await twin.final(talk.say("Hi.", model="m", on_end=[hooks["on_end"]]))
    assert recorder.names == ["delta", "delta", "end", "end"]
    assert server.requests[0].json["temperature"] == 0.5
    assert len(talk.messages) == 4


@both
async def test_parts_of_content_go_as_they_are(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply("Yes."))
    parts = [{"type": "text", "text": "Is this text?"}]
    talk = Conversation(twin.client(server))
    await twin.final(talk.say(parts, model="m"))
    assert sent(server) == [{"role": "user", "content": parts}]
    assert talk.messages[0]["content"] == parts


def test_what_cannot_be_a_conversation(server: ScriptedServer, tmp_path: Path) -> None:
    plain = clients.openai_client(server, Mode.TOOLS)
    with pytest.raises(StreamMisuse, match=r"wrap\(\)"):
        Conversation(plain)  # type: ignore[type-var]
    client = wrap(plain)
    with pytest.raises(StreamMisuse, match="max_turns"):
        Conversation(client, max_turns=-1)
    with pytest.raises(StreamMisuse, match="max_turns"):
        Conversation(client, max_turns=1.5)  # type: ignore[arg-type]
    with pytest.raises(StreamMisuse, match=r"say\(messages=...\): a Conversation keeps the messages"):
        Conversation(client).say("Hello.", messages=[{"role": "user", "content": "x"}])
    (tmp_path / "half.json").write_text('[{"role": "us', encoding="utf-8")
    with pytest.raises(StreamMisuse, match=r"half\.json does not hold a conversation: it is not JSON"):
        Conversation.load(tmp_path / "half.json", client)
    with pytest.raises(StreamMisuse, match="role"):
        Conversation(client, messages=[{"content": "x"}])
    (tmp_path / "no.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(StreamMisuse, match="does not hold a conversation"):
        Conversation.load(tmp_path / "no.json", client)


@both
async def test_an_answer_that_is_simply_dropped_is_closed_and_kept(server: ScriptedServer, twin: Twin) -> None:
    server.always(Forever([chat_chunk({"content": "on and "})]))
    talk = Conversation(twin.client(server))
    stream: Any = talk.say("Hi.", model="m")
    if twin.is_async:
        async for _ in stream:
            break
    else:
        for _ in stream:
            break
    del stream
    while not talk.messages:  # noqa: ASYNC110  an async stream is closed by the loop
        await asyncio.sleep(0)
    assert server.exchanges[0].disconnected.wait(PATIENCE)
    assert talk.messages == [user("Hi."), assistant("on and ", interrupted=True)]
