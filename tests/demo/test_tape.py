"""demo/tape.py and the tape itself."""

from __future__ import annotations

import itertools
import json

import pytest

from instructor_stream_ext.demo.tape import demo_tape, read_tape


def test_the_tape_is_a_real_stream() -> None:
    tape = demo_tape()
    assert tape.status == 200
    assert 150 <= len(tape.chunks) <= 500
    assert 3 <= tape.duration <= 8
    assert tape.chunks[-1].data == b"data: [DONE]\n\n"
    assert all(before.at <= after.at for before, after in itertools.pairwise(tape.chunks))


def test_the_tape_says_where_it_is_from() -> None:
    assert set(demo_tape().recorded) == {"at", "by", "server", "model", "guided_by"}


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"format": 2})])
def test_other_formats_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="format 1"):
        read_tape(text)
