"""`every` runs each case, and says which one failed."""

from __future__ import annotations

import inspect

import pytest

from tests.every import every


def test_each_case_runs_and_the_rest_stays_for_pytest() -> None:
    seen = []

    @every("one, two", [(1, "a"), (2, "b")])
    @every("size", [0, 7])
    def case(tmp: str, one: int, two: str, size: int) -> None:
        seen.append((tmp, one, two, size))

    assert [*inspect.signature(case).parameters] == ["tmp"]
    case(tmp="t")
    assert seen == [("t", 1, "a", 0), ("t", 1, "a", 7), ("t", 2, "b", 0), ("t", 2, "b", 7)]


def test_a_failure_says_with_which_value() -> None:
    @every("size", [1, 2])
    def case(size: int) -> None:
        assert size < 2

    with pytest.raises(AssertionError) as caught:
        case()
    assert caught.value.__notes__ == ["with {'size': 2}"]


def test_no_case_at_all_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no case of size"):
        every("size", [])
