from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers.gemini_legacy import GeminiLegacyReader
from tests.providers.chunks import joined


def _google(answer: dict[str, Any]) -> Any:
    protos = pytest.importorskip("google.generativeai.protos")
    kinds = pytest.importorskip("google.generativeai.types")
    return kinds.GenerateContentResponse.from_response(protos.GenerateContentResponse(answer))


def _vertex(answer: dict[str, Any]) -> Any:
    return pytest.importorskip("vertexai.generative_models").GenerationResponse.from_dict(answer)


def _answer(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **fields}]}


both = pytest.mark.parametrize("made", [_google, _vertex])


@both
def test_the_call_of_a_tool_that_was_sent_is_the_document(made: Any) -> None:
    reader = GeminiLegacyReader(frozenset({"Report"}))
    stream = [
        made(_answer({"text": "So:"})),
        made(_answer({"function_call": {"name": "other", "args": {"b": [1.5]}}})),
        made(_answer({"function_call": {"name": "Report", "args": {"a": 1}}}, finish_reason="STOP")),
    ]
    assert joined(reader, stream) == '{"a": 1}'
    assert reader.aside == ["So:"]
    parts = reader.completion().candidates[0].content.parts
    assert [part.function_call.name for part in parts[1:]] == ["other", "Report"]


@both
def test_the_finish_reason_says_how_it_ended(made: Any) -> None:
    reader = GeminiLegacyReader()
    assert (
        joined(reader, [made(_answer({"text": "a"})), made(_answer({"text": "b"}, finish_reason="MAX_TOKENS"))]) == "ab"
    )
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.TRUNCATED, "MAX_TOKENS")
    assert reader.completion().text == "ab"


@both
def test_a_blocked_prompt_is_filtered(made: Any) -> None:
    reader = GeminiLegacyReader()
    assert reader.read(made({"prompt_feedback": {"block_reason": "SAFETY"}})) == ""
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.FILTERED, "SAFETY")
