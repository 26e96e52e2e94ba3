"""Snapshots: equal to the oracle at every prefix and cut, never changing, safe to print, dump and compare."""

# ruff: noqa: UP045  Union and Optional are what many models are written with
from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import pickle
import random
import warnings
from datetime import date
from typing import Any, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instructor import Partial
from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter, computed_field, field_serializer, model_serializer
from pydantic_core import to_json

from instructor_stream_ext.core.document import snapshots as partials
from instructor_stream_ext.core.document.snapshots import FieldChanged, ItemDone, PartialParser, parse_path
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.partial_types import is_partial
from tests.core.oracle import Record, Tag, complete, document, expected, view
from tests.core.records import records_of

MISSING, STREAMING, COMPLETE = FieldState
PLAN = compile_plan(Record)


def parser_of(tp: Any, text: str = "", **options: Any) -> PartialParser:
    parser = PartialParser(compile_plan(tp), **options)
    parser.feed(text)
    return parser


def seen(value: Any) -> Any:
    return None if value is None else view(value)


@dataclasses.dataclass
class Pair:
    left: int
    right: int


@pytest.mark.parametrize("tp", [Record, Pair])
def test_a_partial_can_be_told_from_a_final_although_isinstance_and_pydantic_cannot(tp: Any) -> None:
    partial: Any = parser_of(tp, "{").snapshot()
    final = tp.model_construct() if issubclass(tp, BaseModel) else tp(1, 2)
    assert isinstance(partial, tp)
    assert TypeAdapter(tp).validate_python(partial) is partial
    for whole, held in ((False, final), (True, partial)):
        assert is_partial(held) is whole
        for container in ([held], (1, held), {"a": [held]}):
            assert is_partial(container) is whole
    assert not is_partial([1, "a"])


# ---------------------------------------------------------------------- against the oracle


@pytest.mark.parametrize("seed", range(12 * settings().max_examples // 100))
def test_every_prefix_is_what_plain_json_says(seed: int) -> None:
    text = document(random.Random(seed))
    parser = PartialParser(PLAN)
    for size, char in enumerate(text, 1):
        parser.feed(char)
        assert seen(parser.snapshot()) == expected(Record, text[:size]), text[:size]
    assert parser.complete
    assert parser.json_text() == text


def test_the_oracle_is_no_rubber_stamp() -> None:
    assert complete('{"a": [1, "x') == ('{"a": [1, "x"]}', ("a", 1), [(), ("a",)])
    assert complete('{"a": 1, "b": 2') == ('{"a": 1}', None, [()])
    assert complete('{"a": "\\u00') == ('{"a": ""}', ("a",), [()])
    assert expected(list[Tag], '[{"label": "a"}, {"lab') == (
        "list",
        (
            ("Tag", {"label": ("str", "a"), "weight": ("float", 1.0)}, frozenset({"label"})),
            ("Tag", {"label": ("NoneType", None), "weight": ("float", 1.0)}, frozenset()),
        ),
    )


def run(text: str, cuts: list[int], snapshot_at: set[int] | None = None) -> tuple[dict[int, Any], list[Any]]:
    """The views at the cuts, and all transitions."""
    parser = PartialParser(PLAN, transitions=True)
    views = {}
    records: list[Any] = []
    before = 0
    for cut in [*cuts, len(text)]:
        parser.feed(text[before:cut])
        before = cut
        if snapshot_at is None or cut in snapshot_at:
            views[cut] = seen(parser.snapshot())
        records.extend(records_of(parser))
    views[len(text)] = seen(parser.snapshot())
    return views, [(*record[:1], record.kind, record.kind == "field" and record[1:3]) for record in records]


@pytest.mark.parametrize("block", range(10))
def test_two_hundred_documents_cut_in_every_regular_way(block: int) -> None:
    for seed in range(100 + block * 20, 120 + block * 20):
        text = document(random.Random(seed), chance=0.3)
        views, records = run(text, list(range(1, len(text))))
        for size in range(2, 8):
            again, records_again = run(text, list(range(size, len(text), size)))
            assert all(views[cut] == again[cut] for cut in again)
            assert records_again == records


relaxed = settings(max_examples=settings().max_examples * 3 // 5, suppress_health_check=list(HealthCheck))


@relaxed
@given(seed=st.integers(1000, 10**6), data=st.data())
def test_any_cuts_any_spacing_any_retention(seed: int, data: st.DataObject) -> None:
    text = document(random.Random(seed))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=60)))
    reuse_from = data.draw(st.sampled_from([0, 1, 2, 5, 192]))
    kept: list[tuple[Any, Any]] = []
    parser = PartialParser(PLAN)
    was, partials.REUSE_FROM = partials.REUSE_FROM, max(reuse_from, 1)
    try:
        before = 0
        for cut in [*cuts, len(text)]:
            parser.feed(text[before:cut])
            before = cut
            action = data.draw(st.sampled_from(["skip", "look", "keep", "forget"]))
            if action != "skip":
                partial = parser.snapshot()
                assert seen(partial) == expected(Record, text[:cut])
                if action == "keep":
                    kept.append((partial, seen(partial)))
                elif action == "forget":
                    kept.clear()
                del partial
        for partial, then in kept:
            assert seen(partial) == then
    finally:
        partials.REUSE_FROM = was


