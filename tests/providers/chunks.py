"""Builders of chat-completion chunks for the tests of readers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from openai.types.chat import ChatCompletionChunk

from instructor_stream_ext.providers.reader import Reader

_MAKE: Any = ChatCompletionChunk.construct


def http_library(sdk: str) -> Any:
    """The HTTP library that an SDK stands on, httpx or httpx2.

    Args:
        sdk: "openai", "anthropic" or "google.genai".
    """
    client: Any
    if sdk == "google.genai":
        module = import_module("google.genai._api_client")
        client = getattr(module, "SyncHttpx2Client", None) or module.SyncHttpxClient
    else:
        client = import_module(sdk).DefaultHttpxClient
    packages = (base.__module__.partition(".")[0] for base in client.__mro__)
    return import_module(next(package for package in packages if package.startswith("httpx")))


def http_over(sdk: str, body: bytes, kind: str = "Client") -> Any:
    """An HTTP client for an SDK, which answers everything with this body.

    Args:
        sdk: As in `http_library`.
        body: Server-sent events.
        kind: "Client" or "AsyncClient".
    """
    library = http_library(sdk)
    headers = {"content-type": "text/event-stream"}
    transport = library.MockTransport(lambda _: library.Response(200, headers=headers, content=body))
    return getattr(library, kind)(transport=transport)


def raw(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk as the JSON that goes over the wire."""
    choice = {"index": fields.pop("index", 0), "delta": delta or {}, "finish_reason": finish}
    choice |= {"logprobs": fields.pop("logprobs")} if "logprobs" in fields else {}
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
