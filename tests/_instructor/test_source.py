"""_instructor/source.py: one request after another, over a function that stands in for an SDK's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import instructor
import openai
import pytest
from instructor import Mode
from instructor.core.exceptions import InstructorRetryException, TokenBudgetExceeded, TokenUsageUnavailableError
from instructor.v2.core.hooks import Hooks as InstructorHooks
from pydantic import BaseModel

from instructor_stream_ext import ClientNotSupported
from instructor_stream_ext._instructor.links import link_to
from instructor_stream_ext._instructor.request import Request
from instructor_stream_ext._instructor.source import InstructorSource
from tests.providers.chunks import raw

USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}


class Person(BaseModel):
    name: str
    age: int


class SDK:
    """An SDK's function: gives or raises one answer after another."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def create(self, **kwargs: Any) -> Any:
        self.asked.append(kwargs)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return iter(answer) if isinstance(answer, list) else answer


def source_of(sdk: SDK, *, wire: Any = Person, mode: Mode = Mode.TOOLS, **request: Any) -> InstructorSource:
    link = link_to(instructor.from_litellm(sdk.create, mode=mode))
    link.takes_usage_option = True
    settings: dict[str, Any] = {
        "messages": [{"role": "user", "content": "go"}],
        "strict": True,
        "context": None,
        "token_budget": None,
        "usage": True,
        "kwargs": {"model": "m"},
    }
    return InstructorSource(link, Request(wire=wire, **{**settings, **request}), InstructorHooks(), 3)


def refused(message: str = "property 'stream_options' is unsupported", status: int = 400) -> openai.APIStatusError:
    response: Any = httpx.Response(status, request=httpx.Request("POST", "http://127.0.0.1"))
    return openai.APIStatusError(message, response=response, body={"message": message})


def call(arguments: str) -> dict[str, Any]:
    function = {"name": "Person", "arguments": arguments}
    return raw({"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": function}]})


def answer(arguments: str = "{}", **more: Any) -> list[Any]:
    return [call(arguments), raw({}, "tool_calls") | more]


def read(source: InstructorSource) -> tuple[Any, str]:
    connection = source.connect(hurried=False)
    return connection.reader, "".join(connection.reader.read(chunk) for chunk in connection.chunks)


def test_the_live_stream_comes_out_of_instructor_unread() -> None:
    taken: list[int] = []

    def chunks() -> Iterator[Any]:
        for number, chunk in enumerate(answer('{"name": "Ann", "age": 4}')):
            taken.append(number)
            yield chunk

    sdk = SDK(chunks())
    source = source_of(sdk)
    connection = source.connect(hurried=False)
    assert taken == []
    assert "".join(connection.reader.read(chunk) for chunk in connection.chunks) == '{"name": "Ann", "age": 4}'
    (asked,) = sdk.asked
    assert asked["stream"] is True
    assert asked["stream_options"] == {"include_usage": True}
    assert asked["tools"][0]["function"]["name"] == "Person"
    assert source.create_kwargs["model"] == "m"
    assert source.messages == asked["messages"]


def test_a_reask_goes_below_instructor_with_the_bad_answer_in_it() -> None:
    sdk = SDK(answer('{"name": "Ann"}'), answer())
    source = source_of(sdk)
    reader, text = read(source)
    list(source.rejected(reader, ValueError("age is missing"), 1))
    source.reask(ValueError("age is missing"), text)
    read(source)
    first, second = sdk.asked
    assert len(first["messages"]) == 1
    assert second["messages"][:1] == first["messages"]
    assert "age is missing" in str(second["messages"])
    assert '{"name": "Ann"}' in str(second["messages"])
    assert {name: second[name] for name in ("tools", "stream")} == {name: first[name] for name in ("tools", "stream")}


def test_the_rest_of_a_cut_answer_is_asked_for_as_plain_text() -> None:
    sdk = SDK(answer('{"name": "An'), [raw({"content": 'n"}'})])
    source = source_of(sdk)
    reader, text = read(source)
    source.go_on(text, reader)
    assert read(source)[1] == 'n"}'
    asked = sdk.asked[1]
    assert "tools" not in asked
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][1]["content"] == '{"name": "An'


def test_a_refused_option_is_left_out_once_and_remembered() -> None:
    sdk = SDK(refused(), answer(), answer())
    source = source_of(sdk)
    read(source)
    assert [("stream_options" in asked) for asked in sdk.asked] == [True, False]
    read(source)
    assert "stream_options" not in sdk.asked[2]


def test_an_error_that_says_nothing_may_be_about_the_option() -> None:
    first = refused("Param Incorrect")
    sdk = SDK(first, refused("Param Incorrect"))
    source = source_of(sdk)
    with pytest.raises(openai.APIStatusError) as raised:
        source.connect(hurried=False)
    assert raised.value is first
    assert source.came_from_api(first)
    assert len(sdk.asked) == 2
    assert not source._link.usage_refused


def test_other_errors_are_raised_at_once_as_the_sdks_own() -> None:
    error = refused("no such model", 404)
    sdk = SDK(error)
    source = source_of(sdk)
    with pytest.raises(openai.APIStatusError) as raised:
        source.connect(hurried=False)
    assert raised.value is error
    assert source.came_from_api(error)
    assert source.unanswered(error, 1) is error
    assert len(sdk.asked) == 1


def test_an_error_of_instructors_preparation_is_no_matter_of_the_api() -> None:
    sdk = SDK()
    source = source_of(
        sdk, kwargs={"model": "m"}, messages=[{"role": "user", "content": "{{ broken"}], context={"a": 1}
    )
    with pytest.raises(Exception, match=r"expected|unexpected|end of"):
        source.connect(hurried=False)
    assert sdk.asked == []


def test_create_raises_what_instructors_own_raises() -> None:
    error = refused("no such model", 404)
    source = source_of(SDK(), for_create=True)
    raised = source.unanswered(error, 2)
    assert isinstance(raised, InstructorRetryException)
    assert raised.n_attempts == 2
    assert raised.messages == source.messages


def test_what_is_no_stream_is_refused() -> None:
    source = source_of(SDK(openai.types.chat.ChatCompletion.construct(choices=[])), wire=None)
    connection = source.connect(hurried=False)
    assert connection.chunks.choices == []  # plain text is not looked at before it is read
    sdk = SDK("text")
    made = source_of(sdk, mode=Mode.JSON)
    made._link.create_fn = lambda **_: "text"
    with pytest.raises(ClientNotSupported, match="returned str, not a stream"):
        made.connect(hurried=False)


@pytest.mark.parametrize(("usage", "error"), [(USAGE, TokenBudgetExceeded), (None, TokenUsageUnavailableError)])
def test_a_budget_of_tokens_ends_before_the_next_request(usage: Any, error: type[Exception]) -> None:
    sdk = SDK(answer("{}", **({"usage": usage} if usage else {})))
    source = source_of(sdk, token_budget=10)
    reader, text = read(source)
    list(source.rejected(reader, ValueError("no"), 1))
    with pytest.raises(error):
        source.reask(ValueError("no"), text)
    assert len(sdk.asked) == 1
