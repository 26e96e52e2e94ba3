"""One end of a stream is one error, whether litellm stands between or not, whatever the transport below it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from instructor import Mode

from instructor_stream_ext import (
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    StreamInterrupted,
    StreamTimeout,
    Timeouts,
    wrap,
)
from tests.playing import CLIENTS, Played, arguments_for, play, still
from tests.routing.calls import DOCUMENT, PROVIDERS, QUIET, Person, single
from tests.server import Cut, Request, Reset, Script, ScriptedServer, Signal, Silent, Start, Wait, reply, sends
from tests.server.wire_format import (
    anthropic_error,
    anthropic_text,
    anthropic_tools,
    chat_content,
    chat_error,
    chat_refusal,
    chat_tools,
    gemini_error,
    gemini_text,
)
from tests.sides import both_sides

pytestmark = QUIET

PART = DOCUMENT[:16]
BROKEN = '{"name": "Ann", oops}'
NO = "I cannot help with that."

SDKS = {"openai": ("openai", Mode.TOOLS), "anthropic": ("anthropic", Mode.TOOLS), "genai": ("gemini", Mode.JSON)}


@dataclass(frozen=True)
class End:
    """A way to end, and the error it is.

    Attributes:
        script: What the server does.
        error: What it is, None if all goes well.
        bounds: For the call.
        text: All answer text.
    """

    script: Any
    error: type[Exception] | None
    bounds: Timeouts | None = None
    text: str = PART


def _after_part(*after: Any) -> Callable[[Request], Script]:
    return reply(DOCUMENT, arrange=lambda chunks: [sends(chunks[: _last_text(chunks)]), *after])


def _last_text(chunks: list[bytes]) -> int:
    """Where the text ends and the provider's end begins."""
    return max(number for number, chunk in enumerate(chunks, 1) if b"n of" in chunk)


def _closed() -> Callable[[Request], Script]:
    """All of the document, but no end signal."""
    return reply(DOCUMENT, arrange=lambda chunks: sends(_without_end(chunks)))


def _without_end(chunks: list[bytes]) -> list[bytes]:
    return chunks[: max(number for number, chunk in enumerate(chunks, 1) if b"47}" in chunk or b'7}"' in chunk)]


EVERYWHERE = {
    "cut": lambda: End(_after_part(), OutputTruncated),
    "connection-cut": lambda: End(_after_part(Cut()), StreamInterrupted),
    "reset": lambda: End(_after_part(Reset()), StreamInterrupted),
    "idle": lambda: End(_after_part(Wait(Signal())), StreamTimeout, Timeouts(first_delta=9, idle=0.3)),
    "silent": lambda: End([Start(), Silent()], StreamTimeout, Timeouts(first_delta=0.3), ""),
    "not-a-byte": lambda: End(Start(), NoOutput, None, ""),
}

OF_ONE = {
    "openai": {
        "length": End(chat_tools(PART, name="Person", finish="length"), OutputTruncated),
        "filter": End(chat_tools(PART, name="Person", finish="content_filter"), OutputFiltered),
        "prose": End(chat_content(NO), NoOutput, None, NO),
        "malformed": End(chat_tools(BROKEN, name="Person"), InvalidJSON, None, BROKEN[:20]),
        "error": End([*chat_tools(PART, name="Person", finish=None, done=False), chat_error()], StreamInterrupted),
        "no-end": End(chat_tools(DOCUMENT, name="Person", finish=None, done=False), None, None, DOCUMENT),
    },
    "anthropic": {
        "length": End(anthropic_tools(PART, name="Person", stop="max_tokens"), OutputTruncated),
        "prose": End(anthropic_text(NO), NoOutput, None, NO),
        "malformed": End(anthropic_tools(BROKEN, name="Person"), InvalidJSON, None, BROKEN[:20]),
        "error": End(
            [*anthropic_tools(PART, name="Person", stop=None, end=False), anthropic_error()], StreamInterrupted
        ),
        "no-end": End(anthropic_tools(DOCUMENT, name="Person", stop=None, end=False), None, None, DOCUMENT),
    },
    "genai": {
        "length": End(gemini_text(PART, finish="MAX_TOKENS"), OutputTruncated),
        "filter": End(gemini_text(PART, finish="SAFETY"), OutputFiltered),
        "prose": End(gemini_text(NO), NoOutput, None, NO),
        "malformed": End(gemini_text(BROKEN), InvalidJSON, None, BROKEN[:20]),
        "no-end": End(gemini_text(DOCUMENT, finish=None), None, None, DOCUMENT),
    },
}

# litellm asks Gemini only when it is first read, so that nobody can hold what a cancelled first read has opened;
# the garbage collector closes it.
CASES = [
    pytest.param(sdk, make, id=f"{sdk}-{name}")
    for sdk in SDKS
    for name, make in EVERYWHERE.items()
    if (sdk, name) != ("genai", "silent")
] + [
    pytest.param(sdk, lambda end=end: end, id=f"{sdk}-{name}")
    for sdk, ends in OF_ONE.items()
    for name, end in ends.items()
]


def _what(played: Played) -> tuple[Any, ...]:
    """What a caller can tell apart."""
    error = played.error
    partial = getattr(error, "partial", None)
    return (type(error), getattr(error, "kind", None), getattr(error, "text", ""), partial and partial.model_dump())


@both_sides
@pytest.mark.parametrize(("sdk", "make"), CASES)
async def test_the_same_end_is_the_same_error(
    server: ScriptedServer, sdk: str, make: Callable[[], End], side: str
) -> None:
    is_async = side == "async"
    end = make()
    told = []
    provider, mode = SDKS[sdk]
    settings: dict[str, Any] = {"timeouts": end.bounds, "clock": None if end.bounds else still}
    own: Any = wrap(CLIENTS[sdk][is_async](server, mode), **settings)
    through = single(server, PROVIDERS[provider], is_async=is_async, mode=mode, **settings)
    for client, arguments in ((own, arguments_for(sdk)), (through, {"messages": "go"})):
        server.add(end.script)
        played = await play(client.create_partial(Person, max_retries=0, **arguments))
        assert type(played.error) is (end.error or type(None))
        assert played.stream.text == end.text
        told.append(_what(played))
    assert told[0] == told[1]


@both_sides
async def test_an_error_that_litellm_drops_is_no_success(server: ScriptedServer, side: str) -> None:
    """litellm passes over what it cannot read of Gemini's, an error in mid-stream included."""
    server.add(sends([*gemini_text(PART, finish=None), gemini_error()]))
    client = single(server, PROVIDERS["gemini"], is_async=side == "async")
    played = await play(client.create_partial(Person, "go"))
    assert isinstance(played.error, OutputTruncated | StreamInterrupted)
    assert played.error.text == PART


@both_sides
async def test_a_refusal_that_litellm_drops_is_no_success(server: ScriptedServer, side: str) -> None:
    """litellm 1.83 passes no refusal on, so that the answer is empty."""
    server.add(sends(chat_refusal(NO)))
    client = single(server, PROVIDERS["openai"], is_async=side == "async")
    played = await play(client.create_partial(Person, "go", max_retries=0))
    assert isinstance(played.error, OutputRefused | NoOutput)
