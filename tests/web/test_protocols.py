"""Each protocol: applying what was sent gives, after each event, exactly the partial on the server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.events import (
    Event,
    ItemCompleted,
    Outcome,
    ReasoningReceived,
    RestartReason,
    StreamEnded,
    StreamRestarted,
    StreamStarted,
    StreamStats,
)
from instructor_stream_ext.core.jsonable import jsonable
from instructor_stream_ext.core.patches import patch
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.web import PROTOCOLS, CutOff, Encoder
from instructor_stream_ext.web.encoders import Failed, Finished, Shown
from instructor_stream_ext.web.protocols import AGUI
from instructor_stream_ext.web.protocols.copilotkit import info
from instructor_stream_ext.web.protocols.framing import one_line
from tests.web.clients import CLIENTS, patched
from tests.web.serving import frames_of

AT: dict[str, Any] = {"at": 0.0, "attempt": 1}
USAGE = Usage(1, 2, 3)
ENDED = StreamEnded(**AT, outcome=Outcome.COMPLETED, stats=StreamStats(usage=USAGE))
FAILED = Failed(**AT, error=ValueError(), problem={"type": "output_truncated", "message": "the answer was cut off"})
RESTARTED = StreamRestarted(**AT, reason=RestartReason.REASK, error=None)

NASTY = "\n\r\u2028\u2029\x85\0\x7f</script>data: [DONE]\n\nevent: final\ud7ff"
texts = st.text(st.one_of(st.sampled_from(NASTY), st.characters(exclude_categories=["Cs"])), max_size=12)


class Part(BaseModel):
    name: str
    marks: list[int] = []


class Whole(BaseModel):
    title: str
    parts: list[Part] = []
    notes: dict[str, str] = {}


wholes = st.builds(
    Whole,
    title=texts,
    parts=st.lists(st.builds(Part, name=texts, marks=st.lists(st.integers(-9, 9), max_size=2)), max_size=3),
    notes=st.dictionaries(texts, texts, max_size=2),
)


def events_of(whole: Whole, cuts: list[int]) -> list[Event]:
    """The events of a stream of this object, in pieces of these sizes."""
    text = whole.model_dump_json()
    parser = PartialParser(compile_plan(Whole))
    events: list[Event] = []
    at, shown = 0, None
    for size in [*cuts, len(text)]:
        parser.feed(text[at : at + size])
        at = min(at + size, len(text))
        partial = parser.snapshot()
        if partial is not None and partial is not shown:
            shown = partial
            data, number = jsonable(partial), len(events) + 1
            events.append(Shown(**AT, partial=data, sequence=number, json_text=parser.json_text()))
    return [*events, Finished(**AT, result=jsonable(whole), json_text=text)]


def sent(encoder: Encoder, events: list[Event]) -> bytes:
    return encoder.start(run_id="run") + b"".join(map(encoder.encode, events))


def states(events: list[Event]) -> list[Any]:
    """The objects that the server shows, each once."""
    found: list[Any] = []
    for event in events:
        data = event.partial if isinstance(event, Shown) else event.result if isinstance(event, Finished) else None
        if data is not None and (not found or found[-1] != data):
            found.append(data)
    return found


def once(objects: list[Any]) -> list[Any]:
    return [one for at, one in enumerate(objects) if not at or objects[at - 1] != one]


def encoders() -> dict[str, tuple[str, Any]]:
    made = {name: (name, make) for name, make in PROTOCOLS.items()}
    return {**made, "ag-ui deltas": ("ag-ui", lambda: AGUI(deltas=True))}


BY_STATE = [name for name in encoders() if name not in ("ai-sdk-object", "tanstack")]


@pytest.mark.parametrize("name", BY_STATE)
@given(whole=wholes, cuts=st.lists(st.integers(1, 9), max_size=40))
def test_what_is_applied_is_what_is_shown(name: str, whole: Whole, cuts: list[int]) -> None:
    protocol, make = encoders()[name]
    events = [*events_of(whole, cuts), ENDED]
    seen = CLIENTS[protocol](sent(make(), events))
    assert once(seen.objects) == states(events)
    assert seen.is_whole


@pytest.mark.parametrize("protocol", ["ai-sdk-object", "tanstack"])
@given(whole=wholes, cuts=st.lists(st.integers(1, 9), max_size=40))
def test_text_is_all_of_the_document(protocol: str, whole: Whole, cuts: list[int]) -> None:
    events = [*events_of(whole, cuts), ENDED]
    seen = CLIENTS[protocol](sent(PROTOCOLS[protocol](), events))
    assert seen.objects[-1] == json.loads(whole.model_dump_json())
    assert seen.is_whole


@pytest.mark.parametrize("name", BY_STATE)
@given(first=wholes, second=wholes, cuts=st.lists(st.integers(1, 9), max_size=20))
def test_a_restart_resets_the_view(name: str, first: Whole, second: Whole, cuts: list[int]) -> None:
    protocol, make = encoders()[name]
    events = [*events_of(first, cuts)[:-1], RESTARTED, *events_of(second, cuts), ENDED]
    seen = CLIENTS[protocol](sent(make(), events))
    assert once(seen.objects) == states(events)


def test_text_that_cannot_be_taken_back_cuts_the_response_off() -> None:
    encoder = PROTOCOLS["ai-sdk-object"]()
    events = [events_of(Whole(title="one"), [14])[0], RESTARTED]
    assert sent(encoder, events) == b'{"title":"one"'
    with pytest.raises(CutOff, match="cannot be taken back"):
        encoder.encode(events_of(Whole(title="two"), [14])[0])
    with pytest.raises(CutOff, match="the answer was cut off"):
        PROTOCOLS["ai-sdk-object"]().encode(FAILED)


def test_a_restart_begins_another_message_of_tanstack() -> None:
    encoder = PROTOCOLS["tanstack"]()
    events = [*events_of(Whole(title="one"), [14])[:-1], RESTARTED, *events_of(Whole(title="two"), []), ENDED]
    seen = CLIENTS["tanstack"](sent(encoder, events))
    assert seen.objects[-1]["title"] == "two"


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "ai-sdk-object"])
def test_an_error_is_the_protocols_own(protocol: str) -> None:
    events = [StreamStarted(**AT, model="m", provider="p"), *events_of(Whole(title="one"), [14])[:-1], FAILED, ENDED]
    seen = CLIENTS[protocol](sent(PROTOCOLS[protocol](), events))
    assert seen.error == "the answer was cut off"
    assert not seen.is_whole


def test_usage_and_items_go_where_there_is_a_place() -> None:
    item = ItemCompleted(**AT, path=(0,), item={"name": "one"})
    events = [item, *events_of(Whole(title="one"), []), ENDED]
    tokens = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    ag_ui = frames_of(sent(AGUI(thread_id="t", run_id="r"), events))
    assert ag_ui[0].data == {"type": "RUN_STARTED", "threadId": "t", "runId": "r", "protocolVersion": "1.0"}
    assert ag_ui[1].data == {"type": "CUSTOM", "name": "item", "value": {"path": [0], "item": {"name": "one"}}}
    assert ag_ui[-1].data["result"]["usage"] == tokens
    chat = frames_of(sent(PROTOCOLS["ai-sdk-ui"](), events))
    assert chat[-2].data == {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": tokens}}
    assert frames_of(sent(PROTOCOLS["tanstack"](), events))[-1].data["usage"] == tokens

    (item_part,) = [frame.data for frame in chat if frame.data != "[DONE]" and frame.data["type"] == "data-item"]
    assert item_part == {"type": "data-item", "transient": True, "data": {"path": [0], "item": {"name": "one"}}}
    (custom,) = [
        frame.data for frame in frames_of(sent(PROTOCOLS["tanstack"](), events)) if frame.data.get("name") == "item"
    ]
    assert custom["value"] == {"path": [0], "item": {"name": "one"}}
    assistant = frames_of(sent(PROTOCOLS["assistant-ui"](), events))
    assert assistant[0].data["data"] == [{"type": "item", "path": [0], "item": {"name": "one"}}]
    assert assistant[-2].data["usage"] == {"inputTokens": 1, "outputTokens": 2}


@pytest.mark.parametrize("protocol", ["ai-sdk-ui", "ag-ui", "copilotkit", "tanstack", "assistant-ui"])
def test_reasoning_is_a_part_that_is_closed_before_the_answer(protocol: str) -> None:
    shown, done = events_of(Whole(title="one"), [])
    thoughts = [ReasoningReceived(**AT, text="hm, "), ReasoningReceived(**AT, text="well")]
    events = [*thoughts, shown, RESTARTED, thoughts[0], shown, done, ENDED]
    kinds = [frame.data["type"] for frame in frames_of(sent(PROTOCOLS[protocol](), events)) if frame.data != "[DONE]"]
    opens, adds, closes = {
        "ai-sdk-ui": ("reasoning-start", "reasoning-delta", "reasoning-end"),
        "assistant-ui": ("part-start", "text-delta", "part-finish"),
    }.get(protocol, ("REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT", "REASONING_MESSAGE_END"))
    assert [kind for kind in kinds if kind in (opens, adds, closes)] == [opens, adds, adds, closes, opens, adds, closes]
    ids = [
        frame.data.get("id") or frame.data.get("messageId") or frame.data["path"]
        for frame in frames_of(sent(PROTOCOLS[protocol](), events))
        if frame.data != "[DONE]" and frame.data["type"] == adds
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@given(text=texts)
def test_nothing_breaks_the_framing(protocol: str, text: str) -> None:
    encoder = PROTOCOLS[protocol]()
    if not encoder.content_type.startswith("text/event-stream"):
        return
    shown = Shown(**AT, partial={text: text}, sequence=1, json_text=json.dumps({text: text}))
    plain = Shown(**AT, partial={"a": "a"}, sequence=1, json_text='{"a": "a"}')
    body, usual = sent(encoder, [shown]), sent(PROTOCOLS[protocol](), [plain])
    assert body.count(b"\n") == usual.count(b"\n")
    assert not set("\r\0\u2028\u2029\x85") & set(body.decode())
    assert b"</" not in body


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_an_encoder_is_one(protocol: str) -> None:
    encoder = PROTOCOLS[protocol]()
    assert isinstance(encoder, Encoder)
    assert encoder.heartbeat().strip() in (b": ping", b"")


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(before=values, after=values)
def test_a_patch_makes_one_value_of_the_other(before: Any, after: Any) -> None:
    state = json.loads(json.dumps(before))
    for operation in patch(before, after):
        state = patched(state, operation)
    assert json.dumps(state, sort_keys=True) == json.dumps(after, sort_keys=True)


def test_what_copilotkit_asks_first() -> None:
    assert info({"ideas": "has ideas"})["agents"] == {"ideas": {"description": "has ideas"}}


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"a": "\ud800</"}, b'{"a":"\\ud800<\\/"}'),
        ({"a": float("nan"), "b": [float("inf")]}, b'{"a":null,"b":[null]}'),
        ("wörter\x7f\x85\u2028\u2029", '"wörter\\u007f\\u0085\\u2028\\u2029"'.encode()),
    ],
)
def test_json_in_one_line(data: Any, line: bytes) -> None:
    assert one_line(data) == line
