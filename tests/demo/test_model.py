"""demo/model.py: what the demo's validators refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from instructor_stream_ext.demo.model import Trip


def stop(time: str, euros: int) -> dict[str, Any]:
    return {"time": time, "place": "p", "kind": "walk", "note": "n", "euros": euros}


def trip(*days: list[dict[str, Any]], first: int = 1) -> dict[str, Any]:
    numbered = [{"number": number, "theme": "t", "stops": stops} for number, stops in enumerate(days, start=first)]
    return {"title": "t", "city": "c", "budget": 10, "days": numbered, "packing": [], "advice": "a"}


def test_a_trip_that_adds_up() -> None:
    assert Trip.model_validate(trip([stop("09:00", 4), stop("10:00", 6)])).euros == 10


def test_too_expensive() -> None:
    with pytest.raises(ValidationError, match="more than the budget of 10"):
        Trip.model_validate(trip([stop("09:00", 4)], [stop("09:00", 7)]))


def test_days_with_a_gap() -> None:
    with pytest.raises(ValidationError, match="not numbered from 1"):
        Trip.model_validate(trip([stop("09:00", 4)], first=2))


def test_stops_out_of_order() -> None:
    with pytest.raises(ValidationError, match="stops of day 1 are out of order"):
        Trip.model_validate(trip([stop("10:00", 1), stop("09:00", 1)]))
