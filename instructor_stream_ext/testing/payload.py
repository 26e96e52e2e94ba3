"""Recorded bodies: their events, the model's text in them, and whether they ended.

The SDKs decode for the tests; this is for tools that look at any cassette without one: where events begin and end, the
text that each brings in the formats of the known providers, and the signals that an answer is over.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Piece",
    "event_ends",
    "finished",
    "has_end_signal",
    "is_binary",
    "is_stream",
    "message_ends",
    "pieces",
    "text_of",
]

_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_SSE = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:data|event|id|retry)?:")
_STREAMS = re.compile(r"event-?stream|ndjson|jsonl|json-seq|stream\+json")
_PREFIX = 12
"""Bytes before the headers of a message in AWS's binary framing: two lengths and a checksum."""
_LAST = frozenset({"message_stop", "message-end", "response.completed", "response.incomplete", "response.failed"})
_DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """The content of one event of a body.

    Attributes:
        stop: The offset in the body at which the event is complete.
        text: The model's text or arguments in it; reasoning is not counted.
        end: The word by which the provider says that the answer is over, None if it does not.
        last: Whether nothing can follow.
        error: What the provider says went wrong.
    """

    stop: int
    text: str = ""
    end: str | None = None
    last: bool = False
    error: str = ""


def is_binary(body: bytes, content_type: str = "") -> bool:
    """Return whether the body is in AWS's binary framing."""
    if "amazon.eventstream" in content_type:
        return True
    total, head = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
    return body[:1] == b"\0" and 16 + head <= total <= len(body)


def is_stream(body: bytes, content_type: str = "") -> bool:
    """Return whether the body consists of events: by its type, or by its content."""
    return bool(_STREAMS.search(content_type) or _SSE.match(body)) or is_binary(body)


def event_ends(body: bytes, content_type: str = "") -> list[int]:
    """Return the offsets at which events end: of SSE, JSON lines, or AWS's binary framing; else of the body."""
    if is_binary(body, content_type):
        return list(message_ends(body))
    if _SSE.match(body):
        ends = [found.end() for found in _BLANK.finditer(body)]
    elif body.lstrip()[:1] == b"{" and b"}\n{" in body.replace(b"\r", b""):
        ends = [found.end() for found in re.finditer(rb"\n", body)]
    else:
        ends = []
    return ends if (ends and ends[-1] == len(body)) or not body else [*ends, len(body)]


def message_ends(body: bytes) -> Iterator[int]:
    """Return the offsets at which the messages of AWS's binary framing end."""
    at = 0
    while at + _PREFIX <= len(body):
        at += max(int.from_bytes(body[at : at + 4]), _PREFIX)
        yield min(at, len(body))
    if at < len(body):
        yield len(body)


def pieces(body: bytes, content_type: str = "") -> list[Piece]:
    """Return what each event of a body brings."""
    found = []
    start = 0
    for stop in event_ends(body, content_type):
        found.append(_piece(body[start:stop], stop, binary=is_binary(body, content_type)))
        start = stop
    return found


def text_of(body: bytes, content_type: str = "") -> str:
    """Return all of the model's text in a body."""
    return "".join(piece.text for piece in pieces(body, content_type))


def has_end_signal(body: bytes, content_type: str = "") -> bool:
    """Return whether the provider said that the answer has ended, well or badly."""
    return any(piece.end is not None or piece.last or piece.error for piece in pieces(body, content_type))


def finished(body: bytes) -> bool:
    """Return whether nothing can follow the last event of a body, so that a client may stop reading there."""
    separator = next((one for one in (b"\r\n\r\n", b"\n\n", b"\r\r") if body.endswith(one)), None)
    if separator is None:
        return False
    start = body.rfind(separator, 0, -len(separator))
    return _piece(body[start + len(separator) if start >= 0 else 0 :], len(body), binary=False).last


