"""Plain text in pieces, and one long field of a typed answer."""

from __future__ import annotations

import itertools
import json
import re
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel, field_validator

from instructor_stream_ext import (
    Done,
    EveryN,
    FinalOnly,
    OutputTruncated,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    WithState,
)
from instructor_stream_ext.core.text_splitter import By, Pieces
from tests.server import Cut, ScriptedServer, Signal, Wait, reply, sends
from tests.server.wire_format import chat_content
from tests.twins import Recorder, Twin, both, settled

ASK: dict[str, Any] = {"messages": "go", "model": "m"}
TEXT = 'He said "Stop." Then he left!  Nobody knew why...\nNew line. 終わり。次。 End'

CUTS: dict[By, list[str]] = {
    "word": ["one ", "two  ", "three\n", "four"],
    "line": ["one two  three\n", "four"],
    "sentence": ["one two  three\n", "four"],
}


def cut(by: By, deltas: list[str], buffer: int = 1) -> list[str]:
    pieces = Pieces(by, buffer)
    given_out = [piece for delta in deltas for piece in pieces.feed(delta)]
    return given_out + pieces.finish()


@pytest.mark.parametrize(("by", "wanted"), CUTS.items())
def test_words_lines_and_sentences(by: By, wanted: list[str]) -> None:
    assert cut(by, ["one two  three\nfour"]) == wanted


def test_sentences_end_with_their_quotes_and_spaces() -> None:
    assert cut("sentence", [TEXT]) == [
        'He said "Stop." ',
        "Then he left!  ",
        "Nobody knew why...\n",
        "New line. ",
        "終わり。",
        "次。 ",
        "End",
    ]
    assert cut("sentence", ["It is 3.14 or v1.2.3 here. Ok"]) == ["It is 3.14 or v1.2.3 here. ", "Ok"]


def test_buffered_by_number() -> None:
    assert cut("word", ["a b c d e"], 2) == ["a b ", "c d ", "e"]
    assert cut("delta", ["a", "b", "", "c"], 2) == ["ab", "c"]
    assert cut("line", ["a\nb\nc\n"], 3) == ["a\nb\nc\n"]


@given(
    by=st.sampled_from(["word", "sentence", "line"]),
    buffer=st.integers(1, 3),
    text=st.text(alphabet='abA1.!?…"”(«)。！「」学かカー,é\u0301 \n\r\t\u2028', max_size=60),  # noqa: RUF001
    data=st.data(),
)
def test_where_the_deltas_are_cut_makes_no_difference(by: By, buffer: int, text: str, data: st.DataObject) -> None:
    whole = cut(by, [text], buffer)
    assert "".join(whole) == text
    places = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    assert cut(by, [text[a:b] for a, b in itertools.pairwise(places)], buffer) == whole


def test_sentences_follow_unicode() -> None:
    """UAX #29: SB6 (numbers), SB7 and SB8 (abbreviations), SB9 and SB10 (closing marks, spaces)."""
    text = 'Mr. smith of the U.S. went. i.e. no. Yes! "Ok." He said. (Done.) 5 more.'
    assert cut("sentence", [text]) == [
        "Mr. smith of the U.S. went. i.e. no. ",
        "Yes! ",
        '"Ok." ',
        "He said. ",
        "(Done.) 5 more.",
    ]
    japanese = "私は学生です。「はい」と言った。次"
    assert cut("sentence", [*japanese]) == ["私は学生です。", "「はい」と言った。", "次"]


def test_words_of_scripts_without_spaces_stream() -> None:
    assert cut("word", [*"你好，世界 hello 世界"]) == ["你", "好，", "世", "界 ", "hello ", "世", "界"]  # noqa: RUF001
    assert cut("word", [*"カタカナ語を話す「はい」"]) == ["カタカナ", "語", "を", "話", "す", "「は", "い」"]
    assert cut("word", ["Hello, (dear) don't stop"]) == ["Hello, ", "(dear) ", "don't ", "stop"]


@pytest.mark.parametrize("by", ["word", "sentence"])
@pytest.mark.parametrize("piece", ["x", "語", "ー", "é", "1"])
def test_text_without_spaces_is_never_held_beyond_200_characters(by: By, piece: str) -> None:
    pieces = Pieces(by)
    given_out = 0
    for number in range(1, 1001):
        given_out += len("".join(pieces.feed(piece)))
        assert number * len(piece) - given_out <= 200
    assert given_out + len("".join(pieces.finish())) == 1000 * len(piece)


