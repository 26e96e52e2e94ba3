"""Gemini's `streamGenerateContent?alt=sse` as it comes over the wire: one list entry per HTTP chunk."""

from __future__ import annotations

import json
from typing import Any, Literal

from tests.server.sse import MODEL, pieces, sse

__all__ = ["gemini_answer", "gemini_chunk", "gemini_error", "gemini_text", "gemini_tools"]

USAGE = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}


def gemini_chunk(
    parts: list[dict[str, Any]], *, finish: str | None = None, usage: bool = True, **candidate: Any
) -> dict[str, Any]:
    """Give one `GenerateContentResponse`; `candidate` holds further keys of its candidate."""
    first: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0} | candidate
    if finish is not None:
        first["finishReason"] = finish
    chunk = {"candidates": [first], "modelVersion": MODEL, "responseId": "gemini-1"}
    return chunk | ({"usageMetadata": USAGE} if usage else {})


def gemini_text(text: str, *, size: int | None = 4, finish: str | None = "STOP", thoughts: str = "") -> list[bytes]:
    """Stream the text as parts; the finish reason (e.g. "MAX_TOKENS", "SAFETY") comes with the last one.

    Args:
        text: the answer.
        size: characters per chunk.
        finish: None leaves the finish reason out.
        thoughts: parts marked as thought, before the answer.
    """
    chunks = [gemini_chunk([{"text": part, "thought": True}]) for part in pieces(thoughts, size)]
    *firsts, last = pieces(text, size) or [""]
    chunks += [gemini_chunk([{"text": part}]) for part in firsts]
    chunks.append(gemini_chunk([{"text": last}], finish=finish))
    return [_event(chunk) for chunk in chunks]


def gemini_tools(json_text: str, *, name: str = "Answer", finish: str | None = "STOP") -> list[bytes]:
    """Send the document (an object) as a function call, whole, as Gemini does, and the finish reason after it."""
    call = {"functionCall": {"name": name, "args": json.loads(json_text)}}
    return [_event(gemini_chunk([call])), _event(gemini_chunk([{"text": ""}], finish=finish))]


def gemini_error(message: str = "overloaded", *, code: int = 503) -> bytes:
    """Give an error in mid-stream."""
    return _event({"error": {"code": code, "message": message, "status": "UNAVAILABLE"}})


def gemini_answer(json_text: str, *, kind: Literal["tools", "text"] = "tools", name: str = "Answer") -> dict[str, Any]:
    """Give the answer to a plain, unstreamed request, for `Answer`."""
    if kind == "text":
        return gemini_chunk([{"text": json_text}], finish="STOP")
    return gemini_chunk([{"functionCall": {"name": name, "args": json.loads(json_text)}}], finish="STOP")


def _event(chunk: dict[str, Any]) -> bytes:
    return sse(chunk, newline="\r\n")