@pytest.mark.parametrize("seed", range(6))
def test_instructor_shows_the_same_where_it_means_the_same(seed: int) -> None:
    rng = random.Random(seed)

    class Line(BaseModel):
        name: str
        count: Optional[int] = None
        tags: list[str]

    class Sheet(BaseModel):
        title: str
        lines: list[Line]
        note: Optional[str] = None

    lines = [{"name": f"n{i}", "count": i, "tags": ["a", "b"]} for i in range(rng.randrange(1, 4))]
    text = json.dumps({"title": "One", "lines": lines, "note": rng.choice([None, "so"])})
    theirs = Partial[Sheet].get_partial_model()  # type: ignore[attr-defined]
    parser = PartialParser(compile_plan(Sheet))
    from jiter import from_json

    for size in range(1, len(text)):
        parser.feed(text[size - 1])
        if text[size - 1] in "0123456789-{[, :":
            continue  # a number at the end of the text is not shown here
        raw = from_json(text[:size].encode(), partial_mode="trailing-strings")
        mine = parser.snapshot().model_dump(exclude_unset=True)
        assert mine == theirs.model_construct(**raw).model_dump(exclude_unset=True, warnings=False)


# ---------------------------------------------------------------------- nothing changes, nothing is taken back


def grows(before: Any, after: Any) -> bool:  # noqa: PLR0911  one case per type
    """Whether `after` takes nothing back of `before`."""
    if isinstance(before, BaseModel) and isinstance(after, BaseModel):
        assert before.model_fields_set <= after.model_fields_set
        return all(grows(getattr(before, name), getattr(after, name)) for name in before.model_fields_set)
    if isinstance(before, BaseModel):
        return False
    if isinstance(before, str) and isinstance(after, str):
        return after.startswith(before)
    if isinstance(before, dict) and isinstance(after, dict):
        return all(key in after and grows(value, after[key]) for key, value in before.items())
    if isinstance(before, dict):
        return isinstance(after, BaseModel)  # a union that was decided
    if isinstance(before, (list, tuple)):
        return len(after) >= len(before) and all(map(grows, before, after))
    if isinstance(before, set):
        return bool(before <= after)
    return bool(before == after) or before is None


@pytest.mark.parametrize("seed", range(300, 320))
def test_nothing_shown_is_taken_back_and_no_partial_changes(seed: int) -> None:
    text = document(random.Random(seed))
    parser = PartialParser(PLAN)
    kept: list[tuple[Any, Any, Any]] = []
    for char in text:
        parser.feed(char)
        partial = parser.snapshot()
        if partial is None or (kept and kept[-1][0] is partial):
            continue
        if kept and '"by_name"' not in text and '"scores"' not in text:
            assert grows(kept[-1][0], partial)
        kept.append((partial, copy.deepcopy(partial), seen(partial)))
    for partial, copied, then in kept:
        assert seen(partial) == then
        assert partial == copied


