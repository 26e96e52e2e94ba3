from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.mistral import MistralReader
from instructor_stream_ext.providers.openai_chat import OpenAIChatReader
from instructor_stream_ext.providers.reader import Switch
from tests.providers.chunks import calls, chunk, fragment, joined, raw

TOOLS = frozenset({"Report"})


def _tools() -> OpenAIChatReader:
    return OpenAIChatReader(TOOLS)


def _called(reader: OpenAIChatReader) -> list[tuple[str, str, str]]:
    """Every call of the assembled answer: id, name, arguments."""
    message = reader.completion().choices[0].message
    return [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]


def test_content_is_the_document_without_tools() -> None:
    reader = OpenAIChatReader()
    assert (
        joined(
            reader,
            [chunk({"role": "assistant", "content": ""}), chunk({"content": '{"a"'}), chunk({"content": ": 1}"})],
        )
        == '{"a": 1}'
    )
    assert reader.aside == []
    assert reader.completion().choices[0].message.content == '{"a": 1}'


def test_content_beside_a_call_is_an_aside() -> None:
    reader = _tools()
    text = joined(reader, [chunk({"content": "Well"}), calls(fragment("{}", "Report", index=0, id="1"))])
    assert text == "{}"
    assert reader.aside == ["Well"]


def test_only_chunks_that_say_something_are_alive() -> None:
    reader = _tools()
    seen = []
    for one in (
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        calls(fragment("", "Report", index=0, id="1")),
        calls(fragment("{", index=0)),
        chunk({}, "tool_calls"),
        chunk(choices=[], usage={"prompt_tokens": 1}),
    ):
        reader.read(one)
        seen.append(reader.alive)
    assert seen == [False, True, False, True, False, False]


@pytest.mark.parametrize(
    "fragments",
    [
        pytest.param(
            [
                fragment("", "Report", index=0, id="1"),
                fragment('{"a"', index=0),
                fragment("", "other", index=1, id="2"),
                fragment(": 1}", index=0),
                fragment("{}", index=1),
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                fragment('{"a": 1}', "Report", index=0, id="1"),
                fragment("", "other", index=0, id="2"),
                fragment("{}", index=0),
            ],
            id="index 0 for all calls",
        ),
        pytest.param(
            [
                fragment('{"a"', "Report", index=0, id="1"),
                fragment("{", "other", index=0, id="2"),
                fragment(": 1}", index=0, id="1"),
                fragment("}", index=0, id="2"),
            ],
            id="interleaved by id under one index",
        ),
        pytest.param(
            [fragment('{"a": 1}', "Report", id="1"), fragment("{}", "other", id="2")],
            id="without index",
        ),
        pytest.param(
            [
                fragment("{", "other", index=0, id="2"),
                fragment("}", index=0),
                fragment('{"a": 1}', "Report", index=1, id="1"),
            ],
            id="another tool first",
        ),
        pytest.param(
            [
                fragment('{"a"', index=0, id="1"),
                fragment(": 1}", "Report", index=0),
                fragment("{}", "other", index=1, id="2"),
            ],
            id="the name after the arguments",
        ),
        pytest.param(
            [
                fragment('{"a"', "Report", index=0, id="1"),
                fragment(": 1}", "Report", index=0, id="1"),
                fragment("{}", "other", index=1, id="2"),
            ],
            id="the name again with each fragment",
        ),
        pytest.param(
            [
                fragment('{"a"', "Report", index=0, id="1"),
                fragment(": 1}", index=0, id="9"),
                fragment("{}", "other", index=1, id="2"),
            ],
            id="a fresh id with each fragment",
        ),
    ],
)
def test_the_first_call_of_a_tool_that_was_sent_is_the_document(fragments: list[dict[str, Any]]) -> None:
    one_by_one, at_once = _tools(), _tools()
    assert joined(one_by_one, [calls(one) for one in fragments]) == '{"a": 1}'
    assert joined(at_once, [calls(*fragments)]) == '{"a": 1}'
    for reader in (one_by_one, at_once):
        assert sorted(_called(reader)) == [("1", "Report", '{"a": 1}'), ("2", "other", "{}")]


