"""From a `debounce=` argument to a policy."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TypeAlias

from instructor_stream_ext.core.policies import (
    Debounce,
    EmissionPolicy,
    EveryDelta,
    EveryN,
    FinalOnly,
    Growth,
    Joined,
    OnItem,
    OnTransition,
    Pending,
    Throttle,
)

__all__ = ["DebounceArgument", "check_policy", "counts_transitions", "policy_from"]


DebounceArgument: TypeAlias = float | timedelta | EmissionPolicy | None


_COUNTLESS = (EveryDelta, Throttle, Debounce, EveryN, Growth, FinalOnly)


def policy_from(debounce: DebounceArgument) -> EmissionPolicy | None:
    """Convert a `debounce=` argument to a policy.

    Args:
        debounce: Seconds or a timedelta (a `Throttle`), a policy, or None.

    Returns:
        The policy; None for a partial at each change, which needs no asking.

    Raises:
        TypeError: It is neither a number, a timedelta nor callable.
        ValueError: It is negative or not a number.
    """
    if debounce is None or isinstance(debounce, EveryDelta):
        return None
    if isinstance(debounce, timedelta):
        return Throttle(debounce.total_seconds())
    if isinstance(debounce, (int, float)) and not isinstance(debounce, bool):
        return Throttle(debounce)
    if isinstance(debounce, type):
        raise TypeError(f"debounce={debounce.__name__} is a class: give an instance, as in {debounce.__name__}()")
    if callable(debounce):
        return debounce
    raise TypeError(f"debounce must be seconds, a timedelta or an emission policy, not {debounce!r}")


def check_policy(policy: EmissionPolicy | None) -> None:
    """Ask a user's policy about one delta, so that an invalid one is refused before a request is sent.

    One that raises is let pass: it may do so for this delta only, and the stream will tell.

    Raises:
        TypeError: It gives no number.
        ValueError: It gives NaN, with which no instant can be compared.
    """
    if policy is None or isinstance(policy, (*_COUNTLESS, OnTransition, OnItem)):
        return
    try:
        due: object = policy(Pending(deltas=1, chars=1, total_chars=1))
    except Exception:  # noqa: BLE001  a user's function may raise anything
        return
    if isinstance(due, bool) or not isinstance(due, (int, float)):
        raise TypeError(f"the emission policy {policy!r} gave {due!r}, not an instant in seconds (math.inf to wait)")
    if math.isnan(due):
        raise ValueError(f"the emission policy {policy!r} gave NaN, not an instant in seconds (math.inf to wait)")


def counts_transitions(policy: EmissionPolicy | None) -> bool:
    """Return whether a policy may look at `transitions` or `items`, which requires scanning each delta on arrival."""
    if policy is None or isinstance(policy, _COUNTLESS):
        return False
    if isinstance(policy, Joined):
        return any(counts_transitions(side) for side in policy.sides)
    return True
