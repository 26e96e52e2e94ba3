"""The gate alone: documents, documents that have to be looked for, items, text."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError, ValidationInfo, field_validator

from instructor_stream_ext.core.errors import InvalidJSON, NoOutput
from instructor_stream_ext.core.gate import ModelGate, TextGate, validate_document

RUNS: list[Any] = []


def _noted(value: Any) -> Any:
    RUNS.append(value)
    return value


class Note(BaseModel):
    title: Annotated[str, AfterValidator(_noted)]
    count: int = 0


NOTE = TypeAdapter(Note)


@pytest.fixture(autouse=True)
def _no_runs() -> None:
    RUNS.clear()


def _validate(document: str, *, strict: bool | None = True, context: Any = None) -> Any:
    return validate_document(NOTE, document, strict=strict, context=context)


def test_a_document_is_validated_as_it_stands() -> None:
    assert _validate('{"title": "a", "count": 2}') == Note(title="a", count=2)
    RUNS.clear()
    with pytest.raises(ValidationError):
        _validate('{"title": "a", "count": "2"}')
    assert _validate('{"title": "a", "count": "2"}', strict=False).count == 2
    assert RUNS == ["a", "a"]


@pytest.mark.parametrize(
    ("inside", "title"),
    [
        ("a\nb", "a\nb"),
        ("\x00\x1f", "\x00\x1f"),
        ("\\ud83d", "\ufffd"),
        ("\\ude00\\ud83d", "\ufffd\ufffd"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\ud83d", "\ufffd"),
        ("\ud83d" + "\ude00", "\U0001f600"),
    ],
)
def test_mending_runs_each_validator_once(inside: str, title: str) -> None:
    assert _validate(f'{{"title": "{inside}"}}').title == title
    assert [title] == RUNS


def test_keys_are_mended_too() -> None:
    adapter = TypeAdapter(dict[str, list[str]])
    mended = validate_document(adapter, '{"a\n\\ud83d": ["\\udc00"]}', strict=True, context=None)
    assert mended == {"a\n\ufffd": ["\ufffd"]}


def test_numbers_are_not_changed_by_mending() -> None:
    adapter = TypeAdapter(list[Any])
    document = '["\n", 12345678901234567890123, 0.1, 1e300, true, null]'
    mended = validate_document(adapter, document, strict=True, context=None)
    assert mended == ["\n", 12345678901234567890123, 0.1, 1e300, True, None]


def test_what_is_no_json_is_no_validation_error() -> None:
    for document in ('{"title": "a",}', "{'title': 1}", '{"title": "a"', ""):
        with pytest.raises(InvalidJSON):
            _validate(document)
    assert RUNS == []


def test_an_error_about_json_inside_a_string_is_the_models_own() -> None:
    from pydantic import Json

    adapter = TypeAdapter(dict[str, Json[Any]])
    with pytest.raises(ValidationError, match="Invalid JSON"):
        validate_document(adapter, '{"a": "{nope"}', strict=True, context=None)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_any_json_passes_as_itself(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert validate_document(TypeAdapter(Any), text, strict=True, context=None) == value


# ---------------------------------------------------------------------- looking for it


def _gate(**given: Any) -> ModelGate:
    return ModelGate(NOTE, strict=True, **given)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('see {"title": "a"}', "a"),
        ('{"title": "a"} or rather {"title": "b"}', "b"),
        ('{"title": "a"} and {"other": 1}', "a"),
        ('{"title": "a"} and {broken', "a"),
        ('{"title": "a"}{"title": "b"}', "b"),
        ('```json\n{"title": "a\nb"}\n```', "a\nb"),
    ],
)
def test_the_last_value_that_validates_is_taken(text: str, title: str) -> None:
    assert _gate().open(None, text).title == title


def test_where_none_validates_the_last_ones_error_is_raised() -> None:
    with pytest.raises(ValidationError) as caught:
        _gate().open(None, '{"title": 1} then {"count": 2}')
    assert caught.value.errors()[0]["type"] == "missing"


@pytest.mark.parametrize("text", ["nothing at all", "[1, 2]", "{not json}", "x" * 5000])
def test_where_there_is_none_the_text_is_shown(text: str) -> None:
    with pytest.raises(NoOutput) as caught:
        _gate().open(None, text)
    assert text[:100] in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_roots_kind_is_looked_for() -> None:
    gate = ModelGate(TypeAdapter(list[int]), kind="array", strict=True)
    assert gate.open(None, 'see [0] or rather [1, 2], as in {"a": 3}') == [1, 2]


def test_the_document_is_read_out_of_what_is_around_it() -> None:
    gate = _gate(read=lambda value: '{"title": "b"}' if "around" in value else None)
    assert gate.open(None, 'so: {"around": 1} or {"title": "c"}').title == "b"


def test_the_context_reaches_validators() -> None:
    class Told(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def _told(cls, name: str, info: ValidationInfo) -> str:
            return f"{name}{info.context}"

    gate = ModelGate(TypeAdapter(Told), strict=True, context="!")
    assert gate.open('{"name": "a"}', "").name == "a!"
    assert gate.open(None, 'x {"name": "b\n"}').name == "b\n!"


def test_text_passes_as_it_is() -> None:
    assert TextGate().open("a", "b") == "a"
    assert TextGate().open(None, "b") == "b"
    assert TextGate([print]).checks == [print]
