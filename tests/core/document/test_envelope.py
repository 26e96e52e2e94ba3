"""The object around a list or a scalar: whatever the shape and the cuts, the document within it is the same."""

from __future__ import annotations

import itertools
import json
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from instructor_stream_ext.client.response_model import shape_of
from instructor_stream_ext.core.document.items import ItemCutter
from instructor_stream_ext.core.document.prose import document_in
from instructor_stream_ext.core.document.scanner import Drafted
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import InvalidJSON, StreamMisuse
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.markers import WithState
from instructor_stream_ext.core.types.compile import compile_plan
from tests.every import every


class City(BaseModel):
    name: str
    people: int = 0
    tags: list[str] = []
    twins: list[City] = []


PLAN = shape_of(list[City]).plan
TEXT = st.text(max_size=6)
CITIES = st.recursive(
    st.fixed_dictionaries(
        {"name": TEXT}, optional={"people": st.integers(0, 10**9), "tags": st.lists(TEXT, max_size=3)}
    ),
    lambda city: st.builds(lambda one, twins: {**one, "twins": twins}, city, st.lists(city, max_size=2)),
    max_leaves=4,
)
BESIDE = st.dictionaries(
    st.text("abcxyz", min_size=1, max_size=3),
    st.none() | st.integers() | TEXT | st.dictionaries(TEXT, TEXT),
    max_size=3,
)


@st.composite
def _answers(draw: st.DrawFn) -> tuple[str, list[Any]]:
    """A list of cities as a model may send it."""
    cities = draw(st.lists(CITIES, min_size=1, max_size=4))
    indent, is_ascii = draw(st.sampled_from([None, 1])), draw(st.booleans())

    def dumps(value: Any) -> str:
        return json.dumps(value, indent=indent, ensure_ascii=is_ascii)

    shape = draw(st.sampled_from(["tasks", "items", "City", "bare", "row"]))
    if shape == "bare":
        return dumps(cities), cities
    if shape == "row":
        return draw(st.sampled_from(["\n", "", ",\n", " "])).join(map(dumps, cities)), cities
    before, after = draw(BESIDE), draw(BESIDE)
    return dumps({**before, shape: cities, **{key: value for key, value in after.items() if key not in before}}), cities


def _read(parser: PartialParser, pieces: list[str]) -> list[Any]:
    shown: list[Any] = []
    for piece in pieces:
        parser.feed(piece)
        while True:
            try:
                shown.append(parser.snapshot())
            except Drafted:
                continue
            break
    assert parser.finish()
    return shown


@every("size", [1, 4, 1000])
@every("behind", [' {"name": "b"}', ' [{"name": "c"}]', '"}, {"name": "d"}'])
@pytest.mark.parametrize("inside", ["some </think> ", "x [1] {y ", "x ```\n "])
def test_text_before_a_broken_escape_is_not_looked_into_again(inside: str, behind: str, size: int) -> None:
    text = '{"name": "a"}, {"name": "' + inside
    parser = PartialParser(PLAN, search=True, patient=True)
    whole = text + "\\q" + behind
    for at in range(0, len(whole), size):
        parser.feed(whole[at : at + size])
        parser.advance()
    assert parser.void_end == 0
    assert parser.json_start == 0
    assert parser.lost is not None
    assert parser.lost.offset == len(text)


@settings(max_examples=settings().max_examples * 3)
@given(answer=_answers(), cuts=st.lists(st.integers(0, 200), max_size=6), search=st.booleans())
def test_the_document_is_the_list(answer: tuple[str, list[Any]], cuts: list[int], *, search: bool) -> None:
    text, cities = answer
    places = sorted({0, len(text), *(place for place in cuts if place < len(text))})
    pieces = [text[start:stop] for start, stop in itertools.pairwise(places)]
    parser = PartialParser(PLAN, search=search, transitions=True)
    shown = _read(parser, pieces)
    assert json.loads(parser.json_text()) == cities
    assert parser.lacks == ""
    assert all(isinstance(partial, list) for partial in shown if partial is not None)
    assert [city.name for city in shown[-1]] == [city["name"] for city in cities]
    told = parser.told()
    assert all(not record.path or isinstance(record.path[0], int) for record in told)
    done = [record for record in told if record.kind == "item" and len(record.path) == 1]
    assert [record.path for record in done] == [(number,) for number in range(len(cities))]
    cutter = ItemCutter()
    document, starts = parser.listing
    assert [json.loads(cutter.cut(document, starts, number)) for number in range(len(cities))] == cities
    assert parser.state(()) is parser.state((0, "name")) is FieldState.COMPLETE
    assert document_in(PLAN, parser.json_text()) == parser.json_text()


@settings(max_examples=settings().max_examples * 2)
@given(answer=_answers(), stop=st.integers(0, 200))
def test_what_is_cut_short_shows_no_more_than_came(answer: tuple[str, list[Any]], stop: int) -> None:
    text, cities = answer
    parser = PartialParser(PLAN)
    parser.feed(text[:stop])
    shown = parser.snapshot() or []
    assert len(shown) <= len(cities)
    for partial, city in zip(shown, cities, strict=False):
        assert city["name"].startswith(partial.name or "")


def test_a_thousand_objects_in_one_piece_need_no_recursion() -> None:
    parser = PartialParser(PLAN)
    (shown,) = _read(parser, ['{"name": "x"}' * 5000])
    assert len(shown) == 5000


def test_a_document_that_was_read_once_is_read_again_without_its_envelope() -> None:
    plan = shape_of(int).plan
    parser = PartialParser(plan)
    _read(parser, ['{"content": 5}'])
    assert parser.json_text() == "5"
    again = PartialParser(plan)
    again.expect_document()
    assert _read(again, ["5", " "])[-1] == 5


def test_other_text_behind_items_is_a_fault() -> None:
    parser = PartialParser(PLAN)
    with pytest.raises(InvalidJSON, match="the document is closed, and other text follows"):
        _read(parser, ['{"name": "a"} {"name": "b"} so'])
    assert [city.name for city in parser.last] == ["a", "b"]


def test_a_plain_type_has_no_envelope() -> None:
    assert compile_plan(City).envelope is None
    assert document_in(compile_plan(City), "5") == "5"


def test_a_marker_on_the_whole_is_refused() -> None:
    with pytest.raises(StreamMisuse, match="marker"):
        shape_of(Annotated[list[City], WithState()])
