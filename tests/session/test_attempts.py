"""A session alone: which attempts are made, what is told in which order, and what is left at the end."""

from __future__ import annotations

from typing import Any

import pytest

from instructor_stream_ext.core.errors import (
    LimitExceeded,
    OutputTruncated,
    RetriesExhausted,
    StreamInterrupted,
    StreamStopped,
    StreamTimeout,
)
from instructor_stream_ext.core.events import EndKind, EndSignal, RestartReason, StreamRestarted
from instructor_stream_ext.core.machine import State
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.session.protocols import Recovery
from tests.session.fakes import STOP, FakeConnection, FakeSource, Person, run, session_of, usage_of

ADA = ['{"name": "Ada"', ', "age": 36}']
BAD = ['{"name": "Ada", "age": "many"}']


def test_an_answer_that_passes_the_gate() -> None:
    session, source = session_of(FakeConnection(ADA))
    ran = run(session)
    assert ran.names == ["StreamStarted", "PartialEmitted", "partial", "StreamCompleted", "StreamEnded"]
    assert ran.events[2].result == Person(name="Ada", age=36)  # type: ignore[attr-defined]
    assert ran.effects == ["Call", "Call", "Open", "Read", "Read", "Close", "Call", "Call"]
    assert source.told == ["connect", "answered"]
    assert source.kept == [Person(name="Ada", age=36)]
    assert source.opened[0].closed == 1
    assert usage_of(ran) == Usage(2, 3, 5)
    assert session.machine.state is State.ENDED


def test_a_re_ask_resets_what_was_shown() -> None:
    session, source = session_of(FakeConnection(BAD), FakeConnection(ADA))
    ran = run(session)
    assert ran.names == [
        "StreamStarted",
        "PartialEmitted",
        "StreamRestarted",
        "StreamStarted",
        "PartialEmitted",
        "partial",
        "StreamCompleted",
        "StreamEnded",
    ]
    restarted = ran.seen[2]
    assert isinstance(restarted, StreamRestarted)
    assert (restarted.reason, restarted.attempt) == (RestartReason.REASK, 2)
    assert source.told == [
        "connect",
        "answered",
        "rejected 1",
        'reask {"name": "Ada", "age": "many"}',
        "connect",
        "answered",
    ]
    assert [connection.closed for connection in source.opened] == [1, 1]
    assert usage_of(ran) == Usage(4, 6, 10)


def test_no_attempt_is_left() -> None:
    session, source = session_of(FakeConnection(BAD), FakeConnection(BAD), max_retries=1)
    ran = run(session)
    assert isinstance(ran.error, RetriesExhausted)
    assert ran.error is session.error
    assert ran.error.n_attempts == 2
    assert [one.completion for one in ran.error.failed_attempts or ()] == ["the completion"] * 2
    assert ran.names[-2:] == ["StreamFailed", "StreamEnded"]
    assert source.told[-1] == "given up 2"
    assert source.kept == []
    chained: BaseException | None = ran.error
    while chained is not None:  # our own wrappers are no part of what the caller sees
        assert type(chained).__module__ != "instructor_stream_ext.session.reading"
        chained = chained.__context__


def test_the_api_raises_before_the_first_byte() -> None:
    refused = ConnectionError("refused")
    session, source = session_of(refused)
    ran = run(session)
    assert ran.error is refused
    assert ran.names == ["StreamFailed", "StreamEnded"]
    assert source.told == ["connect", "errored 1", "given up 1"]


def test_a_mistake_in_the_call_is_no_matter_for_retry_rules() -> None:
    session, source = session_of(TypeError("no such argument"))
    ran = run(session)
    assert isinstance(ran.error, TypeError)
    assert "given up 1" not in source.told


@pytest.mark.parametrize(
    ("first", "error"),
    [
        (ConnectionError("refused"), "ConnectionError"),
        (FakeConnection([ADA[0], OSError("reset")]), "StreamInterrupted"),
        (FakeConnection(ADA[:1], end=EndSignal(EndKind.TRUNCATED, "length")), "OutputTruncated"),
    ],
)
def test_another_model_takes_over(first: Any, error: str) -> None:
    source = FakeSource([first, FakeConnection(ADA)], others=[Recovery("m", "other")])
    session, _ = session_of(source=source)
    ran = run(session)
    restarted = next(one for one in ran.seen if isinstance(one, StreamRestarted))
    assert (restarted.reason, restarted.from_model, restarted.to_model) == (RestartReason.FALLBACK, "m", "other")
    assert type(restarted.error).__name__ == error
    assert ran.names[-2:] == ["StreamCompleted", "StreamEnded"]