def test_the_same_object_while_nothing_visible_changes() -> None:
    parser = parser_of(Record, '{"title": "ab')
    first = parser.snapshot()
    assert parser.snapshot() is first
    for more in ('"', ",", ' "cou', 'nt"', ":", " 1", "2"):
        parser.feed(more)
        assert not parser.advance()
        assert parser.snapshot() is first
    for more in (",", '"unknown": {"x": [1, 2', '3]}, "when": "2024-', "01-01"):
        parser.feed(more)
        assert parser.advance() is (more == ",")
        parser.snapshot()
    parser.feed('"')
    assert parser.advance()
    assert parser.snapshot() is not first


def test_closing_what_was_shown_already_is_no_change() -> None:
    parser = parser_of(dict[str, list[Tag]], '{"a": [{"label": "x')
    before = parser.snapshot()
    parser.feed('"}]}')
    assert not parser.advance()
    assert parser.complete
    assert parser.snapshot() is before


def test_none_before_the_document_has_begun() -> None:
    parser = parser_of(Record)
    assert parser.snapshot() is None
    assert parser.last is None
    parser.feed("  \n")
    assert parser.snapshot() is None
    assert not parser.begun
    parser.feed("{")
    assert isinstance(parser.snapshot(), Record)
    assert parser.begun


# ---------------------------------------------------------------------- buffers of older snapshots


class Long(BaseModel):
    items: list[Any]
    by_key: dict[str, int] = {}
    text: str = ""


@pytest.mark.parametrize("hold", [0, 1, 2, 3, 10**9])
def test_a_long_list_a_long_dict_and_a_long_string_whoever_holds_what(hold: int) -> None:
    size = 700
    text = json.dumps(
        {
            "items": [f"item {i}" for i in range(size)],
            "by_key": {f"k{i}": i for i in range(size)},
            "text": "abc" * size,
        }
    )
    parser = parser_of(Long)
    kept: list[tuple[Long, int, int, int, str]] = []
    for at in range(0, len(text), 9):
        parser.feed(text[at : at + 9])
        partial = parser.snapshot()
        last = partial.items[-1] if partial.items else ""
        kept.append((partial, len(partial.items), len(partial.by_key), len(partial.text), last))
        del partial
        for held, items, keys, chars, last in kept:
            assert (len(held.items), len(held.by_key), len(held.text)) == (items, keys, chars)
            assert (held.items[-1] if held.items else "") == last
        if len(kept) > min(hold, 40):
            kept.pop(0)
    assert parser.snapshot().model_dump() == json.loads(text)


def test_the_buffers_are_reused_when_nobody_holds_them() -> None:
    parser = parser_of(list[int], "[" + "1," * 1000)
    lists = set()
    for _ in range(50):
        parser.feed("1,")
        lists.add(id(parser.snapshot()))
    assert len(lists) == 2
    held = []
    for _ in range(50):
        parser.feed("1,")
        held.append(parser.snapshot())
    assert [len(shown) for shown in held] == list(range(1051, 1101))


def test_a_list_that_was_tampered_with_is_not_built_upon() -> None:
    parser = parser_of(list[int], "[" + "1," * 1000)
    for number in range(6):
        parser.feed(f"{number},")
        shown = parser.snapshot()
        if number == 2:
            shown.clear()
        elif number == 3:
            shown.reverse()
        del shown
    assert parser.snapshot() == [1] * 1000 + [0, 1, 2, 3, 4, 5]


def test_repeated_keys_in_a_long_dict() -> None:
    parser = parser_of(dict[str, int], "{")
    plain = {}
    for number in range(900):
        key = f"k{number if number % 7 else number // 2}"
        plain[key] = number
        parser.feed(f'"{key}": {number},')
        assert parser.snapshot() == plain


# ---------------------------------------------------------------------- transitions and states


