"""The lane of a delta: what the step does alone, what the session has to see, and how reading ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import TypeAdapter

from instructor_stream_ext.client.response_model import item_shape
from instructor_stream_ext.core.errors import (
    InvalidJSON,
    RetriesExhausted,
    StreamInterrupted,
    StreamStopped,
    StreamTimeout,
)
from instructor_stream_ext.core.events import ItemCompleted, PartialEmitted, StreamRestarted
from instructor_stream_ext.core.gate import ItemGate
from instructor_stream_ext.core.options import Timeouts
from instructor_stream_ext.core.policies import EveryN
from instructor_stream_ext.session.effects import LOOK, TICK, Call, Open, Read
from tests.session.fakes import AnotherAnswer, Aside, ErrorInside, FakeConnection, Person, Ran, run, session_of

PIECES = ['{"name": "A', "da", '"', ', "age": 3', "6}"]


def test_nobody_but_the_consumer_of_partials_listens() -> None:
    """The session is resumed for the first chunk and at the end; in between only partials come."""
    session, _ = session_of(FakeConnection(PIECES))
    ran = run(session)
    assert ran.effects.count("Read") == 2
    assert ran.names == ["StreamStarted", "PartialEmitted", *["partial"] * 2, "StreamCompleted", "StreamEnded"]
    assert [one.name for one in ran.seen[1:4] if not isinstance(one, PartialEmitted)] == ["Ada", "Ada"]


@pytest.mark.parametrize("hook", ["on_partial", "on_delta", "on_transition", "on_event"])
def test_a_hook_has_the_session_see_each_chunk(hook: str) -> None:
    told: list[Any] = []
    session, _ = session_of(FakeConnection(PIECES), hooks={hook: told.append})
    ran = run(session)
    assert ran.effects.count("Read") == len(PIECES) + 1
    assert told
    assert "partial" not in ran.names


def test_a_policy_alone_does_not() -> None:
    """The second piece is due; what the fourth brings looks like what is shown."""
    session, _ = session_of(FakeConnection(PIECES), machine={"policy": EveryN(2)})
    ran = run(session)
    assert ran.effects.count("Read") == 2
    assert ran.names == ["StreamStarted", "partial", "StreamCompleted", "StreamEnded"]


def test_an_aside_is_told_where_it_came() -> None:
    session, _ = session_of(FakeConnection([PIECES[0], Aside("Well: "), *PIECES[1:]]))
    run(session)
    assert session.machine.text == '{"name": "AWell: da", "age": 36}'
    assert session.machine.json_text == '{"name": "Ada", "age": 36}'


@pytest.mark.parametrize("quiet", [True, False])
def test_another_answer_inside_the_stream_is_a_restart(quiet: bool) -> None:
    hooks = {} if quiet else {"on_event": lambda _: None}
    begun = ['{"name": "Bob', ' the elder", "a']
    session, _ = session_of(FakeConnection([*begun, AnotherAnswer(PIECES[0]), *PIECES[1:]]), hooks=hooks)
    ran = run(session)
    (restarted,) = [event for event in ran.events if isinstance(event, StreamRestarted)]
    assert (restarted.reason, restarted.from_model, restarted.to_model) == ("fallback", "m", "n")
    assert ran.seen[-2].result == Person(name="Ada", age=36)
    assert session.machine.text == "".join(PIECES)


def test_an_error_inside_a_chunk() -> None:
    session, source = session_of(FakeConnection([PIECES[0], ErrorInside("overloaded")]))
    ran = run(session)
    assert isinstance(ran.error, StreamInterrupted)
    assert str(ran.error) == "overloaded"
    assert source.told[-1] == "errored 1"


@pytest.mark.parametrize("quiet", [True, False])
def test_a_fault_in_the_text_comes_after_what_came_before_it(quiet: bool) -> None:
    hooks = {} if quiet else {"on_event": lambda _: None}
    session, _ = session_of(FakeConnection([PIECES[0], 'da"', "; oh"]), max_retries=0, hooks=hooks)
    ran = run(session)
    assert isinstance(ran.error, InvalidJSON)
    assert ran.error.partial.name == "Ada"


def test_what_the_sdk_kept_to_itself() -> None:
    session, _ = session_of(FakeConnection(PIECES, hidden=OSError("the connection broke")))
    assert isinstance(run(session).error, StreamInterrupted)


def test_an_error_that_says_only_that_the_end_came() -> None:
    session, _ = session_of(FakeConnection([*PIECES, RuntimeError("it just stopped")]))
    assert run(session).names[-2] == "StreamCompleted"


def test_a_bound_that_has_passed() -> None:
    """The fake clock moves by a second with each look."""
    session, _ = session_of(FakeConnection([PIECES[0], *[TICK] * 20]), machine={"timeouts": Timeouts(idle=5)})
    ran = run(session)
    assert isinstance(ran.error, StreamTimeout)
    assert ran.error.kind == "idle"
    assert session.machine.bounds.next()[0] < math.inf


def test_stop_when_ends_the_stream() -> None:
    session, source = session_of(FakeConnection(PIECES), stop_when=lambda partial: partial.name == "Ada")
    ran = run(session)
    assert ran.names[-2:] == ["StreamCancelled", "StreamEnded"]
    assert isinstance(session.error, StreamStopped)
    assert "stop_when" in str(session.error)
    assert source.opened[0].closed == 1


def _items(text: list[str], **given: Any) -> tuple[Ran, ItemGate]:
    gate = ItemGate(TypeAdapter(Person), **given)
    session, _ = session_of(FakeConnection(text), plan=item_shape(Person).plan, items=gate, gate=gate, max_retries=0)
    return run(session), gate


def test_items_are_validated_as_they_are_closed() -> None:
    ran, gate = _items(['{"tasks": [{"name": "Ada", "age": 36}', ', {"name": "Bob", "age": 1}]}'])
    assert [one.path for one in ran.events if isinstance(one, ItemCompleted)] == [(0,), (1,)]
    assert [one.name for one in gate.items] == ["Ada", "Bob"]


def test_a_bad_item_ends_the_attempt_when_all_of_its_delta_is_told() -> None:
    ran, gate = _items(['{"tasks": [{"name": "Ada", "age": "x"}, {"name": "Bob", "age": 1}', "]}"])
    assert isinstance(ran.error, RetriesExhausted)
    assert [one.path for one in ran.events if isinstance(one, ItemCompleted)] == [(0,), (1,)]
    assert gate.items == []


def test_a_step_says_look_while_somebody_wants_the_stream_to_end() -> None:
    session, _ = session_of(FakeConnection(PIECES))
    steps = session.run()

    def go_on(answer: Any = None) -> None:
        """To the next time that chunks are read."""
        effect = steps.send(answer)
        while not isinstance(effect, Read):
            match effect:
                case Open():
                    answer = effect.connect(math.inf)
                case Call():
                    answer = effect.fn(*effect.args)
                case _:
                    answer = None
            effect = steps.send(answer)

    go_on()
    assert session.step(PIECES[0]) is LOOK  # the first one, always
    go_on(LOOK)
    assert session.step(PIECES[1]).name == "Ada"
    session.interrupt()
    assert session.step(PIECES[2]) is LOOK
    steps.close()