def test_nobody_takes_over() -> None:
    session, source = session_of(FakeConnection([ADA[0], OSError("reset")]))
    ran = run(session)
    assert isinstance(ran.error, StreamInterrupted)
    assert "reset" in str(ran.error)
    assert ran.error.text == ADA[0]
    assert source.opened[0].closed == 1


def test_an_answer_that_just_stopped_is_cut_off() -> None:
    session, _ = session_of(FakeConnection(ADA[:1], end=None))
    error = run(session).error
    assert isinstance(error, OutputTruncated)
    assert error.last_completion == "the completion"
    assert error.partial.name == "Ada"


def test_the_consumer_leaves() -> None:
    session, source = session_of(FakeConnection(ADA))
    ran = run(session, leave_after=2)
    assert ran.names == ["StreamStarted", "PartialEmitted", "StreamCancelled", "StreamEnded"]
    assert ran.error is None
    assert isinstance(session.error, StreamStopped)
    assert source.opened[0].closed == 1


def test_leaving_twice_tells_the_end_once() -> None:
    session, _ = session_of(FakeConnection(ADA))
    run(session, leave_after=2)
    assert list(session.depart()) == []


def test_an_answer_from_the_cache_asks_nobody() -> None:
    source = FakeSource([], recalled='{"name": "Ada", "age": 36}')
    session, _ = session_of(source=source)
    ran = run(session)
    assert ran.names == ["StreamCompleted", "StreamEnded"]
    assert source.told == []
    assert ran.seen[-1].stats.from_cache
    assert ran.seen[-1].stats.attempts == 0


def test_a_cached_answer_that_does_not_pass_asks_the_model() -> None:
    source = FakeSource([FakeConnection(ADA)], recalled='{"name": "Ada"}')
    session, _ = session_of(source=source)
    assert run(session).names[-2:] == ["StreamCompleted", "StreamEnded"]
    assert source.told == ["connect", "answered"]


def test_a_cache_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    session, source = session_of(FakeConnection(ADA))
    source.keep = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    assert run(session).names[-1] == "StreamEnded"
    assert "the cache could not be filled" in caplog.text


CUT = EndSignal(EndKind.TRUNCATED, "length")


def test_the_rest_of_an_answer_is_the_same_attempt() -> None:
    session, source = session_of(FakeConnection(ADA[:1], end=CUT), FakeConnection(ADA[1:]), max_continuations=1)
    ran = run(session)
    assert ran.names == ["StreamStarted", "PartialEmitted", "PartialEmitted", "StreamCompleted", "StreamEnded"]
    assert source.told == ["connect", "answered", f"go on {ADA[0]}", "connect", "answered"]
    assert [connection.closed for connection in source.opened] == [1, 1]
    assert usage_of(ran) == Usage(4, 6, 10)
    assert ran.seen[-1].stats.continuations == ran.seen[-1].attempt == 1


def test_each_attempt_may_go_on() -> None:
    answers = ((ADA[:1], CUT), ([', "age": "many"}'], STOP), (ADA[:1], CUT), (ADA[1:], STOP))
    session, source = session_of(*[FakeConnection(pieces, end=end) for pieces, end in answers], max_continuations=1)
    ran = run(session)
    assert ran.error is None
    assert source.told.count(f"go on {ADA[0]}") == 2
    assert ran.seen[-1].stats.continuations == 2


def test_the_tokens_of_a_rest_count_with_those_before_it() -> None:
    """The fake reader's answers are three tokens each."""
    for most, error in ((5, LimitExceeded), (6, type(None))):
        session, _ = session_of(
            FakeConnection(ADA[:1], end=CUT),
            FakeConnection([", ", '"age": 36}']),
            max_continuations=1,
            machine={"limits": Limits(max_output_tokens=most)},
        )
        assert type(run(session).error) is error


@pytest.mark.parametrize("before", [0, 1])
def test_a_rest_that_nobody_will_write(before: int) -> None:
    refused = ConnectionError("no more")
    broken = FakeConnection([refused], end=None)
    session, _ = session_of(FakeConnection(ADA[:1], end=CUT), refused if before else broken, max_continuations=1)
    error = run(session).error
    assert isinstance(error, OutputTruncated if before else StreamInterrupted)
    assert error.text == ADA[0]


def test_a_connection_that_comes_when_its_time_is_over_is_closed() -> None:
    connection = FakeConnection(ADA)
    session, source = session_of(connection, machine={"timeouts": Timeouts(first_delta=0.5)})
    ran = run(session)  # the clock of these tests goes on by a second each time that it is looked at
    assert isinstance(ran.error, StreamTimeout)
    assert source.opened == [connection]
    assert connection.closed == 1
