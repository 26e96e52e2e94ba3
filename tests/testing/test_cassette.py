"""testing/cassette.py: a cassette that cannot be used says which file, which line, why, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from instructor_stream_ext.testing import yaml
from instructor_stream_ext.testing.cassette import End, load_cassette
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.sidecar import Timing, sidecar_of, sidecar_text

BODY = "data: one\n\ndata: two\n\n"
TIMING = Timing(request="POST /x", size=len(BODY), chunks=((0, 1.5), (11, 20.3)), ended_at=21.0, deltas=2)


@pytest.fixture
def cassette_file(tmp_path: Path) -> Path:
    """A good cassette of two interactions."""
    request = {"method": "POST", "uri": "http://127.0.0.1/x", "body": "{}", "headers": {}}
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": BODY}}
    path = tmp_path / "cassette.yaml"
    content = {"version": 1, "interactions": [{"request": request, "response": response}] * 2}
    path.write_text(yaml.serialize(content), encoding="utf-8")
    sidecar_of(path).write_text(sidecar_text([TIMING, TIMING]), encoding="utf-8")
    return path


def test_a_cassette_is_its_cassette_and_its_times(cassette_file: Path) -> None:
    for interaction in load_cassette(cassette_file, sidecar=True).interactions:
        assert [chunk.data for chunk in interaction.chunks] == [b"data: one\n\n", b"data: two\n\n"]
        assert [chunk.at for chunk in interaction.chunks] == pytest.approx([0.0015, 0.0203])
        assert (interaction.end, interaction.ended_at, interaction.deltas, interaction.timed) == (
            End.COMPLETE,
            0.021,
            2,
            True,
        )


def test_a_sidecar_comes_back_as_it_was(cassette_file: Path) -> None:
    content = json.loads(sidecar_of(cassette_file).read_text(encoding="utf-8"))
    assert [Timing.from_json(one).as_json() for one in content["streams"]] == [TIMING.as_json()] * 2
    assert sidecar_text([None, TIMING]).count("null") == 1


def test_without_a_sidecar_each_event_comes_at_once(cassette_file: Path) -> None:
    sidecar_of(cassette_file).unlink()
    interaction = load_cassette(cassette_file).interactions[0]
    assert [(chunk.at, chunk.data) for chunk in interaction.chunks] == [
        (0.0, b"data: one\n\n"),
        (0.0, b"data: two\n\n"),
    ]
    assert not interaction.timed


def swapped(pattern: str, by: str, *, count: int = 1) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        before = path.read_text(encoding="utf-8")
        after = re.sub(pattern, by, before, count=count, flags=re.DOTALL)
        assert after != before
        path.write_text(after, encoding="utf-8")

    return change


BAD_CASSETTES = {
    "cut off in a line": (swapped(r'"?two\n\n.*', "two\n    heade"), r"cassette.yaml:\d+: is not complete YAML"),
    "cut off between interactions": (
        swapped(r"\nversion: 1\n", "\n"),
        r"cassette.yaml:\d+: has no version: it is cut off",
    ),
    "cut off in the body": (
        swapped(r"        data: two\n\n", ""),
        r"cassette.yaml:2: the body has 11 bytes, .*says 22",
    ),
    "of an unknown version": (swapped(r"version: 1", "version: 7"), r"cassette.yaml:\d+: is of version 7"),
    "no cassette": (swapped(r".*", "- 1\n"), r"cassette.yaml:1: is not a cassette"),
    "without a response": (
        swapped(r"  response:", "  answer:"),
        r"cassette.yaml:2: an interaction lacks its request or its response",
    ),
    "without a status": (
        swapped(r"code: 200", "kode: 200"),
        r"cassette.yaml:2: an interaction lacks its address or its status",
    ),
    "of a foreign object": (
        swapped(r"code: 200", "code: !!python/object:os.x {}"),
        r"cassette.yaml:\d+: is not complete YAML",
    ),
}
BAD_SIDECARS = {
    "cut off": (swapped(r'"end".*', ""), r"timing.json:8: is no JSON"),
    "of an unknown format": (swapped(r'"format": 1', '"format": 9'), r"timing.json:1: is of format 9"),
    "of other interactions": (
        swapped(r"  \},\n  \{.*\n  \}", "  }"),
        r"describes 1 interactions, the cassette holds 2",
    ),
    "of another body": (
        swapped(r'"bytes": 22', '"bytes": 23'),
        r"cassette.yaml:2: the body has 22 bytes, its sidecar \(line 4\) says 23",
    ),
    "of an unknown end": (swapped(r'"complete"', '"perhaps"'), r"timing.json:4: an entry cannot be used: 'perhaps'"),
    "lacking its chunks": (swapped(r'"chunks"', '"chinks"'), r"timing.json:4: an entry cannot be used: lacks 'chunks'"),
    "of chunks that go back": (swapped(r"\[11, ", "[0, "), r"timing.json:4: .*do not increase"),
    "of chunks beyond the body": (swapped(r"\[11, ", "[99, "), r"timing.json:4: .*do not span the body"),
    "of an instant that is no number": (
        swapped(r"\[11, [0-9.]+", "[11, NaN"),
        r"timing.json:4: .*an instant must be a num",
    ),
    "of an endless wait": (
        swapped(r'"ended_ms": [0-9.]+', '"ended_ms": Infinity'),
        r"timing.json:4: .*must be a number of",
    ),
    "of an instant before the request": (swapped(r"\[0, [0-9.]+", "[0, -1"), r"timing.json:4: .*at least 0"),
    "of times that go back": (swapped(r"\[0, [0-9.]+", "[0, 9999"), r"timing.json:4: .*a chunk arrived before its"),
    "no object": (swapped(r".*", "[]"), r"timing.json:1: is not the sidecar"),
}


@pytest.mark.parametrize("name", BAD_CASSETTES)
def test_a_bad_cassette_says_so(cassette_file: Path, name: str) -> None:
    change, said = BAD_CASSETTES[name]
    change(cassette_file)
    with pytest.raises(CassetteError, match=said) as raised:
        load_cassette(cassette_file)
    assert raised.value.line >= 1
    assert re.search("restore|record", str(raised.value))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", BAD_SIDECARS)
def test_a_bad_sidecar_says_so(cassette_file: Path, name: str) -> None:
    change, said = BAD_SIDECARS[name]
    change(sidecar_of(cassette_file))
    with pytest.raises(CassetteError, match=said) as raised:
        load_cassette(cassette_file)
    assert re.search("restore|record", raised.value.advice)


def test_the_line_of_the_second_interaction_is_its_own(cassette_file: Path) -> None:
    swapped(r"(.*)data: two", r"\1data: twofold")(cassette_file)
    lines = cassette_file.read_text(encoding="utf-8").splitlines()
    second = [number for number, line in enumerate(lines, 1) if line.startswith("- request:")][1]
    with pytest.raises(CassetteError, match=rf"cassette\.yaml:{second}: the body has 26 bytes"):
        load_cassette(cassette_file)


def test_a_sidecar_may_be_demanded(cassette_file: Path) -> None:
    sidecar_of(cassette_file).unlink()
    with pytest.raises(
        CassetteError, match=r"cassette.yaml:1: has no sidecar cassette.yaml.timing.json.*--record-mode=rewrite"
    ):
        load_cassette(cassette_file, sidecar=True)


def test_what_is_no_text_and_what_is_not_there(cassette_file: Path) -> None:
    cassette_file.write_bytes(b"interactions:\n- \xff\n")
    with pytest.raises(CassetteError, match=r"cassette\.yaml:2: the file is not UTF-8"):
        load_cassette(cassette_file)
    with pytest.raises(CassetteError, match=r"none.yaml:1: cannot be read \(No such file"):
        load_cassette(cassette_file.with_name("none.yaml"))
