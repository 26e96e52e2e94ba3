"""testing/faults.py: values that make another interaction of an interaction."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_stream_ext.testing import (
    CutOff,
    Drop,
    Duplicate,
    End,
    EndEarly,
    ErrorEvent,
    FailFirst,
    Fault,
    FirstTokenAfter,
    Garbage,
    Interaction,
    Jitter,
    Resplit,
    ResplitAtEvents,
    Stall,
    TokensPerSecond,
    Trickle,
)
from instructor_stream_ext.testing.cassette import Chunk
from instructor_stream_ext.testing.fault import Chain, FaultsInUse, chained
from tests.every import every
from tests.server.wire_chat import chat_content

EVENTS = chat_content('{"name": "Zürich"}', size=3)
BODY = b"".join(EVENTS)
HEADERS = (("content-type", "text/event-stream"),)
INTERACTION = Interaction(
    headers=HEADERS,
    chunks=tuple(Chunk(float(number), event) for number, event in enumerate(EVENTS, start=1)),
    ended_at=len(EVENTS) + 0.5,
    deltas=len(EVENTS) - 3,
)


def data(interaction: Interaction) -> list[bytes]:
    return [chunk.data for chunk in interaction.chunks]


def at(interaction: Interaction) -> list[float]:
    return [chunk.at for chunk in interaction.chunks]


def test_pieces_of_other_sizes_come_when_their_last_byte_did() -> None:
    interaction = Resplit(at=(1, len(EVENTS[0]) + 1))(INTERACTION)
    assert data(interaction) == [BODY[:1], BODY[1 : len(EVENTS[0]) + 1], BODY[len(EVENTS[0]) + 1 :]]
    assert at(interaction) == [1.0, 2.0, float(len(EVENTS))]
    assert data(ResplitAtEvents()(interaction)) == EVENTS
    assert data(ResplitAtEvents(2)(INTERACTION)) == [b"".join(EVENTS[n : n + 2]) for n in range(0, len(EVENTS), 2)]
    assert data(Trickle(7)(INTERACTION)) == [BODY[n : n + 7] for n in range(0, len(BODY), 7)]
    assert at(Trickle(7, every=0.5)(INTERACTION))[:3] == [1.0, 1.5, 2.0]


def test_random_pieces_are_the_same_for_the_same_seed() -> None:
    assert data(Resplit(count=9, seed=1)(INTERACTION)) == data(Resplit(count=9, seed=1)(INTERACTION))
    assert data(Resplit(count=9, seed=1)(INTERACTION)) != data(Resplit(count=9, seed=2)(INTERACTION))
    assert len(data(Resplit(count=9)(INTERACTION))) == 10


@given(st.lists(st.integers(0, len(BODY)), max_size=12), st.integers(1, 60))
def test_no_way_of_splitting_changes_the_body(places: list[int], size: int) -> None:
    for fault in (
        Resplit(at=tuple(places)),
        Trickle(size),
        ResplitAtEvents(),
        Resplit(at=tuple(places)) | Trickle(size),
    ):
        interaction = fault(INTERACTION)
        assert interaction.body == BODY
        assert all(data(interaction))
        assert at(interaction) == sorted(at(interaction))


def test_a_stream_is_cut_off_or_ends_early_after_events_or_at_a_byte() -> None:
    for made, end in ((CutOff, End.CUT), (EndEarly, End.COMPLETE)):
        interaction = made(after=2)(INTERACTION)
        assert (data(interaction), interaction.end, interaction.ended_at, interaction.deltas) == (
            EVENTS[:2],
            end,
            2.0,
            None,
        )
        assert made(at_byte=len(EVENTS[0]) + 3)(INTERACTION).body == BODY[: len(EVENTS[0]) + 3]
        assert made(after=0)(INTERACTION).chunks == ()
        assert made(after=999)(INTERACTION).body == BODY
    assert "reset" in CutOff(after=1)(INTERACTION).error
    assert EndEarly(after=1)(INTERACTION).error == ""


def test_a_stall_moves_all_that_follows() -> None:
    assert at(Stall(30, before=2)(INTERACTION))[:4] == [1.0, 2.0, 33.0, 34.0]
    assert Stall(30, before=2)(INTERACTION).ended_at == INTERACTION.ended_at + 30
    assert at(Stall(30)(INTERACTION))[0] == 31.0
    within = Stall(5, before=1)(Resplit(at=(10,))(INTERACTION))
    assert within.body == BODY
    assert data(within)[0] == BODY[:10]


def test_the_first_token_and_the_rate_of_the_others() -> None:
    interaction = FirstTokenAfter(9.0)(INTERACTION)
    assert at(interaction)[0] <= 9.0  # the role, which is no text
    assert at(interaction)[1:4] == [9.0, 10.0, 11.0]
    quick = TokensPerSecond(4.0)(INTERACTION)
    assert at(quick)[1:4] == [2.0, 2.25, 2.5]
    both = (FirstTokenAfter(1.0) | TokensPerSecond(10))(INTERACTION)
    assert at(both)[1:4] == pytest.approx([1.0, 1.1, 1.2])
    silent = Interaction(headers=HEADERS, chunks=(Chunk(1.0, EVENTS[0]),))
    assert TokensPerSecond(4)(silent) == FirstTokenAfter(4)(silent) == silent


def test_jitter_keeps_the_order_and_its_seed() -> None:
    one, again, other = Jitter(5, seed=3)(INTERACTION), Jitter(5, seed=3)(INTERACTION), Jitter(5, seed=4)(INTERACTION)
    assert at(one) == at(again) != at(other)
    assert at(one) == sorted(at(one))
    assert all(later >= chunk.at for later, chunk in zip(at(one), INTERACTION.chunks, strict=True))
    assert one.ended_at >= at(one)[-1]


def test_events_are_lost_and_come_twice() -> None:
    assert data(Drop(2)(INTERACTION)) == [*EVENTS[:2], *EVENTS[3:]]
    assert data(Duplicate(2)(INTERACTION)) == [*EVENTS[:3], *EVENTS[2:]]
    assert Drop(999)(INTERACTION).body == BODY


def test_what_belongs_to_no_event_and_an_error_of_the_provider() -> None:
    assert data(Garbage(before=2)(INTERACTION))[2] == b": keep-alive\n\n"
    assert data(Garbage(b"\xff", before=999)(INTERACTION))[-1] == b"\xff"
    interaction = ErrorEvent(after=2, message="no")(INTERACTION)
    assert data(interaction)[:2] == EVENTS[:2]
    assert json.loads(data(interaction)[2].split(b"data: ")[1])["error"]["message"] == "no"
    assert len(data(interaction)) == 3


@pytest.mark.parametrize(
    ("fault", "there", "beyond"),
    [
        (Resplit, {"at": (3, 10**6)}, {"at": (0, 10**6)}),
        (CutOff, {"after": len(EVENTS)}, {"after": len(EVENTS) + 1}),
        (CutOff, {"at_byte": len(BODY)}, {"at_byte": len(BODY) + 1}),
        (EndEarly, {"after": len(EVENTS) - 1}, {"after": len(EVENTS)}),
        (EndEarly, {"at_byte": len(BODY) - 1}, {"at_byte": len(BODY)}),
        (lambda before: Stall(1, before=before), {"before": len(EVENTS)}, {"before": len(EVENTS) + 1}),
        (Drop, {"event": len(EVENTS) - 1}, {"event": len(EVENTS)}),
        (Duplicate, {"event": len(EVENTS) - 1}, {"event": len(EVENTS)}),
        (Garbage, {"before": len(EVENTS)}, {"before": len(EVENTS) + 1}),
        (ErrorEvent, {"after": len(EVENTS)}, {"after": len(EVENTS) + 1}),
    ],
)
def test_a_fault_knows_whether_a_take_reaches_so_far(
    fault: Callable[..., Fault], there: dict[str, Any], beyond: dict[str, Any]
) -> None:
    good, bad = FaultsInUse(fault(**there)), FaultsInUse(fault(**beyond))
    assert good.problems()
    assert bad.problems()
    good(INTERACTION)
    bad(INTERACTION)
    assert good(INTERACTION) != INTERACTION
    assert good.problems() == []
    assert bad.problems() == [f"fault {fault(**beyond)!r} never happened: no answer that was played has a place for it"]


def test_a_fault_of_text_needs_text_and_one_of_pieces_needs_pieces() -> None:
    silent = Interaction(headers=HEADERS, chunks=(Chunk(1.0, EVENTS[0]),))
    used = FaultsInUse(FirstTokenAfter(1) | TokensPerSecond(1) | Trickle(9) | Resplit() | ResplitAtEvents() | Jitter(1))
    used(Interaction())
    assert len(used.problems()) == 6
    used(silent)
    first, second = used.problems()
    assert first.startswith("fault FirstTokenAfter")
    assert second.startswith("fault TokensPerSecond")
    used(INTERACTION)
    assert used.problems() == []


def test_a_refusal_happens_to_a_request() -> None:
    used = FaultsInUse(FailFirst(500, times=9))
    used(INTERACTION)
    assert used.problems()
    assert used.refuse(0) is not None
    assert used.problems() == []


def test_faults_are_values_and_are_put_together_in_order() -> None:
    chain = CutOff(after=3) | Trickle(5) | Stall(2)
    assert chain == Chain((CutOff(after=3), Trickle(5), Stall(2)))
    assert chained([CutOff(after=3), Trickle(5) | Stall(2)]) == chain
    assert chain(INTERACTION) == Stall(2)(Trickle(5)(CutOff(after=3)(INTERACTION)))
    assert len({CutOff(after=3), CutOff(after=3), CutOff(after=4)}) == 2
    with pytest.raises(TypeError, match="a fault is a value such as Stall"):
        chained(["cut"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "made",
    [
        CutOff,
        EndEarly,
        lambda: CutOff(after=1, at_byte=2),
        lambda: CutOff(after=-1),
        lambda: EndEarly(at_byte=-1),
        lambda: Stall(-1),
        lambda: Trickle(0),
        lambda: Trickle(1.5),  # type: ignore[arg-type]
        lambda: TokensPerSecond(0),
        lambda: Jitter(float("nan")),
        lambda: Drop(-1),
        lambda: ResplitAtEvents(0),
        lambda: Resplit(count=-1),
        lambda: FailFirst(200),
        lambda: FailFirst(429, times=0),
    ],
)
def test_a_fault_that_would_do_nothing_is_refused(made: Callable[[], Fault]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs either"):
        made()


def test_the_first_requests_are_refused() -> None:
    fault = Trickle(3) | FailFirst(503, times=2, headers=(("retry-after", "0"),))
    answers = [fault.refuse(number) for number in range(4)]
    assert [answer and answer.status for answer in answers] == [503, 503, None, None]
    assert answers[0] is not None
    assert ("retry-after", "0") in answers[0].headers
    assert json.loads(answers[0].body)["error"]["message"] == "try again"


EVERY_FAULT: list[Fault] = [
    CutOff(after=1),
    Drop(0),
    Duplicate(0),
    EndEarly(at_byte=1),
    ErrorEvent(),
    FailFirst(),
    FirstTokenAfter(1),
    Garbage(),
    Jitter(1),
    Resplit(count=3),
    ResplitAtEvents(),
    Stall(1, before=3),
    TokensPerSecond(1),
    Trickle(1),
]


@pytest.mark.parametrize(
    "interaction",
    [Interaction(), Interaction(chunks=(Chunk(0.0, b"x"),)), Interaction(chunks=(Chunk(1.0, b'{"a": 1}'),))],
)
@every("fault", EVERY_FAULT)
def test_no_fault_fails_on_an_odd_take(fault: Fault, interaction: Interaction) -> None:
    assert isinstance(fault(interaction), Interaction)


@every("one, two", [*itertools.product(EVERY_FAULT, repeat=2)])
def test_every_fault_goes_with_every_other(one: Fault, two: Fault) -> None:
    interaction = (one | two)(INTERACTION)
    assert interaction.body == b"".join(data(interaction))
    assert all(earlier <= later for earlier, later in itertools.pairwise(at(interaction)))
