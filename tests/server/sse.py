"""The common ground of the wire formats: server-sent events and cutting text into pieces."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["DONE", "MODEL", "pieces", "sse"]

DONE = b"data: [DONE]\n\n"
MODEL = "test-model"


def sse(data: Any, *, event: str | None = None, newline: str = "\n") -> bytes:
    """Give one server-sent event. Anything but a string is sent as JSON on one line."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    lines = [*([f"event: {event}"] if event else []), f"data: {text}", "", ""]
    return newline.join(lines).encode()


def pieces(text: str, size: int | None) -> list[str]:
    """Cut the text into pieces of `size` characters; None or 0 leaves it whole, empty text gives no piece."""
    if not text:
        return []
    return [text[start : start + size] for start in range(0, len(text), size)] if size else [text]
