"""providers/condensed.py: few chunks say what many said."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from instructor_stream_ext.providers.condensed import Condenser, finish_in, is_mere_end
from instructor_stream_ext.providers.openai_chat import OpenAIChatReader

LOGPROBS = {"content": [{"token": "x", "logprob": -0.1}]}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": more.pop("logprobs", None), "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], "usage": None, **more}


def call(arguments: str, index: int = 0, **more: str) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": more["name"]} if "name" in more else {})}
    given_id = {"id": more["id"], "type": "function"} if "id" in more else {}
    return {"tool_calls": [{"index": index, **given_id, "function": function}]}


def condensed(chunks: list[Any], most_equal: float = math.inf) -> list[Any]:
    condenser = Condenser(most_equal)
    taken = [condenser.take(one) for one in chunks]
    assert all(taken)
    return condenser.give()


def read(chunks: list[Any]) -> tuple[str, bool, Any]:
    reader = OpenAIChatReader(None)
    text = "".join(reader.read(one) for one in chunks) + reader.finish()
    return text, reader.reasoned, reader.completion().model_dump()


def test_runs_of_text_become_one_chunk_each() -> None:
    thought = [chunk({"reasoning_content": part}) for part in ("I ", "think ", "so.")]
    said = [chunk({"content": part}) for part in ("Well", ", ", "yes.")]
    few = condensed([chunk({"role": "assistant", "content": ""}), *thought, *said])
    assert [one["choices"][0]["delta"] for one in few] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "I think so."},
        {"content": "Well, yes."},
    ]


def test_arguments_of_each_call_stay_with_it() -> None:
    first = [chunk(call("", id="a", name="f")), chunk(call('{"x"')), chunk(call(": 1}"))]
    second = [chunk(call("", 1, id="b", name="g")), chunk(call("{", 1)), chunk(call("}", 1))]
    few = condensed(first + second)
    told = [one["choices"][0]["delta"]["tool_calls"][0] for one in few]
    assert [each["function"]["arguments"] for each in told] == ["", '{"x": 1}', "", "{}"]
    assert [each["index"] for each in told] == [0, 0, 1, 1]


def test_objects_of_an_sdk_as_well() -> None:
    chunks = [ChatCompletionChunk.model_validate(chunk({"content": part})) for part in ("a", "b", "c")]
    (one,) = condensed(list(chunks))
    assert isinstance(one, ChatCompletionChunk)
    assert one.choices[0].delta.content == "abc"
    assert chunks[0].choices[0].delta.content == "a"


@pytest.mark.parametrize(
    "odd",
    [
        chunk({"content": "x"}, logprobs=LOGPROBS),
        chunk({"content": "x", "reasoning": "y"}),
        chunk({"content": "x"}, citations=["https://example.org"]),
        chunk({"content": "x", "annotations": [{"type": "url"}]}),
        chunk({"content": [{"type": "text", "text": "x"}]}),
        chunk({"content": ""}),
        chunk({"tool_calls": []}),
        chunk(call("x", id="a", name="f")),
    ],
)
def test_what_says_more_stays_as_it_is_and_in_its_place(odd: dict[str, Any]) -> None:
    plain = [chunk({"content": part}) for part in ("a", "b")]
    few = condensed([*plain, odd, *plain])
    assert few[1] is odd
    assert [one["choices"][0]["delta"]["content"] for one in (few[0], few[2])] == ["ab", "ab"]


def test_the_last_word_on_tokens_is_kept() -> None:
    counts = [chunk({"content": "x"}, usage={"total_tokens": number}) for number in (1, 2, 3)]
    (one,) = condensed(counts)
    assert one["usage"] == {"total_tokens": 3}


@pytest.mark.parametrize("end", [chunk({}, "stop"), chunk({}) | {"choices": []}, chunk({}, error={"message": "no"})])
def test_an_end_or_an_error_is_not_taken(end: dict[str, Any]) -> None:
    condenser = Condenser(math.inf)
    assert condenser.take(chunk({"content": "x"}))
    assert not condenser.take(end)
    assert len(condenser.give()) == 1


def test_a_finish_reason_in_each_chunk_is_no_end() -> None:
    (one,) = condensed([chunk({"content": part}, "stop") for part in ("a", "b")])
    assert finish_in(one) == "stop"
    assert not is_mere_end(one)
    assert is_mere_end(chunk({"content": ""}, "stop"))


def test_one_text_too_often_is_given_one_by_one() -> None:
    condenser = Condenser(4)
    assert condenser.take(chunk({"content": "begun "}))
    again = chunk({"content": "again"})
    assert [condenser.take(again) for _ in range(4)] == [True, True, True, False]
    assert [one["choices"][0]["delta"]["content"] for one in condenser.give()] == ["begun ", "again", "again", "again"]


TEXTS = st.text("ab{}", min_size=1, max_size=3)
CHUNKS = st.one_of(
    TEXTS.map(lambda text: chunk({"content": text})),
    TEXTS.map(lambda text: chunk({"reasoning_content": text})),
    st.builds(lambda text, index: chunk(call(text, index)), TEXTS, st.integers(0, 1)),
    st.builds(lambda index: chunk(call("", index, id=f"call{index}", name="f")), st.integers(0, 1)),
    st.just(chunk({"content": ""})),
    TEXTS.map(lambda text: chunk({"content": text}, logprobs=LOGPROBS)),
)


@given(st.lists(CHUNKS, max_size=20))
def test_whoever_reads_them_reads_the_same(chunks: list[dict[str, Any]]) -> None:
    few = condensed(chunks)
    assert len(few) <= len(chunks)
    assert read(few) == read(chunks)
