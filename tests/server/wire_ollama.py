"""Ollama's `/api/chat` as it comes over the wire: lines of JSON, one list entry per HTTP chunk."""

from __future__ import annotations

import json
from typing import Any

from tests.server.sse import MODEL, pieces

__all__ = ["ollama_text", "ollama_tools"]


def ollama_text(text: str, *, size: int | None = 4, done: str | None = "stop") -> list[bytes]:
    """Stream the text as content.

    Args:
        text: the answer.
        size: characters per line.
        done: the reason in the last line, which carries the counts; None leaves the line out.
    """
    lines = [_line({"role": "assistant", "content": part}) for part in pieces(text, size)]
    return [*lines, *_end(done)]


def ollama_tools(json_text: str, *, name: str = "Answer", done: str | None = "stop") -> list[bytes]:
    """Send the document (an object) as a tool call, whole, as Ollama does."""
    call = {"function": {"name": name, "arguments": json.loads(json_text)}}
    return [_line({"role": "assistant", "content": "", "tool_calls": [call]}), *_end(done)]


def _end(done: str | None) -> list[bytes]:
    if done is None:
        return []
    counts = {"prompt_eval_count": 11, "eval_count": 7}
    return [_line({"role": "assistant", "content": ""}, done=True, done_reason=done, **counts)]


def _line(message: dict[str, Any], *, done: bool = False, **rest: Any) -> bytes:
    line = {"model": MODEL, "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done, **rest}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"
