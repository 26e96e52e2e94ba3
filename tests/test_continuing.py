"""`on_truncated="continue"`: the rest of an answer that met its token limit, from real HTTP to the caller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from instructor_stream_ext import (
    OutputRefused,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamCompleted,
    StreamEnded,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    StreamStarted,
    Usage,
    wrap,
)
from instructor_stream_ext.core.seam import anchor_of
from tests.playing import play
from tests.recordings import recordings
from tests.server import Cut, ScriptedServer, Signal, Status, reply, sends
from tests.server.wire_format import chat_refusal
from tests.sides import SOURCES, Source, both_sides, each, everything, held_after, settled, sources

DOCUMENT = '{"name": "Ada", "bio": "She wrote the first program, for a machine that was never built.", "born": 1815}'
CUT = DOCUMENT.index("machine") + 3
STREAMED = tuple(name for name in SOURCES if name != "genai-tools")
"""GenAI sends a call's arguments whole, so that they cannot be cut."""
OPENAI = SOURCES["openai-json"]


class Anything(BaseModel, extra="allow"):
    pass


class Person(BaseModel):
    name: str
    bio: str
    born: int


PERSON = Person.model_validate_json(DOCUMENT)


def text_of(source: Source) -> tuple[str, str]:
    """A document as this source's model writes it, up to the cut and behind it."""
    text = source.text(DOCUMENT)
    at = text.index("machine") + 3
    return text[:at], text[at:]


def asked(server: ScriptedServer, number: int = -1) -> str:
    return json.dumps(server.requests[number].json)


def script(server: ScriptedServer, cut: str, *rest: str, size: int = 9) -> None:
    """Cut answers, and a whole one at last."""
    for text in (cut, *rest[:-1]):
        server.add(reply(text, size, cut=True))
    server.add(reply(rest[-1], size))


@both_sides
@sources(*STREAMED)
@pytest.mark.parametrize("repeats", [True, False])
async def test_the_rest_is_joined(server: ScriptedServer, side: str, source: Source, repeats: bool) -> None:
    cut, rest = text_of(source)
    script(server, cut, anchor_of(cut) + rest if repeats else rest)
    stream = source.client(server, side).create_partial(Person, on_truncated="continue", **source.ask)
    played = await play(stream)
    assert played.error is None
    (completed,) = played.of(StreamCompleted)
    assert completed.result == PERSON
    assert (stream.stats.attempts, stream.stats.continuations) == (1, 1)
    assert stream.text == source.text(DOCUMENT)
    assert not played.of(StreamRestarted)
    assert len(played.of(StreamStarted)) == 1
    bios = [event.partial.bio for event in played.of(PartialEmitted) if event.partial.bio]
    assert bios == sorted(bios, key=len)
    assert stream.stats.usage is None or stream.stats.usage == Usage(22, 14, 36)
    said = asked(server)
    assert "cut off" in said
    assert '\\"born\\"' in said  # the schema, and the model's own text
    assert not {"tools", "response_format", "tool_choice"} & server.requests[-1].json.keys()


@both_sides
@sources("openai-tools", "openai-md", "anthropic-tools", "genai-json", "litellm-tools")
async def test_several_cuts(server: ScriptedServer, side: str, source: Source) -> None:
    text = source.text(DOCUMENT)
    pieces = [text[:40], text[40:70], text[70:90], text[90:]]
    script(server, *pieces)
    stream = source.client(server, side).create_partial(Person, on_truncated="continue", **source.ask)
    assert (await play(stream)).error is None
    assert stream.stats.continuations == 3
    assert await settled(stream.get_final_response()) == PERSON


@both_sides
async def test_no_more_than_it_may(server: ScriptedServer, side: str) -> None:
    for at in range(0, 90, 30):
        server.add(reply(DOCUMENT[at : at + 30], 9, cut=True))
    stream = OPENAI.client(server, side).create_partial(
        Person, on_truncated="continue", max_continuations=2, **OPENAI.ask
    )
    played = await play(stream)
    assert isinstance(played.error, OutputTruncated)
    assert played.error.text == DOCUMENT[:90]
    assert played.error.partial.name == "Ada"
    assert stream.stats.continuations == 2
    assert len(server.requests) == 3


@both_sides
async def test_it_is_not_asked_for_by_default(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT[:CUT], cut=True))
    played = await play(OPENAI.client(server, side).create_partial(Person, **OPENAI.ask))
    assert isinstance(played.error, OutputTruncated)
    assert len(server.requests) == 1


@both_sides
async def test_a_model_that_writes_nothing_more_is_not_asked_again(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT[:CUT], cut=True))
    server.add(reply("", cut=True))
    stream = OPENAI.client(server, side).create_partial(Person, on_truncated="continue", **OPENAI.ask)
    played = await play(stream)
    assert isinstance(played.error, OutputTruncated)
    assert stream.stats.continuations == 1


