from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructor_stream_ext.providers.paths import OutOfOrderError, PathWriter

LEAVES = st.none() | st.booleans() | st.integers(-99, 99) | st.text('a"\\é\n', max_size=4)
NAMES = st.text("abd '\"é", min_size=1, max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


def _updates(value: Any, path: str = "$") -> list[tuple[str, Any]]:
    """The leaves of a value with their paths, in document order."""
    if isinstance(value, dict):
        quoted = {name: json.dumps(name, ensure_ascii=False) for name in value}
        return [leaf for name in value for leaf in _updates(value[name], f"{path}[{quoted[name]}]")]
    if isinstance(value, list):
        return [leaf for place, item in enumerate(value) for leaf in _updates(item, f"{path}[{place}]")]
    return [(path, value)]


@settings(deadline=None)
@given(document=st.dictionaries(NAMES, VALUES, max_size=3), cut=st.booleans())
def test_updates_in_document_order_give_the_document(document: dict[str, Any], *, cut: bool) -> None:
    writer = PathWriter()
    text = ""
    for path, value in _updates(document):
        if path == "$":
            continue
        pieces = list(value) if cut and isinstance(value, str) else [value]
        for piece in pieces[:-1]:
            text += writer.write(path, piece, more=True)
        text += writer.write(path, pieces[-1] if pieces else "", more=False)
    assert json.loads(text + writer.close()) == document


def test_each_update_gives_the_text_it_determines() -> None:
    writer = PathWriter()
    steps: list[tuple[str, Any, bool]] = [
        ("$.a", "x", True),
        ("$.a", "y", False),
        ("$.b[0].c", 1, False),
        ("$.b[1].c", True, False),
        ("$.d", None, False),
    ]
    written = [writer.write(path, value, more=more) for path, value, more in steps]
    assert written == ['{"a":"x', 'y"', ',"b":[{"c":1', '},{"c":true', '}],"d":null']
    assert writer.close() == "}"


def test_a_string_left_open_is_closed_by_what_follows() -> None:
    writer = PathWriter()
    text = writer.write("$.a", "x", more=True) + writer.write("$.b", "y", more=True) + writer.close()
    assert json.loads(text) == {"a": "x", "b": "y"}


def test_nothing_at_all_is_the_empty_object() -> None:
    assert PathWriter().close() == "{}"


@pytest.mark.parametrize("back", ["$.a.b", "$.a.x", "$.c"])
def test_what_is_closed_stays_closed(back: str) -> None:
    writer = PathWriter()
    writer.write("$.a.b", 1, more=False)
    writer.write("$.c", 1, more=False)
    with pytest.raises(OutOfOrderError):
        writer.write(back, 2, more=False)
