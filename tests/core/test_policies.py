"""Policies as numbers: the instant at which what is pending is due."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_stream_ext import (
    Debounce,
    EmissionPolicy,
    EveryDelta,
    EveryN,
    FinalOnly,
    Growth,
    OnItem,
    OnTransition,
    Pending,
    Throttle,
)
from instructor_stream_ext.core.policy_argument import counts_transitions, policy_from

instants = st.floats(0, 1e6)


def _pending(**given: Any) -> Pending:
    return Pending(**{"now": 10.0, "since": 9.0, "last_delta_at": 10.0, "deltas": 1, "chars": 1} | given)


@pytest.mark.parametrize(
    ("policy", "given", "due"),
    [
        (EveryDelta(), {}, 10.0),
        (Throttle(2), {"last_emitted_at": None}, 10.0),
        (Throttle(2), {"last_emitted_at": 9.5}, 11.5),
        (Throttle(2), {"last_emitted_at": 1.0}, 3.0),
        (Throttle(0), {"last_emitted_at": 10.0}, 10.0),
        (Debounce(2), {}, 12.0),
        (Debounce(2), {"last_emitted_at": 1.0, "since": 0.0}, 12.0),
        (Debounce(2, max_wait=2.5), {}, 11.5),
        (Debounce(2, max_wait=60), {}, 12.0),
        (Debounce(2, 0), {}, 9.0),
        (EveryN(1), {"deltas": 1}, 10.0),
        (EveryN(3), {"deltas": 2}, math.inf),
        (EveryN(3), {"deltas": 3}, 10.0),
        (EveryN(3), {"deltas": 4}, 10.0),
        (Growth(1.5), {"total_chars": 5, "chars": 5}, 10.0),
        (Growth(1.5), {"last_emitted_at": 1.0, "total_chars": 14, "chars": 4}, math.inf),
        (Growth(1.5), {"last_emitted_at": 1.0, "total_chars": 15, "chars": 5}, 10.0),
        (OnTransition(), {}, math.inf),
        (OnTransition(), {"items": 1}, math.inf),
        (OnTransition(), {"transitions": 1}, 10.0),
        (OnItem(), {"transitions": 3}, math.inf),
        (OnItem(), {"items": 1}, 10.0),
        (FinalOnly(), {"transitions": 3, "items": 2, "deltas": 99}, math.inf),
    ],
)
def test_when_it_is_due(policy: EmissionPolicy, given: dict[str, Any], due: float) -> None:
    assert policy(_pending(**given)) == due


def _at(instant: float) -> Any:
    return lambda _: instant


@given(instants, instants)
def test_or_is_the_first_and_and_is_the_last(one: float, other: float) -> None:
    """Our policies and plain callables join from either side."""
    pending = _pending(last_emitted_at=0.0)
    ours, theirs = Throttle(one), _at(other)
    assert (ours | theirs)(pending) == (theirs | ours)(pending) == min(one, other)
    assert (ours & theirs)(pending) == (theirs & ours)(pending) == max(one, other)
    assert (ours | Throttle(other))(pending) == min(one, other)


@given(instants, instants, instants)
def test_joined_policies_join_further(one: float, two: float, three: float) -> None:
    pending = _pending(last_emitted_at=0.0)
    assert (Throttle(one) | Throttle(two) | _at(three))(pending) == min(one, two, three)
    assert (_at(three) & (Throttle(one) | Throttle(two)))(pending) == max(three, min(one, two))


def test_the_never_and_the_always() -> None:
    pending = _pending(last_emitted_at=9.0)
    assert (FinalOnly() | Throttle(5))(pending) == 14.0
    assert (FinalOnly() & EveryDelta())(pending) == math.inf
    assert (EveryDelta() & Throttle(5))(pending) == 14.0
    assert (EveryN(5) & Throttle(5))(pending) == math.inf


@pytest.mark.parametrize(
    "make",
    [
        lambda: Throttle(-1),
        lambda: Throttle(math.inf),
        lambda: Throttle(math.nan),
        lambda: Debounce(-0.1),
        lambda: Debounce(math.nan),
        lambda: Debounce(1, max_wait=-1),
        lambda: Debounce(1, max_wait=math.inf),
        lambda: EveryN(0),
        lambda: EveryN(-3),
        lambda: Growth(1),
        lambda: Growth(0.5),
        lambda: Growth(math.nan),
        lambda: policy_from(-1),
        lambda: policy_from(math.nan),
        lambda: policy_from(math.inf),
        lambda: policy_from(timedelta(seconds=-1)),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"Throttle|Debounce|EveryN|Growth"):
        make()


@pytest.mark.parametrize("given", ["0.1", object(), [1], True, b""])
def test_what_is_no_debounce_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="debounce"):
        policy_from(given)


def test_how_a_debounce_is_read() -> None:
    assert policy_from(None) is None
    assert policy_from(EveryDelta()) is None
    assert policy_from(0.25) == Throttle(0.25)
    assert policy_from(2) == Throttle(2)
    assert policy_from(timedelta(milliseconds=250)) == Throttle(0.25)
    policy = Growth(2)
    assert policy_from(policy) is policy
    called: Any = max
    assert policy_from(called) is called


@pytest.mark.parametrize(
    ("policy", "counts"),
    [
        (None, False),
        (Throttle(1), False),
        (Debounce(1) | EveryN(2), False),
        (Growth(2) & FinalOnly(), False),
        (OnItem(), True),
        (OnTransition(), True),
        (Throttle(1) | OnItem(), True),
        ((Throttle(1) | EveryN(3)) & (EveryN(2) | OnTransition()), True),
        (_at(1), True),
        (Throttle(1) | _at(1), True),
    ],
)
def test_which_policies_need_each_delta_scanned(policy: EmissionPolicy | None, counts: bool) -> None:
    assert counts_transitions(policy) is counts


def test_policies_are_values() -> None:
    for policy in (
        Throttle(1),
        Debounce(1, 2),
        EveryN(2),
        Growth(2),
        OnItem(),
        OnTransition(),
        FinalOnly(),
        EveryDelta(),
    ):
        assert policy == dataclasses.replace(policy)
        assert hash(policy) == hash(dataclasses.replace(policy))
        assert not hasattr(policy, "__dict__")
    assert Throttle(1) != Throttle(2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Throttle(1).interval = 3  # type: ignore[misc]


def test_pending_holds_what_the_contract_of_a_callable_needs() -> None:
    names = [field.name for field in dataclasses.fields(Pending)]
    assert names == [
        "now",
        "since",
        "last_delta_at",
        "last_emitted_at",
        "deltas",
        "chars",
        "total_chars",
        "transitions",
        "items",
    ]
    assert list(inspect.signature(EmissionPolicy.__call__).parameters) == ["self", "pending"]