def test_transitions_and_items_in_document_order() -> None:
    parser = parser_of(Record, transitions=True)
    parser.feed('{"title": "a", "skipped": {"x": [1]}, "tags": [{"label": "b"}, nul')
    begun, done = (MISSING, STREAMING), (STREAMING, COMPLETE)
    records = records_of(parser)
    assert [record[:3] if record.kind == "field" else (record.path, "item") for record in records] == [
        ((), *begun),
        (("title",), *begun),
        (("title",), *done),
        (("tags",), *begun),
        (("tags", 0), *begun),
        (("tags", 0, "label"), *begun),
        (("tags", 0, "label"), *done),
        (("tags", 0), *done),
        (("tags", 0), "item"),
        (("tags", 1), *begun),
    ]
    item = next(record for record in records if isinstance(record, ItemDone))
    assert isinstance(item.item, Tag)
    assert item.item is parser.snapshot().tags[0]
    parser.feed("l], ")
    assert [(r.path, r.kind) for r in records_of(parser)] == [
        (("tags", 1), "field"),
        (("tags", 1), "item"),
        (("tags",), "field"),
    ]
    parser.feed('"count": 1')
    assert records_of(parser) == [FieldChanged(("count",), *begun)]
    parser.feed("2")
    assert records_of(parser) == []
    parser.feed("}")
    assert [r[:3] for r in records_of(parser)] == [(("count",), *done), ((), *done)]
    assert records_of(parser) == []


def test_items_of_nested_lists_and_of_the_document() -> None:
    parser = parser_of(list[list[int]], "[[1, 2], [3]]", transitions=True)
    items = [(r.path, r.item) for r in records_of(parser) if isinstance(r, ItemDone)]
    assert items == [((0, 0), 1), ((0, 1), 2), ((0,), [1, 2]), ((1, 0), 3), ((1,), [3])]


def test_transitions_of_a_bare_number_and_without_being_asked() -> None:
    parser = parser_of(int, "12", transitions=True)
    assert records_of(parser) == [FieldChanged((), MISSING, STREAMING)]
    assert parser.finish()
    assert records_of(parser) == [FieldChanged((), STREAMING, COMPLETE, value=12)]
    parser = parser_of(int, "12")
    assert not parser.transitions
    assert records_of(parser) == []
    parser = parser_of(list[int])
    parser.transitions = True
    parser.feed("[")
    assert len(records_of(parser)) == 1


@pytest.mark.parametrize("seed", range(400, 415))
def test_states_agree_with_transitions_at_every_prefix(seed: int) -> None:
    text = document(random.Random(seed))
    parser = PartialParser(PLAN, transitions=True)
    now: dict[Any, FieldState] = {}
    dead: set[Any] = set()
    for char in text:
        parser.feed(char)
        for record in records_of(parser):
            if isinstance(record, FieldChanged):
                if record.path in now and record.before is MISSING:
                    dead.add(record.path)  # a key that came twice
                else:
                    assert now.get(record.path, MISSING) is record.before
                now[record.path] = record.after
        for path, state in now.items():
            if not any(path[: len(d)] == d for d in dead) and path[:1] not in {("unique",), ("anything",)}:
                assert parser.state(path) is state, (path, text)
    assert parser.state(("title",)) is (COMPLETE if ("title",) in now else MISSING)


def test_states_by_name() -> None:
    text = '{"title": "x", "tags": [{"label": "a"}, {"label": "b'
    parser = parser_of(Record, text)
    assert parser.state(()) is MISSING
    parser.advance()
    assert parser.state(()) is STREAMING
    assert parser.state(("title",)) is COMPLETE
    assert parser.state(("tags", 0)) is COMPLETE
    assert parser.state(("tags", 0, "label")) is COMPLETE
    assert parser.state(("tags", 0, "weight")) is MISSING
    assert parser.state(("tags", 1, "label")) is STREAMING
    assert parser.state(("tags", 1, "weight")) is MISSING
    assert parser.state(("tags", 2)) is MISSING
    assert parser.state(("tags", 2, "label")) is MISSING
    assert parser.state(("node", "children", 3, "name")) is MISSING
    parser.feed('"}]}')
    parser.advance()
    assert parser.state(()) is COMPLETE
    assert parser.state(("tags", 1)) is COMPLETE
    assert parser.state(("camel",)) is MISSING


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("titel",), "Record has title, count"),
        (("tags", "label"), "has indices from 0"),
        (("tags", 0, "name"), "Tag has label, weight"),
        (("tags", -1), "has indices from 0"),
        (("title", "x"), "a plain value has nothing below it"),
        (("pair", 2), "indices 0 to 1"),
        (("pet", "fur"), "Cat has kind, name, lives; Dog has"),
        (("camelCase",), "Record has"),
    ],
)
def test_a_path_that_cannot_be_is_refused(path: Any, said: str) -> None:
    with pytest.raises(StreamMisuse, match=said):
        parser_of(Record, "{").state(path)


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("", ()),
        ("name", ("name",)),
        ("items[3].name", ("items", 3, "name")),
        ("[0][1]", (0, 1)),
        ("[0].a", (0, "a")),
        ('pages["a.b"].x', ("pages", "a.b", "x")),
        ("pages['a[0]']", ("pages", "a[0]")),
        ("caf\u00e9.with space", ("caf\u00e9", "with space")),
    ],
)
def test_paths_can_be_written(written: str, path: Any) -> None:
    assert parse_path(written) == path


