"""What type checkers are told of a call's arguments, held against the SDKs and against the clients."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import instructor
import openai
import pytest

from instructor_stream_ext import AsyncStreamClient, StreamClient, wrap
from instructor_stream_ext.client.arguments import CallArguments, WrapArguments
from instructor_stream_ext.client.settings import Settings
from instructor_stream_ext.session.hooks import HOOK_NAMES, HookArguments

SDKS = [
    ("openai.resources.chat.completions", "Completions.create"),
    ("openai.resources.responses", "Responses.create"),
    ("anthropic.resources.messages", "Messages.create"),
    ("google.genai.models", "Models.generate_content"),
    ("litellm", "completion"),
]
OF_THE_METHOD = {"self", "args", "kwargs", "messages", "stream"}

CLIENTS: list[Callable[[], Any]] = [
    lambda: wrap(instructor.from_openai(openai.OpenAI(api_key="k"))),
    lambda: wrap(instructor.from_openai(openai.AsyncOpenAI(api_key="k"))),
]


@pytest.mark.parametrize(("module", "name"), SDKS)
def test_every_argument_of_an_sdk_is_known_to_type_checkers(module: str, name: str) -> None:
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    taken = set(inspect.signature(function).parameters) - OF_THE_METHOD
    assert taken - CallArguments.__annotations__.keys() == set()


def test_every_hook_is_known_to_type_checkers() -> None:
    assert [*HookArguments.__annotations__] == [f"on_{name}" for name in HOOK_NAMES]


def test_wraps_own_arguments_are_the_ones_type_checkers_know() -> None:
    known = WrapArguments.__annotations__.keys() - HookArguments.__annotations__.keys()
    own = inspect.signature(wrap).parameters.values()
    assert known == {one.name for one in own if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert known - {"hooks"} == {*Settings.__slots__}


@pytest.mark.parametrize("make", CLIENTS)
def test_a_client_shows_a_users_methods_only(make: Callable[[], Any]) -> None:
    client = make()
    seen = {name for name in dir(client) if not name.startswith("_")}
    assert seen == {
        "chat",
        "clear",
        "completions",
        "create",
        "create_iterable",
        "create_partial",
        "create_with_completion",
        "messages",
        "off",
        "on",
        "responses",
        "stream",
        "stream_text",
        "wrapped",
    }
    assert client.mode is client.wrapped.mode, "all else is the instructor client's"


@pytest.mark.parametrize("kind", [StreamClient, AsyncStreamClient])
def test_both_clients_take_the_same(kind: type[Any]) -> None:
    for name in ("create_partial", "create_iterable", "stream_text", "create", "create_with_completion"):
        one, other = (inspect.signature(getattr(each, name)) for each in (StreamClient, kind))
        assert [*one.parameters] == [*other.parameters]


def test_a_response_model_that_was_forgotten_is_named() -> None:
    client = CLIENTS[0]()
    for ask in (client.responses.create_partial, client.responses.create_iterable):
        with pytest.raises(RuntimeError, match="no response_model"):
            ask("x")
