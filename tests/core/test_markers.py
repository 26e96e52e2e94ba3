"""The markers: what they hide, what they show, and that nothing else knows them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, RootModel

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.markers import Done, NotNull, Streamed, WithState
from instructor_stream_ext.core.types.compile import compile_plan

MISSING, STREAMING, COMPLETE = FieldState


def shown(tp: Any, text: str) -> Any:
    """The snapshot after `text`, which must not depend on how it was cut."""
    whole = PartialParser(compile_plan(tp))
    whole.feed(text)
    by_char = PartialParser(compile_plan(tp))
    for char in text:
        by_char.feed(char)
        by_char.snapshot()
    assert repr(whole.snapshot()) == repr(by_char.snapshot())
    return by_char.snapshot()


class Line(BaseModel):
    id: Annotated[int, NotNull()]
    note: Annotated[str, Done()] = ""
    amount: Annotated[float, WithState()]
    said: Annotated[str, WithState()] = "nothing"


class Plain(BaseModel):
    id: int
    note: str = ""
    amount: float
    said: str = "nothing"


class Order(BaseModel):
    lines: list[Line]
    by_name: dict[str, Line] = {}
    first: Line | None = None
    needed: Line
    whole: Annotated[list[Plain], Done()] = []
    one: Annotated[Plain, Done()] | None = None


def test_schema_and_validation_do_not_know_the_markers() -> None:
    marked, plain = Line.model_json_schema(), Plain.model_json_schema()
    marked["title"] = plain["title"]
    assert marked == plain
    final = Line.model_validate_json('{"id": 1, "amount": 2, "note": "n", "said": "s"}')
    assert final.model_dump() == {"id": 1, "amount": 2.0, "note": "n", "said": "s"}
    assert "Done" not in str(Order.model_json_schema())


def test_not_null_hides_its_object_until_the_field_has_arrived() -> None:
    assert shown(Order, '{"lines": [{"note": "x", ').lines == []
    assert shown(Order, '{"lines": [{"note": "x", "id": 4').lines == []
    assert [line.id for line in shown(Order, '{"lines": [{"note": "x", "id": 4,').lines] == [4]
    assert shown(Order, '{"by_name": {"a": {"note": "x"').by_name == {}
    assert set(shown(Order, '{"by_name": {"a": {"id": 1, "note": "x"').by_name) == {"a"}
    assert shown(Order, '{"first": {"note": "x"').first is None
    assert shown(Order, '{"first": {"id": 1}').first.id == 1
    assert shown(Order, "{").needed is None


def test_an_object_whose_not_null_field_is_null_is_never_shown() -> None:
    partial = shown(Order, '{"lines": [{"id": 1}, {"id": null, "note": "x"}, {"id": 3}]')
    assert [line.id for line in partial.lines] == [1, 3]
    assert shown(Order, '{"first": {"id": null}}').first is None


def test_not_null_on_the_document_hides_the_document() -> None:
    assert shown(Line, '{"note": "x"') is None
    assert shown(Line, '{"note": "x", "id": null}') is None
    assert shown(Line, '{"note": "x", "id": 1,').id == 1


class Titled(BaseModel):
    name: Annotated[str, NotNull()]
    parts: Annotated[list[int], NotNull()]


def test_not_null_fields_that_stream_have_arrived_when_they_begin() -> None:
    assert shown(list[Titled], '[{"name": "a"') == []
    assert shown(list[Titled], '[{"name": "a", "parts": [')[0].parts == []
    assert shown(list[Titled], '[{"parts": [], "name": "')[0].name == ""
    assert shown(list[Titled], '[{"parts": null, "name": "') == []


def test_done_shows_a_value_only_when_it_is_complete() -> None:
    partial = shown(Order, '{"lines": [{"id": 1, "note": "half')
    assert partial.lines[0].note == ""
    assert "note" not in partial.lines[0].model_fields_set
    assert shown(Order, '{"lines": [{"id": 1, "note": "half"').lines[0].note == "half"
    assert shown(Order, '{"whole": [{"id": 1}, {"id": 2}').whole == []
    assert shown(Order, '{"one": {"id": 1, "note": "x"').one is None
    assert shown(Order, '{"one": {"id": 1, "note": "x"}').one.note == "x"
    assert [p.id for p in shown(Order, '{"whole": [{"id": 1}, {"id": 2}]').whole] == [1, 2]


def test_done_below_containers_and_on_the_document() -> None:
    assert shown(list[Annotated[str, Done()]], '["a", "b') == ["a"]
    assert shown(list[Annotated[str, Done()]], '["a", "b"') == ["a", "b"]
    assert shown(dict[str, Annotated[list[int], Done()]], '{"a": [1], "b": [2') == {"a": [1]}
    document = Annotated[list[str], Done()]
    assert shown(document, '["a"') is None
    assert shown(document, '["a"]') == ["a"]


def test_with_state_shows_value_and_state() -> None:
    line = shown(list[Line], '[{"id": 1,')[0]
    assert line.amount == Streamed(None, MISSING)
    assert line.said == Streamed("nothing", MISSING)
    line = shown(list[Line], '[{"id": 1, "amount": 2')[0]
    assert line.amount == Streamed(None, STREAMING)
    line = shown(list[Line], '[{"id": 1, "amount": 2, "said": "so')[0]
    assert line.amount == Streamed(2.0, COMPLETE)
    assert line.said == Streamed("so", STREAMING)
    assert shown(list[Line], '[{"id": 1, "said": "so"')[0].said == Streamed("so", COMPLETE)


class Cat(BaseModel):
    kind: Literal["cat"]
    names: Annotated[list[str], WithState()]


class Dog(BaseModel):
    kind: Literal["dog"]
    names: Annotated[list[str], WithState()]
    owner: Annotated[str, NotNull()]


class Zoo(BaseModel):
    pet: Annotated[Cat | Dog, WithState()] = Field(discriminator="kind")
    other: Cat | Dog | None = None


def test_markers_in_unions() -> None:
    assert shown(Zoo, "{").pet == Streamed(None, MISSING)
    assert shown(Zoo, '{"pet": {"names": ["a"]').pet == Streamed(None, STREAMING)
    partial = shown(Zoo, '{"pet": {"names": ["a"], "kind": "cat"')
    assert partial.pet.state is STREAMING
    assert isinstance(partial.pet.value, Cat)
    names: Any = partial.pet.value.names
    assert names == Streamed(["a"], COMPLETE)
    assert shown(Zoo, '{"other": {"kind": "dog", "names": ["a"').other is None
    partial = shown(Zoo, '{"other": {"kind": "dog", "names": ["a"], "owner": "m')
    assert partial.other.owner == "m"
    assert partial.other.names == Streamed(["a"], COMPLETE)


def test_markers_on_items_and_on_values_of_dicts() -> None:
    assert shown(list[Annotated[str, WithState()]], '["a", "b') == [Streamed("a", COMPLETE), Streamed("b", STREAMING)]
    assert shown(dict[str, Annotated[str, WithState()]], '{"a": "x') == {"a": Streamed("x", STREAMING)}


class Wrapped(RootModel[Annotated[list[str], Done()]]):
    pass


class Holder(BaseModel):
    wrapped: Wrapped


def test_a_marker_within_a_root_model() -> None:
    assert shown(Holder, '{"wrapped": ["a"').wrapped.root == []
    assert shown(Holder, '{"wrapped": ["a"]').wrapped.root == ["a"]


@pytest.mark.parametrize(
    ("tp", "said"),
    [
        (Annotated[Line, NotNull()], "response type itself"),
        (Annotated[Line, WithState()], "response type itself"),
        (list[Annotated[int, NotNull()]], "an item of a list"),
        (dict[str, Annotated[int, NotNull()]], "a value of a dict"),
        (tuple[Annotated[int, NotNull()], int], "an item of a tuple"),
    ],
)
def test_a_marker_that_means_nothing_where_it_stands_is_refused(tp: Any, said: str) -> None:
    with pytest.raises(StreamMisuse, match=said):
        compile_plan(tp)


def test_a_refused_type_leaves_nothing_behind() -> None:
    class Bad(BaseModel):
        items: list[Annotated[int, NotNull()]]

    for _ in range(2):
        with pytest.raises(StreamMisuse):
            compile_plan(Bad)
        with pytest.raises(StreamMisuse):
            compile_plan(list[Bad])


def test_states_of_marked_values() -> None:
    parser = PartialParser(compile_plan(list[Line]))
    parser.feed('[{"id": 1, "amount": 2, "said": "s')
    parser.snapshot()
    assert parser.state((0, "amount")) is COMPLETE
    assert parser.state((0, "said")) is STREAMING
    assert parser.state((0, "note")) is MISSING
    parser.feed('"}, {"id": null}, {"id": 3}]')
    parser.snapshot()
    assert parser.state((0, "said")) is COMPLETE
