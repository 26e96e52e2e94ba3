from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.openai_responses import OpenAIResponsesReader
from instructor_stream_ext.providers.reader import Switch
from tests.providers.chunks import joined

TOOLS = frozenset({"Report"})


def response(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"id": "r1", "model": "m", "object": "response", **fields}}


def function(name: str, args: str = "", item: str = "i1") -> dict[str, Any]:
    return {"type": "function_call", "id": item, "call_id": f"call-{item}", "name": name, "arguments": args}


def added(item: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def item_done(item: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def args(text: str, place: int = 0, item: str = "i1") -> dict[str, Any]:
    return {
        "type": "response.function_call_arguments.delta",
        "output_index": place,
        "item_id": item,
        "delta": text,
    }


def args_done(text: str, place: int = 0, **fields: Any) -> dict[str, Any]:
    done = {"type": "response.function_call_arguments.done", "output_index": place, "item_id": "i1"}
    return {**done, "arguments": text, **fields}


def text(piece: str, kind: str = "output_text.delta") -> dict[str, Any]:
    key = "text" if kind == "output_text.done" else "delta"
    return {"type": f"response.{kind}", "output_index": 0, "content_index": 0, "item_id": "m1", key: piece}


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "m1", "role": "assistant", "content": list(content)}


def test_the_first_call_of_a_tool_that_was_sent_is_the_document() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    stream = [
        response("created"),
        added(function("search", item="i0")),
        added(function("Report", item="i1"), 1),
        args('{"a"', 1, "i1"),
        args("{}", 0, "i0"),
        args(": 1}", 1, "i1"),
        args_done('{"a": 1}', 1),
        added(function("Report", item="i2"), 2),
        args("[]", 2, "i2"),
    ]
    assert joined(reader, stream) == '{"a": 1}'
    kept = [(call.name, call.call_id, call.arguments) for call in reader.completion().output]
    assert kept == [("search", "call-i0", "{}"), ("Report", "call-i1", '{"a": 1}'), ("Report", "call-i2", "[]")]


@pytest.mark.parametrize(
    "late",
    [
        [args_done('{"a": 1}')],
        [args('{"a"'), args_done('{"a": 1}')],
        [args('{"a": 1}'), args_done('{"a": 1}')],
        [item_done(function("Report", '{"a": 1}'))],
        [response("completed", output=[function("Report", '{"a": 1}')])],
        [args_done('{"a": 1}'), item_done(function("Report", '{"a": 1}')), response("completed", output=[])],
    ],
    ids=["in done", "the rest in done", "all in deltas", "in the item", "in the response", "everywhere"],
)
def test_arguments_arrive_once_wherever_they_come(late: list[dict[str, Any]]) -> None:
    reader = OpenAIResponsesReader(TOOLS)
    assert joined(reader, [response("created"), added(function("Report")), *late]) == '{"a": 1}'


def test_a_name_that_comes_with_the_end_frees_what_waited() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    assert joined(reader, [args('{"a"'), args_done('{"a": 1}', name="Report")]) == '{"a": 1}'


def test_a_message_beside_a_forced_call_is_an_aside() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    assert joined(reader, [text('{"a": 1}')]) == ""
    assert reader.aside == ['{"a": 1}']
    assert reader.completion().output_text == '{"a": 1}'


WHOLE = message({"type": "output_text", "text": "ab"})


@pytest.mark.parametrize(
    "late",
    [
        [text("ab", "output_text.done")],
        [item_done(WHOLE)],
        [response("completed", output=[WHOLE])],
        [text("ab", "output_text.done"), item_done(WHOLE), response("completed", output=[WHOLE])],
    ],
    ids=["in done", "in the item", "in the response", "everywhere"],
)
@pytest.mark.parametrize("before", ["", "a", "ab"])
def test_text_arrives_once_wherever_it_comes(before: str, late: list[dict[str, Any]]) -> None:
    reader = OpenAIResponsesReader()
    assert joined(reader, [*([text(before)] if before else []), *late]) == "ab"


def test_reasoning_is_no_text() -> None:
    reader = OpenAIResponsesReader()
    for kind in ("reasoning_text.delta", "reasoning_summary_text.delta"):
        assert reader.read(text("hm", kind)) == ""
        assert reader.alive
    assert reader.reasoned
    reader.read(response("in_progress"))
    assert not reader.alive


@pytest.mark.parametrize("part", ["summary", "content"])
def test_reasoning_of_an_item_counts_if_it_was_not_streamed(part: str) -> None:
    item = {"type": "reasoning", "id": "r", part: [{"text": "h"}, {"text": "m"}]}
    end = [item_done(item), text("ab"), response("completed", output=[item, message()])]
    reader = OpenAIResponsesReader()
    assert joined(reader, end) == "ab"
    assert reader.reasoning == "hm"
    reader = OpenAIResponsesReader()
    assert joined(reader, [text("hm", "reasoning_text.delta"), *end]) == "ab"
    assert reader.reasoning == "hm"


@pytest.mark.parametrize("whole_only", [False, True])
def test_a_refusal_ends_as_one(whole_only: bool) -> None:
    reader = OpenAIResponsesReader()
    pieces = [] if whole_only else [text("No ", "refusal.delta"), text("way", "refusal.delta")]
    done = {"type": "response.refusal.done", "refusal": "No way", "output_index": 0, "content_index": 0}
    item = item_done(message({"type": "refusal", "refusal": "No way"}))
    joined(reader, [*pieces, done, item, response("completed", output=[])])
    assert reader.refusal == "No way"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.REFUSED, "completed")


