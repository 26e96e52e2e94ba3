"""Bedrock's `converse-stream` as it comes over the wire: AWS's binary event frames, one list entry per HTTP chunk.

A frame is a prelude (its length and that of its headers, with a checksum), the headers, the payload, and a checksum
over all of it.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

from tests.server.sse import pieces

__all__ = ["bedrock_error", "bedrock_text", "bedrock_tools"]

_STRING = 7


def bedrock_tools(
    json_text: str, *, size: int | None = 4, name: str = "Answer", stop: str | None = "tool_use"
) -> list[bytes]:
    """Stream the text as the input of one tool use; `stop=None` leaves out all that follows it."""
    start = {"toolUse": {"toolUseId": "tooluse_1", "name": name}}
    deltas = [{"toolUse": {"input": part}} for part in pieces(json_text, size)]
    return _answer(start, deltas, stop)


def bedrock_text(text: str, *, size: int | None = 4, stop: str | None = "end_turn") -> list[bytes]:
    """Stream the text as content; `stop=None` leaves out all that follows it."""
    return _answer(None, [{"text": part} for part in pieces(text, size)], stop)


def bedrock_error(message: str = "overloaded", *, kind: str = "modelStreamErrorException") -> bytes:
    """Give an exception in mid-stream."""
    return _frame({":exception-type": kind, ":message-type": "exception"}, {"message": message})


def _answer(start: dict[str, Any] | None, deltas: list[dict[str, Any]], stop: str | None) -> list[bytes]:
    frames = [_event("messageStart", role="assistant")]
    if start is not None:
        frames.append(_event("contentBlockStart", contentBlockIndex=0, start=start))
    frames += [_event("contentBlockDelta", contentBlockIndex=0, delta=delta) for delta in deltas]
    if stop is None:
        return frames
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    return [
        *frames,
        _event("contentBlockStop", contentBlockIndex=0),
        _event("messageStop", stopReason=stop),
        _event("metadata", usage=usage, metrics={"latencyMs": 1}),
    ]


def _event(kind: str, **payload: Any) -> bytes:
    return _frame({":event-type": kind, ":message-type": "event"}, payload)


def _frame(headers: dict[str, str], payload: dict[str, Any]) -> bytes:
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
        for name, value in {**headers, ":content-type": "application/json"}.items()
    )
    body = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack("!II", 12 + len(head) + len(body) + 4, len(head))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    frame = prelude + head + body
    return frame + struct.pack("!I", zlib.crc32(frame))
