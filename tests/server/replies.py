"""Answers that look at the request: the same document in whatever format the client asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from tests.server.script import Answer, Script, sends
from tests.server.server import Request
from tests.server.wire_bedrock import bedrock_text, bedrock_tools
from tests.server.wire_format import (
    anthropic_answer,
    anthropic_text,
    anthropic_tools,
    chat,
    chat_answer,
    gemini_answer,
    gemini_text,
    gemini_tools,
    responses_answer,
    responses_text,
    responses_tools,
)
from tests.server.wire_ollama import ollama_text, ollama_tools

__all__ = ["chunks_for", "reply"]


def reply(
    text: str, size: int | None = 4, *, arrange: Callable[[list[bytes]], Script] = sends
) -> Callable[[Request], Script]:
    """Give a script that answers any provider's request with this document.

    The path tells the provider, the request's tools the mode and the tool's name, its `stream` whether the answer is
    streamed. A usage chunk comes if it was asked for.

    Args:
        text: the document.
        size: characters per delta.
        arrange: makes the script of the chunks, e.g. `lambda chunks: gated(chunks, gates)`; for streams only.
    """

    def script(request: Request) -> Script:
        if _is_streamed(request):
            return arrange(chunks_for(request, text, size))
        return _whole(request, text)

    return script


def chunks_for(request: Request, text: str, size: int | None = 4) -> list[bytes]:  # noqa: PLR0911  one case per format
    """Give the chunks of a streamed answer to this request."""
    name = _tool_name(request.json)
    match _provider(request):
        case "anthropic":
            return anthropic_tools(text, size=size, name=name) if name else anthropic_text(text, size=size)
        case "gemini":
            return gemini_tools(text, name=name) if name else gemini_text(text, size=size)
        case "responses":
            return responses_tools(text, size=size, name=name) if name else responses_text(text, size=size)
        case "ollama":
            return ollama_tools(text, name=name) if name else ollama_text(text, size=size)
        case "bedrock":
            return bedrock_tools(text, size=size, name=name) if name else bedrock_text(text, size=size)
        case _:
            usage = bool((request.json.get("stream_options") or {}).get("include_usage"))
            if name is None:
                return chat(text, size, kind="content", usage=usage)
            return chat(text, size, name=name, usage=usage)


def _whole(request: Request, text: str) -> Answer:
    name = _tool_name(request.json)
    kind: Literal["tools", "text"] = "tools" if name else "text"
    match _provider(request):
        case "anthropic":
            body = anthropic_answer(text, kind=kind, name=name or "")
            return Answer(body, headers={"content-type": "application/json"})
        case "gemini":
            return Answer(gemini_answer(text, kind=kind, name=name or ""))
        case "responses":
            return Answer(responses_answer(text, kind=kind, name=name or ""))
        case _:
            return Answer(chat_answer(text, kind="tools" if name else "content", name=name or ""))


def _provider(request: Request) -> str:
    if request.path.endswith("/messages"):
        return "anthropic"
    if "enerateContent" in request.path:
        return "gemini"
    if request.path.endswith("/api/chat"):
        return "ollama"
    if "/converse" in request.path:
        return "bedrock"
    return "responses" if request.path.endswith("/responses") else "chat"


def _is_streamed(request: Request) -> bool:
    return (
        "streamGenerateContent" in request.path
        or "/converse-stream" in request.path
        or bool(request.json.get("stream"))
    )


def _tool_name(body: dict[str, Any]) -> str | None:
    tools = body.get("tools") or body.get("toolConfig", {}).get("tools")
    if not tools:
        return None
    tool = tools[0].get("toolSpec", tools[0])
    for key in ("functionDeclarations", "function_declarations"):
        tool = tool[key][0] if key in tool else tool
    name: str = tool["function"]["name"] if "function" in tool else tool["name"]
    return name
