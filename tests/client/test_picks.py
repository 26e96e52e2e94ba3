"""What a consumer sees of events, one function at a time."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.client.picks import CutTextPick, Lens, Several, TextPick, delta, values, whole
from instructor_stream_ext.core.errors import OutputTruncated
from instructor_stream_ext.core.events import (
    DeltaReceived,
    Event,
    PartialEmitted,
    RestartReason,
    StreamCompleted,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)
from instructor_stream_ext.core.text_splitter import Pieces
from instructor_stream_ext.session.drive import NOTHING

AT: dict[str, Any] = {"at": 0.0, "attempt": 1}


def partial(value: Any) -> PartialEmitted[Any]:
    return PartialEmitted(**AT, partial=value, sequence=1)


RESTARTED = StreamRestarted(**AT, reason=RestartReason.REASK, error=None)
STARTED = StreamStarted(**AT, model="m", provider="p")


def test_values_are_partials_and_the_final() -> None:
    assert values(partial(1)) == 1
    assert values(StreamCompleted(**AT, result=2)) == 2
    assert values(STARTED) is NOTHING


def test_deltas_and_whole_events() -> None:
    assert delta(DeltaReceived(**AT, text="a")) == "a"
    assert delta(STARTED) is NOTHING
    assert whole(STARTED) is STARTED


def test_text_is_what_is_new() -> None:
    pick = TextPick()
    assert [pick(event) for event in (partial("Hel"), partial("Hello"), StreamCompleted(**AT, result="Hello"))] == [
        "Hel",
        "lo",
        NOTHING,
    ]


def test_a_restart_begins_the_text_anew() -> None:
    pick = TextPick()
    pick(partial("Hello"))
    assert pick(RESTARTED) is NOTHING
    assert pick(partial("Bye")) == "Bye"


def test_what_is_left_at_a_failure_comes_before_the_error() -> None:
    error = OutputTruncated("cut off")
    error.text = "Hello, wor"
    pick = TextPick()
    pick(partial("Hello"))
    assert pick(StreamFailed(**AT, error=error)) == ", wor"


def test_words_come_whole_and_the_rest_at_the_end() -> None:
    pick = CutTextPick(Pieces("word"))
    seen: list[Any] = [pick(event) for event in (partial("One two th"), RESTARTED, partial("Three"))]
    assert isinstance(seen[0], Several)
    assert "One two th".startswith("".join(seen[0]))
    assert "th" not in seen[0]
    assert seen[1:] == [NOTHING, NOTHING]
    assert "".join(pick(StreamCompleted(**AT, result="Three"))) == "Three"


def test_a_lens_keeps_the_first_event_while_the_stream_is_entered() -> None:
    seen: list[Event] = []

    def pick(event: Event) -> Any:
        seen.append(event)
        return NOTHING

    lens = Lens(pick)
    lens.priming = True
    assert lens(STARTED) is STARTED
    assert lens.first is STARTED
    assert lens(STARTED) is NOTHING
    assert seen == [STARTED]