@pytest.mark.parametrize(
    ("reason", "kind"), [("max_output_tokens", EndKind.TRUNCATED), ("content_filter", EndKind.FILTERED)]
)
def test_an_incomplete_response_says_why(reason: str, kind: EndKind) -> None:
    reader = OpenAIResponsesReader()
    end = response("incomplete", status="incomplete", incomplete_details={"reason": reason}, output=[])
    joined(reader, [text("a"), end])
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, reason)
    assert reader.completion().output_text == "a"


def test_an_incomplete_response_without_a_reason_is_cut() -> None:
    reader = OpenAIResponsesReader()
    reader.read(response("incomplete", incomplete_details=None))
    assert reader.end is not None
    assert reader.end.kind is EndKind.TRUNCATED


@pytest.mark.parametrize(
    "event",
    [
        response("failed", status="failed", error={"code": "server_error", "message": "it broke"}),
        {"type": "error", "code": "server_error", "message": "it broke"},
        {"type": "error", "error": {"type": "server_error", "message": "it broke"}},
    ],
    ids=["failed", "error", "nested error"],
)
def test_a_failure_carries_its_message(event: dict[str, Any]) -> None:
    reader = OpenAIResponsesReader()
    joined(reader, [text("a"), event])
    assert reader.error == "it broke"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.message) == (EndKind.FAILED, "it broke")


def test_the_response_of_the_end_is_the_answer() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    whole = response("completed", status="completed", usage=usage, output=[function("Report", "{}")])
    joined(reader, [response("created"), whole])
    assert reader.usage == Usage(1, 2, 3)
    answer = reader.completion()
    assert (answer.id, answer.status, answer.output[0].arguments) == ("r1", "completed", "{}")


def test_a_cut_stream_gives_an_incomplete_response() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    joined(reader, [response("created"), added(function("Report")), args('{"a')])
    assert reader.completion().status == "incomplete"


def test_a_second_response_is_another_answer() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    joined(reader, [response("created"), added(function("Report")), args('{"a')])
    again = response("created")
    again["response"].update(id="r2", model="n")
    reader.read(again)
    assert reader.switched == Switch("m", "n")
    assert joined(reader, [added(function("Report")), args("{}")]) == "{}"


def test_arguments_that_are_no_text_are_none() -> None:
    reader = OpenAIResponsesReader(TOOLS)
    odd = function("Report") | {"arguments": [None]}
    whole = response("completed", status="completed", output=[odd])
    assert joined(reader, [response("created"), added(odd), args('{"a": 1}'), whole]) == '{"a": 1}'
