"""Builders of chat-completion chunks for the tests of readers."""

from __future__ import annotations

from typing import Any

from openai.types.chat import ChatCompletionChunk

from instructor_stream_ext.providers.reader import Reader

_MAKE: Any = ChatCompletionChunk.construct


def raw(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as the JSON that goes over the wire."""
    choice = {"index": fields.pop("index", 0), "delta": delta or {}, "finish_reason": finish}
    whole = {"id": "a1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return {**whole, **fields}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> ChatCompletionChunk:
    """A chunk as the OpenAI SDK makes it."""
    made: ChatCompletionChunk = _MAKE(**raw(delta, finish, **fields))
    return made


def fragment(args: Any = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """One fragment of a tool call."""
    function = {key: value for key, value in (("arguments", args), ("name", name)) if value is not None}
    return {"function": function, **fields}


def calls(*fragments: dict[str, Any]) -> ChatCompletionChunk:
    """A chunk with fragments of tool calls."""
    return chunk({"tool_calls": list(fragments)})


def joined(reader: Reader, chunks: list[Any]) -> str:
    """All document text of a stream."""
    return "".join(map(reader.read, chunks)) + reader.finish()