def test_text_by_a_pattern_and_by_a_function() -> None:
    def triples(text: str) -> int:
        return 3 if len(text) >= 3 else 0

    assert cut(re.compile("; *"), ["a;", " b; c", ";"]) == ["a; ", "b; ", "c;"]
    assert cut(triples, ["abcd", "efg", "h"]) == ["abc", "def", "gh"]
    assert cut(triples, ["abcdefgh"], 2) == ["abcdef", "gh"]
    with pytest.raises(StreamMisuse, match="a compiled pattern of str or a function"):
        Pieces(3)  # type: ignore[arg-type]


@both
async def test_the_halves_of_a_character_in_two_deltas_are_joined(server: ScriptedServer, twin: Twin) -> None:
    r"""JSON writes what is beyond U+FFFF as two escapes, and servers that stream token by token send them apart."""
    parts = [{"content": "a \ud83d"}, {"content": "\ude00 b \ude00"}, {"content": "\ud83d"}, {}]
    choices = [{"index": 0, "delta": part, "finish_reason": None if part else "stop"} for part in parts]
    server.always(sends([b"data: " + json.dumps({"id": "x", "choices": [one]}).encode() + b"\n\n" for one in choices]))
    recorder = Recorder(twin)
    whole = "a \U0001f600 b \ufffd\ufffd"
    stream = twin.client(server).stream_text(**ASK, **recorder.hooks("delta", "final"))
    pieces = await twin.values(stream)
    deltas = "".join(text for (text,) in recorder.of("delta"))
    assert "".join(pieces) == deltas == stream.text == await twin.final(stream) == whole
    assert stream.messages[-1]["content"] == stream.completion.choices[0].message.content == whole
    stream.text.encode()


@pytest.mark.parametrize(("by", "buffer"), [("letter", 1), ("word", 0), ("word", -1), ("word", 2.5), ("word", "3")])
def test_a_wrong_size_is_refused(by: Any, buffer: Any) -> None:
    with pytest.raises(StreamMisuse):
        Pieces(by, buffer)


@both
@pytest.mark.parametrize("by", ["delta", "word", "sentence", "line"])
@pytest.mark.parametrize("buffer", [1, 3])
async def test_the_pieces_are_the_text(server: ScriptedServer, twin: Twin, by: By, buffer: int) -> None:
    server.add(reply(TEXT, 3))
    recorder = Recorder(twin)
    stream = twin.client(server).stream_text(**ASK, by=by, buffer=buffer, **recorder.hooks("delta", "final"))
    pieces = await twin.values(stream)
    deltas = [text for (text,) in recorder.of("delta")]
    assert "".join(pieces) == "".join(deltas) == stream.text == await twin.final(stream) == TEXT
    assert recorder.of("final") == [(TEXT,)]
    assert pieces == cut(by, deltas, buffer)


@both
async def test_a_word_comes_as_soon_as_the_next_begins(server: ScriptedServer, twin: Twin) -> None:
    gate = Signal()

    def arrange(chunks: list[bytes]) -> Any:
        return [sends(chunks[:3]), Wait(gate), sends(chunks[3:])]

    server.add(reply("one two", 5, arrange=arrange))
    stream = twin.client(server).stream_text(**ASK, by="word")
    first = await anext(stream) if twin.is_async else next(stream)
    gate.set()
    assert first == "one "
    assert await twin.values(stream) == ["two"]


@both
async def test_what_is_held_back_comes_before_the_error(server: ScriptedServer, twin: Twin) -> None:
    server.add([sends(chat_content("one two thr", size=None, finish=None, done=False)), Cut()])
    stream = twin.client(server).stream_text(**ASK, by="word")
    seen: list[str] = []
    with pytest.raises(StreamInterrupted) as caught:
        await twin.values(stream, seen)
    assert seen == ["one ", "two ", "thr"]
    assert caught.value.text == "one two thr"


@both
async def test_what_a_debounce_held_back_comes_before_the_error(server: ScriptedServer, twin: Twin) -> None:
    server.add(sends(chat_content("one two thr", size=2, finish="length")))
    stream = twin.client(server).stream_text(**ASK, debounce=FinalOnly())
    seen: list[str] = []
    with pytest.raises(OutputTruncated):
        await twin.values(stream, seen)
    assert seen == ["one two thr"]


