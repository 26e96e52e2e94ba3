from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.bedrock import BedrockReader
from tests.providers.chunks import joined


def tool(at: int, name: str) -> dict[str, Any]:
    start = {"toolUse": {"toolUseId": f"t{at}", "name": name}}
    return {"contentBlockStart": {"start": start, "contentBlockIndex": at}}


def delta(at: int, **piece: Any) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": piece, "contentBlockIndex": at}}


def stop(at: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": at}}


def test_blocks_are_told_apart() -> None:
    reader = BedrockReader(frozenset({"Report"}))
    stream = [
        {"messageStart": {"role": "assistant"}},
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"signature": "sig"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(1, text="So:"),
        tool(2, "other"),
        delta(2, toolUse={"input": "{}"}),
        tool(3, "Report"),
        delta(3, toolUse={"input": '{"a"'}),
        delta(3, toolUse={"input": ": 1}"}),
        stop(3),
        tool(4, "Report"),
        stop(4),
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}}},
    ]
    assert joined(reader, stream) == '{"a": 1}'
    assert reader.aside == ["So:"]
    assert reader.reasoned
    assert reader.usage == Usage(1, 2, 3)
    assert reader.completion() == {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"text": "So:"},
                    {"toolUse": {"toolUseId": "t2", "name": "other", "input": {}}},
                    {"toolUse": {"toolUseId": "t3", "name": "Report", "input": {"a": 1}}},
                    {"toolUse": {"toolUseId": "t4", "name": "Report", "input": {}}},
                ],
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
    }


def test_the_answer_has_everything_that_the_provider_said() -> None:
    reader = BedrockReader()
    stream = [
        delta(0, reasoningContent={"redactedContent": b"a"}),
        delta(0, reasoningContent={"redactedContent": b"b"}),
        delta(1, text="{}"),
        {"messageStop": {"stopReason": "end_turn", "additionalModelResponseFields": {"stop_sequence": None}}},
        {"metadata": {"usage": {"inputTokens": 1}, "metrics": {"latencyMs": 7}, "trace": {"guardrail": {}}}},
    ]
    assert joined(reader, stream) == "{}"
    whole = reader.completion()
    content = [{"reasoningContent": {"redactedContent": b"ab"}}, {"text": "{}"}]
    assert whole["output"]["message"]["content"] == content
    assert whole["metrics"] == {"latencyMs": 7}
    assert whole["trace"] == {"guardrail": {}}
    assert whole["additionalModelResponseFields"] == {"stop_sequence": None}


def test_a_tool_that_was_only_begun_has_no_arguments() -> None:
    reader = BedrockReader(frozenset({"Report"}))
    assert joined(reader, [tool(0, "Report")]) == ""
    assert reader.end is None
    assert reader.has_called


def test_a_tool_called_without_arguments_has_the_empty_object() -> None:
    reader = BedrockReader(frozenset({"Report"}))
    assert joined(reader, [tool(0, "Report"), delta(0, toolUse={"input": ""}), stop(0)]) == "{}"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("end_turn", EndKind.COMPLETE),
        ("max_tokens", EndKind.TRUNCATED),
        ("model_context_window_exceeded", EndKind.TRUNCATED),
        ("guardrail_intervened", EndKind.FILTERED),
        ("content_filtered", EndKind.FILTERED),
    ],
)
def test_the_stop_reason_says_how_it_ended(word: str, kind: EndKind) -> None:
    reader = BedrockReader()
    assert joined(reader, [delta(0, text="a"), {"messageStop": {"stopReason": word}}]) == "a"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, word)


def test_an_exception_event_is_a_failure() -> None:
    reader = BedrockReader()
    reader.read({"modelStreamErrorException": {"message": "it broke"}})
    assert reader.error == "it broke"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.FAILED, "modelStreamErrorException")
