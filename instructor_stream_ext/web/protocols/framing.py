"""JSON in one line, and server-sent events around it; nothing that a user or a model writes can break out of either."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["PING", "SSE", "custom", "one_line", "run_error", "sse"]

SSE = "text/event-stream"
PING = b": ping\n\n"
"""A comment, which clients skip."""

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_UNSAFE = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085", "\x7f": "\\u007f", "</": "<\\/"}
"""Line ends for some, though not for JSON, and the end of a script in a page; each has another way to be written."""


def one_line(data: Any) -> str:
    """Data as JSON without any line end, safe in a script element as well."""
    text = _compact(data)
    for unsafe, safe in _UNSAFE.items():
        if unsafe in text:
            text = text.replace(unsafe, safe)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    return text


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event.

    Args:
        data: What goes into its one `data:` line, as JSON.
        event: Its name; none if empty.
    """
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {one_line(data)}\n\n".encode()


def custom(name: str, value: Any) -> bytes:
    """AG-UI's event for what it has no event for, which TanStack AI took over."""
    return sse({"type": "CUSTOM", "name": name, "value": value})


def run_error(problem: Mapping[str, Any]) -> bytes:
    """AG-UI's end of a run that failed, which TanStack AI took over.

    Args:
        problem: What may be told of the failure, see `problem_of`.
    """
    return sse({"type": "RUN_ERROR", "message": problem["message"], "code": problem["type"]})
