from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.anthropic import AnthropicReader
from tests.providers.chunks import joined

TOOLS = frozenset({"Report"})


def start(**fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": None, "output_tokens": 1}
    message = {"id": "m1", "model": "claude", "role": "assistant", "content": [], "usage": usage, **fields}
    return {"type": "message_start", "message": message}


def block(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def tool(index: int, name: str, given: Any = None) -> dict[str, Any]:
    return block(index, type="tool_use", id=f"t{index}", name=name, input=given or {})


def delta(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def args(index: int, text: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=text)


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str, **fields: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **fields}, "usage": {"output_tokens": 9}}


def test_text_before_a_tool_is_an_aside_and_other_tools_are_no_document() -> None:
    reader = AnthropicReader(TOOLS)
    stream = [
        start(),
        block(0, type="text", text=""),
        delta(0, "text_delta", text="Let me "),
        delta(0, "text_delta", text="see"),
        stop(0),
        tool(1, "search"),
        args(1, '{"q": 1}'),
        stop(1),
        tool(2, "Report"),
        args(2, '{"a"'),
        args(2, ": 1}"),
        stop(2),
        tool(3, "Report"),
        args(3, "{}"),
        stop(3),
        ended("tool_use"),
        {"type": "message_stop"},
    ]
    assert joined(reader, stream) == '{"a": 1}'
    assert reader.aside == ["Let me ", "see"]
    assert reader.usage == Usage(7, 9, 16)
    whole = reader.completion()
    assert [part.type for part in whole.content] == ["text", "tool_use", "tool_use", "tool_use"]
    assert [part.input for part in whole.content[1:]] == [{"q": 1}, {"a": 1}, {}]
    assert whole.stop_reason == "tool_use"


def test_the_tokens_of_a_compaction_count_and_those_of_an_advisor_do_not() -> None:
    """As recorded of claude-sonnet-4-6 and 5; each round of the answer itself is in the sum that the API gives."""
    rounds = [
        {"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 55096, "output_tokens": 83},
        {"type": "message", "input_tokens": 101, "output_tokens": 3},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2543, "output_tokens": 18},
        {"type": "message", "input_tokens": 80, "output_tokens": 5},
    ]
    usage = {"input_tokens": 181, "cache_read_input_tokens": 0, "output_tokens": 8, "iterations": rounds}
    reader = AnthropicReader()
    came = start(usage={"input_tokens": 100, "cache_read_input_tokens": 55096, "output_tokens": 7})
    assert joined(reader, [came, {**ended("end_turn"), "usage": usage}]) == ""
    assert reader.usage == Usage(181 + 100 + 55096, 8 + 83, 55468)
    assert reader.cached == (55096, 0)
    assert reader.completion().usage.input_tokens == 181


def test_interleaved_blocks_are_kept_apart() -> None:
    reader = AnthropicReader(TOOLS)
    stream = [start(), tool(0, "other"), tool(1, "Report"), args(1, "["), args(0, "{"), args(1, "]"), args(0, "}")]
    assert joined(reader, stream) == "[]"


@pytest.mark.parametrize(("given", "text"), [({"a": 1}, '{"a": 1}'), ({}, "{}")])
def test_input_without_deltas_is_that_of_the_start(given: dict[str, int], text: str) -> None:
    closed, cut = AnthropicReader(TOOLS), AnthropicReader(TOOLS)
    assert joined(closed, [start(), tool(0, "Report", given), stop(0)]) == text
    assert joined(cut, [start(), tool(0, "Report", given)]) == "", "it counts when the block has stopped"
    assert cut.has_called
    ended_without = AnthropicReader(TOOLS)
    assert joined(ended_without, [start(), tool(0, "Report", given), ended("tool_use")]) == text


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_what_the_start_of_a_block_brings_comes_first(kind: str) -> None:
    reader = AnthropicReader()
    text = joined(reader, [start(), block(0, type=kind, **{kind: "h"}), delta(0, f"{kind}_delta", **{kind: "m"})])
    assert (text, reader.reasoning) == (("hm", "") if kind == "text" else ("", "hm"))
    assert getattr(reader.completion().content[0], kind) == "hm"


def test_text_blocks_are_the_document_without_tools() -> None:
    reader = AnthropicReader()
    stream = [start(), block(0, type="text", text="{"), delta(0, "text_delta", text="}"), stop(0), ended("end_turn")]
    assert joined(reader, stream) == "{}"
    assert reader.completion().content[0].text == "{}"


def test_thinking_is_reasoning_and_is_kept_with_its_signature() -> None:
    reader = AnthropicReader(TOOLS)
    stream = [
        start(),
        block(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="sig"),
        stop(0),
    ]
    alive = []
    for event in stream:
        assert reader.read(event) == ""
        alive.append(reader.alive)
    assert alive == [False, False, True, False, False]
    assert reader.reasoned
    kept = reader.completion().content[0]
    assert (kept.thinking, kept.signature) == ("hm", "sig")


def test_what_a_server_tool_is_given_is_no_document() -> None:
    reader = AnthropicReader(frozenset({"web_search"}))
    begun = block(0, type="server_tool_use", id="s", name="web_search", input={})
    assert joined(reader, [start(), begun, args(0, '{"query"'), args(0, ': "a"}'), stop(0)]) == ""
    assert reader.completion().content[0].input == {"query": "a"}


def test_the_answer_has_everything_that_the_provider_said() -> None:
    reader = AnthropicReader()
    assert reader.completion().usage.model_dump(exclude_none=True) == {"input_tokens": 0, "output_tokens": 0}
    cited = [{"type": "char_location", "cited_text": text, "document_index": 0} for text in "ab"]
    stream = [
        start(usage={"input_tokens": 4, "service_tier": "standard", "output_tokens": 1}, container={"id": "c"}),
        block(0, type="text", text="", citations=[]),
        delta(0, "citations_delta", citation=cited[0]),
        delta(0, "text_delta", text="{}"),
        delta(0, "citations_delta", citation=cited[1]),
        stop(0),
        ended("stop_sequence", stop_sequence="END", container=None),
    ]
    assert joined(reader, stream) == "{}"
    whole = reader.completion()
    assert [one.cited_text for one in whole.content[0].citations] == ["a", "b"]
    assert (whole.stop_sequence, whole.container.id, whole.role) == ("END", "c", "assistant")
    assert (whole.usage.service_tier, whole.usage.input_tokens, whole.usage.output_tokens) == ("standard", 4, 9)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("end_turn", EndKind.COMPLETE),
        ("stop_sequence", EndKind.COMPLETE),
        ("tool_use", EndKind.COMPLETE),
        ("max_tokens", EndKind.TRUNCATED),
        ("model_context_window_exceeded", EndKind.TRUNCATED),
        ("pause_turn", EndKind.TRUNCATED),
        ("refusal", EndKind.REFUSED),
    ],
)
def test_the_stop_reason_says_how_it_ended(word: str, kind: EndKind) -> None:
    reader = AnthropicReader()
    joined(reader, [start(), block(0, type="text", text="No."), ended(word)])
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, word)
    assert reader.refusal == ("No." if word == "refusal" else "")


