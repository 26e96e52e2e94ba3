"""What a model thinks before it answers: told apart from the answer, wherever its provider puts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import DeltaReceived, ReasoningReceived, TransitionLog
from instructor_stream_ext.core.document.reasoning import tags_from
from instructor_stream_ext.core.document.thinking import Thinking, thought_in
from tests.server import ScriptedServer, reply, sends
from tests.server.wire_format import chat_chunk, sse
from tests.twins import Twin, both

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "who?"}]}
THOUGHT = ["Who is it? ", "It is Ada."]
ADA = '{"name": "Ada"}'


class Person(BaseModel):
    name: str


def thinking(name: str = "reasoning_content") -> Any:
    """Two pieces of reasoning, then the answer in a tool call."""
    deltas: list[dict[str, Any]] = [{name: piece} for piece in THOUGHT]
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "Person", "arguments": ADA}}
    chunks = [chat_chunk(delta) for delta in [*deltas, {"tool_calls": [call]}]]
    return sends([*chunks, chat_chunk({}, finish="tool_calls"), sse("[DONE]")])


@both
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_it_is_told_apart_from_the_answer(server: ScriptedServer, twin: Twin, name: str) -> None:
    server.add(thinking(name))
    told: list[str] = []
    stream = twin.client(server).create_partial(Person, on_reasoning=twin.hook(told.append), **ASK)
    assert (await twin.final(stream)) == Person(name="Ada")
    assert told == THOUGHT
    assert stream.reasoning == "".join(THOUGHT)
    assert stream.text == ADA
    assert stream.stats.first_reasoning_at is not None
    assert stream.stats.first_delta_at is not None
    assert stream.stats.first_reasoning_at <= stream.stats.first_delta_at


@both
async def test_nobody_has_to_listen(server: ScriptedServer, twin: Twin) -> None:
    server.add(thinking())
    stream = twin.client(server).create_partial(Person, **ASK)
    assert [one.name for one in await twin.values(stream)] == ["Ada", "Ada"]
    assert stream.reasoning == "".join(THOUGHT)
    assert stream.stats.first_reasoning_at is not None


@both
async def test_it_is_among_the_events_before_the_text(server: ScriptedServer, twin: Twin) -> None:
    server.add(thinking())
    events = await twin.values(twin.client(server).create_partial(Person, **ASK).events())
    told = [event for event in events if isinstance(event, ReasoningReceived | DeltaReceived)]
    assert [event.text for event in told if isinstance(event, ReasoningReceived)] == THOUGHT
    assert isinstance(told[0], ReasoningReceived)
    assert isinstance(told[-1], DeltaReceived)


@both
async def test_between_tags_in_the_text(server: ScriptedServer, twin: Twin) -> None:
    pieces = ["\n<thi", "nk>Who ", "is it?</th", "ink>\n", "It is Ada."]
    chunks = [chat_chunk({"content": piece}) for piece in pieces]
    server.always(sends([*chunks, chat_chunk({}, finish="stop"), sse("[DONE]")]))
    told: list[str] = []
    client = twin.client(server)
    stream = client.stream_text("who?", model="m", on_reasoning=twin.hook(told.append))
    assert await twin.final(stream) == "".join(pieces)  # it stays in the text, too
    assert "".join(told) == "Who is it?"
    assert stream.reasoning == "Who is it?"
    quiet = client.stream_text("who?", model="m")
    await twin.final(quiet)
    assert quiet.reasoning == "Who is it?"


@both
async def test_the_log_says_once_how_long_and_never_what(
    server: ScriptedServer, twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server.add(thinking())
    client = twin.client(server, log_transitions=TransitionLog())
    await twin.final(client.create_partial(Person, **ASK))
    said = [record.getMessage() for record in caplog.records if "reason" in record.getMessage()]
    assert len(said) == 2
    assert "21 characters" in said[1]
    assert "Who is it" not in caplog.text


TAGS = tags_from(None)


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>a</think>b", "a"),
        ("  \n<think>a < b</think>{}", "a < b"),
        ("<think>never closed", "never closed"),
        ("no <think>a</think>", ""),
        ("[THINK]a[/THINK]b", "a"),
        ("◁think▷a◁/think▷b", "a"),
        ("<b>bold</b>", ""),
        ('{"a": "<think>"}', ""),
        ("", ""),
        ("<think></think>", ""),
    ],
)
@given(data=st.data())
def test_however_it_is_cut(text: str, thought: str, data: st.DataObject) -> None:
    assert thought_in(text, TAGS) == thought
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    thinking = Thinking(TAGS)
    told = [thinking.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(told) + thinking.finish() == thought


@both
@pytest.mark.parametrize("text", ["<think>Who is it?</think>", "  \n<think>Who?</think>\n", ""])
async def test_reasoning_in_the_text_has_its_time_though_nobody_listens(
    server: ScriptedServer, twin: Twin, text: str
) -> None:
    server.add(reply(f'{text}{{"name": 1}}', size=3)).add(reply(ADA))
    stream = twin.client(server, Mode.MD_JSON).create_partial(Person, **ASK)
    assert (await twin.final(stream)) == Person(name="Ada")
    stats = stream.stats
    assert stats.attempts == 2
    assert stats.first_reasoning_at == (stats.first_delta_at if text else None)
