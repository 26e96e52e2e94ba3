"""demo/__main__.py and demo/view.py: what a user sees."""

from __future__ import annotations

import pytest
from rich.console import Console

from instructor_stream_ext.demo.__main__ import main
from instructor_stream_ext.demo.model import Day, Stop, Trip
from instructor_stream_ext.demo.view import TripView, glimpse


def test_plain_output(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--speed", "inf"])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("Plan three unhurried days")
    assert "0." in out[1], "a partial comes before the final"
    assert "Hills, tarts and fado (Lisbon, €150)" in out
    assert out[-2] == "validated Trip: 3 days in order, €133 of €150"
    assert "421 deltas" in out[-1]


def shown(view: TripView) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def test_the_view_shows_the_end_on_a_low_screen() -> None:
    view = TripView()
    packing = [f"thing {number}" for number in range(60)]
    view.trip = Trip.model_construct(title="Hills", city="Lisbon", budget=1, days=[], packing=packing, advice="Rest.")
    console = Console(width=40, height=8)
    with console.capture() as captured:
        console.print(view)
    assert len(captured.get().splitlines()) == 7
    assert "thing 0" not in captured.get()
    assert "Rest." in captured.get()
    view.is_final = True
    assert "thing 0" in shown(view)


def test_the_view_shows_what_has_come() -> None:
    view = TripView()
    assert "waiting" in shown(view)
    view.trip = Trip.model_construct(title="Hil", city=None, budget=None, days=[], packing=[], advice=None)
    assert "Hil" in shown(view)
    assert glimpse(view.trip) == "Hil"
    stop = Stop.model_construct(time="09:00", place=None, kind=None, note=None, euros=None)
    day = Day.model_construct(number=1, theme="Up and down", stops=[stop])
    view.trip = Trip.model_construct(title="Hills", city=None, budget=150, days=[day], packing=["a"], advice=None)
    text = shown(view)
    assert "Up and down" in text
    assert "09:00" in text
    assert "None" not in text
    assert glimpse(view.trip) == "Hills"
    stop.place = "Alfama"
    assert glimpse(view.trip) == "day 1, stop 1 ... Alfama: "
