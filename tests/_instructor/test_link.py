"""_instructor/link.py: the facts about a client, told without a request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anthropic
import instructor
import openai
import pytest
from google import genai
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import ClientNotSupported, StreamMisuse
from instructor_stream_ext._instructor.haste import HASTE, Haste
from instructor_stream_ext._instructor.link import Link, LitellmLink
from instructor_stream_ext._instructor.links import link_to
from instructor_stream_ext._instructor.litellm_prices import LitellmPrices
from tests.routing.calls import litellm

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def over_openai(mode: Mode = Mode.TOOLS, **options: Any) -> Link:
    return link_to(instructor.from_openai(openai.OpenAI(api_key="k", **options), mode=mode))


def over_anthropic(mode: Mode = Mode.TOOLS) -> Link:
    return link_to(instructor.from_anthropic(anthropic.Anthropic(api_key="k"), mode=mode))


def over_genai() -> Link:
    return link_to(instructor.from_genai(genai.Client(api_key="k")))


def over_litellm(**arguments: Any) -> Link:
    return link_to(instructor.from_litellm(functools.partial(litellm.completion, **arguments)))


@pytest.mark.parametrize(
    ("make", "asks_for_usage"),
    [
        (over_openai, True),
        (lambda: over_openai(Mode.RESPONSES_TOOLS), False),
        (over_anthropic, False),
        (over_genai, False),
        (over_litellm, True),
    ],
)
def test_who_takes_the_option_for_usage(make: Callable[[], Link], asks_for_usage: bool) -> None:
    assert make().takes_usage_option is asks_for_usage


def test_sync_and_async() -> None:
    assert not over_openai().is_async
    assert link_to(instructor.from_openai(openai.AsyncOpenAI(api_key="k"))).is_async


@pytest.mark.parametrize("client", [openai.OpenAI(api_key="k"), None, instructor])
def test_what_is_no_client_of_instructors(client: Any) -> None:
    with pytest.raises(ClientNotSupported, match=f"needs an instructor client .*, not {type(client).__name__}"):
        link_to(client)


def test_litellm_is_known_by_its_function() -> None:
    assert isinstance(over_litellm(), LitellmLink)
    assert isinstance(over_litellm().meter, LitellmPrices)
    assert not isinstance(over_openai(), LitellmLink)


def test_litellm_has_to_be_told_a_model() -> None:
    with pytest.raises(StreamMisuse, match="no model"):
        over_litellm().check_call({})
    over_litellm().check_call({"model": "openai/m"})
    over_litellm(model="openai/m").check_call({})


@pytest.mark.parametrize(
    ("model", "asked"), [("anthropic/claude", "anthropic"), ("gpt-4o", "litellm"), (None, "litellm")]
)
def test_whom_litellm_asks(model: str | None, asked: str) -> None:
    assert over_litellm().asked({"model": model}) == (model, asked)


def test_an_impatient_function_has_no_retries_of_the_sdks() -> None:
    link = over_openai(max_retries=5, timeout=7.0)
    patient, _ = link.functions(hurried=False)
    hurried, function = link.functions(hurried=True)
    assert patient is link.create_fn
    assert hurried is not patient
    assert function is not None
    assert function is link.functions(hurried=True)[1]


def test_litellms_own_timeout_is_shortened_only_in_haste() -> None:
    asked: list[Any] = []
    link = link_to(instructor.from_litellm(functools.partial(litellm.completion, timeout=5)))
    link.function = functools.partial(lambda **kwargs: asked.append(kwargs), timeout=5)
    hurried = link._hurried()
    assert hurried is not None
    hurried()
    token = HASTE.set(Haste(2.0))
    try:
        hurried()
    finally:
        HASTE.reset(token)
    assert asked[0]["timeout"] == 5
    assert asked[1]["timeout"] <= 2.0
    assert all(each["max_retries"] == each["num_retries"] == 0 for each in asked)


@pytest.mark.parametrize(
    "make", [lambda: over_openai(Mode.PARALLEL_TOOLS), lambda: over_anthropic(Mode.PARALLEL_TOOLS)]
)
def test_several_tools_at_once_stream_from_these(make: Callable[[], Link]) -> None:
    link = make()
    link.check_streams()
    assert link.calls_in_parallel
    assert link.stream_argument == {}


def test_the_function_for_several_tools_streams_by_itself() -> None:
    link = over_openai(Mode.PARALLEL_TOOLS)
    link.function = lambda **kwargs: kwargs
    _, function = link.functions(hurried=False)
    assert function is not None
    assert function(model="m") == {"model": "m", "stream": True}


def test_genai_knows_the_assistant_as_the_model() -> None:
    said = over_genai().said([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
    assert [each["role"] for each in said] == ["user", "model"]
    assert over_genai().said(None) is None
    assert over_openai().said(said) is said


def test_plain_text_of_anthropic_goes_around_the_mode_that_refuses_it() -> None:
    refusing, other = over_anthropic(Mode.JSON_SCHEMA), over_anthropic(Mode.TOOLS)
    assert refusing.text_function(hurried=False) is not refusing.create_fn
    assert other.text_function(hurried=False) is other.create_fn


def test_another_class_is_sent_only_where_an_sdk_reads_by_it() -> None:
    class Person(BaseModel):
        """Somebody."""

        name: str

    assert over_openai().sent_class(Person) is Person
    sent = over_genai().sent_class(Person)
    assert sent is over_genai().sent_class(Person)
    assert sent.model_json_schema() == Person.model_json_schema()
    with pytest.raises(ValueError, match="only the final object is validated"):
        sent.model_validate_json('{"name": "Ada"}')
