from __future__ import annotations

import json
from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.genai import GenAIReader
from tests.providers.chunks import joined

types = pytest.importorskip("google.genai.types")
TOOLS = frozenset({"Report"})


def answer(*parts: dict[str, Any], **fields: Any) -> Any:
    """A response with these parts; `reason` is its finish reason."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    for name in ("finish_reason", "finish_message", "grounding_metadata", "logprobs_result"):
        if name in fields:
            candidate[name] = fields.pop(name)
    return types.GenerateContentResponse.model_validate({"candidates": [candidate], **fields})


def call(**fields: Any) -> dict[str, Any]:
    return {"function_call": fields}


def partial(path: str, *, more: bool = False, call_more: bool = True, **value: Any) -> dict[str, Any]:
    return call(partial_args=[{"json_path": path, "will_continue": more, **value}], will_continue=call_more)


def test_thoughts_are_reasoning_and_text_is_the_document() -> None:
    reader = GenAIReader()
    stream = [answer({"text": "hm", "thought": True}), answer({"text": "{"}, {"text": "}"}, finish_reason="STOP")]
    assert joined(reader, stream) == "{}"
    assert reader.reasoned
    whole = reader.completion()
    assert [(part.text, part.thought) for part in whole.candidates[0].content.parts] == [("hm", True), ("{}", None)]
    assert whole.text == "{}"


def test_the_answer_has_everything_that_the_provider_said() -> None:
    reader = GenAIReader()
    grounds = {"grounding_chunks": [{"web": {"uri": "https://a.example"}}]}
    probable = [{"chosen_candidates": [{"token": token, "log_probability": -0.5}]} for token in ("{", "}")]
    stream = [
        answer({"executable_code": {"code": "1", "language": "PYTHON"}}, {"text": "{"}, logprobs_result=probable[0]),
        answer({"code_execution_result": {"outcome": "OUTCOME_OK", "output": "1"}}, grounding_metadata=grounds),
        answer({"text": "}"}, {}, finish_reason="STOP", logprobs_result=probable[1], finish_message="well"),
    ]
    assert joined(reader, stream) == "{}"
    (candidate,) = reader.completion().candidates
    parts = [part.model_dump(exclude_none=True) for part in candidate.content.parts]
    assert [next(iter(part)) for part in parts] == ["executable_code", "text", "code_execution_result", "text"]
    assert candidate.grounding_metadata.grounding_chunks[0].web.uri == "https://a.example"
    assert [one.token for one in candidate.logprobs_result.chosen_candidates] == ["{", "}"]
    assert candidate.finish_message == "well"


def test_the_first_call_of_a_tool_that_was_sent_is_the_document() -> None:
    reader = GenAIReader(TOOLS)
    stream = [
        answer({"text": "so: "}),
        answer(call(name="search", args={"q": 1}), call(name="Report", args={"a": "é"}, id="c")),
        answer(call(name="Report", args={})),
    ]
    assert joined(reader, stream) == '{"a": "é"}'
    assert reader.aside == ["so: "]
    kept = [part.function_call for part in reader.completion().candidates[0].content.parts[1:]]
    assert [(one.name, one.args) for one in kept] == [("search", {"q": 1}), ("Report", {"a": "é"}), ("Report", {})]


def test_the_signature_of_a_call_is_kept_for_the_next_turn() -> None:
    reader = GenAIReader(TOOLS)
    reader.read(answer({**call(name="Report", args={}), "thought_signature": b"sig"}))
    assert reader.completion().candidates[0].content.parts[0].thought_signature == b"sig"


def test_arguments_as_updates_stream_as_json() -> None:
    reader = GenAIReader(TOOLS)
    stream = [
        answer(call(name="Report", will_continue=True)),
        answer(partial("$.name", string_value='Ada "', more=True)),
        answer(partial("$.name", string_value="L", more=True)),
        answer(partial("$.name", string_value="")),
        answer(partial("$.tags[0].id", number_value=1.0)),
        answer(partial("$.tags[0].ok", bool_value=True)),
        answer(partial("$.tags[1].id", number_value=1.5)),
        answer(partial("$['odd key']", null_value="NULL_VALUE")),
        answer(call()),
        answer(finish_reason="STOP"),
    ]
    pieces = [reader.read(one) for one in stream]
    assert pieces[1] == '{"name":"Ada \\"'
    assert json.loads("".join(pieces)) == {
        "name": 'Ada "L',
        "tags": [{"id": 1, "ok": True}, {"id": 1.5}],
        "odd key": None,
    }
    kept = reader.completion().candidates[0].content.parts[0].function_call
    assert kept.args["name"] == 'Ada "L'


def test_a_call_that_was_only_begun_has_no_arguments() -> None:
    reader = GenAIReader(TOOLS)
    assert joined(reader, [answer(call(name="Report", will_continue=True))]) == ""
    assert reader.end is None
    assert reader.has_called


def test_updates_that_lead_back_are_a_failure() -> None:
    reader = GenAIReader(TOOLS)
    stream = [
        answer(call(name="Report", will_continue=True)),
        answer(partial("$.a.b", number_value=1)),
        answer(partial("$.c", number_value=1)),
        answer(partial("$.a.d", number_value=1)),
    ]
    joined(reader, stream)
    assert reader.error is not None
    assert reader.end is not None
    assert reader.end.kind is EndKind.FAILED


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("STOP", EndKind.COMPLETE),
        ("MAX_TOKENS", EndKind.TRUNCATED),
        ("SAFETY", EndKind.FILTERED),
        ("RECITATION", EndKind.FILTERED),
        ("PROHIBITED_CONTENT", EndKind.FILTERED),
        ("OTHER", EndKind.FILTERED),
        ("MALFORMED_FUNCTION_CALL", EndKind.FAILED),
    ],
)
def test_the_finish_reason_says_how_it_ended(word: str, kind: EndKind) -> None:
    reader = GenAIReader()
    reader.read(answer({"text": "a"}, finish_reason=word, finish_message="said"))
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, word)
    assert reader.completion().candidates[0].finish_reason.name == word


def test_an_unspecified_finish_reason_is_none() -> None:
    reader = GenAIReader()
    reader.read(answer({"text": "a"}, finish_reason="FINISH_REASON_UNSPECIFIED"))
    assert reader.end is None


def test_a_blocked_prompt_is_filtered() -> None:
    reader = GenAIReader()
    feedback = {"block_reason": "SAFETY", "block_reason_message": "unsafe"}
    assert reader.read(types.GenerateContentResponse.model_validate({"prompt_feedback": feedback})) == ""
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word, reader.end.message) == (EndKind.FILTERED, "SAFETY", "unsafe")


def test_thoughts_count_as_output() -> None:
    reader = GenAIReader()
    counted = {"prompt_token_count": 3, "candidates_token_count": 4, "thoughts_token_count": 5, "total_token_count": 12}
    reader.read(answer({"text": "a"}, usage_metadata=counted))
    assert reader.usage == Usage(3, 9, 12)


def test_another_response_id_or_model_in_a_chunk_is_no_other_answer() -> None:
    reader = GenAIReader()
    reader.read(answer({"text": "a"}, response_id="1", model_version="m"))
    assert reader.read(answer({"text": "b"}, response_id="2", model_version="n")) == "b"
    assert reader.switched is None
    assert (reader.response_id, reader.model) == ("1", "m")
    assert reader.completion().text == "ab"


def test_an_empty_call_gives_way_to_the_real_one() -> None:
    reader = GenAIReader(frozenset({"City"}))
    text = reader.read(answer({"function_call": {"name": "City", "args": {}}}))
    text += reader.read(answer({"function_call": {"name": "default_api.City", "args": {"name": "Lisbon"}}}))
    assert text == '{}{"name": "Lisbon"}'
    assert reader.finish() == ""
