from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.xai import XAIReader
from tests.providers.chunks import joined


def test_text_alone_is_the_document() -> None:
    reader = XAIReader(frozenset({"Report"}))
    assert joined(reader, ["{", "}"]) == "{}"
    assert reader.alive
    assert reader.read("") == ""
    assert not reader.alive


def _pairs(*deltas: dict[str, Any], finish: int = 0) -> list[Any]:
    """What the SDK's `chat.stream()` gives for these deltas."""
    chat = pytest.importorskip("xai_sdk.chat")
    response = chat.Response(chat.chat_pb2.GetChatCompletionResponse(), 0)
    pairs = []
    for number, delta in enumerate(deltas):
        output = {"index": 0, "delta": {"role": "ROLE_ASSISTANT", **delta}}
        if number == len(deltas) - 1:
            output["finish_reason"] = finish
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        proto = chat.chat_pb2.GetChatCompletionChunk(id="a", model="m", outputs=[output], usage=usage)
        response.process_chunk(proto)
        pairs.append((response, chat.Chunk(proto, 0)))
    return pairs


def test_the_sdks_pairs_carry_text_reasoning_and_the_end() -> None:
    reader = XAIReader()
    pairs = _pairs({"reasoning_content": "hm"}, {"content": "{"}, {"content": "}"}, finish=3)
    assert joined(reader, pairs) == "{}"
    assert reader.reasoned
    assert reader.usage == Usage(1, 2, 3)
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.COMPLETE, "REASON_STOP")
    assert reader.completion().content == "{}"


def test_the_call_of_a_tool_that_was_sent_is_the_document() -> None:
    reader = XAIReader(frozenset({"Report"}))
    called = [
        {"id": "1", "function": {"name": "other", "arguments": "{}"}},
        {"id": "2", "function": {"name": "Report", "arguments": '{"a": 1}'}},
    ]
    assert joined(reader, _pairs({"content": "So:"}, {"tool_calls": called}, finish=1)) == '{"a": 1}'
    assert reader.aside == ["So:"]
    assert reader.end is not None
    assert reader.end.kind is EndKind.TRUNCATED
