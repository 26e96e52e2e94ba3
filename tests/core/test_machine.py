"""The machine alone: text and instants go in, events come out; no clock, no I/O."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import (
    InvalidJSON,
    LimitExceeded,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    StreamMisuse,
    StreamTimeout,
)
from instructor_stream_ext.core.events import (
    DeltaReceived,
    EndKind,
    EndSignal,
    FieldState,
    FieldTransition,
    ItemCompleted,
    Outcome,
    PartialEmitted,
    RestartReason,
    StreamEnded,
    StreamRestarted,
)
from instructor_stream_ext.core.intake import SCAN_AT_LEAST_EVERY
from instructor_stream_ext.core.machine import State, StreamMachine
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.policies import (
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
from instructor_stream_ext.core.text_buffer import TextBuffer
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.usage import Usage

STOP = EndSignal(EndKind.COMPLETE, "stop")


class Note(BaseModel):
    title: str
    tags: list[str] = []


def _parser(search: bool = False) -> Callable[[], PartialParser]:
    return lambda: PartialParser(compile_plan(Note), search=search)


def _machine(*, text: bool = False, search: bool = False, began: float = 100.0, **given: Any) -> StreamMachine:
    """A machine whose first attempt is open."""
    machine = StreamMachine(parser=None if text else _parser(search), **given)
    machine.begin(began)
    machine.start(began, "m", "p")
    return machine


# ---------------------------------------------------------------------- states


def _in(state: State) -> StreamMachine:
    machine = StreamMachine(parser=_parser())
    if state is State.NEW:
        return machine
    machine.begin(0)
    if state is State.OPENING:
        return machine
    machine.start(0, None, None)
    if state is State.STREAMING:
        return machine
    machine.feed('{"title": "a"}', 0)
    machine.finish(STOP)
    if state is State.ENDED:
        machine.complete(0, Note(title="a"))
    return machine


STEPS: dict[str, Callable[[StreamMachine], Any]] = {
    "begin": lambda machine: machine.begin(0),
    "start": lambda machine: machine.start(0, None, None),
    "finish": lambda machine: machine.finish(STOP),
    "restart": lambda machine: machine.restart(0, RestartReason.REASK, None),
    "fail": lambda machine: machine.fail(0, ValueError()),
    "cancel": lambda machine: machine.cancel(0),
}
ALLOWED = {
    State.NEW: {"begin": State.OPENING, "restart": State.OPENING, "fail": State.ENDED, "cancel": State.ENDED},
    State.OPENING: {
        "begin": State.OPENING,
        "start": State.STREAMING,
        "restart": State.OPENING,
        "fail": State.ENDED,
        "cancel": State.ENDED,
    },
    State.STREAMING: {
        "begin": State.OPENING,
        "finish": State.SETTLING,
        "restart": State.OPENING,
        "fail": State.ENDED,
        "cancel": State.ENDED,
    },
    State.SETTLING: {"begin": State.OPENING, "restart": State.OPENING, "fail": State.ENDED, "cancel": State.ENDED},
    State.ENDED: {},
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("state", State)
def test_what_may_follow_what(state: State, step: str) -> None:
    machine = _in(state)
    assert machine.state is state
    to = ALLOWED[state].get(step)
    if to is None:
        with pytest.raises(StreamMisuse, match=state.value):
            STEPS[step](machine)
        assert machine.state is state
        return
    try:
        STEPS[step](machine)
    except NoOutput:  # of finish, without a document
        assert step == "finish"
    assert machine.state is to


def test_the_end_comes_once() -> None:
    for ended in (_machine().complete, _machine().fail, lambda now, _: _machine().cancel(now)):
        events = ended(101.0, ValueError("x"))
        assert len(events) == 2
        assert type(events[-1]) is StreamEnded
        assert {event.at for event in events} == {1.0}
    machine = _machine()
    machine.cancel(100)
    for again in (machine.cancel, lambda now: machine.fail(now, ValueError()), lambda now: machine.complete(now, 1)):
        with pytest.raises(StreamMisuse):
            again(101)


# ---------------------------------------------------------------------- feeding


def test_a_delta_a_partial() -> None:
    machine = _machine()
    (first,) = machine.feed('{"title": "a', 101.0)
    assert isinstance(first, PartialEmitted)
    assert (first.at, first.attempt, first.sequence) == (1.0, 1, 1)
    assert first.partial.title == "a"
    assert machine.partial is first.partial
    (second,) = machine.feed("b", 102.5)
    assert isinstance(second, PartialEmitted)
    assert (second.at, second.sequence, second.partial.title) == (2.5, 2, "ab")
    assert list(machine.feed('"', 103.0)) == []


def test_the_order_within_a_delta() -> None:
    machine = _machine(deltas=True, transitions=True)
    kinds = [type(event) for event in machine.feed('{"title": "a", "tags": ["x"]}', 100)]
    assert kinds[0] is DeltaReceived
    assert kinds[-1] is PartialEmitted
    assert {*kinds[1:-1]} == {FieldTransition, ItemCompleted}
    assert kinds.count(ItemCompleted) == 1


def test_nobody_listens_nothing_is_made() -> None:
    machine = _machine(policy=FinalOnly())
    assert machine.is_quiet
    assert [list(machine.feed(char, 100)) for char in '{"title": "abc"}'] == [[]] * 16
    assert machine.stats.partials_built == 0
    assert machine.stats.deltas == 16
    assert not _machine(deltas=True).is_quiet
    assert not _machine(transitions=True).is_quiet
    assert _machine(timeouts=Timeouts(idle=1)).is_quiet


def test_take_is_feed_without_events() -> None:
    fed, took = _machine(), _machine()
    for number, char in enumerate('{"title": "abc", "tags": ["x", "y"]}'):
        events = fed.feed(char, 100.0 + number)
        partial = took.take(char, 100.0 + number)
        shown = [event.partial for event in events if isinstance(event, PartialEmitted)]
        assert [repr(one) for one in shown] == ([] if partial is None else [repr(partial)])
    assert fed.stats == took.stats
    assert fed.stats.partials_yielded > 5


def test_a_fault_is_left_and_what_came_before_it_is_told() -> None:
    machine = _machine(deltas=True, transitions=True)
    events = machine.feed('{"title": "a", nope', 100)
    assert type(events[0]) is DeltaReceived
    done = [event for event in events if isinstance(event, FieldTransition) and event.after is FieldState.COMPLETE]
    assert [event.path for event in done] == [("title",)]
    assert isinstance(machine.fault, InvalidJSON)
    assert machine.fault.offset == 15
    assert machine.newest_partial().title == "a"


def _fault(machine: StreamMachine) -> Exception | None:
    """Read anew: a type checker takes what was None a line above to be None still."""
    return machine.fault


@pytest.mark.parametrize("transitions", [False, True])
def test_the_limit_of_characters(transitions: bool) -> None:
    machine = _machine(limits=Limits(max_chars=10), transitions=transitions)
    machine.feed('{"title": ', 100)
    assert _fault(machine) is None
    assert list(machine.feed('"', 100)) == []
    fault = _fault(machine)
    assert isinstance(fault, LimitExceeded)
    assert fault.limit == "max_chars"


def test_text_beside_the_document() -> None:
    machine = _machine(deltas=True, limits=Limits(max_chars=40))
    machine.feed('{"title"', 100)
    (told,) = machine.feed_aside("Well, ", 101)
    assert isinstance(told, DeltaReceived)
    machine.feed(': "a"}', 102)
    assert machine.text == '{"title"Well, : "a"}'
    assert machine.json_text == '{"title": "a"}'
    assert machine.stats.deltas == 3
    assert machine.stats.chars == len(machine.text)
    assert machine.finish(STOP) == '{"title": "a"}'
    other = _machine(limits=Limits(max_chars=3))
    other.feed_aside("four", 100)
    assert isinstance(other.fault, LimitExceeded)


def test_plain_text() -> None:
    machine = _machine(text=True)
    seen = [event.partial for piece in ("The ", "sea") for event in machine.feed(piece, 100)]  # type: ignore[union-attr]
    assert seen == ["The ", "The sea"]
    assert machine.json_text == machine.text == "The sea"
    with pytest.raises(StreamMisuse, match="plain text"):
        machine.state_of(("title",))
    assert machine.finish(STOP) == "The sea"


# ---------------------------------------------------------------------- policies in the machine


def _shown(policy: EmissionPolicy, *, every: float = 1.0, text: str = "", transitions: bool = False) -> list[int]:
    """At which of the letters a partial came, one letter each `every` seconds."""
    machine = _machine(policy=policy, transitions=transitions, began=0)
    text = text or '{"title": "abcdefghij'
    return [
        number
        for number, char in enumerate(text)
        if any(isinstance(event, PartialEmitted) for event in machine.feed(char, number * every))
    ]


def test_each_policy_on_a_stream_of_letters() -> None:
    assert _shown(EveryDelta()) == [0, *range(10, 21)]
    assert _shown(Throttle(4)) == [0, 10, 14, 18]
    assert _shown(Throttle(4), every=4) == [0, *range(10, 21)]
    assert _shown(FinalOnly()) == []
    # each letter ends a pause of a second, and brings out what was due in it; the one after begins to wait again
    assert _shown(Debounce(0.5)) == [1, 11, 13, 15, 17, 19]
    assert _shown(Debounce(1.5)) == []
    assert _shown(Debounce(5, max_wait=6)) == [6, 13, 20]
    tagged = '{"tags": ["ab", "cd"], "title": "e"}'
    assert [tagged[n] for n in _shown(OnItem(), text=tagged, transitions=True)] == ['"', '"']
    assert len(_shown(OnTransition(), text=tagged, transitions=True)) > 4


def test_the_newest_wins() -> None:
    machine = _machine(policy=Throttle(5), began=0)
    machine.feed('{"title": "a', 0)
    for second, letter in enumerate("bcd", 1):
        assert list(machine.feed(letter, second)) == []
    (emitted,) = machine.poll(5)
    assert isinstance(emitted, PartialEmitted)
    assert emitted.partial.title == "abcd"
    assert emitted.at == 5


def test_a_policy_sees_what_is_pending() -> None:
    seen: list[dict[str, Any]] = []

    def policy(pending: Pending) -> float:
        seen.append({name: getattr(pending, name) for name in Pending.__slots__})
        return pending.now if pending.deltas == 3 else math.inf

    machine = _machine(policy=policy, transitions=True, began=0)
    for second, piece in enumerate(['{"ti', 'tle"', ': "a', '", "tags": ["x",', '"y'], 1):
        machine.feed(piece, second)
    assert [(one["deltas"], one["chars"], one["total_chars"]) for one in seen] == [
        (1, 4, 4),
        (2, 8, 8),
        (3, 12, 12),
        (1, 16, 28),
        (2, 18, 30),
    ]
    assert [(one["now"], one["since"], one["last_delta_at"]) for one in seen] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 1, 3),
        (4, 4, 4),
        (5, 4, 5),
    ]
    assert [one["last_emitted_at"] for one in seen] == [None, None, None, 3, 3]
    assert [one["items"] for one in seen] == [0, 0, 0, 1, 1]
    assert [one["transitions"] for one in seen][:3] == [1, 1, 2]


def test_an_interval_counts_from_when_the_listeners_are_through() -> None:
    machine = _machine(policy=Throttle(5), began=0)
    machine.feed('{"title": "a', 0)
    machine.shown(7)
    assert list(machine.feed("b", 7)) == []
    assert machine.deadline() == 12


def test_growth_asks_for_a_tenth_more() -> None:
    text = json.dumps({"title": "x" * 2000})
    assert 30 < len(_shown(Growth(1.1), text=text)) < 80


def test_a_restart_begins_the_policy_anew() -> None:
    machine = _machine(policy=Throttle(100), began=0)
    assert len(machine.feed('{"title": "a', 0)) == 1
    assert len(machine.feed("b", 1)) == 0
    machine.restart(2, RestartReason.REASK, None)
    assert machine.deadline() == math.inf
    machine.start(2, None, None)
    (first,) = machine.feed('{"title": "c', 3)
    assert isinstance(first, PartialEmitted)
    assert (first.attempt, first.sequence, first.partial.title) == (2, 2, "c")


def test_pending_text_is_scanned_now_and_then() -> None:
    machine = _machine(policy=FinalOnly())
    machine.feed('{"title": "a", nope', 100)
    assert machine.fault is None
    machine.feed(" " * (SCAN_AT_LEAST_EVERY - 20), 100)
    assert machine.fault is None
    machine.feed(" " * 20, 100)
    assert isinstance(machine.fault, InvalidJSON)


@given(st.text('ab\\"{}[]:,123 é\n', max_size=40), st.integers(1, 5))
def test_policies_never_change_what_the_text_is(inside: str, size: int) -> None:
    text = json.dumps({"title": inside, "tags": [inside]})
    documents = []
    for policy in (None, FinalOnly(), EveryN(3), Throttle(2), OnItem(), Growth(1.5) | Debounce(1)):
        machine = _machine(policy=policy, transitions=isinstance(policy, OnItem), began=0)
        for start in range(0, len(text), size):
            machine.feed(text[start : start + size], start)
        documents.append((machine.finish(STOP), repr(machine.newest_partial()), machine.stats.deltas))
    assert len({*documents}) == 1
    assert documents[0][0] == text


# ---------------------------------------------------------------------- time


def test_deadline_and_poll() -> None:
    machine = _machine(policy=Throttle(5), began=0)
    assert machine.deadline() == math.inf
    machine.feed('{"title": "a', 0)
    assert machine.deadline() == math.inf
    machine.feed("b", 1)
    assert machine.deadline() == 5
    assert list(machine.poll(4.999)) == []
    assert machine.deadline() == 5
    (emitted,) = machine.poll(5.25)
    assert emitted.at == 5.25
    assert machine.deadline() == math.inf
    assert list(machine.poll(100)) == []
    machine.feed('"', 6)
    assert machine.deadline() == 10.25


def test_a_poll_that_changes_nothing_shows_nothing() -> None:
    machine = _machine(policy=Throttle(5), began=0)
    machine.feed('{"title": "a"', 0)
    machine.feed(" ", 1)
    assert list(machine.poll(5)) == []
    assert machine.sequence == 1


def test_a_poll_finds_faults() -> None:
    machine = _machine(policy=Throttle(5), began=0)
    machine.feed('{"title": "a"', 0)
    machine.feed(" nope", 1)
    assert machine.fault is None
    assert list(machine.poll(5)) == []
    assert isinstance(machine.fault, InvalidJSON)


def test_only_waiting_counts() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(first_delta=10, idle=4))
    machine.begin(0)
    assert machine.deadline() == math.inf
    machine.bounds.waits(50)
    machine.bounds.waits(53)
    assert machine.deadline() == 60
    machine.bounds.arrived(56, alive=False)
    assert machine.deadline() == math.inf
    machine.poll(1000)
    machine.start(100, None, None)
    machine.bounds.waits(100)
    assert machine.deadline() == 104
    machine.bounds.arrived(103, alive=True)
    machine.bounds.waits(200)
    assert machine.deadline() == 204
    machine.bounds.arrived(202, alive=False)
    machine.bounds.waits(300)
    assert machine.deadline() == 302
    with pytest.raises(StreamTimeout) as caught:
        machine.bounds.arrived(302, alive=False)
    assert (caught.value.kind, caught.value.seconds) == ("idle", 4)


def test_a_late_but_living_chunk_is_welcome() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(idle=4))
    machine.begin(0)
    machine.start(0, None, None)
    machine.bounds.waits(0)
    machine.bounds.arrived(9, alive=True)
    machine.bounds.waits(10)
    with pytest.raises(StreamTimeout):
        machine.poll(14)


def test_idle_stands_in_for_first_delta() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(idle=4))
    machine.begin(0)
    machine.bounds.waits(0)
    assert machine.deadline() == 4
    with pytest.raises(StreamTimeout, match="idle"):
        machine.poll(4)


def test_first_delta_gives_way_to_idle() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(first_delta=2))
    machine.begin(0)
    machine.bounds.waits(0)
    assert machine.deadline() == 2
    machine.bounds.arrived(1, alive=True)
    machine.bounds.waits(1)
    assert machine.deadline() == math.inf


def test_total_counts_all_the_time_and_all_attempts() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(total=10, idle=9))
    machine.begin(5)
    assert machine.deadline() == 15
    machine.start(6, None, None)
    machine.restart(8, RestartReason.REASK, None)
    assert machine.deadline() == 15
    machine.bounds.waits(7)
    assert machine.deadline() == 15
    machine.poll(14.9)
    with pytest.raises(StreamTimeout) as caught:
        machine.poll(15)
    assert caught.value.kind == "total"


def test_a_restart_gives_the_first_delta_its_time_again() -> None:
    machine = StreamMachine(parser=_parser(), timeouts=Timeouts(first_delta=10, idle=1))
    machine.begin(0)
    machine.start(0, None, None)
    machine.bounds.waits(0)
    machine.bounds.arrived(1, alive=True)
    machine.restart(2, RestartReason.FALLBACK, None)
    machine.bounds.waits(3)
    assert machine.deadline() == 13


def test_a_due_partial_and_a_bound_share_the_deadline() -> None:
    machine = StreamMachine(parser=_parser(), policy=Throttle(3), timeouts=Timeouts(idle=10))
    machine.begin(0)
    machine.start(0, None, None)
    machine.feed('{"title": "a', 0)
    machine.feed("b", 1)
    machine.bounds.waits(1)
    assert machine.deadline() == 3
    machine.poll(3)
    assert machine.deadline() == 11


@pytest.mark.parametrize("name", ["first_delta", "idle", "total"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_bounds_in_time_are_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", ["max_chars", "max_depth", "max_items"])
def test_bounds_in_size_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Limits(**{name: 0})


# ---------------------------------------------------------------------- figures


def test_the_figures() -> None:
    machine = StreamMachine(parser=_parser(), policy=Throttle(2))
    assert machine.stats.attempts == 0
    machine.begin(10)
    assert machine.stats.attempts == 1
    assert machine.stats.first_delta_at is None
    machine.start(11, None, None)
    machine.feed("  ", 12)
    machine.feed('{"title": "a', 12.5)
    machine.feed("bc", 16)
    machine.feed('"', 16.5)
    machine.feed("}", 17)
    assert machine.finish(STOP) == '{"title": "abc"}'
    machine.complete(18, Note(title="abc"))
    stats = machine.stats
    assert stats.first_delta_at == 2
    assert stats.first_partial_at == 2.5
    assert stats.longest_gap == 3.5
    assert stats.ended_at == 8
    assert (stats.deltas, stats.chars) == (5, 18)
    assert (stats.partials_built, stats.partials_yielded, stats.attempts) == (2, 2, 1)
    assert stats.end_signal == "stop"
    assert machine.is_final
    assert machine.partial == Note(title="abc")


def test_the_figures_go_on_over_attempts() -> None:
    machine = _machine(began=0)
    machine.feed('{"title": "a"', 1)
    machine.note_usage(Usage(1, 2, 3))
    (restarted,) = machine.restart(2, RestartReason.REASK, None)
    assert isinstance(restarted, StreamRestarted)
    assert restarted.attempt == machine.attempt == 2
    assert machine.text == ""
    assert machine.partial is None
    machine.start(3, None, None)
    machine.feed('{"title": "b"', 9)
    machine.note_usage(Usage(1, 1, 2))
    machine.note_usage(Usage(2, 2, 4))
    machine.note_usage(None)
    assert machine.usage == Usage(3, 4, 7)
    stats = machine.stats
    assert (stats.first_delta_at, stats.deltas, stats.chars, stats.attempts) == (1, 2, 26, 2)
    assert stats.partials_yielded == 2


# ---------------------------------------------------------------------- the end of an attempt


@pytest.mark.parametrize(
    ("text", "end", "refusal", "error"),
    [
        ('{"title": "a"}', EndSignal(EndKind.TRUNCATED, "length"), "", OutputTruncated),
        ('{"title": "a"}', EndSignal(EndKind.FILTERED, "content_filter"), "", OutputFiltered),
        ('{"title": "a"}', EndSignal(EndKind.REFUSED, "refusal"), "", OutputRefused),
        ("", STOP, "I will not", OutputRefused),
        ('{"title": "a"}', STOP, "I will not", OutputRefused),
        ('{"title": "a', STOP, "", OutputTruncated),
        ('{"title": "a', None, "", OutputTruncated),
        ("", STOP, "", NoOutput),
        ("", None, "", NoOutput),
    ],
)
def test_why_the_gate_stays_shut(text: str, end: EndSignal | None, refusal: str, error: type[Exception]) -> None:
    machine = _machine()
    if text:
        machine.feed(text, 100)
    with pytest.raises(error) as caught:
        machine.finish(end, refusal=refusal)
    if refusal:
        assert refusal in str(caught.value)


def test_the_gate_may_open() -> None:
    for end in (STOP, None, EndSignal(EndKind.FAILED, "error")):
        machine = _machine()
        machine.feed(' {"title": "a"} ', 100)
        assert machine.finish(end) == '{"title": "a"}'
        assert machine.stats.end_signal == (end.word if end else None)
    searching = _machine(search=True)
    searching.feed("it is [1, 2], I think", 100)
    assert searching.finish(STOP) is None


def test_plain_text_needs_an_end_signal() -> None:
    machine = _machine(text=True)
    machine.feed("The sea", 100)
    with pytest.raises(OutputTruncated, match="without an end signal"):
        machine.finish(None)
    with pytest.raises(NoOutput):
        _machine(text=True).finish(STOP)


def test_an_error_is_given_what_had_arrived() -> None:
    machine = _machine(began=0)
    machine.feed('{"title": "ab', 1)
    machine.note_usage(Usage(1, 2, 3))
    error = NoOutput("x")
    failed, ended = machine.fail(2, error)
    assert (failed.at, ended.at) == (2, 2)
    assert error.partial.title == "ab"
    assert (error.text, error.usage, error.attempt) == ('{"title": "ab', Usage(1, 2, 3), 1)
    assert error.stats == machine.stats
    assert error.stats is not None
    assert error.stats.ended_at == 2
    assert isinstance(ended, StreamEnded)
    assert ended.outcome is Outcome.FAILED


def test_a_strangers_error_is_left_as_it_is() -> None:
    error = ValueError("x")
    _machine().fail(100, error)
    assert vars(error) == {}


# ---------------------------------------------------------------------- the buffer


@given(st.lists(st.tuples(st.text(max_size=5), st.booleans()), max_size=60))
def test_a_buffer_is_its_pieces(pieces: list[tuple[str, bool]]) -> None:
    buffer, whole = TextBuffer(), ""
    for piece, look in pieces:
        buffer.add(piece)
        whole += piece
        assert buffer.length == len(whole)
        if look:
            assert str(buffer) == whole
    assert str(buffer) == whole


def test_a_buffer_holds_few_strings() -> None:
    buffer = TextBuffer()
    for number in range(100_000):
        buffer.add(str(number % 10))
    assert len(buffer.parts) < 512
    assert len(buffer._blocks) < 200
    assert len(str(buffer)) == 100_000
    assert len(buffer._blocks) == 1