@pytest.mark.parametrize("written", [".a", "a.", "a..b", "a[", "a[x]", "a[-1]", "a[0]b", "a]"])
def test_what_is_no_path_is_refused(written: str) -> None:
    with pytest.raises(StreamMisuse, match="is not a path"):
        parse_path(written)


# ---------------------------------------------------------------------- printing, dumping, comparing, copying


class Sum(BaseModel):
    one: int
    two: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return self.one + self.two

    @field_serializer("two")
    def _double(self, value: int) -> int:
        return value * 2

    def __repr__(self) -> str:
        return f"Sum({self.one + self.two})"

    def __str__(self) -> str:
        return f"{self.one + self.two}"


class Sums(BaseModel):
    title: str
    items: list[Sum]
    by_name: dict[str, Sum] = {}
    last: Optional[Sum] = None


class Whole(BaseModel):
    a: int
    b: str = "b"

    @model_serializer
    def _all(self) -> dict[str, Any]:
        return {"twice": self.a * 2}


def test_what_fails_in_a_dump_is_left_out() -> None:
    partial = parser_of(Sums, '{"title": "t", "items": [{"one": 1, "two": 2}, {"one": 3, ').snapshot()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dumped = partial.model_dump()
        assert dumped == {
            "title": "t",
            "items": [{"one": 1, "two": 4, "total": 3}, {"one": 3}],
            "by_name": {},
            "last": None,
        }
        assert json.loads(partial.model_dump_json()) == dumped
        assert json.loads(partial.model_dump_json(indent=2)) == dumped
        assert partial.model_dump(include={"title"}) == {"title": "t"}
        assert partial.model_dump(exclude={"items"}) == {"title": "t", "by_name": {}, "last": None}
        assert "title='t'" in repr(partial)
        assert "one=3" in repr(partial)
        assert "title" in str(partial)
        assert str(partial.items[1])


@dataclasses.dataclass
class Box:
    label: str
    sum: Sum


class Store(BaseModel):
    boxes: tuple[Box, ...]
    sums: list[Sum] = []
    of_day: dict[date, Sum] = {}
    total: Sum


STORE = """{"boxes": [{"label": "b", "sum": {"one": 1}}], "sums": [{"one": 2}, {"one": 3}, {"one": 4}],
    "of_day": {"2020-02-02": {"one": 5}}, "total": {"one": 6,"""


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, {}),
        ({"exclude": {"total": {"one"}}}, {"total": {}}),
        ({"exclude": {"total": {"one": True, "two": False}}}, {"total": {}}),
        ({"exclude": {"sums": {0, -1}}}, {"sums": [{"one": 3}]}),
        ({"exclude": {"sums": {"__all__": {"two"}, 1: {"one"}}}}, {"sums": [{"one": 2}, {}, {"one": 4}]}),
        ({"exclude": {"boxes": {0: {"label": ..., "sum": {"one"}}}}}, {"boxes": ({"sum": {}},)}),
        ({"exclude": {"of_day": {date(2020, 2, 2): {"one"}}}}, {"of_day": {date(2020, 2, 2): {}}}),
        ({"include": {"total": {"two", "total"}, "sums": ...}, "exclude": {"boxes", "of_day"}}, {"total": {}}),
        (
            {"include": {"total": True, "sums": {1: {"one", "two"}}}, "exclude": {"boxes", "of_day"}},
            {"sums": [{"one": 3}]},
        ),
    ],
)
def test_what_is_not_to_be_dumped_is_not_although_something_fails(
    options: dict[str, Any], changed: dict[str, Any]
) -> None:
    partial = parser_of(Store, STORE).snapshot()
    whole = {
        "boxes": ({"label": "b", "sum": {"one": 1}},),
        "sums": [{"one": 2}, {"one": 3}, {"one": 4}],
        "of_day": {date(2020, 2, 2): {"one": 5}},
        "total": {"one": 6},
    }
    left_out = {
        name for name in whole if options.get("exclude") and name in options["exclude"] and "include" in options
    }
    wanted = {name: value for name, value in {**whole, **changed}.items() if name not in left_out}
    assert partial.model_dump(**options) == wanted
    assert partial.model_dump(mode="json", **options) == json.loads(to_json(wanted))
    assert json.loads(partial.model_dump_json(**options)) == json.loads(to_json(wanted))