def test_a_refusal_may_explain_itself() -> None:
    reader = AnthropicReader()
    joined(reader, [start(), ended("refusal", stop_details={"explanation": "harm"})])
    assert reader.refusal == "harm"


def test_an_error_event_is_a_failure() -> None:
    reader = AnthropicReader()
    reader.read({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    assert reader.error == "Overloaded"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (EndKind.FAILED, "overloaded_error")


def test_pings_and_unknown_events_say_nothing() -> None:
    reader = AnthropicReader()
    assert joined(reader, [{"type": "ping"}, {"type": "hello"}]) == ""
    assert not reader.alive


def test_cut_arguments_are_assembled_as_far_as_they_go() -> None:
    reader = AnthropicReader(TOOLS)
    joined(reader, [start(), tool(0, "Report"), args(0, '{"a": 1, "b": "cu')])
    assert reader.completion().content[0].input == {"a": 1, "b": "cu"}


def test_a_second_message_is_another_answer() -> None:
    reader = AnthropicReader(TOOLS)
    joined(reader, [start(), tool(0, "Report"), args(0, '{"a')])
    reader.read(start(id="m2", model="other"))
    assert reader.switched is not None
    assert (reader.switched.from_model, reader.switched.to_model) == ("claude", "other")
    assert joined(reader, [tool(0, "Report"), args(0, "{}")]) == "{}"


def test_the_beta_has_a_message_of_its_own() -> None:
    from anthropic.types.beta import BetaMessage, BetaRawMessageStartEvent

    reader = AnthropicReader()
    made: Any = BetaRawMessageStartEvent
    reader.read(made.construct(**start()))
    assert isinstance(reader.completion(), BetaMessage)
