"""The end of an attempt: the gate, the caller's own checks, and answers that are repaired."""

from __future__ import annotations

import pytest

from instructor_stream_ext.core.errors import InvalidJSON, NoOutput, RetriesExhausted, StreamInterrupted, StreamMisuse
from instructor_stream_ext.core.events import EndKind, EndSignal
from tests.session.fakes import FakeConnection, Person, run, session_of

ADA = '{"name": "Ada", "age": 36}'
BROKEN = "{'name': 'Ada', 'age': 36}"


def test_a_check_of_the_callers_has_the_model_asked_again() -> None:
    def grown_up(person: Person) -> None:
        if person.age < 18:
            raise ValueError("too young")

    young = FakeConnection(['{"name": "Ada", "age": 3}'])
    session, source = session_of(young, FakeConnection([ADA]), final_checks=[grown_up])
    assert run(session).names[-2] == "StreamCompleted"
    assert "rejected 1" in source.told


def test_a_check_that_fails_otherwise_ends_the_stream() -> None:
    session, source = session_of(FakeConnection([ADA]), final_checks=[lambda _: 1 / 0])
    assert isinstance(run(session).error, ZeroDivisionError)
    assert "rejected 1" not in source.told


def test_a_provider_that_failed() -> None:
    failed = EndSignal(EndKind.FAILED, "error", "out of memory")
    session, source = session_of(FakeConnection([ADA], end=failed))
    error = run(session).error
    assert isinstance(error, StreamInterrupted)
    assert "out of memory" in str(error)
    assert source.told[-1] == "errored 1"


def test_prose_without_a_document() -> None:
    session, _ = session_of(FakeConnection([]), max_retries=0)
    assert isinstance(run(session).error, NoOutput)


def test_a_repaired_answer() -> None:
    asked: list[tuple[str, Exception]] = []

    def repair(text: str, error: Exception) -> str:
        asked.append((text, error))
        return text.replace("'", '"')

    session, _ = session_of(FakeConnection([BROKEN[:9], BROKEN[9:]]), repair=repair)
    ran = run(session)
    assert ran.names[-2:] == ["StreamCompleted", "StreamEnded"]
    assert ran.seen[-1].stats.repaired
    ((text, error),) = asked
    assert text == BROKEN
    assert isinstance(error, InvalidJSON)


@pytest.mark.parametrize("repaired", [None, "", "still {no JSON", '{"age": 36'])
def test_an_answer_that_cannot_be_repaired(repaired: str | None) -> None:
    session, _ = session_of(FakeConnection([BROKEN]), repair=lambda *_: repaired, max_retries=0)
    assert isinstance(run(session).error, InvalidJSON)


def test_a_repair_that_gives_the_objects() -> None:
    session, _ = session_of(FakeConnection([BROKEN]), repair=lambda *_: {"name": "Ada", "age": 36})
    assert run(session).names[-2] == "StreamCompleted"


def test_a_repair_that_gives_something_else() -> None:
    session, _ = session_of(FakeConnection([BROKEN]), repair=lambda *_: 7)
    error = run(session).error
    assert isinstance(error, StreamMisuse)
    assert "must give a text or None, not int" in str(error)


def test_a_repaired_answer_has_to_pass_the_gate() -> None:
    session, _ = session_of(FakeConnection([BROKEN]), repair=lambda *_: '{"name": "Ada"}', max_retries=0)
    error = run(session).error
    assert isinstance(error, RetriesExhausted)
    assert "age" in str(error)


def test_an_answer_that_was_cut_off_is_not_repaired() -> None:
    cut = FakeConnection([BROKEN], end=EndSignal(EndKind.TRUNCATED, "length"))
    session, _ = session_of(cut, repair=lambda *_: ADA, max_retries=0)
    assert run(session).names[-2] == "StreamFailed"
