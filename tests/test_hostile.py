"""What a hostile model writes ends in a right object or a clear error; `benchmarks/hostile.py` shows what it costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import (
    InvalidJSON,
    LimitExceeded,
    Limits,
    NoOutput,
    StreamError,
    StreamInterrupted,
    wrap,
)
from tests.playing import Played, play, still
from tests.server import ScriptedServer, reply, sends
from tests.server.clients import async_openai_client, openai_client
from tests.server.wire_format import chat_content
from tests.sides import both_sides

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "model": "m", "max_retries": 0}
ONE_MB = 1_000_000
PIECE = 64 * 1024


class Number(BaseModel):
    n: int = 0
    f: float = 0.0
    s: str = ""


class Anything(BaseModel):
    a: Any = None


class Items(BaseModel):
    items: list[dict[str, int]] = []


@dataclass(frozen=True)
class Hostile:
    """What is written, and what comes of it."""

    text: Callable[[], str]
    model: type[BaseModel] = Number
    final: dict[str, Any] | None = None
    error: type[Exception] | None = None
    said: str = ""


IN_JSON = {
    "depth of 100,000": Hostile(lambda: '{"a":' * 100_000, Anything, None, LimitExceeded, "beyond 128"),
    "lists as deep": Hostile(lambda: '{"a":' + "[" * 100_000, Anything, None, LimitExceeded, "beyond 128"),
    "a number of 1 MB": Hostile(lambda: '{"n": ' + "9" * ONE_MB + "}", Number, None, LimitExceeded, "digits"),
    "a fraction of 1 MB": Hostile(lambda: '{"f": 0.' + "9" * ONE_MB + "}", Number, None, LimitExceeded, "digits"),
    "an exponent beyond all floats": Hostile(lambda: '{"f": 1e999999}', Number, {"n": 0, "f": float("inf"), "s": ""}),
    "a key of 1 MB": Hostile(lambda: '{"' + "k" * ONE_MB + '": 1, "n": 2}', Number, {"n": 2, "f": 0.0, "s": ""}),
    "a text of 1 MB": Hostile(lambda: '{"s": "' + "x" * ONE_MB + '"}', Number, {"n": 0, "f": 0.0, "s": "x" * ONE_MB}),
    "space of 1 MB": Hostile(lambda: "{" + " " * ONE_MB + '"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "50,000 empty items": Hostile(lambda: '{"items": [' + "{}," * 50_000 + "{}]}", Items, {"items": [{}] * 50_001}),
    "more text than the limit": Hostile(lambda: '{"s": "' + "x" * 4_000_000, Number, None, LimitExceeded, "max_chars"),
    "one key again and again": Hostile(
        lambda: "{" + '"n": 1, "s": "x", ' * 20_000 + '"n": 2}', Number, {"n": 2, "f": 0.0, "s": "x"}
    ),
    "20,000 unknown keys": Hostile(
        lambda: json.dumps({f"k{number}": 1 for number in range(20_000)} | {"n": 3}),
        Number,
        {"n": 3, "f": 0.0, "s": ""},
    ),
    "NUL, escaped": Hostile(lambda: r'{"s": "a\u0000b"}', Number, {"n": 0, "f": 0.0, "s": "a\0b"}),
    "NUL, raw": Hostile(lambda: '{"s": "a\0b"}', Number, {"n": 0, "f": 0.0, "s": "a\0b"}),
    "half a surrogate pair": Hostile(lambda: r'{"s": "a\ud83db"}', Number, {"n": 0, "f": 0.0, "s": "a\ufffdb"}),
    "halves in the wrong order": Hostile(
        lambda: r'{"s": "\ude00\ud83d"}', Number, {"n": 0, "f": 0.0, "s": "\ufffd\ufffd"}
    ),
    "braces that close too often": Hostile(lambda: '{"n": 1}' + "}" * 1000, Number, {"n": 1, "f": 0.0, "s": ""}),
}
IN_PROSE = {
    "a megabyte of braces": Hostile(lambda: "{" * ONE_MB + ' {"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "braces and nothing else": Hostile(lambda: "{" * ONE_MB, Number, None, InvalidJSON, "expected a key"),
    "closed ones": Hostile(lambda: "{}" * 100_000 + ' {"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "brackets": Hostile(lambda: "[{" * 300_000 + ' {"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "quotation marks": Hostile(lambda: '"' * 300_001 + '{"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "fences": Hostile(lambda: "```json\n" * 50_000 + '{"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}),
    "thoughts that never end": Hostile(
        lambda: "<think>" * 50_000 + '</think>{"n": 1}', Number, {"n": 1, "f": 0.0, "s": ""}
    ),
    "prose of 1 MB": Hostile(lambda: "word " * 200_000, Number, None, NoOutput, ""),
}


def client_of(server: ScriptedServer, side: str, mode: Mode) -> Any:
    make: Any = async_openai_client if side == "async" else openai_client
    return wrap(make(server, mode), clock=still)


async def played(server: ScriptedServer, hostile: Hostile, side: str, mode: Mode) -> Played:
    server.add(reply(hostile.text(), PIECE))
    return await play(client_of(server, side, mode).create_partial(hostile.model, **ASK))


def check(got: Played, hostile: Hostile) -> None:
    if hostile.error is None:
        assert got.error is None, got.error
        assert got.final.model_dump() == hostile.final
        assert got.partials[-1].model_dump() == hostile.final
        return
    assert type(got.error) is hostile.error, got.error
    assert hostile.said in str(got.error)
    assert len(str(got.error)) < 1000
    assert isinstance(got.error, StreamError)
    assert hostile.text().startswith(got.error.text)


@both_sides
@pytest.mark.parametrize("hostile", IN_JSON.values(), ids=IN_JSON)
async def test_in_json(server: ScriptedServer, hostile: Hostile, side: str) -> None:
    check(await played(server, hostile, side, Mode.JSON), hostile)


@both_sides
@pytest.mark.parametrize("hostile", IN_PROSE.values(), ids=IN_PROSE)
async def test_in_prose(server: ScriptedServer, hostile: Hostile, side: str) -> None:
    check(await played(server, hostile, side, Mode.MD_JSON), hostile)


@both_sides
async def test_bytes_that_are_no_text(server: ScriptedServer, side: str) -> None:
    first, *rest = chat_content('{"s": "abc"}', size=100)
    broken = [chunk.replace(b"abc", b"a\xff\xfe") for chunk in rest]
    server.add(sends([first, *broken]))
    got = await play(client_of(server, side, Mode.JSON).create_partial(Number, **ASK))
    assert type(got.error) is StreamInterrupted
    assert "decode" in str(got.error)


@pytest.mark.parametrize("depth", [201, 10**6])
def test_no_limit_goes_deeper_than_pydantic_reads(depth: int) -> None:
    with pytest.raises(ValueError, match="must be at most 200"):
        Limits(max_depth=depth)


@both_sides
@pytest.mark.parametrize(("depth", "fits"), [(199, True), (200, False)])
async def test_at_the_deepest_limit(server: ScriptedServer, side: str, depth: int, *, fits: bool) -> None:
    server.add(reply('{"a": ' + "[" * depth + "]" * depth + "}", 500))
    client = client_of(server, side, Mode.JSON)
    got = await play(client.create_partial(Anything, limits=Limits(max_depth=200), **ASK))
    assert type(got.error) is (type(None) if fits else LimitExceeded)