def _piece(event: bytes, stop: int, *, binary: bool) -> Piece:
    name, data = _binary_payload(event) if binary else _payload(event)
    if data.strip() == _DONE:
        return Piece(stop, end=None, last=True)
    try:
        content = json.loads(data)
    except ValueError:
        return Piece(stop)
    text, end, last, error = "", None, False, ""
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            continue
        text += "".join(_texts(_unpacked(part)))
        end = _end(_unpacked(part), name) or end
        last = last or _unpacked(part).get("type") in _LAST or part.get("done") is True
        error = _error(part, name) or error
    return Piece(stop, text, end, last, error)


def _payload(event: bytes) -> tuple[str, str]:
    """Return an event's name and data, without the framing of server-sent events."""
    if not _SSE.match(event):
        return "", event.decode(errors="replace")
    name, data = "", []
    for line in event.decode(errors="replace").lstrip("\ufeff").splitlines():
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
        elif field == "event":
            name = value.strip()
    return name, "\n".join(data)


def _binary_payload(message: bytes) -> tuple[str, str]:
    head = int.from_bytes(message[4:8])
    headers, payload = message[_PREFIX : _PREFIX + head], message[_PREFIX + head : -4]
    kind = re.search(rb":(?:event|exception)-type\x07..([A-Za-z]+)", headers, re.DOTALL)
    return kind.group(1).decode() if kind else "", payload.decode(errors="replace")


def _unpacked(part: dict[str, Any]) -> dict[str, Any]:
    """Return the provider's own event from inside the envelope of Bedrock's `invoke`."""
    packed = part.get("bytes")
    if not isinstance(packed, str):
        return part
    try:
        content = json.loads(base64.b64decode(packed))
    except (ValueError, binascii.Error):
        return part
    return content if isinstance(content, dict) else part


def _texts(part: dict[str, Any]) -> Iterator[str]:
    for choice in _dicts(part.get("choices")):
        said = _dict(choice.get("delta"))
        yield _text(said.get("content")) or _text(said.get("refusal")) or _text(choice.get("text"))
        for call in _dicts(said.get("tool_calls")):
            yield _text(_dict(call.get("function")).get("arguments"))
    for candidate in _dicts(part.get("candidates")):
        for block in _dicts(_dict(candidate.get("content")).get("parts")):
            if not block.get("thought"):
                yield _text(block.get("text"))
            if isinstance(arguments := _dict(block.get("functionCall")).get("args"), dict):
                yield json.dumps(arguments, ensure_ascii=False)
    kind = part.get("type")
    delta: Any = part.get("delta")
    if isinstance(delta, str) and kind in ("response.output_text.delta", "response.function_call_arguments.delta"):
        yield delta
    if isinstance(delta, dict):
        yield _text(delta.get("partial_json")) or _text(delta.get("text"))
        yield _text(_dict(delta.get("toolUse")).get("input"))
        message = _dict(delta.get("message"))
        yield _text(_dict(message.get("content")).get("text"))
        yield _text(_dict(_dict(message.get("tool_calls")).get("function")).get("arguments"))
    if isinstance(answer := part.get("message"), dict) and "done" in part:
        yield _text(answer.get("content"))


def _end(part: dict[str, Any], name: str) -> str | None:
    words = [choice.get("finish_reason") for choice in _dicts(part.get("choices"))]
    words += [candidate.get("finishReason") for candidate in _dicts(part.get("candidates"))]
    words += [_dict(part.get("delta")).get("stop_reason"), part.get("stopReason"), part.get("done_reason")]
    words += [_dict(part.get("delta")).get("finish_reason")]
    if part.get("type") in _LAST or name == "messageStop":
        words.append(str(part.get("type") or name))
    return next((word for word in words if isinstance(word, str) and word), None)


def _error(part: dict[str, Any], name: str) -> str:
    found: Any = part.get("error")
    if isinstance(found, dict):
        return _text(found.get("message")) or json.dumps(found)
    if isinstance(found, str) or name in ("error", "exception") or part.get("type") == "error":
        return _text(found) or _text(part.get("message")) or "error"
    return ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