@both_sides
async def test_a_document_that_was_closed_is_whole(server: ScriptedServer, side: str) -> None:
    tools = SOURCES["openai-tools"]
    server.add(reply(DOCUMENT, cut=True))
    stream = tools.client(server, side).create_partial(Person, on_truncated="continue", **tools.ask)
    assert (await play(stream)).error is None
    assert (stream.stats.continuations, stream.stats.end_signal) == (0, "length")


@both_sides
async def test_what_does_not_join_is_told_with_all_that_came(server: ScriptedServer, side: str) -> None:
    cut, rest = DOCUMENT[: DOCUMENT.index("1815")], "I am sorry, but I have forgotten where I was."
    script(server, cut, rest)
    played = await play(OPENAI.client(server, side).create_partial(Person, on_truncated="continue", **OPENAI.ask))
    assert isinstance(played.error, OutputTruncated)
    assert "does not join" in str(played.error)
    assert played.error.text == cut + rest
    assert played.error.partial.bio == PERSON.bio


@both_sides
async def test_a_rest_that_breaks_off_loses_nothing(server: ScriptedServer, side: str) -> None:
    cut, rest = DOCUMENT[:CUT], DOCUMENT[CUT : CUT + 20]
    server.add(reply(cut, cut=True))
    server.add(reply(rest, None, arrange=lambda chunks: [sends(chunks[:2]), Cut()]))
    played = await play(OPENAI.client(server, side).create_partial(Person, on_truncated="continue", **OPENAI.ask))
    assert isinstance(played.error, StreamInterrupted)
    assert played.error.text == cut + rest


@both_sides
@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_request_for_the_rest_that_fails(server: ScriptedServer, side: str, status: int) -> None:
    server.add(reply(DOCUMENT[:CUT], cut=True))
    server.always(Status(status, {"error": {"message": "no"}}))
    client = wrap(OPENAI.plain(server, side, max_retries=0))
    played = await play(client.create_partial(Person, on_truncated="continue", **OPENAI.ask))
    assert isinstance(played.error, OutputTruncated)
    assert played.error.text == DOCUMENT[:CUT]
    assert str(status) in str(played.error.__cause__)
    assert "request for its rest failed" in played.error.__notes__[0]


@both_sides
async def test_a_rest_that_is_refused(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT[:CUT], cut=True))
    server.add(sends(chat_refusal("I cannot go on with that.")))
    played = await play(OPENAI.client(server, side).create_partial(Person, on_truncated="continue", **OPENAI.ask))
    assert isinstance(played.error, OutputRefused)
    assert played.error.text.startswith(DOCUMENT[:CUT])


@both_sides
@sources("openai-tools", "openai-json", "anthropic-tools", "genai-json")
async def test_a_joined_answer_that_is_not_valid_is_asked_for_again(
    server: ScriptedServer, side: str, source: Source
) -> None:
    wrong = source.text(DOCUMENT.replace("1815", '"unknown"'))
    script(server, wrong[:CUT], wrong[CUT:])
    script(server, source.text(DOCUMENT)[:CUT], source.text(DOCUMENT)[CUT:])
    stream = source.client(server, side).create_partial(Person, on_truncated="continue", **source.ask)
    assert (await play(stream)).error is None
    assert await settled(stream.get_final_response()) == PERSON
    assert (stream.stats.attempts, stream.stats.continuations) == (2, 2)
    for number in (2, 3):  # the second attempt, and its rest: the model is told what was wrong
        assert "unknown" in asked(server, number)
        assert "valid integer" in asked(server, number)


@both_sides
async def test_a_rest_that_is_cut_behind_a_reask(server: ScriptedServer, side: str) -> None:
    tools = SOURCES["openai-tools"]
    server.add(reply(DOCUMENT.replace("1815", '"unknown"')))
    script(server, DOCUMENT[:CUT], DOCUMENT[CUT:])
    stream = tools.client(server, side).create_partial(Person, on_truncated="continue", **tools.ask)
    assert (await play(stream)).error is None
    assert (stream.stats.attempts, stream.stats.continuations) == (2, 1)
    assert "valid integer" in asked(server)
    assert "tool_calls" not in asked(server)


@both_sides
async def test_the_limit_of_attempts_holds(server: ScriptedServer, side: str) -> None:
    wrong = DOCUMENT.replace("1815", '"unknown"')
    for _ in range(2):
        script(server, wrong[:CUT], wrong[CUT:])
    stream = OPENAI.client(server, side).create_partial(
        Person, on_truncated="continue", **{**OPENAI.ask, "max_retries": 1}
    )
    played = await play(stream)
    assert isinstance(played.error, RetriesExhausted)
    assert len(server.requests) == 4
    assert played.error.total_usage.total_tokens == 4 * 18


