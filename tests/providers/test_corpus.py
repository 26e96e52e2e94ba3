"""Real recordings, decoded by the provider's own SDK where it is installed, carry the text known to be in them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.reader import Reader
from tests.providers.chunks import http_over
from tests.recordings import INDEX, Recording, recordings

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the collection of recordings is not beside this checkout")

# Formats no SDK known to instructor speaks.
NOT_OURS = ("sse-text", "generate-text", "completions-text", "native-tools")
# Two calls of the same tool, in what are two answers of one body.
CALLED_TWICE = "cerebras__chat-tools__vercel-glm47-reasoning.jsonl"
TRUNCATED = {"length", "max_tokens"}


def _rows() -> list[Recording]:
    return [one for one in recordings() if one.mode not in NOT_OURS]


def _chat(row: Recording) -> Iterator[Any]:
    import openai

    client = openai.OpenAI(api_key="none", http_client=http_over("openai", row.sse), max_retries=0)
    yield from client.chat.completions.create(model="any", messages=[], stream=True)


def _responses(row: Recording) -> Iterator[Any]:
    import openai

    client = openai.OpenAI(api_key="none", http_client=http_over("openai", row.sse), max_retries=0)
    yield from client.responses.create(model="any", input="", stream=True)


def _messages(row: Recording) -> Iterator[Any]:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="none", http_client=http_over("anthropic", row.sse), max_retries=0)
    yield from client.messages.create(model="any", max_tokens=1, messages=[], stream=True)


def _generate_content(row: Recording) -> Iterator[Any]:
    genai = pytest.importorskip("google.genai")
    options = genai.types.HttpOptions(httpx_client=http_over("google.genai", row.sse))
    client = genai.Client(api_key="none", http_options=options)
    yield from client.models.generate_content_stream(model="any", contents="any")


def _mistral(row: Recording) -> Iterator[Any]:
    for line in row.sse.splitlines():
        if line.startswith(b"data: {"):
            yield {"data": json.loads(line[6:])}


def _cohere(row: Recording) -> Iterator[Any]:
    for line in row.sse.splitlines():
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def _event_stream(row: Recording) -> Iterator[dict[str, Any]]:
    """The messages of AWS's binary framing: headers and a JSON payload, each between lengths and checksums."""
    body = row.body
    while body:
        total, head = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        headers, payload = body[12 : 12 + head], json.loads(body[12 + head : total - 4])
        kind = re.search(rb":event-type\x07..([A-Za-z]+)", headers, re.DOTALL)
        assert kind is not None
        payload.pop("p", None)
        yield {kind.group(1).decode(): payload}
        body = body[total:]


def _converse(row: Recording) -> Iterator[Any]:
    yield from _event_stream(row)


def _invoke(row: Recording) -> Iterator[Any]:
    for event in _event_stream(row):
        yield json.loads(base64.b64decode(event["chunk"]["bytes"]))


SOURCES = {
    "chat": ("openai", _chat),
    "responses": ("openai", _responses),
    "messages": ("anthropic", _messages),
    "generateContent": ("genai", _generate_content),
    "chat-v2": ("cohere", _cohere),
    "converse": ("bedrock", _converse),
}


def _source(row: Recording) -> tuple[str, Iterator[Any]]:
    """Which reader a recording is for, and its chunks."""
    if row.provider == "mistral":
        return "mistral", _mistral(row)
    if row.mode == "invoke-tools":
        return "anthropic", _invoke(row)
    provider, chunks = SOURCES[row.api]
    return provider, chunks(row)


def _reader(row: Recording, provider: str) -> Reader:
    names = frozenset(name for name, _ in row.calls)
    mode = "responses_tools" if row.api == "responses" else "tool_call" if names else "json_mode"
    return reader_for(provider, mode, tools=names or None)


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.file)
def test_the_recording_carries_its_document_and_its_end(row: Recording) -> None:
    if row.mode == "chat-error":
        pytest.skip("read in the test of errors")
    provider, chunks = _source(row)
    reader = _reader(row, provider)
    text = ""
    aside = ""
    lived = 0
    switches = 0
    for chunk in chunks:
        text += reader.read(chunk)
        switches += reader.switched is not None
        aside += "".join(reader.aside)
        reader.aside.clear()
        lived += reader.alive
    text += reader.finish()

    assert switches == 0
    expected = "{}" if row.file == CALLED_TWICE else row.carried[0]
    if row.mode == "chat-refusal":
        assert reader.refusal.strip() == expected.strip()
        assert aside == reader.refusal
        assert text == ""
    elif row.texts[0].endswith(".json"):
        assert json.loads(text) == json.loads(expected)
    else:
        assert text.strip() == expected.strip()
    assert lived > 0
    assert len(aside) == (row.beside or len(reader.refusal))
    if row.says("usage"):
        assert reader.usage is not None
        assert reader.usage.output_tokens > 0
    _check_end(row, reader)
    assert reader.completion() is not None


def _check_end(row: Recording, reader: Reader) -> None:
    if row.finish == "-":
        assert reader.end is None
        return
    assert reader.end is not None
    assert reader.end.word == row.finish
    if row.finish in TRUNCATED:
        assert reader.end.kind is EndKind.TRUNCATED
    elif row.mode == "chat-refusal":
        assert reader.end.kind is EndKind.REFUSED
    else:
        assert reader.end.kind is EndKind.COMPLETE


def test_the_collection_is_read_whole() -> None:
    assert len(_rows()) >= 40


def test_an_error_in_mid_stream_is_raised_by_the_sdk_and_ends_nothing() -> None:
    import openai

    row = next(row for row in _rows() if row.mode == "chat-error")
    reader = reader_for("groq", "tool_call", tools=frozenset({"get_something_by_name"}))
    chunks = _chat(row)
    with pytest.raises(openai.APIError, match="Tool call validation failed"):
        for chunk in chunks:
            reader.read(chunk)
    assert reader.reasoned
    assert reader.end is None