def test_the_same_tool_called_twice_gives_the_first_call() -> None:
    reader = _tools()
    whole = [calls(fragment('{"a": 1}', "Report", index=0)), calls(fragment('{"b": 2}', "Report", index=0))]
    assert joined(reader, whole) == '{"a": 1}'
    assert [args for _, _, args in _called(reader)] == ['{"a": 1}', '{"b": 2}']


def test_a_name_repeated_without_an_id_stays_one_call() -> None:
    reader = _tools()
    pieces = ['{"a": {"b"', ": 1}", "}"]
    assert joined(reader, [calls(fragment(piece, "Report", index=0)) for piece in pieces]) == '{"a": {"b": 1}}'
    assert len(_called(reader)) == 1


def test_an_object_emitted_twice_arrives_twice() -> None:
    reader = _tools()
    assert joined(reader, [calls(fragment("{}", "Report", index=0, id="1")), calls(fragment("{}", index=0))]) == "{}{}"


GATEWAYS_TO_GEMINI = {
    "the same call goes on": [fragment("{}", "Report", index=0, id="1"), fragment('{"a": 1}', index=0)],
    "the same call, named again": [
        fragment("{}", "Report", index=0, id="1"),
        fragment('{"a": 1}', "Report", index=0, id="1"),
    ],
    "another call": [fragment("{}", "Report", index=0, id="1"), fragment('{"a": 1}', "Report", index=1, id="2")],
    "another call under the index": [
        fragment("{}", "Report", index=0, id="1"),
        fragment('{"a": 1}', "Report", index=0, id="2"),
    ],
    "another call without ids": [fragment("{}", "Report", index=0), fragment('{"a": 1}', "Report", index=0)],
}


@pytest.mark.parametrize("fragments", GATEWAYS_TO_GEMINI.values(), ids=list(GATEWAYS_TO_GEMINI))
def test_an_empty_object_gives_way_to_the_real_arguments(fragments: list[dict[str, Any]]) -> None:
    for chunks in ([calls(one) for one in fragments], [calls(*fragments)]):
        reader = _tools()
        assert joined(reader, chunks) == '{}{"a": 1}'
        assert _called(reader)[-1][1:] == ("Report", '{"a": 1}')


def test_a_second_empty_object_does_not_give_way_and_a_full_one_neither() -> None:
    first = calls(fragment("{}", "Report", index=0, id="1"))
    assert joined(_tools(), [first, calls(fragment("{}", "Report", index=1, id="2"))]) == "{}"
    assert joined(_tools(), [first, calls(fragment('{"a": 1}', "other", index=1, id="2"))]) == "{}"


NAMES = [
    "Report",
    "functions.Report",
    "default_api.Report",
    "Report<|channel|>commentary",
    "REPORT",
    "to=functions.report",
]


@pytest.mark.parametrize("name", [*NAMES, "default_api__Report", "functions.Report:0"])
@pytest.mark.parametrize("tools", [TOOLS, TOOLS | {"Other", "MiniReport"}])
def test_a_name_with_more_around_it_means_the_tool_it_ends_in(name: str, tools: frozenset[str]) -> None:
    reader = OpenAIChatReader(tools)
    assert reader.read(calls(fragment('{"a"', name, index=0, id="1"))) == '{"a"'
    assert joined(reader, [calls(fragment(": 1}", name, index=0))]) == ": 1}"
    assert _called(reader) == [("1", "Report", '{"a": 1}')]
    assert reader.strays == []


@pytest.mark.parametrize("pieces", [["Re", "port"], ["functions", ".", "Report"], ["Rep", "", "ort"], ["R", "Report"]])
@pytest.mark.parametrize("given", [{}, {"id": "1"}], ids=["without id", "id each time"])
def test_a_name_may_come_in_pieces(pieces: list[str], given: dict[str, str]) -> None:
    reader = OpenAIChatReader(TOOLS | {"Other"})
    chunks = [calls(fragment("", piece, index=0, **given)) for piece in pieces]
    assert joined(reader, [*chunks, calls(fragment('{"a": 1}', index=0))]) == '{"a": 1}'


