"""Telling: the order of callbacks, what a failing one does, and that the end is told to everybody."""

from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.errors import LimitExceeded, StreamMisuse
from instructor_stream_ext.core.events import StreamEnded, StreamEvent
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.spending import Rates
from instructor_stream_ext.core.usage import Cost
from instructor_stream_ext.session.effects import Departed
from tests.session.fakes import FakeConnection, run, session_of

ADA = ['{"name": "Ada"', ', "age": 36}']


def test_the_order_of_callbacks() -> None:
    told: list[str] = []
    names = ("start", "delta", "partial", "final", "end")
    hooks: dict[str, Any] = {f"on_{name}": lambda _, name=name: told.append(name) for name in names}
    hooks["on_event"] = lambda event: told.append(type(event).__name__)
    session, _ = session_of(FakeConnection(ADA), hooks=hooks)
    run(session)
    assert [name for name in told if name != "FieldTransition"] == [
        *("StreamStarted", "start"),
        *("DeltaReceived", "delta", "PartialEmitted", "partial") * 2,
        *("StreamCompleted", "final"),
        *("StreamEnded", "end"),
    ]


def test_all_are_told_though_one_fails_and_the_first_failure_is_raised() -> None:
    told: list[object] = []

    def fails(_: object) -> None:
        raise ValueError("no display")

    session, _ = session_of(FakeConnection(ADA), hooks={"on_partial": [fails, told.append], "on_end": told.append})
    ran = run(session)
    assert isinstance(ran.error, ValueError)
    assert len(told) == 2
    assert isinstance(told[-1], StreamEnded)


def test_a_failure_that_is_only_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: object) -> None:
        raise ValueError("no display")

    session, _ = session_of(FakeConnection(ADA), hooks={"on_partial": fails}, hook_errors="warn")
    with pytest.warns(RuntimeWarning, match="no display"):
        ran = run(session)
    assert ran.names[-2] == "StreamCompleted"
    assert "1 more" in caplog.text or "once more" in caplog.text


def test_a_failure_at_the_end_hides_no_end() -> None:
    told: list[StreamEvent] = []

    def fails(_: object) -> None:
        raise ValueError("no display")

    session, _ = session_of(FakeConnection(ADA), hooks={"on_final": fails, "on_end": told.append})
    ran = run(session)
    assert isinstance(ran.error, ValueError)
    assert len(told) == 1
    assert ran.names[-2:] == ["StreamCompleted", "StreamEnded"]


def test_a_consumer_that_leaves_in_a_last_hook_stops_no_other() -> None:
    told: list[object] = []

    def leaves(_: object) -> None:
        raise Departed

    session, _ = session_of(FakeConnection(ADA), hooks={"on_final": leaves, "on_end": told.append})
    # the fake driver throws only what is an Exception, as the real ones do; here it is the hook that ends everything
    ran = run(session)
    assert isinstance(ran.error, Departed)
    assert told == []


def test_a_connection_whose_closing_fails(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    connection = FakeConnection(ADA)
    connection.close = lambda: 1 / 0  # type: ignore[method-assign, assignment]
    session, _ = session_of(connection)
    assert run(session).names[-2] == "StreamCompleted"
    assert "closing the provider's stream raised" in caplog.text


def test_the_cost_of_attempts_is_summed() -> None:
    bad = FakeConnection(['{"name": "Ada", "age": "many"}'])
    session, _ = session_of(bad, FakeConnection(ADA), meter=lambda _: Cost(0.25))
    assert session.cost is None
    assert run(session).seen[-1].stats.cost == 0.5


def test_nobody_is_asked_again_once_the_money_is_spent() -> None:
    class Meter:
        def __call__(self, _: Any) -> Cost:
            return Cost(0.25)

        def rates(self, _: Any) -> Rates:
            return Rates(asked=1, input=0.0, output=0.0)

    bad = [FakeConnection(['{"name": "Ada", "age": "many"}']) for _ in range(3)]
    session, source = session_of(*bad, meter=Meter(), machine={"limits": Limits(max_cost=0.5)}, max_retries=9)
    ran = run(session)
    assert isinstance(ran.error, LimitExceeded)
    assert ran.error.limit == "max_cost"
    assert len(source.opened) == 2
    assert ran.error.text == '{"name": "Ada", "age": "many"}'
    assert ran.error.partial.name == "Ada"
    assert ran.names.count("StreamRestarted") == 1
    assert session.cost is not None
    assert session.cost.dollars == 0.5


def test_a_model_of_which_nobody_knows_the_price_is_left() -> None:
    class Meter:
        def __call__(self, _: Any) -> Cost:
            return Cost(None)

        def rates(self, _: Any) -> None:
            return None

    connection = FakeConnection(ADA)
    session, _ = session_of(connection, meter=Meter(), machine={"limits": Limits(max_cost=0.5)})
    ran = run(session)
    assert isinstance(ran.error, StreamMisuse)
    assert "the price of 'm' is unknown" in str(ran.error)
    assert connection.closed


def test_a_price_list_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    session, _ = session_of(FakeConnection(ADA), meter=lambda _: 1 / 0)
    ran = run(session)
    assert ran.error is None
    assert ran.seen[-1].stats.cost is None
    assert "the cost of the attempt could not be computed" in caplog.text


def test_a_price_list_that_fails_cannot_hold_a_bound() -> None:
    class Meter:
        def __call__(self, _: Any) -> None:
            return None

        def rates(self, _: Any) -> None:
            raise ValueError("no such list")

    session, _ = session_of(FakeConnection(ADA), meter=Meter(), machine={"limits": Limits(max_cost=0.5)})
    ran = run(session)
    assert isinstance(ran.error, StreamMisuse)
    assert isinstance(ran.error.__cause__, ValueError)


def test_a_sum_with_a_part_that_cannot_be_told_is_unknown() -> None:
    costs = iter([Cost(0.25)])
    bad = FakeConnection(['{"name": "Ada", "age": "many"}'])
    session, _ = session_of(bad, FakeConnection(ADA), meter=lambda _: next(costs))
    assert run(session).seen[-1].stats.cost is None
