"""One test body for sync and async clients, and for every provider the scripted server speaks for.

A body is an `async def` that asks these functions for what differs: they await where the thing is async. A sync stream
blocks the test's own loop while it reads, which does no harm: the server lives in a thread of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from instructor import Mode

from instructor_stream_ext import wrap
from tests.server import Script, ScriptedServer, Signal, Wait, clients, sends

__all__ = [
    "SIDES",
    "SOURCES",
    "Source",
    "both_sides",
    "each",
    "entered",
    "everything",
    "first",
    "held_after",
    "settled",
    "sources",
]

SIDES = ("sync", "async")
both_sides = pytest.mark.parametrize("side", SIDES)


@dataclass(frozen=True)
class Source:
    """A provider in one of instructor's modes.

    Attributes:
        name: for test ids.
        makers: instructor's sync and async client, from `tests.server.clients`.
        mode: instructor's.
        ask: what each call needs beside the response model.
        fence: whether the document comes in a code fence, as this mode has it.
        options: for the client.
        marks: for the tests with this source.
    """

    name: str
    makers: tuple[Callable[..., Any], Callable[..., Any]]
    mode: Mode
    ask: dict[str, Any] = field(default_factory=dict)
    fence: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    marks: tuple[pytest.MarkDecorator, ...] = ()

    def plain(self, server: ScriptedServer, side: str, **options: Any) -> Any:
        """instructor's own client."""
        return self.makers[side == "async"](server, self.mode, **{**self.options, **options})

    def client(self, server: ScriptedServer, side: str, **settings: Any) -> Any:
        """The wrapped client."""
        return wrap(self.plain(server, side), **settings)

    def text(self, document: str) -> str:
        """The document as this mode's model would write it."""
        return f"```json\n{document}\n```" if self.fence else document


_OPENAI = (clients.openai_client, clients.async_openai_client)
_ANTHROPIC = (clients.anthropic_client, clients.async_anthropic_client)
_GENAI = (clients.genai_client, clients.async_genai_client)
_LITELLM = (clients.litellm_client, clients.async_litellm_client)
_MESSAGES = [{"role": "user", "content": "go"}]
_CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": _MESSAGES}
_CLAUDE: dict[str, Any] = {"model": "claude", "messages": _MESSAGES, "max_tokens": 100}
_GEMINI: dict[str, Any] = {"model": "gemini", "messages": _MESSAGES}
_LITELLM_WARNS = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
"""litellm asks its own chunks for what pydantic has moved."""
_INSTRUCTOR_FALLS_BACK = pytest.mark.filterwarnings("ignore:Anthropic client does not support:UserWarning")
"""anthropic 2 has another name for what instructor looks for, so the schema goes into the instructions."""
_HASTE = {"timeout": 10}
"""A stream that does not stream would wait for ever in a gated test."""

SOURCES = {
    source.name: source
    for source in (
        Source("openai-tools", _OPENAI, Mode.TOOLS, _CHAT, options=_HASTE),
        Source("openai-json", _OPENAI, Mode.JSON, _CHAT, options=_HASTE),
        Source("openai-schema", _OPENAI, Mode.JSON_SCHEMA, _CHAT, options=_HASTE),
        Source("openai-md", _OPENAI, Mode.MD_JSON, _CHAT, fence=True, options=_HASTE),
        Source("openai-responses", _OPENAI, Mode.RESPONSES_TOOLS, _CHAT, options=_HASTE),
        Source("anthropic-tools", _ANTHROPIC, Mode.TOOLS, _CLAUDE, options=_HASTE),
        Source("anthropic-json", _ANTHROPIC, Mode.JSON, _CLAUDE, options=_HASTE),
        Source(
            "anthropic-schema", _ANTHROPIC, Mode.JSON_SCHEMA, _CLAUDE, options=_HASTE, marks=(_INSTRUCTOR_FALLS_BACK,)
        ),
        Source("genai-tools", _GENAI, Mode.TOOLS, _GEMINI),
        Source("genai-json", _GENAI, Mode.JSON, _GEMINI),
        Source(
            "litellm-tools",
            _LITELLM,
            Mode.TOOLS,
            _CHAT | {"model": "openai/gpt-4o-mini"},
            options=_HASTE,
            marks=(_LITELLM_WARNS,),
        ),
    )
}


def sources(*names: str) -> pytest.MarkDecorator:
    """Run a test for these sources, or for all."""
    chosen = [SOURCES[name] for name in names or SOURCES]
    return pytest.mark.parametrize("source", [pytest.param(each, id=each.name, marks=each.marks) for each in chosen])


async def settled(value: Any) -> Any:
    """What a call gave; awaited if the client is async."""
    return await value if inspect.isawaitable(value) else value


async def each(values: Any) -> AsyncIterator[Any]:
    """Loop over a sync or async iterable, to its end."""
    if hasattr(values, "__aiter__"):
        async for value in values:
            yield value
    else:
        for value in values:
            yield value


async def everything(values: Any) -> list[Any]:
    """All a sync or async iterable gives."""
    return [value async for value in each(values)]


async def first(values: Any) -> Any:
    """The next value of a sync or async iterator."""
    return await anext(values) if hasattr(values, "__anext__") else next(values)


@asynccontextmanager
async def entered(stream: Any) -> AsyncIterator[Any]:
    """`with stream` or `async with stream`."""
    if hasattr(stream, "__aenter__"):
        async with stream as inside:
            yield inside
    else:
        with stream as inside:
            yield inside


def held_after(piece: bytes, gate: Signal) -> Callable[[list[bytes]], Script]:
    """For `reply(arrange=...)`: hold the stream back after the first chunk with these bytes, until the gate opens."""

    def arrange(chunks: Iterable[bytes]) -> Script:
        chunks = list(chunks)
        until = next(number for number, chunk in enumerate(chunks) if piece in chunk) + 1
        return [sends(chunks[:until]), Wait(gate), sends(chunks[until:])]

    return arrange
