"""demo/cassette.py and the cassette itself."""

from __future__ import annotations

import itertools
import json

import pytest

from instructor_stream_ext.demo.cassette import demo_cassette, read_cassette


def test_the_cassette_is_a_real_stream() -> None:
    cassette_file = demo_cassette()
    assert cassette_file.status == 200
    assert 150 <= len(cassette_file.chunks) <= 500
    assert 3 <= cassette_file.duration <= 8
    assert cassette_file.chunks[-1].data == b"data: [DONE]\n\n"
    assert all(before.at <= after.at for before, after in itertools.pairwise(cassette_file.chunks))


def test_the_cassette_says_where_it_is_from() -> None:
    assert set(demo_cassette().recorded) == {"at", "by", "server", "model", "guided_by"}


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"format": 2})])
def test_other_formats_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="format 1"):
        read_cassette(text)