@both
async def test_words_may_be_read_as_events_or_deltas_as_well(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply("one two", 5))
    client = twin.client(server)
    deltas = await twin.values(client.stream_text(**ASK, by="word").text_stream())
    assert deltas == ["one t", "wo"]
    events = await twin.events(client.stream_text(**ASK, by="word"))
    assert events[-2].result == "one two"


class Name(RootModel[str]):
    pass


class Post(BaseModel):
    title: str
    year: int
    body: str
    tags: list[str] = []
    note: Annotated[str, WithState()] = ""
    slug: Annotated[str, Done()] = ""
    author: Name = Name("")
    score: float | str = 0

    @field_validator("body")
    @classmethod
    def _shout(cls, body: str) -> str:
        return body.upper()


POST = {
    "title": "A title",
    "year": 2024,
    "body": 'A long "text" with \\ and é\n' * 3,
    "tags": ["first", "second"],
    "note": "noted down",
    "slug": "a-title",
    "author": "Ada Lovelace",
    "score": "high enough",
}


@both
@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("body", POST["body"]),
        (("title",), "A title"),
        ("tags[1]", "second"),
        ("note", "noted down"),
        ("author", "Ada Lovelace"),
        ("score", "high enough"),
    ],
    ids=str,
)
async def test_the_deltas_of_one_field(server: ScriptedServer, twin: Twin, path: Any, wanted: str) -> None:
    server.add(reply(json.dumps(POST), 3))
    stream = twin.client(server).create_partial(Post, **ASK)
    pieces = await twin.values(stream.text_of(path))
    assert "".join(pieces) == wanted
    assert len(pieces) > len(wanted) // 6
    final = await twin.final(stream)
    assert final.year == 2024
    assert final.body == str(POST["body"]).upper()


@both
async def test_a_field_that_is_shown_only_when_done_comes_in_one_piece(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(json.dumps(POST), 3))
    assert await twin.values(twin.client(server).create_partial(Post, **ASK).text_of("slug")) == ["a-title"]


@both
async def test_the_deltas_of_one_field_under_a_debounce(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(json.dumps(POST), 3))
    stream = twin.client(server, debounce=EveryN(10)).create_partial(Post, **ASK)
    pieces = await twin.values(stream.text_of("body"))
    assert "".join(pieces) == POST["body"]
    server.add(reply(json.dumps(POST), 3))
    stream = twin.client(server, debounce=FinalOnly()).create_partial(Post, **ASK)
    assert await twin.values(stream.text_of("body")) == [POST["body"]]


class Short(BaseModel):
    body: str = Field(max_length=8)


@both
async def test_a_field_begins_anew_with_a_new_attempt(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"body": "much too long"}', 100))
    server.add(reply('{"body": "right"}', 100))
    recorder = Recorder(twin)
    stream = twin.client(server).create_partial(Short, **ASK, **recorder.hooks("restart"))
    assert await twin.values(stream.text_of("body")) == ["much too long", "right"]
    ((restarted,),) = recorder.of("restart")
    assert isinstance(restarted, StreamRestarted)


@both
async def test_a_field_that_breaks_off_is_told_as_far_as_it_came(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply('{"body": "much too', 4))
    stream = twin.client(server).create_partial(Short, **ASK)
    seen: list[str] = []
    with pytest.raises(OutputTruncated):
        await twin.values(stream.text_of("body"), seen)
    assert "".join(seen) == "much too"


@both
@pytest.mark.parametrize(
    ("path", "said"),
    [("boddy", "Post has title"), ("year", "not a string"), ("body.x", "has nothing below"), ("tags", "not a string")],
)
async def test_a_path_that_is_no_text_is_refused_at_once_and_the_stream_unharmed(
    server: ScriptedServer, twin: Twin, path: str, said: str
) -> None:
    server.add(reply(json.dumps(POST)))
    stream = twin.client(server).create_partial(Post, **ASK)
    with pytest.raises(StreamMisuse, match=said):
        stream.text_of(path)
    assert not server.requests
    assert (await twin.final(stream)).title == "A title"


@both
async def test_plain_text_has_no_fields(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply("text"))
    stream = twin.client(server).stream_text(**ASK)
    with pytest.raises(StreamMisuse, match="response model"):
        stream.text_of("body")
    assert await settled(stream.get_final_response()) == "text"