def test_a_piece_that_is_a_tool_itself_is_not_the_whole_name() -> None:
    reader = OpenAIChatReader(frozenset({"City", "CityList"}))
    chunks = [calls(fragment("", "City", index=0, id="1")), calls(fragment("", "List", index=0))]
    assert joined(reader, [*chunks, calls(fragment("[]", index=0))]) == "[]"
    assert _called(reader) == [("1", "CityList", "[]")]


@pytest.mark.parametrize("named", [{}, {"name": "anything"}], ids=["no name", "another name"])
def test_a_lone_call_is_the_document_if_one_tool_was_offered(named: dict[str, str]) -> None:
    chunks = [calls(fragment('{"a": 1}', index=0, id="1", **named)), chunk({}, "tool_calls")]
    reader = _tools()
    assert joined(reader, chunks) == '{"a": 1}'
    assert _called(reader) == [("1", "Report", '{"a": 1}')]
    assert reader.strays == []
    several = OpenAIChatReader(TOOLS | {"Other"})
    assert joined(several, chunks) == ""
    assert several.strays == list(named.values())


def test_of_two_calls_of_unknown_tools_none_is_the_document() -> None:
    reader = _tools()
    chunks = [calls(fragment("{}", "a", index=0, id="1")), calls(fragment("{}", "b", index=1, id="2"))]
    assert joined(reader, [*chunks, chunk({}, "tool_calls")]) == ""
    assert reader.strays == ["a", "b"]


def test_a_name_in_other_case_that_two_tools_have_means_neither() -> None:
    reader = OpenAIChatReader(frozenset({"City", "city"}))
    assert joined(reader, [calls(fragment("{}", "CITY", index=0, id="1"))]) == ""
    assert reader.strays == ["CITY"]


@pytest.mark.parametrize("args", [None, "", " ", {}])
def test_a_call_without_arguments_is_the_empty_object_once_the_provider_said_it_is_whole(args: Any) -> None:
    called = calls(fragment(args, "Report", index=0, id="1"))
    assert joined(_tools(), [called, chunk({}, "tool_calls")]).strip() == "{}"
    assert joined(_tools(), [called]).strip() == ""
    assert joined(_tools(), [called, chunk({}, "length")]).strip() == ""


def test_a_lone_choice_is_the_choice_whatever_its_index() -> None:
    for indices in ([1, 1, 1], [0, 1, 2], [5, 6, 7]):
        reader = OpenAIChatReader()
        chunks = [chunk({"content": piece}, index=index) for piece, index in zip("abc", indices, strict=True)]
        role = chunk({"role": "assistant"}, index=indices[0])
        assert joined(reader, [role, *chunks, chunk({"role": "assistant"}, "stop", index=9)]) == "abc"
        assert reader.end is not None


def test_a_second_choice_that_introduces_itself_is_none_of_ours() -> None:
    reader = OpenAIChatReader()
    roles = [chunk({"role": "assistant", "content": ""}, index=index) for index in (0, 1)]
    rest = [chunk({"content": piece}, index=index) for piece, index in (("a", 0), ("x", 1), ("b", 0), ("y", 1))]
    assert joined(reader, [*roles, *rest]) == "ab"


def test_arguments_may_come_as_an_object() -> None:
    reader = _tools()
    text = joined(reader, [raw({"tool_calls": [fragment({"a": [1, "é"]}, "Report", index=0, id="1")]})])
    assert text == '{"a": [1, "é"]}'


def test_only_the_first_of_several_choices_counts() -> None:
    reader = OpenAIChatReader()
    reader.several = True
    both = chunk(choices=[{"index": 1, "delta": {"content": "x"}}, {"index": 0, "delta": {"content": "b"}}])
    text = joined(reader, [chunk({"content": "a"}), chunk({"content": "no"}, "length", index=1), both])
    assert text == "ab"
    assert reader.end is None


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm", "content": ""},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
    ],
)
def test_reasoning_is_no_text(delta: dict[str, Any]) -> None:
    reader = OpenAIChatReader()
    assert reader.read(chunk(delta)) == ""
    assert reader.alive
    assert reader.reasoned
    assert reader.completion().choices[0].message.reasoning_content == "hm"