@both_sides
@sources("openai-tools", "openai-json", "anthropic-tools", "genai-json")
async def test_items_go_on(server: ScriptedServer, side: str, source: Source) -> None:
    text = source.text(json.dumps({"tasks": [PERSON.model_dump() | {"born": year} for year in (1815, 1912, 1906)]}))
    at = text.index("1912") + 2
    script(server, text[:at], text[at:])
    items = await settled(source.client(server, side).create_iterable(Person, on_truncated="continue", **source.ask))
    assert [item.born for item in await everything(items)] == [1815, 1912, 1906]
    assert items.stats.continuations == 1


@both_sides
@sources("openai-json", "openai-responses", "anthropic-json", "genai-json", "litellm-tools")
async def test_plain_text_goes_on(server: ScriptedServer, side: str, source: Source) -> None:
    said = "It was a dark and stormy night; the rain fell in torrents, except at occasional intervals."
    script(server, said[:50], anchor_of(said[:50]) + said[50:])
    stream = source.client(server, side).stream_text(on_truncated="continue", **source.ask)
    assert "".join(await everything(stream)) == said
    assert stream.stats.continuations == 1


@both_sides
async def test_create_goes_on(server: ScriptedServer, side: str) -> None:
    script(server, DOCUMENT[:CUT], DOCUMENT[CUT:])
    client = OPENAI.client(server, side, on_truncated="continue")
    assert await settled(client.create(response_model=Person, **OPENAI.ask)) == PERSON


@both_sides
async def test_a_partial_comes_while_the_rest_is_being_written(server: ScriptedServer, side: str) -> None:
    gate = Signal()
    long = DOCUMENT.replace("never built", "never built, " + "and then some more " * 20)
    server.add(reply(long[:CUT], 9, cut=True))
    server.add(reply(long[CUT:], 40, arrange=held_after(b"some more", gate)))
    stream = OPENAI.client(server, side).create_partial(Person, on_truncated="continue", **OPENAI.ask)
    seen = []
    async for partial in each(stream):
        seen.append(partial.bio or "")
        if "never built" in seen[-1]:
            gate.set()
    assert seen[-1] == json.loads(long)["bio"]


@both_sides
async def test_a_consumer_that_leaves_at_the_cut_pays_for_nothing_more(server: ScriptedServer, side: str) -> None:
    server.add(reply(DOCUMENT[:CUT], None, cut=True))
    stream = OPENAI.client(server, side).create_partial(
        Person, on_truncated="continue", stop_when=lambda partial: bool(partial.bio), **OPENAI.ask
    )
    assert [type(event) for event in await everything(stream.events())][-1] is StreamEnded
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"on_truncated": "retry"}, "on_truncated must be one of raise, continue, not 'retry'"),
        ({"on_truncated": "continue", "max_continuations": 0}, "max_continuations=0: must be a number, at least 1"),
        ({"on_truncated": "continue", "max_continuations": True}, "max_continuations=True"),
    ],
)
def test_what_cannot_be(server: ScriptedServer, options: dict[str, Any], match: str) -> None:
    with pytest.raises(StreamMisuse, match=match):
        OPENAI.client(server, "sync").create_partial(Person, **options, **OPENAI.ask)
    with pytest.raises(StreamMisuse, match=match):
        OPENAI.client(server, "sync", **options)
    assert not server.requests


def test_a_conversation_in_the_providers_own_words(server: ScriptedServer) -> None:
    client = SOURCES["genai-json"].client(server, "sync", on_truncated="continue")
    with pytest.raises(StreamMisuse, match="messages="):
        client.create_partial(Person, contents="who?", model="gemini")


def recorded() -> list[str]:
    """The three longest objects of the recordings."""
    texts = [text for each in recordings() for text in each.carried if text.startswith("{") and text.endswith("}")]
    return sorted(texts, key=len)[-3:]


@pytest.mark.skipif(not recordings(), reason="the recordings are not beside this checkout")
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("part", [0.15, 0.3, 0.5, 0.7, 0.9])
def test_cuts_of_recorded_answers(server: ScriptedServer, number: int, part: float) -> None:
    text = recorded()[number]
    at = int(len(text) * part)
    script(server, text[:at], text[at:], size=40)
    stream = OPENAI.client(server, "sync").create_partial(Anything, on_truncated="continue", **OPENAI.ask)
    assert stream.get_final_response().model_dump() == json.loads(text)
    assert stream.stats.continuations == 1
