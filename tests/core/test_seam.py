"""Where the rest of a cut answer joins it: models that do as they are asked, and models that do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructor_stream_ext.core.document.reasoning import tags_from
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.errors import InvalidJSON, OutputTruncated
from instructor_stream_ext.core.seam import ANCHOR, OVERLAP, Seam, anchor_of, request_for_rest
from instructor_stream_ext.core.types.compile import compile_plan
from tests.every import every

TAGS = tags_from(None)
ANYTHING = compile_plan(dict[str, Any])


def parsed(text: str) -> PartialParser:
    parser = PartialParser(ANYTHING)
    parser.read_document_only()
    parser.feed(text)
    parser.advance()
    return parser


def seam_at(cut: str) -> Seam:
    """The seam behind a document that was cut off."""

    def fits(rest: str) -> bool:
        try:
            parsed(cut + rest)
        except InvalidJSON:
            return False
        return True

    return Seam(cut, cut, fits, TAGS, in_string=parsed(cut).is_within_string)


def joined(seam: Seam, rest: str, size: int = 5) -> str:
    """What the seam hands on of a rest that comes in pieces."""
    pieces = [rest[at : at + size] for at in range(0, len(rest), size)]
    return "".join([*map(seam.take, pieces), seam.finish()])


DOCUMENT = json.dumps(
    {
        "name": "Ada Lovelace",
        "age": 36,
        "big": 1234567,
        "bio": 'Mathematician. She wrote "notes" on Babbage\'s engine, \U0001f642 and \\ more.',
        "ok": True,
        "nothing": None,
        "tags": ["poetry", "engines", "numbers"],
        "places": [{"city": "London", "years": [1815, 1852]}, {"city": "Ockham", "years": []}],
        "float": -12.5e-3,
    }
)
CUTS = range(1, len(DOCUMENT) - 1)


@every("at", CUTS)
def test_a_model_that_goes_on_at_the_very_character(at: int) -> None:
    assert joined(seam_at(DOCUMENT[:at]), DOCUMENT[at:]) == DOCUMENT[at:]


CLUMSY: dict[str, Callable[[str, int], str]] = {
    "repeats what it was asked to": lambda text, at: anchor_of(text[:at]) + text[at:],
    "repeats more": lambda text, at: text[max(0, at - 50) :],
    "begins anew": lambda text, at: text,
    "begins anew with other spaces": lambda text, at: json.dumps(json.loads(text), indent=2),
    "begins anew in a fence": lambda text, at: f"```json\n{text}\n```",
    "repeats in a fence": lambda text, at: f"```json\n{anchor_of(text[:at]) + text[at:]}\n```",
    "explains first": lambda text, at: f"Here is the rest:\n\n```json\n{anchor_of(text[:at]) + text[at:]}\n```",
    "thinks first": lambda text, at: f"<think>The rest, then.</think>\n\n{anchor_of(text[:at]) + text[at:]}",
    "begins with a new line": lambda text, at: "\n" + anchor_of(text[:at]) + text[at:],
}


@every("size", [1, 7, 1000])
@pytest.mark.parametrize("how", CLUMSY)
def test_a_model_that_does_otherwise(how: str, size: int) -> None:
    for at in CUTS[OVERLAP:]:
        cut = DOCUMENT[:at]
        rest = joined(seam_at(cut), CLUMSY[how](DOCUMENT, at), size)
        parser = parsed(cut + rest)
        assert parser.complete, (at, rest)
        assert json.loads(parser.json_text()) == json.loads(DOCUMENT), at


def test_a_fence_without_repetition() -> None:
    for at in CUTS:
        cut = DOCUMENT[:at]
        parser = parsed(cut + joined(seam_at(cut), f"```json\n{DOCUMENT[at:]}\n```"))
        assert json.loads(parser.json_text()) == json.loads(DOCUMENT), at


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    document=st.dictionaries(st.text(min_size=1, max_size=8), VALUES, min_size=1, max_size=5),
    at=st.integers(1, 10_000),
    size=st.integers(1, 90),
    repeats=st.sampled_from(["nothing", "what was asked for", "all"]),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
)
def test_made_documents_are_joined_right_or_not_at_all(
    document: Any, at: int, size: int, repeats: str, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    at = 1 + at % (len(text) - 1)
    cut, rest = text[:at], text[at:]
    again = {"nothing": "", "what was asked for": anchor_of(cut), "all": cut}[repeats]
    try:
        rest = joined(seam_at(cut), again + rest, size)
    except OutputTruncated:
        assert not again or len(cut) < OVERLAP  # what was asked for is joined, and so is all of it
        return
    assert json.loads(cut + rest) == document


@pytest.mark.parametrize(
    ("cut", "rest"),
    [
        ('{"tags": ["neutral", "neutral", ', '"neutral", "positive"]}'),
        ('{"line": "--------------------', '------------"}'),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_guessed(cut: str, rest: str) -> None:
    seam = seam_at(cut)
    with pytest.raises(OutputTruncated, match="more than one way"):
        joined(seam, rest)
    assert seam.held == rest


def test_what_was_asked_for_can_be_read_in_one_way() -> None:
    cut = '{"line": "' + "-" * 60
    assert joined(seam_at(cut), "-" * ANCHOR + '---"}') == '---"}'


@pytest.mark.parametrize("rest", ["I am sorry, I cannot go on.", "]]", '"other": 1}', ": 4}"])
def test_what_does_not_join(rest: str) -> None:
    with pytest.raises(OutputTruncated, match="does not join"):
        joined(seam_at('{"age": 3, "tags": [1, '), rest)


def test_nothing_came() -> None:
    assert joined(seam_at('{"age": 3'), "") == ""


def test_the_rest_flows_once_it_is_known_where_it_begins() -> None:
    seam = seam_at('{"bio": "She was born in Lon')
    assert seam.take("She was born in London, " + "and then " * 10).startswith("don, and then")
    assert seam.take("she left") == "she left"


def plain(text: str) -> Seam:
    return Seam(text, None, lambda _: True, TAGS)


TEXT = "Once upon a time there was a parser that never gave up. It read on, and on, to the last brace."


@pytest.mark.parametrize("repeats", [0, OVERLAP, 20, ANCHOR, 1_000])
def test_plain_text(repeats: int) -> None:
    for at in range(ANCHOR + 1, len(TEXT)):
        assert joined(plain(TEXT[:at]), TEXT[max(0, at - repeats) :]) == TEXT[at:]


def test_a_fence_in_plain_text_is_text() -> None:
    assert joined(plain("Like this:\n"), "```python\nprint()\n```") == "```python\nprint()\n```"


def test_what_the_model_is_told() -> None:
    said = request_for_rest("a" * 50 + "b" * ANCHOR, {"type": "object"})
    assert f"\n{'b' * ANCHOR}\n" in said
    assert "aaa" not in said
    assert '{"type": "object"}' in said
    assert "schema" not in request_for_rest("text", None)