@pytest.mark.parametrize(
    "document", [{"content": "{}"}, {"tool_calls": [fragment("{}", "Report", id="1")]}], ids=["text", "tool"]
)
def test_a_piece_across_the_end_of_the_reasoning_has_both(document: dict[str, Any]) -> None:
    tools = TOOLS if "tool_calls" in document else None
    reader = OpenAIChatReader(tools)
    reader.tells_reasoning = True
    deltas = [{"reasoning_content": "h"}, {"reasoning_content": "m", **document}, {"content": " "}, {"reasoning": "!"}]
    text = "".join(reader.read(chunk(delta)) for delta in [*deltas, {"reasoning": "?", "content": " "}])
    assert text.strip() == "{}"
    assert (reader.reasoning, reader.thoughts) == ("hm!?", ["h", "m", "!", "?"])


@pytest.mark.parametrize("thinking", ["hm", [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]])
def test_thinking_among_the_parts_of_content_is_reasoning(thinking: Any) -> None:
    parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": "{}"}]
    reader = MistralReader()
    assert reader.read({"data": raw({"content": parts})}) == "{}"
    assert reader.reasoning == "hm"


def test_a_refusal_ends_as_one_whatever_the_finish_reason() -> None:
    reader = OpenAIChatReader()
    assert joined(reader, [chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop")]) == ""
    assert reader.refusal == "I won't"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word, reader.end.message) == (EndKind.REFUSED, "stop", "I won't")
    assert reader.completion().choices[0].message.refusal == "I won't"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("stop", EndKind.COMPLETE),
        ("tool_calls", EndKind.COMPLETE),
        ("function_call", EndKind.COMPLETE),
        ("eos", EndKind.COMPLETE),
        ("length", EndKind.TRUNCATED),
        ("model_length", EndKind.TRUNCATED),
        ("content_filter", EndKind.FILTERED),
        ("sensitive", EndKind.FILTERED),
        ("error", EndKind.FAILED),
        ("insufficient_system_resource", EndKind.FAILED),
    ],
)
def test_the_finish_reason_says_how_it_ended(word: str, kind: EndKind) -> None:
    reader = OpenAIChatReader()
    joined(reader, [chunk({"content": "x"}), chunk({}, word)])
    assert reader.end is not None
    assert (reader.end.kind, reader.end.word) == (kind, word)
    assert reader.completion().choices[0].finish_reason == word


