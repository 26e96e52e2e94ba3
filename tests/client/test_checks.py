"""Arguments of a call, looked over before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from instructor import Partial
from instructor.v2.core.hooks import Hooks as InstructorHooks
from pydantic import BaseModel

from instructor_stream_ext import Hooks, StreamMisuse
from instructor_stream_ext.client.checks import (
    as_messages,
    budget_from,
    check_repair,
    checks_from,
    model_of,
    split_hooks,
    stream_kind,
    without_ours,
)


class City(BaseModel):
    name: str


def test_text_is_one_user_message() -> None:
    assert as_messages("go", {}) == [{"role": "user", "content": "go"}]
    assert as_messages(None, {"input": "go"}) == [{"role": "user", "content": "go"}]
    assert as_messages(None, {"contents": ["go"]}) is None


@pytest.mark.parametrize(("messages", "kwargs"), [("go", {"input": "go"}), (None, {})])
def test_messages_are_given_once(messages: Any, kwargs: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"'messages' (and|or) 'input'"):
        as_messages(messages, kwargs)


def test_hooks_of_ours_and_of_instructors() -> None:
    ours, theirs = split_hooks(Hooks(on_partial=print), {"on_final": print})
    assert "partial" in ours
    assert "final" in ours
    assert not any(theirs._handlers.values())
    given = InstructorHooks()
    given.on("completion:kwargs", print)
    ours, theirs = split_hooks(given, {})
    assert not ours
    with pytest.raises(StreamMisuse, match="not list"):
        split_hooks([], {})


def test_checks_are_callables() -> None:
    assert checks_from(None, is_async=False) == []
    assert checks_from(print, is_async=False) == [print]
    with pytest.raises(StreamMisuse, match="final_checks must be callables, not 'no'"):
        checks_from(["no"], is_async=False)


async def _later(*_: object) -> None:
    """A coroutine function."""


def test_a_sync_client_awaits_nothing() -> None:
    for check in (checks_from, check_repair):
        check(_later, is_async=True)
        with pytest.raises(StreamMisuse, match="cannot await"):
            check(_later, is_async=False)
    with pytest.raises(StreamMisuse, match="repair must be a callable"):
        check_repair("json_repair", is_async=True)


@pytest.mark.parametrize(("budget", "error"), [(True, TypeError), ("1", TypeError), (0, ValueError), (-1, ValueError)])
def test_a_budget_is_a_number_of_tokens(budget: Any, error: type[Exception]) -> None:
    assert budget_from(None) is None
    assert budget_from(10) == 10
    with pytest.raises(error, match="token_budget"):
        budget_from(budget)


def test_what_create_makes_of_a_response_model() -> None:
    kinds = [stream_kind(model) for model in (None, Partial[City], Iterable[City], City)]
    assert kinds == ["sdk", "partial", "items", "final"]


def test_a_model_that_was_left_out() -> None:
    assert model_of(City) is City
    with pytest.raises(StreamMisuse, match="no response_model"):
        model_of(None)


def test_what_is_ours_is_not_sent() -> None:
    given = {"temperature": 0, "on_partial": print, "timeouts": None, "debounce": 0.1}
    assert without_ours(given) == {"temperature": 0}
    with pytest.raises(StreamMisuse, match="unknown hook 'on_partials'"):
        without_ours({"on_partials": print})
