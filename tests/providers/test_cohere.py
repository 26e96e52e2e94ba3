from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.cohere import CohereReader
from tests.providers.chunks import joined


def event(kind: str, message: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    delta = {"message": message} if message is not None else {}
    return {"type": kind, "delta": {**delta, **fields.pop("delta", {})}, **fields}


def content(**piece: str) -> dict[str, Any]:
    return event("content-delta", {"content": piece}, index=0)


def call(kind: str, index: int, **fields: Any) -> dict[str, Any]:
    return event(f"tool-call-{kind}", {"tool_calls": fields}, index=index)


STREAM = [
    event("message-start", {"role": "assistant"}, id="m1"),
    event("tool-plan-delta", {"tool_plan": "hm"}),
    call("start", 0, id="0", function={"name": "other", "arguments": ""}),
    call("delta", 0, function={"arguments": "{}"}),
    call("start", 1, id="1", function={"name": "Report", "arguments": ""}),
    call("delta", 1, function={"arguments": '{"a"'}),
    call("delta", 1, function={"arguments": ": 1}"}),
    event("message-end", delta={"finish_reason": "TOOL_CALL", "usage": {"billed_units": {"input_tokens": 1}}}),
]


def test_the_call_of_a_tool_that_was_sent_is_the_document() -> None:
    reader = CohereReader(frozenset({"Report"}))
    assert joined(reader, STREAM) == '{"a": 1}'
    assert reader.reasoned
    assert reader.usage == Usage(1, 0, 1)
    made = reader.completion().message.tool_calls
    assert [(one.function.name, one.function.arguments) for one in made] == [("other", "{}"), ("Report", '{"a": 1}')]


def test_the_plan_and_the_citations_are_in_the_answer() -> None:
    reader = CohereReader()
    cited = {"start": 0, "end": 2, "text": "{}", "sources": [{"type": "document", "id": "d"}]}
    sources = [event("citation-start", {"citations": cited}, index=0), event("citation-end", index=0)]
    assert joined(reader, [*STREAM[:2], content(text="{}"), *sources, STREAM[-1]]) == "{}"
    message = reader.completion().message
    assert message.tool_plan == "hm"
    assert message.citations[0].sources[0].id == "d"


@pytest.mark.parametrize("tools", [None, frozenset[str]()])
def test_text_is_the_document_without_tools(tools: frozenset[str] | None) -> None:
    reader = CohereReader(tools)
    assert joined(reader, [*STREAM[:2], content(thinking="so"), content(text="{"), content(text="}")]) == "{}"
    assert reader.completion().message.content[1].text == "{}"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("COMPLETE", EndKind.COMPLETE),
        ("STOP_SEQUENCE", EndKind.COMPLETE),
        ("MAX_TOKENS", EndKind.TRUNCATED),
        ("ERROR", EndKind.FAILED),
        ("TIMEOUT", EndKind.FAILED),
    ],
)
def test_the_finish_reason_says_how_it_ended(word: str, kind: EndKind) -> None:
    reader = CohereReader()
    joined(reader, [content(text="a"), event("message-end", delta={"finish_reason": word})])
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, word)


def test_an_error_of_the_end_is_a_failure() -> None:
    reader = CohereReader()
    reader.read(event("message-end", delta={"error": "it broke"}))
    assert reader.error == "it broke"


def test_the_first_api_ends_with_its_whole_response() -> None:
    reader = CohereReader()
    whole = {"text": "{}", "meta": {"tokens": {"input_tokens": 1, "output_tokens": 2}}}
    stream = [
        {"event_type": "stream-start", "generation_id": "g"},
        {"event_type": "text-generation", "text": "{}"},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": whole},
    ]
    assert joined(reader, stream) == "{}"
    assert reader.usage == Usage(1, 2, 3)
    assert reader.completion().text == "{}"


def test_the_sdks_own_events_read_alike() -> None:
    cohere = pytest.importorskip("cohere")
    construct = pytest.importorskip("cohere.core.unchecked_base_model").construct_type
    events = [construct(type_=cohere.V2ChatStreamResponse, object_=one) for one in STREAM]
    reader = CohereReader(frozenset({"Report"}))
    assert joined(reader, events) == '{"a": 1}'
    assert isinstance(reader.completion(), cohere.V2ChatResponse)
