from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.family import end_of
from instructor_stream_ext.providers.plain import message_of, object_of, plain
from instructor_stream_ext.providers.usage import tokens


class _Reason(Enum):
    MAX_TOKENS = 2


@pytest.mark.parametrize(
    ("word", "kind", "said"),
    [
        (_Reason.MAX_TOKENS, EndKind.TRUNCATED, "MAX_TOKENS"),
        ("Length", EndKind.TRUNCATED, "Length"),
        ("abort", EndKind.FAILED, "abort"),
        ("repetition", EndKind.TRUNCATED, "repetition"),
        ("max_tokens_reached", EndKind.TRUNCATED, "max_tokens_reached"),
        ("insufficient_system_resource", EndKind.FAILED, "insufficient_system_resource"),
        ("end_turn", EndKind.COMPLETE, "end_turn"),
        ("something new", EndKind.UNKNOWN, "something new"),
    ],
)
def test_words_are_known_whatever_their_case(word: Any, kind: EndKind, said: str) -> None:
    end = end_of(word)
    assert (end.kind, end.word) == (kind, said)


def _chat(prompt: int, completion: int, total: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, Usage(1, 2, 3)),
        (SimpleNamespace(input_tokens=1, output_tokens=2), Usage(1, 2, 3)),
        ({"inputTokens": 1.0, "outputTokens": None}, Usage(1, 0, 1)),
        ({}, Usage(0, 0, 0)),
    ],
)
def test_usage_goes_by_many_names(usage: Any, expected: Usage) -> None:
    assert tokens(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        # xAI's reasoning, over HTTP and over gRPC
        (
            {**_chat(12, 2, 354), "completion_tokens_details": {"reasoning_tokens": 340}},
            Usage(12, 342, 354),
        ),
        (SimpleNamespace(**_chat(12, 2, 354), reasoning_tokens=340), Usage(12, 342, 354)),
        # Gemini's, behind a gateway that does not name it
        (_chat(20, 198, 623), Usage(20, 603, 623)),
        # OpenAI's is part of the completion
        ({**_chat(12, 342, 354), "completion_tokens_details": {"reasoning_tokens": 340}}, Usage(12, 342, 354)),
        # Bedrock's cached input
        (
            {
                "inputTokens": 3,
                "outputTokens": 2,
                "totalTokens": 15,
                "cacheReadInputTokens": 4,
                "cacheWriteInputTokens": 6,
            },
            Usage(13, 2, 15),
        ),
        # OpenAI's is part of the prompt
        ({**_chat(13, 2, 15), "prompt_tokens_details": {"cached_tokens": 10}}, Usage(13, 2, 15)),
        # what Voxtral heard
        (
            {**_chat(11, 15, 401), "prompt_tokens_details": {"audio_tokens": 375, "cached_tokens": 9}},
            Usage(386, 15, 401),
        ),
        # a total that is less than its parts proves nothing
        (_chat(5, 5, 7), Usage(5, 5, 7)),
    ],
)
def test_what_only_the_total_has_is_counted(usage: Any, expected: Usage) -> None:
    assert tokens(usage) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("", {}), ('{"a": 1}', {"a": 1}), ('{"a": "cu', {"a": "cu"}), ('{"a": nope', {})],
)
def test_arguments_are_an_object_as_far_as_they_go(text: str, value: Any) -> None:
    assert object_of(text) == value


@pytest.mark.parametrize(
    ("error", "message"),
    [({"message": "m", "code": 1}, "m"), ({"code": 1}, "1"), ("m", "m"), (SimpleNamespace(message="m"), "m")],
)
def test_errors_have_a_message(error: Any, message: str) -> None:
    assert message_of(error) == message


def test_plain_data_goes_all_the_way_down() -> None:
    assert plain(SimpleNamespace(a=[SimpleNamespace(b=1)], c=(2,))) == {"a": [{"b": 1}], "c": [2]}


@pytest.mark.parametrize(
    ("provider", "mode"), [("openai", "json_mode"), ("openai", "responses_tools"), ("anthropic", "json_mode")]
)
def test_null_in_place_of_an_event_is_an_error_in_words(provider: str, mode: str) -> None:
    reader = reader_for(provider, mode, tools=None)
    assert reader.read(None) == ""
    assert reader.error is not None
    assert reader.error.startswith("the provider sent null in place of")