def test_a_model_serialiser_that_fails_gives_the_plain_fields() -> None:
    whole = parser_of(Whole, '{"a": 2, ').snapshot()
    assert whole.model_dump() == {"twice": 4}
    empty = parser_of(Whole, "{").snapshot()
    assert empty.model_dump() == {"a": None, "b": "b"}
    assert json.loads(empty.model_dump_json()) == {"a": None, "b": "b"}


def test_dumping_never_warns() -> None:
    partial = parser_of(
        Record, '{"count": "x", "when": 12, "matrix": {"a": 1}, "tags": 7, "pet": 3, "node": "n", '
    ).snapshot()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        partial.model_dump()
        partial.model_dump(mode="json", by_alias=True, warnings="error")
        partial.model_dump_json()
        repr(partial)
        str(partial)
    assert warned == []
    assert partial.model_dump(exclude_unset=True)["count"] == "x"


class Plain(BaseModel):
    note: str | None = None
    tags: list[Tag] = []
    data: Data
    more: Optional[Plain] = None


def test_one_partial_after_another_differs_though_what_came_is_the_default() -> None:
    text = """{"note": null, "tags": [], "data": {"name": "", "tags": [{"label": "a"}]},
        "more": {"note": null, "tags": [{}]}}"""
    parser = parser_of(Plain, "")
    shown: list[Any] = []
    for char in text:
        parser.feed(char)
        partial = parser.shown()
        if partial is not None and not any(partial is before for before in shown[-1:]):
            shown.append(partial)
    assert len(shown) == 7
    assert all(before != after for before, after in itertools.pairwise(shown))
    assert all(partial == copy.deepcopy(partial) for partial in shown)


def test_partials_are_compared_by_what_they_hold() -> None:
    text = '{"title": "t", "tags": [{"label": "a'
    one, other = parser_of(Record, text).snapshot(), parser_of(Record, text).snapshot()
    assert one is not other
    assert one == other
    assert one != parser_of(Record, text + "b").snapshot()
    assert one != {"title": "t"}
    assert one != parser_of(Tag, "{").snapshot()
    final = Tag(label="a")
    partial = parser_of(Tag, '{"label": "a"}').snapshot()
    assert partial == final
    assert final == partial
    assert Tag(label="b") != partial


class Secretive(BaseModel):
    model_config = ConfigDict(frozen=True)
    name: str
    _note: str = "n"


@dataclasses.dataclass
class Data:
    name: str
    tags: list[Tag]


@pytest.mark.parametrize(
    ("tp", "text"),
    [
        (Record, '{"title": "t", "tags": [{"label": "a'),
        (Secretive, '{"name": "t'),
        (RootModel[list[Tag]], '[{"label": "a'),
        (Data, '{"name": "t", "tags": [{"label": "a'),
    ],
)
def test_partials_can_be_copied_and_pickled(tp: Any, text: str) -> None:
    partial = parser_of(tp, text).snapshot()
    twins = [copy.copy(partial), copy.deepcopy(partial)]
    if isinstance(partial, BaseModel):
        twins += [partial.model_copy(), partial.model_copy(deep=True)]
    if "[" not in type(partial).__name__:
        twins.append(pickle.loads(pickle.dumps(partial)))
    for twin in twins:
        assert twin is not partial
        assert twin == partial
        assert type(twin) is type(partial)
        assert repr(twin) == repr(partial)
        if isinstance(partial, BaseModel):
            assert twin.model_fields_set == partial.model_fields_set
    if isinstance(partial, Secretive):
        assert hash(partial) == hash(twins[0])
        assert twins[1]._note == "n"
    if isinstance(partial, BaseModel) and not isinstance(partial, RootModel):
        assert vars(partial.model_copy(update={"name": "x"}))["name"] == "x"
    if isinstance(partial, Record):
        assert twins[1].tags[0] is not partial.tags[0]
        assert twins[3].tags[0] is not partial.tags[0]


