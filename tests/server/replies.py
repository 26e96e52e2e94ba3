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
from tests.server.wire_responses import Ending

__all__ = ["chunks_for", "reply"]


def reply(
    text: str, size: int | None = 4, *, arrange: Callable[[list[bytes]], Script] = sends, cut: bool = False
) -> Callable[[Request], Script]:
    """Give a script that answers any provider's request with this document.

    The path tells the provider, the request's tools the mode and the tool's name, its `stream` whether the answer is
    streamed. A usage chunk comes if it was asked for.

    Args:
        text: the document.
        size: characters per delta.
        arrange: makes the script of the chunks, e.g. `lambda chunks: gated(chunks, gates)`; for streams only.
        cut: whether the provider says that the answer has met its token limit; for streams only.
    """

    def script(request: Request) -> Script:
        if _is_streamed(request):
            return arrange(chunks_for(request, text, size, cut=cut))
        return _whole(request, text)

    return script


def chunks_for(  # noqa: PLR0911  one case per format
    request: Request, text: str, size: int | None = 4, *, cut: bool = False
) -> list[bytes]:
    """Give the chunks of a streamed answer to this request."""
    name = _tool_name(request.json)
    match _provider(request):
        case "anthropic":
            if name:
                return anthropic_tools(text, size=size, name=name, stop="max_tokens" if cut else "tool_use")
            return anthropic_text(text, size=size, stop="max_tokens" if cut else "end_turn")
        case "gemini":
            finish = "MAX_TOKENS" if cut else "STOP"
            return gemini_tools(text, name=name) if name else gemini_text(text, size=size, finish=finish)
        case "responses":
            ending: Ending = "incomplete" if cut else "completed"
            if name:
                return responses_tools(text, size=size, name=name, ending=ending)
            return responses_text(text, size=size, ending=ending)
        case "ollama":
            return ollama_tools(text, name=name) if name else ollama_text(text, size=size)
        case "bedrock":
            return bedrock_tools(text, size=size, name=name) if name else bedrock_text(text, size=size)
        case _:
            usage = bool((request.json.get("stream_options") or {}).get("include_usage"))
            if name is None:
                return chat(text, size, kind="content", usage=usage, finish="length" if cut else "stop")
            return chat(text, size, name=name, usage=usage, finish="length" if cut else "tool_calls")


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
