"""What is JSON and what is not, where it begins, and that no cut makes a difference."""

# ruff: noqa: UP007  Union and Optional are what many models are written with
from __future__ import annotations

import json
import math
import random
import re
import sys
import tracemalloc
from typing import Any, Union

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from instructor_stream_ext.core.document.scanner import Drafted
from instructor_stream_ext.core.document.snapshots import FieldChanged, PartialParser, last_values
from instructor_stream_ext.core.errors import InvalidJSON, LimitExceeded, StreamError
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.types.compile import compile_plan
from tests.core.oracle import complete, document
from tests.core.records import records_of
from tests.every import every

ANY = compile_plan(Any)


class Answer(BaseModel):
    answer: str
    items: list[int] = []


def fed(text: str, size: int = 0, tp: Any = Any, **options: Any) -> PartialParser:
    """A parser that was fed `text` in pieces of `size`, and scanned each."""
    parser = PartialParser(compile_plan(tp), **options)
    for at in range(0, len(text), size or len(text) or 1):
        parser.feed(text[at : at + (size or len(text))])
        parser.snapshot()
    return parser


def result(text: str, size: int = 0) -> Any:
    """What the parser says of `text` as a whole document: its value, or the kind of error."""
    try:
        parser = fed(text, size)
        whole = parser.finish()
    except StreamError as error:
        return type(error).__name__
    return ("value", parser.snapshot()) if whole else "incomplete"