class Grumpy(BaseModel):
    name: str

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


def test_what_a_user_overrode_does_not_get_in_the_way() -> None:
    one, other = parser_of(Grumpy, '{"name": "a').snapshot(), parser_of(Grumpy, '{"name": "a').snapshot()
    assert one == other


def test_the_model_itself_is_left_alone() -> None:
    before = set(vars(Tag)), Tag.__pydantic_validator__, Tag.model_json_schema()
    partial = parser_of(list[Tag], '[{"label": "a').snapshot()[0]
    assert (set(vars(Tag)), Tag.__pydantic_validator__, Tag.model_json_schema()) == before
    assert isinstance(partial, Tag)

    class Special(Tag):
        pass

    assert not isinstance(Special(label="x"), type(partial))
    assert isinstance(Special(label="x"), Tag)
    assert type(Tag.model_validate_json('{"label": "a"}')) is Tag


def test_cached_properties_and_plain_properties_work() -> None:
    import functools

    class Lazy(BaseModel):
        name: str

        @functools.cached_property
        def loud(self) -> str:
            return self.name.upper()

    parser = parser_of(Lazy, '{"name": "a')
    first = parser.snapshot()
    assert first.loud == "A"
    parser.feed("b")
    assert parser.snapshot().loud == "AB"
    assert first.loud == "A"
    assert parser.snapshot() != first
    assert parser_of(Lazy, '{"name": "a').snapshot() == first
    assert parser.snapshot().model_dump() == {"name": "ab"}


@pytest.mark.parametrize("text", ['[{"title": "a"}]', '"title"', "12 ", "null"])
def test_a_document_of_another_kind_shows_nothing(text: str) -> None:
    """Whoever shows partials may take each for one of the response type; what is wrong the gate will say."""

    class Entry(BaseModel):
        title: str

    parser = PartialParser(compile_plan(Entry))
    assert [parser.grow(char) for char in text] == [None] * len(text)
    assert parser.finish()
    assert parser.last is None
    assert parser.json_text() == text.strip()


class Quiet(BaseModel):
    note: str | None = None
    word: str = ""
    count: int = 0
    ready: bool = False
    tags: list[str]
    pair: tuple[int, ...] = ()
    seen: set[int] = set()
    table: dict[str, int]
    data: Data
    items: list[Quiet] = []
    more: Quiet | None = None
    free: Any = None


QUIET = (
    """{"note": null, "word": "", "count": 0, "ready": false, "tags": [], "pair": [], "seen": [], "table": {},
        "data": {"name": ""}, "items": [{"note": null, "tags": [""]}, {}], "more": {"more": null}, "free": {}}""",
    """{"word": "x", "count": 1, "ready": true, "tags": ["a", ""], "pair": [0, 1], "seen": [0], "table": {"": 0},
        "more": {"tags": [], "data": {}, "table": {"a": 1}}, "free": [], "note": ""}""",
)


@pytest.mark.parametrize("text", QUIET)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_what_looks_like_its_stand_in_is_not_shown_anew(text: str, size: int) -> None:
    """And nothing else is held back for that: what is shown looks at each moment like what is there."""
    shown, there = parser_of(Quiet, ""), parser_of(Quiet, "")
    last: Any = None
    count = 0
    for start in range(0, len(text), size):
        shown.feed(text[start : start + size])
        there.feed(text[start : start + size])
        partial, whole = shown.shown(), there.snapshot()
        assert repr(partial) == repr(whole)
        if partial is not last:
            assert repr(partial) != repr(last)
            last = partial
            count += 1
    assert count > 5
    assert shown.snapshot().model_fields_set == whole.model_fields_set
