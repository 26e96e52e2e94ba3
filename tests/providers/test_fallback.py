from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from instructor_stream_ext.providers import reader_for
from tests.providers.chunks import joined


def _extract(chunks: Iterable[dict[str, str]]) -> Iterator[str]:
    for chunk in chunks:
        yield chunk.get("text", "")


def test_an_unknown_provider_is_read_with_the_extractor_it_came_with() -> None:
    reader = reader_for("unknown", "json_mode", tools=None, extractor=_extract)
    alive = []
    text = ""
    for chunk in ({"text": "{"}, {}, {"text": "}"}):
        text += reader.read(chunk)
        alive.append(reader.alive)
    assert text == "{}"
    assert alive == [True, False, True]
    assert reader.end is None
    assert reader.usage is None
    assert reader.completion() is None
    assert joined(reader, []) == ""


def test_without_an_extractor_an_unknown_provider_is_refused() -> None:
    with pytest.raises(ValueError, match="no reader for unknown"):
        reader_for("unknown", "json_mode", tools=None)
