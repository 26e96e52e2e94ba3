"""A key that a model says over several pieces is masked in each, in every format, byte for byte."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from instructor_stream_ext.testing import Scrubber, load_cassette, use_cassette
from instructor_stream_ext.testing.payload import text_of
from tests.server import ScriptedServer
from tests.server.script import Start, sends
from tests.server.wire_anthropic import anthropic_text
from tests.server.wire_bedrock import bedrock_text, bedrock_tools
from tests.server.wire_chat import chat_content, chat_tools
from tests.server.wire_gemini import gemini_text
from tests.server.wire_ollama import ollama_text
from tests.server.wire_responses import responses_text
from tests.testing.carriers import Carrier

KEY = "sk-proj-Ab3Cd5Ef7Gh9Ij1Kl3Mn5Op7Qr9St1Uv3"
SAID = f"It is {KEY}, keep it."
SSE, BINARY, LINES = "text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson"


def _wrapped(chunks: list[bytes]) -> list[bytes]:
    """As Bedrock's `invoke` sends another provider's events: in base64 within binary messages."""
    made = []
    for chunk in chunks:
        data = chunk.partition(b"data: ")[2].strip()
        payload = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
        total = 16 + len(payload)
        head = struct.pack("!II", total, 0)
        head += struct.pack("!I", zlib.crc32(head))
        made.append(head + payload + struct.pack("!I", zlib.crc32(head + payload)))
    return made


def _escaped(chunks: list[bytes]) -> list[bytes]:
    """The key's letters as JSON escapes."""
    return [
        chunk.replace(b"A", rb"\u0041").replace(b"b3", rb"\u0062\u0033").replace(b"-", rb"\u002d") for chunk in chunks
    ]


def _listed(chunks: list[bytes]) -> list[bytes]:
    """As Gemini streams without `alt=sse`: one list of events."""
    events = [chunk.partition(b"data: ")[2].strip() for chunk in chunks]
    return [b"[", b",\r\n".join(events), b"]"]


def formats(said: str) -> dict[str, tuple[list[bytes], str]]:
    """The same text in every format."""
    document = json.dumps({"note": said})
    return {
        "chat": (chat_content(said, size=5), SSE),
        "chat tools": (chat_tools(document, size=5), SSE),
        "chat, escaped": (_escaped(chat_content(said, size=7)), SSE),
        "responses": (responses_text(said, size=5), SSE),
        "anthropic": (anthropic_text(said, size=5), SSE),
        "gemini": (gemini_text(said, size=5), SSE),
        "gemini, escaped": (_escaped(gemini_text(said, size=7)), SSE),
        "gemini as a list": (_listed(gemini_text(said, size=5)), "application/json"),
        "bedrock": (bedrock_text(said, size=5), BINARY),
        "bedrock tools": (bedrock_tools(document, size=5), BINARY),
        "bedrock, wrapped": (_wrapped(anthropic_text(said, size=5)), BINARY),
        "ollama": (ollama_text(said, size=5), LINES),
    }


FORMATS = formats(SAID)
PLAIN = formats("It is a plain sentence, keep it.")


def _messages(body: bytes) -> Iterator[bytes]:
    while body:
        size = int.from_bytes(body[:4])
        yield body[:size]
        body = body[size:]


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_masked_where_it_stands(name: str) -> None:
    chunks, kind = FORMATS[name]
    body = b"".join(chunks)
    assert KEY in text_of(body, kind)
    scrubber = Scrubber()
    assert scrubber.hidden(body)
    clean = scrubber.masked(scrubber.unspread(body))  # some formats say the whole text once more at the end
    assert len(clean) == len(body)
    said = text_of(clean, kind)
    assert KEY not in said
    assert KEY[-16:] not in said
    assert said.startswith(text_of(body, kind)[:6])
    assert said.endswith(text_of(body, kind)[-10:])
    assert not scrubber.hidden(clean)
    assert scrubber.masked(scrubber.unspread(clean)) == clean
    if kind == BINARY:
        for message in _messages(clean):
            assert zlib.crc32(message[:-4]) == int.from_bytes(message[-4:])


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_key_stays(name: str) -> None:
    body = b"".join(PLAIN[name][0])
    assert Scrubber().unspread(body) == body
    assert not Scrubber().hidden(body)


@pytest.mark.parametrize("unit", [b"A", b"A.", b"eyJ-", b"bearer 0", b"sk-", b"@A", b"a@b.", b"-----BEGIN "])
def test_a_recorded_sound_or_a_hostile_answer_is_searched_in_linear_time(unit: bytes) -> None:
    """This would take minutes and more if a pattern tried each place with all that follows."""
    body = unit * (500_000 // len(unit)) + b" somebody@company.com"
    clean = Scrubber().masked(body)
    assert len(clean) == len(body)
    assert b"@company" not in clean


def test_two_tools_that_come_side_by_side_are_not_joined() -> None:
    half = len(KEY) // 2
    make: Callable[..., Any] = lambda index, text: {  # noqa: E731
        "choices": [{"index": 0, "delta": {"tool_calls": [{"index": index, "function": {"arguments": text}}]}}]
    }
    events = [make(0, KEY[:half]), make(1, "and "), make(0, KEY[half:]), make(1, "more")]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    clean = Scrubber().unspread(body)
    assert KEY[half:].encode() not in clean
    assert b"and " in clean
    assert b"more" in clean


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", FORMATS)
async def test_no_cassette_holds_it(server: ScriptedServer, tmp_path: Path, name: str, is_async: bool) -> None:
    chunks, kind = FORMATS[name]
    server.add(Start(headers={"content-type": kind}), sends(chunks))
    cassette_file, carrier = tmp_path / "cassette.yaml", Carrier("httpx2", is_async=is_async)
    with use_cassette(cassette_file, record_mode="once"):
        assert b"".join((await carrier.read(server.url))[1]) == b"".join(chunks)
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    assert len(interaction.body) == len(b"".join(chunks))
    assert KEY not in text_of(interaction.body, kind)
    assert not Scrubber().hidden(interaction.body)
    with use_cassette(cassette_file):
        assert b"".join((await carrier.read(interaction.url))[1]) == interaction.body