def test_the_last_usage_wins() -> None:
    reader = OpenAIChatReader()
    assert reader.usage is None
    joined(reader, [chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": n}) for n in (1, 2)])
    assert reader.usage == Usage(3, 2, 5)


def test_groq_counts_in_a_field_of_its_own() -> None:
    reader = OpenAIChatReader()
    counted = {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    joined(reader, [chunk({"content": "a"}), chunk({}, "stop", x_groq=counted)])
    assert reader.usage == Usage(1, 2, 3)


def test_another_id_model_or_fingerprint_in_a_chunk_is_no_other_answer() -> None:
    """Groq's compound models, SGLang, LMDeploy and Foundry Local send another id with each chunk."""
    reader = OpenAIChatReader()
    chunks = [
        chunk({"content": piece}, id=f"a{at}", model=f"m{at}", system_fingerprint=f"f{at}")
        for at, piece in enumerate("abc")
    ]
    seen = [(reader.read(one), reader.switched) for one in chunks]
    assert seen == [("a", None), ("b", None), ("c", None)]
    assert (reader.response_id, reader.model) == ("a0", "m0")
    assert reader.completion().choices[0].message.content == "abc"


def _by_first_letter() -> Any:
    seen = ["a"]

    def begins_another(one: Any) -> bool:
        seen.append(one.id[0])
        return seen[-1] != seen[-2]

    return begins_another


def test_chunks_of_another_deployment_of_litellms_router_are_another_answer() -> None:
    reader = _tools()
    reader.begins_another = _by_first_letter()
    assert reader.read(calls(fragment('{"a', "Report", index=0, id="1"))) == '{"a'
    head = chunk({"role": "assistant", "content": ""}, id="b2", model="n")
    begun = chunk({"tool_calls": [fragment("", "Report", index=0, id="2")]}, id="b2", model="n")
    more = chunk({"tool_calls": [fragment("{}", index=0)]}, id="b2", model="n")
    seen = [(reader.read(one), reader.switched) for one in (head, begun, more)]
    assert seen == [("", Switch("m", "n")), ("", None), ("{}", None)]
    assert _called(reader) == [("2", "Report", "{}")]
    assert (reader.response_id, reader.model) == ("b2", "n")


def test_empty_ids_changes_before_text_and_bare_usage_are_no_other_answer() -> None:
    reader = OpenAIChatReader()
    switches = []
    for one in (
        chunk({"role": "assistant"}, id="", model=""),
        chunk({"role": "assistant"}, id="first"),
        chunk({"content": "a"}, id="a1"),
        chunk({"content": "b"}, id="", model=""),
        chunk({"content": "c"}, id="a1"),
        chunk(id="z9", choices=[], usage={"prompt_tokens": 1}),
    ):
        reader.read(one)
        switches.append(reader.switched)
    assert switches == [None] * 6
    assert (reader.response_id, reader.model) == ("a1", "m")


def test_a_call_announced_by_a_deployment_that_said_nothing_is_forgotten() -> None:
    reader = _tools()
    reader.begins_another = _by_first_letter()
    reader.read(calls(fragment("", "Report", index=0, id="1")))
    later = chunk({"tool_calls": [fragment("{}", "Report", index=0, id="2")]}, id="b2")
    assert reader.read(later) == "{}"
    assert reader.switched is None
    assert len(_called(reader)) == 1


def test_an_error_inside_a_chunk_is_a_failure() -> None:
    reader = OpenAIChatReader()
    reader.read(chunk({"content": "a"}))
    reader.read({"error": {"message": "overloaded", "code": 503}})
    assert reader.error == "overloaded"
    assert reader.end is not None
    assert (reader.end.kind, reader.end.message) == (EndKind.FAILED, "overloaded")


def test_an_error_of_the_choice_is_a_failure_with_its_message() -> None:
    reader = OpenAIChatReader()
    broken = {"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "upstream died"}}
    reader.read(raw(choices=[broken]))
    assert reader.error == "upstream died"


LOGPROBS: list[dict[str, Any]] = [
    {"token": token, "logprob": -0.5, "bytes": None, "top_logprobs": []} for token in ("{", "}")
]
FILTERS = {"hate": {"filtered": False, "severity": "safe"}}
SOURCE = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "a"}}


@pytest.mark.parametrize("made", [raw, chunk], ids=["mappings", "objects"])
def test_the_answer_has_everything_that_the_provider_said(made: Callable[..., Any]) -> None:
    """OpenAI's logprobs and annotations, Azure's filters, Perplexity's citations, OpenRouter's own finish reason."""
    reader = OpenAIChatReader()
    stream = [
        {**raw(), "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        made({"role": "assistant", "content": "{"}, logprobs={"content": LOGPROBS[:1], "refusal": None}),
        made({"content": "}"}, logprobs={"content": LOGPROBS[1:], "refusal": None}),
        made({"content": ""}, logprobs=None),
        made({"annotations": [SOURCE]}, citations=["https://a.example"]),
        made({}, "stop", system_fingerprint="fp", citations=["https://b.example"], obfuscation="xyz"),
        {**raw(), "choices": [], "service_tier": "flex"},
    ]
    last = stream[5]
    (last if isinstance(last, dict) else last.__pydantic_extra__)["choices_seen"] = None  # what is null is no word
    assert joined(reader, stream) == "{}"
    whole = reader.completion()
    assert (whole.system_fingerprint, whole.service_tier, whole.citations) == ("fp", "flex", ["https://b.example"])
    assert whole.prompt_filter_results == [{"prompt_index": 0}]
    assert whole.choices[0].message.annotations[0].url_citation.title == "a"
    assert [token.token for token in whole.choices[0].logprobs.content] == ["{", "}"]
    assert whole.choices[0].logprobs.refusal is None
    assert not {"obfuscation", "choices_seen"} & whole.model_dump().keys()


@pytest.mark.parametrize(
    "told", [5, "x", [], {"tokens": ["{"], "top": 5, "content": None}, {"content": [{"token": "{"}]}]
)
def test_what_is_no_part_of_the_answer_cannot_spoil_it(told: Any) -> None:
    """As vLLM's older log probabilities, and whatever else a server means by a name."""
    for package in ("", "litellm"):
        reader = OpenAIChatReader()
        reader.package = package
        end = raw({"annotations": told}, "stop", logprobs=told, stream=True, choices_seen=told, service_tier=told)
        assert joined(reader, [raw({"content": "{}"}, logprobs=told), end]) == "{}"
        assert reader.completion().choices[0].message.content == "{}"
        assert reader.completion().choices[0].finish_reason == "stop"


def test_the_finishing_choice_and_each_call_keep_what_else_was_said_of_them() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    call = fragment('{"a": 1}', "Report", id="1", index=0, type="function", extra_content=signature)
    called = raw({"tool_calls": [call]})
    end = raw({}, "tool_calls")
    end["choices"][0] |= {
        "native_finish_reason": "STOP",
        "content_filter_results": FILTERS,
        "empty": [],
        "message": {"role": "assistant"},
    }
    for made in (dict, ChatCompletionChunk.model_validate):
        reader = _tools()
        assert joined(reader, [made(called), made(end)]) == '{"a": 1}'
        (choice,) = reader.completion().model_dump()["choices"]
        assert (choice["native_finish_reason"], choice["content_filter_results"]) == ("STOP", FILTERS)
        assert "empty" not in choice
        (call,) = choice["message"]["tool_calls"]
        assert call["extra_content"] == signature
        assert call["function"]["arguments"] == '{"a": 1}'


def test_mappings_and_objects_read_alike() -> None:
    stream = [raw({"content": "a"}), raw({"content": "b"}, "stop")]
    assert joined(OpenAIChatReader(), stream) == "ab"
    assert joined(OpenAIChatReader(), [chunk({"content": "a"}), *stream]) == "aab"


def test_mistrals_events_and_its_word_for_no_id() -> None:
    reader = MistralReader(TOOLS)
    event = SimpleNamespace(data=calls(fragment('{"a": 1}', "Report", index=0, id="null")))
    assert joined(reader, [event]) == '{"a": 1}'


@settings(deadline=None)
@given(st.data())
def test_any_cut_of_the_arguments_gives_the_same(data: st.DataObject) -> None:
    document = json.dumps({"a": "é\U0001f600", "b": [1, {"c": None}]}, ensure_ascii=False)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(document) - 1))))
    pieces = [document[a:b] for a, b in zip([0, *cuts], [*cuts, len(document)], strict=True)]
    reader = _tools()
    head = calls(fragment("", "Report", index=0, id="1"))
    assert joined(reader, [head, *(calls(fragment(piece, index=0)) for piece in pieces)]) == document
    assert _called(reader) == [("1", "Report", document)]


def test_litellms_chunks() -> None:
    litellm = pytest.importorskip("litellm")
    kind = litellm.types.utils.ModelResponseStream
    reader = _tools()
    stream = [
        kind(**raw({"role": "assistant", "content": "hi"})),
        kind(**raw({"reasoning_content": "hm"})),
        kind(**raw({"tool_calls": [fragment('{"a"', "Report", index=0, id="1")]})),
        kind(**raw({"tool_calls": [fragment(": 1}", index=0)]})),
        kind(**raw({}, "tool_calls")),
        kind(**raw({}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})),
    ]
    assert joined(reader, stream) == '{"a": 1}'
    assert reader.aside == ["hi"]
    assert reader.reasoned
    assert reader.usage == Usage(1, 2, 3)
    whole = reader.completion()
    assert isinstance(whole, litellm.ModelResponse)
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"a": 1}'
    assert whole.choices[0].finish_reason == "tool_calls"
