from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from instructor_stream_ext.providers.router import RouterWatch

ONE, OTHER = {"date": "1"}, {"date": "2"}


def _told(*chunks: tuple[Any, Any]) -> list[bool]:
    watch = RouterWatch()
    return [
        watch.begins_another(SimpleNamespace(_hidden_params={"model_id": deployment, "additional_headers": headers}))
        for deployment, headers in chunks
    ]


def test_another_deployment_begins_another_answer() -> None:
    assert _told(("a", ONE), ("a", ONE), ("b", ONE), ("b", ONE), ("a", ONE)) == [False, False, True, False, True]
    assert _told(("a", None), ("a", None), ("b", None)) == [False, False, True]


def test_the_same_deployment_begins_another_answer_with_headers_of_its_own() -> None:
    """litellm 1.83 shares one object among the chunks of an answer; that of the next may be equal."""
    assert _told(("a", ONE), ("a", ONE), ("a", dict(ONE)), ("a", OTHER)) == [False, False, True, True]


def test_equal_headers_of_each_chunk_are_those_of_one_answer() -> None:
    """litellm 1.110 gives each chunk of a fallback headers of its own."""
    chunks = [("a", dict(ONE)) for _ in range(3)]
    assert _told(*chunks, ("a", OTHER), ("a", dict(OTHER))) == [False, False, False, True, False]


def test_without_a_deployment_there_is_no_router() -> None:
    assert _told((None, ONE), (None, OTHER), (None, None)) == [False] * 3
    assert _told(("a", ONE), (None, OTHER), ("a", ONE)) == [False] * 3
    watch = RouterWatch()
    assert not any(watch.begins_another(chunk) for chunk in ({}, object(), SimpleNamespace(_hidden_params=None)))
