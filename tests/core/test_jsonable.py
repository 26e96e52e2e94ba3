"""Partials and results as data that every JSON reader takes."""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from enum import Enum
from math import inf, nan
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict

from instructor_stream_ext.client.response_model import shape_of
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.jsonable import jsonable


class Point(BaseModel):
    x: float
    ys: list[float] = []
    more: Any = None


@dataclasses.dataclass
class Size:
    width: float


class Told(TypedDict):
    size: Size
    words: list[str]


class Odd:
    def __str__(self) -> str:
        return "odd"


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize("number", [nan, inf, -inf])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda number: number, None),
        (lambda number: [1.5, number], [1.5, None]),
        (lambda number: {"a": {"b": number}}, {"a": {"b": None}}),
        (lambda number: Point(x=number, ys=[2.0, number]), {"x": None, "ys": [2.0, None], "more": None}),
        (
            lambda number: {"p": [Point(x=1, more={"deep": [number]})]},
            {"p": [{"x": 1.0, "ys": [], "more": {"deep": [None]}}]},
        ),
        (Size, {"width": None}),
    ],
)
def test_numbers_that_json_lacks_become_null(make: Any, expected: Any, number: float) -> None:
    made = jsonable(make(number))
    assert made == expected
    json.dumps(made, allow_nan=False)


def test_a_model_says_how_it_wants_them_written() -> None:
    class Words(Point):
        model_config = ConfigDict(ser_json_inf_nan="strings")

    assert jsonable(Words(x=nan))["x"] == "NaN"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Point(x=1, more=Odd()), {"x": 1.0, "ys": [], "more": "odd"}),
        ([Odd(), Decimal("1.5"), Colour.RED], ["odd", "1.5", "red"]),
        ({1: {2}, "b": (b"c",)}, {"1": [2], "b": ["c"]}),
        (None, None),
        ("NaN", "NaN"),
    ],
)
def test_what_json_cannot_say_becomes_text(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected


@pytest.mark.parametrize(
    ("model", "text", "expected"),
    [
        (Point, '{"x": "NaN", "ys": [1, "Infinity"', {"x": None, "ys": [1.0, None], "more": None}),
        (Told, '{"size": {"width": "NaN"}, "words": ["a', {"size": {"width": None}, "words": ["a"]}),
        (list[Size], '[{"width": 2}, {"wid', [{"width": 2.0}, {"width": None}]),
    ],
)
def test_partials_of_any_kind(model: Any, text: str, expected: Any) -> None:
    parser = PartialParser(shape_of(model).plan)
    parser.feed(text)
    assert jsonable(parser.snapshot()) == expected


def test_the_value_given_is_not_changed() -> None:
    given = {"a": [nan]}
    point = Point(x=nan, more=given)
    jsonable(given)
    jsonable(point)
    assert repr(given) == "{'a': [nan]}"
    assert repr(point.x) == "nan"