def mended(value: Any) -> Any:
    """What json.loads gives, with the replacement character for what is no character."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [mended(item) for item in value]
    return {mended(key): mended(item) for key, item in value.items()} if isinstance(value, dict) else value


def same(one: Any, other: Any) -> bool:
    """Equal, NaN included, and of the same types."""
    return repr(one) == repr(other)


# ---------------------------------------------------------------------- what json.loads says

TEXTS = [
    "0", "-0", "12", "-1.5", "1e5", "1E+5", "1.25e-3", "123456789012345678901234567890",
    "true", "false", "null", "NaN", "Infinity", "-Infinity",
    '""', '"a"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\u00e9\\u4E2D"', '"\\ud83d\\ude00"', '"raw \n\t\x01 \x7f \u2028"',
    "[]", "[ ]", "[1]", "[1,2]", "[[],[[]]]", "{}", "{ }", '{"a":1}', '{"a":{"b":[]}}', '{"":""}',
    " \t\r\n[ 1 , 2 ] ", '{"a" : 1 , "b" : [ true , null ] }', '{"a":1,"a":2}', '{"\\u0061\\n":1}',
    '{"a":"\\ud83d\\ude00","b":[1.5,-2]}',
]  # fmt: skip

BROKEN = [
    "]", "}", ",", ":", "x", "tru ", "truE", "nul1", "nope", "Nan", "Infinit ", "-x", "-Infinitx", "+1", ".5", "'a'",
    "[01]", "[1.]", "[1.e5]", "[1e]", "[1e+]", "[--1]", "[-]", "[1x]", "[1 2]", "[1,]", "[,1]", "[1}", "[1:2]", "[-01]",
    '["\\x"]', '["\\u12x4"]', '["\\u123"]', '["\\ud83d\\u12"]', '["a" "b"]', '["a":1]', "[tru]", "[truee]",
    "{1:2}", "{a:1}", "{'a':1}", '{"a"}', '{"a",1}', '{"a":}', '{"a":1,}', "{,}", '{"a":1 "b":2}', '{"a":1]', '{"a" 1}',
    '{"a"::1}', '{"a":1,,"b":2}', '{"a":1:2}', "[\x0b1]", "[\u00a01]", "\ufeff[]", "[\u0661]",
]  # fmt: skip


@every("text", TEXTS)
@every("size", [0, 1, 2, 3])
def test_whole_documents_are_read_as_json_reads_them(text: str, size: int) -> None:
    said = result(text, size)
    assert said[0] == "value"
    assert same(said[1], json.loads(text, strict=False))


@every("text", TEXTS)
def test_every_prefix_of_a_document_is_incomplete_and_no_fault(text: str) -> None:
    for cut in range(len(text.rstrip())):
        for size in (0, 1):
            said = result(text[:cut], size)
            try:
                value = json.loads(text[:cut], strict=False)  # a shorter number is a number too
            except ValueError:
                assert said == "incomplete", text[:cut]
            else:
                assert same(said, ("value", value))


@every("text", BROKEN)
@every("size", [0, 1, 2])
def test_what_nothing_can_mend_is_refused(text: str, size: int) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(text, strict=False)
    assert result(text, size) == "InvalidJSON"


@every("text", BROKEN)
def test_a_fault_is_noticed_at_once_and_where_it_is(text: str) -> None:
    """One character earlier there is a way to go on; and the offset does not depend on the cuts."""
    offsets = set()
    for size in (0, 1, 2):
        parser = PartialParser(ANY)
        with pytest.raises(InvalidJSON) as caught:
            for at in range(0, len(text), size or len(text)):
                parser.feed(text[at : at + (size or len(text))])
                parser.advance()
        offsets.add(caught.value.offset)
    assert len(offsets) == 1
    offset = offsets.pop()
    assert 0 <= offset < len(text)
    assert result(text[:offset], 1) != "InvalidJSON"


def test_the_same_error_again_and_what_came_before_it() -> None:
    parser = fed('{"answer": "so far", "items": [1, 2', tp=Answer)
    parser.feed(" 3]}")
    with pytest.raises(InvalidJSON) as first:
        parser.snapshot()
    for call in (parser.advance, parser.snapshot, parser.finish):
        parser.feed("more")
        with pytest.raises(InvalidJSON) as again:
            call()
        assert again.value is first.value
    assert parser.error is first.value
    assert first.value.offset == len('{"answer": "so far", "items": [1, 2 ')
    assert "offset 36" in str(first.value)
    assert parser.last.model_dump() == {"answer": "so far", "items": [1, 2]}
    assert records_of(parser) == []
    assert not parser.complete
    assert parser.pending_chars == 0


damaged = settings(max_examples=settings().max_examples * 3, suppress_health_check=list(HealthCheck))


@damaged
@given(
    seed=st.integers(0, 10**6),
    at=st.floats(0, 0.999),
    what=st.sampled_from('{}[]",:\\x0-e.t n\n'),
    how=st.integers(0, 2),
)
def test_damaged_documents_are_taken_or_refused_as_json_does(seed: int, at: float, what: str, how: int) -> None:
    rng = random.Random(seed)
    text = document(rng, chance=0.2)
    where = int(at * len(text))
    text = text[:where] + ("" if how == 0 else what) + text[where + (how != 1) :]
    said = result(text, rng.choice([0, 1, 3, 7]))
    try:
        value = json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            value, end = json.JSONDecoder(strict=False).raw_decode(text.lstrip())
            rest = text.lstrip()[end:].lstrip()
            if isinstance(said, tuple):
                assert said[0] == "InvalidJSON" or value == {} or rest.startswith(text.lstrip()[:end])
            else:
                assert said in ("InvalidJSON", "incomplete")
        else:
            assert said in ("InvalidJSON", "incomplete")
            done = complete(text) if said == "incomplete" else None
            if done is not None:
                json.loads(done.text, strict=False)  # there really is a way to go on
    else:
        assert same(said, ("value", mended(value)))


everything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@damaged
@given(value=everything, ascii_only=st.booleans(), data=st.data())
def test_any_json_in_any_cuts(value: Any, ascii_only: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-16", "replace").decode("utf-16")
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=20)))
    parser = PartialParser(ANY)
    before = 0
    for cut in [*cuts, len(text)]:
        parser.feed(text[before:cut])
        before = cut
        parser.snapshot()
    assert parser.finish()
    assert same(parser.snapshot(), json.loads(text))
    assert parser.json_text() == text


# ---------------------------------------------------------------------- numbers


def test_a_number_is_shown_when_something_ends_it() -> None:
    assert fed("[12", 1).snapshot() == []
    for end in (",", "]", " ", "\n"):
        assert fed("[12" + end, 1).snapshot() == [12]
    assert fed('{"a": 12}').snapshot() == {"a": 12}


@pytest.mark.parametrize(
    ("text", "whole"), [("12", True), ("-", False), ("1.", False), ("1e", False), ("1e5", True), ("tru", False)]
)
def test_a_bare_number_is_settled_by_the_end(text: str, whole: bool) -> None:
    parser = fed(text, 1)
    assert not parser.complete
    assert parser.snapshot() is None
    assert [parser.finish(), parser.complete, parser.finish()] == [whole] * 3
    assert parser.snapshot() == (json.loads(text) if whole else None)
    assert parser.json_text() == text


def test_too_many_digits_are_refused_before_python_does() -> None:
    most = "9" * 4300
    assert fed(f"[{most}]", 7).snapshot() == [int(most)]
    assert fed(f"[-{most}]").snapshot() == [-int(most)]
    for text in (f"[{most}9]", f"[-{most}9", f"[0.{most}]", "[" + "1" * 10**5):
        for size in (0, 50):
            with pytest.raises(LimitExceeded) as caught:
                fed(text, size)
            assert (caught.value.limit, caught.value.allowed) == ("digits", 4300)
    assert fed("[1e400]").snapshot() == [math.inf]


# ---------------------------------------------------------------------- strings


@every("size", [1, 2, 3, 4, 5, 6, 7, 0])
def test_pairs_and_escapes_cut_anywhere(size: int) -> None:
    text = '["\\ud83d\\ude00 a\\u00e9\\\\ud83d \\n\\"", "\U0001f600"]'
    assert fed(text, size).snapshot() == json.loads(text)


def test_a_growing_string_shows_whole_characters_only() -> None:
    text = '["x\\ud83d\\ude00\\u00e9\\ny'
    seen = [fed(text[:cut], 1).snapshot() for cut in range(2, len(text) + 1)]
    shown = [strings[0] for strings in seen if strings]
    assert set(shown) == {"", "x", "x\U0001f600", "x\U0001f600\u00e9", "x\U0001f600\u00e9\n", "x\U0001f600\u00e9\ny"}
    assert shown == sorted(shown, key=len)


@every("size", [1, 2, 5, 6, 7, 0])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("\\ud83d", "\ufffd"),
        ("\\ude00", "\ufffd"),
        ("\\ud83dx", "\ufffdx"),
        ("\\ud83d\\n", "\ufffd\n"),
        ("\\ud83d\\u0041", "\ufffdA"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
        ("\\ude00\\ud83d", "\ufffd\ufffd"),
        ("\\uD83D\\uDE00", "\U0001f600"),
    ],
)
def test_a_surrogate_alone_becomes_the_replacement_character(written: str, value: str, size: int) -> None:
    assert fed(f'["{written}"]', size).snapshot() == [value]
    assert fed(f'{{"{written}": 1}}', size).snapshot() == {value: 1}


def test_raw_halves_that_a_provider_cut_apart_are_put_together() -> None:
    parser = PartialParser(ANY)
    for piece in ('["a', "\ud83d", "", "\ude00", "b\ud83d", "c", '", "\ude00x"', "]"):
        parser.feed(piece)
        parser.snapshot()
    assert parser.snapshot() == ["a\U0001f600b\ufffdc", "\ufffdx"]
    assert parser.json_text() == '["a\U0001f600b\ufffdc", "\ufffdx"]'
    parser.json_text().encode()


def test_raw_control_characters_are_kept() -> None:
    text = '["a\nb\tc\x00d\x7f\x85\u2028"]'
    assert fed(text, 1).snapshot() == ["a\nb\tc\x00d\x7f\x85\u2028"]


# ---------------------------------------------------------------------- limits


def test_depth_is_limited() -> None:
    assert fed("[" * 128, 1).snapshot() is not None
    with pytest.raises(LimitExceeded) as caught:
        fed("[" * 129, 1)
    assert (caught.value.limit, caught.value.allowed) == ("max_depth", 128)
    assert fed("[{}]", max_depth=2).complete
    with pytest.raises(LimitExceeded):
        fed('[{"a": []}]', max_depth=2)
    with pytest.raises(LimitExceeded):
        fed('{"unknown": [[]]}', tp=Answer, max_depth=2)


def test_a_megabyte_of_openers_costs_its_length() -> None:
    text = "[" * 1_000_000
    with pytest.raises(LimitExceeded):
        fed(text)
    parser = fed(text[: 10**5], max_depth=10**7)
    assert not parser.complete
    assert not fed(text, tp=Answer, search=True).begun
    assert not fed("{" * 1_000_000, 100_000, tp=list[int], search=True).begun
    assert list(last_values(text, "array")) == []
    assert list(last_values("{" * 1_000_000, "object")) == []
    assert list(last_values('{"a":' * 100_000, "object")) == []


@every("size", [0, 1])
def test_items_are_limited(size: int) -> None:
    assert fed("[1,2]", size, max_items=2).complete
    assert fed('{"a": 1, "b": 2, "c": [3, 4]}', size, max_items=2).complete
    for text in ("[1,2,3]", "[[1,2,3]]", "[[],[],[]]", '{"a": [1, 2, {}]}'):
        with pytest.raises(LimitExceeded) as caught:
            fed(text, size, max_items=2)
        assert (caught.value.limit, caught.value.allowed) == ("max_items", 2)
    assert fed("[]", size, max_items=0).complete
    for text in ("[1", '["a', "[[", "[{"):
        with pytest.raises(LimitExceeded):
            fed(text + ", ", size, max_items=0)
    with pytest.raises(LimitExceeded):
        fed("[1,2,3]", size, tp=set[int], max_items=2)


# ---------------------------------------------------------------------- where the document is


def test_tool_arguments_are_never_searched() -> None:
    for text in ("Sure: {}", "```json\n{}", "<think></think>{}"):
        with pytest.raises(InvalidJSON):
            fed(text, tp=Answer)
    parser = fed('  \n {"answer": "a"} \n ', 3, tp=Answer)
    assert parser.complete
    assert parser.json_start == 4
    assert parser.json_text() == '{"answer": "a"}'


DOCUMENT = '{"answer": "a"}'


@every("size", range(18))
@pytest.mark.parametrize(
    "rest", ["}", " and more", "{", '{"answer": "b"}', '{"answer"', "[]", '{"answer": "a"}{"answer": "b"}', " 1"]
)
def test_what_follows_the_document_of_tool_arguments_is_a_fault(rest: str, size: int) -> None:
    with pytest.raises(InvalidJSON) as caught:
        fed(DOCUMENT + "\n" + rest, size, tp=Answer).finish()
    again = len(DOCUMENT) if rest.startswith(DOCUMENT) else len(rest) - len(rest.lstrip())
    assert caught.value.offset == len(DOCUMENT) + 1 + again


@every("size", range(18))
def test_the_same_document_again_says_nothing_new(size: int) -> None:
    parser = fed(DOCUMENT + "\n" + DOCUMENT + DOCUMENT + " ", size, tp=Answer)
    assert parser.finish()
    assert parser.json_text() == DOCUMENT


@every("size", range(18))
@every("empty", ["{}", " { }\n", "{}{}"])
def test_an_empty_object_before_another_is_a_placeholder(empty: str, size: int) -> None:
    parser = fed(empty + DOCUMENT + " ", size, tp=Answer, transitions=True)
    assert parser.finish()
    assert parser.json_text() == DOCUMENT
    assert parser.json_start == len(empty)
    assert parser.snapshot().answer == "a"
    changed = [record for record in records_of(parser) if record.path == ("answer",)]
    assert isinstance(changed[-1], FieldChanged)
    assert changed[-1].after is FieldState.COMPLETE
    with pytest.raises(InvalidJSON) as caught:
        fed(empty + DOCUMENT + "x", size, tp=Answer)
    assert caught.value.offset == len(empty + DOCUMENT)
    assert fed(empty, size, tp=Answer).finish()
    for other in ("x", "[]"):
        with pytest.raises(InvalidJSON):
            fed(empty + other, size, tp=Answer)


@every("size", range(1, 18))
def test_where_the_draft_began_is_known_while_another_document_is_looked_for(size: int) -> None:
    draft, thought = '{"answer": "no"}', " or rather </think> so:"
    parser = PartialParser(compile_plan(Answer), search=True)
    before = "let me see "
    text = before + draft + thought
    for at in range(0, len(text), size):
        parser.feed(text[at : at + size])
        try:
            parser.advance()
        except Drafted:
            parser.advance()
    assert not parser.begun
    assert parser.json_start == len(before)
    parser.feed(DOCUMENT)
    parser.advance()
    assert parser.complete
    assert parser.json_start == len(text)


def test_half_a_character_behind_a_draft_stays_behind_it() -> None:
    parser = PartialParser(compile_plan(list[str]), search=True)
    parser.feed('So ["a"] or ["b\ud83d')
    with pytest.raises(Drafted):
        parser.advance()
    parser.feed('\ude00"]')
    assert parser.snapshot() == ["b\U0001f600"]


@every("size", range(12))
def test_another_document_is_found_behind_a_broken_escape(size: int) -> None:
    broken = '{"answer": "some text \\q"}'
    with pytest.raises(InvalidJSON) as caught:
        fed(broken, size, tp=Answer)
    assert caught.value.offset == broken.index("\\")
    parser = fed(broken, size, tp=Answer, search=True, patient=True)
    assert parser.lost is not None
    assert parser.lost.offset == broken.index("\\")
    parser.feed(" then " + DOCUMENT)
    with pytest.raises(Drafted):
        parser.advance()
    parser.advance()
    assert parser.complete
    assert parser.json_text() == DOCUMENT


@every("size", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("before", "tp"),
    [
        ("", Answer),
        ("1 < 2 <b> <thin>: ", Answer),
        ("\n ", Answer),
        ("Here you are:\n```json\n", Answer),
        ('<think>maybe {"answer": "no"} or so</think>\n', Answer),
        ('  <think>{</think> {}, {x}, [1], {"other": 1}: ', Answer),
        ('a <thin> b </think> {"ans": {"answers" ', Answer),
        ('{"long key'.replace("{", "x {") + "x" * 300 + '": 1} then ', Answer),
    ],
)
def test_the_document_is_found_in_prose(before: str, tp: Any, size: int) -> None:
    json_text = '{ "answer" : "yes {}", "items": [1]}'
    parser = fed(before + json_text + '\n``` and {"other": "later"}', size, tp=tp, search=True)
    assert parser.begun
    assert parser.complete
    assert parser.json_start == len(before)
    assert parser.json_text() == json_text
    assert parser.snapshot().answer == "yes {}"


def test_what_is_held_back_while_looking_is_short() -> None:
    parser = fed("x {" + '"' + "never closed " * 1000, 100, tp=Answer, search=True)
    assert len(parser._tail) <= 256
    parser = fed("<think>" + "at length " * 1000, 100, tp=Answer, search=True)
    assert len(parser._tail) <= 256


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")


@every("size", [0, 1, 3])
@pytest.mark.parametrize(
    ("tp", "text", "found"),
    [
        (list[Answer], 'see [1] and [{"x": 1}]: [ {"answer": "a"}]', '[ {"answer": "a"}]'),
        (list[int], "see [x], [note], []: [ 1, 2]", "[ 1, 2]"),
        (list[str], 'see [1] {"a": ["b"]}', '["b"]'),
        (list[list[int]], 'see [1], [["a"]], [ [ 2]]', "[ [ 2]]"),
        (list[bool], "see [trust], [to], [true]", "[true]"),
        (tuple[str, int], 'see [1], ["a", 2]', '["a", 2]'),
        (dict[str, int], 'a {b} {"anything": 1}', '{"anything": 1}'),
        (Extra, 'a {b} {"anything": 1}', '{"anything": 1}'),
        (Union[Answer, list[int]], 'a {"b": 1} [x] [3]', "[3]"),
        (Any, 'a {b} ["x"]', '["x"]'),
        (Answer, 'a {"\\u0061nswer": "x"}', '{"\\u0061nswer": "x"}'),
        (list[Any], "so [[[1]]]", "[[[1]]]"),
    ],
)
def test_a_document_begins_with_what_fits(tp: Any, text: str, found: str, size: int) -> None:
    parser = fed(text, size, tp=tp, search=True)
    assert parser.json_text() == found
    assert parser.complete


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "",
        "   ",
        "`{}` and {x}",
        '{"other": 1}'.join("xx"),
        '<think>{"answer": 1}',
        "[1, 2]",
        'x {"answer',
        "x {",
        "a <",
    ],
)
def test_nothing_begins_where_nothing_fits(text: str) -> None:
    for size in (0, 1, 4):
        parser = fed(text, size, tp=Answer, search=True)
        assert not parser.begun
        assert parser.snapshot() is None
        assert not parser.finish()
        assert parser.json_text() == ""


def test_once_begun_faults_are_faults() -> None:
    assert fed("{}", tp=Answer, search=True).complete
    with pytest.raises(InvalidJSON) as caught:
        fed("{note} ", tp=Answer, search=True)
    assert caught.value.offset == 1
    parser = fed('So: {"answer": nothing}', 1, tp=Answer, search=True)  # a draft may be no JSON
    assert not parser.finish()
    assert parser.lost is not None
    assert parser.lost.offset == 15


# ---------------------------------------------------------------------- values in prose


@pytest.mark.parametrize(
    ("text", "kind", "values"),
    [
        ("", "any", []),
        ('a {"a": {"b": 1}} b {c} [1, {}] {} "x" 12', "object", ["{}", "{}", '{"a": {"b": 1}}']),
        ('a {"a": {"b": 1}} b {c} [1, {}] {} "x" 12', "array", ["[1, {}]"]),
        ('a {"a": {"b": 1}} b {c} [1, {}] {} "x" 12', "any", ["{}", "[1, {}]", '{"a": {"b": 1}}']),
        ('{"raw": "line\nbreak"} {"cut": [', "object", ['{"raw": "line\nbreak"}']),
        ("[" + "1" * 5000 + "] [2]", "array", ["[2]"]),
        ("[" * 300 + "]" * 300 + "[3]", "array", ["[3]", "[" * 128 + "]" * 128]),
    ],
)
def test_the_last_values_of_a_text(text: str, kind: Any, values: list[str]) -> None:
    found = list(last_values(text, kind))
    assert found == values


# ---------------------------------------------------------------------- cost


def test_the_text_is_kept_in_few_pieces() -> None:
    parser = PartialParser(compile_plan(Answer))
    parser.feed('{"answer": "')
    tracemalloc.start()
    for _ in range(60_000):
        parser.feed("word ")
        parser.advance()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 3 * 60_000 * 5
    assert len(parser._kept) + len(parser._parts) < 4500
    parser.feed('"}')
    assert parser.snapshot().answer == "word " * 60_000
    assert parser.json_text() == '{"answer": "' + "word " * 60_000 + '"}'


def test_what_waits_to_be_scanned_is_counted() -> None:
    parser = PartialParser(compile_plan(Answer))
    for _ in range(5000):
        parser.feed(" ")
    assert parser.pending_chars == 5000
    assert len(parser._pending) < 2000
    parser.advance()
    assert parser.pending_chars == 0


def test_a_character_is_looked_at_once() -> None:
    """The lines run per character do not grow with the document."""

    def lines(size: int) -> int:
        text = json.dumps({"answer": "a b" * size, "items": list(range(size))})
        parser = PartialParser(compile_plan(Answer), transitions=True)
        count = 0

        def trace(_frame: Any, event: str, _argument: Any) -> Any:
            nonlocal count
            count += event == "line"
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            for at in range(0, len(text), 4):
                parser.feed(text[at : at + 4])
                parser.snapshot()
        finally:
            sys.settrace(before)
        return count * 1000 // len(text)

    small, large = lines(300), lines(3000)
    assert large < small * 1.2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"answer": None}', "Python's None for null"),
        ('{"answer": True}', "Python's True is true"),
        ('{"answer": False}', "Python's False is false"),
        ("{'answer': 1}", "a single quote"),
        ("{\"answer\": 'a'}", "a single quote"),
        ('{"answer": "a",}', "'}', after a comma"),
        ('{"answer": [1, ]}', "']' after a trailing comma"),
        ('{"answer": "a" // no\n}', "found '/'"),
        ('{"answer": // no\n1}', "JSON has no comments"),
        ('{"answer": }', "expected a value"),
    ],
)
@every("size", [1, 0])
def test_common_mistakes_are_named(text: str, said: str, size: int) -> None:
    with pytest.raises(InvalidJSON, match=re.escape(said)):
        fed(text, size, tp=Any).finish()
