"""Anthropic messages as they come over the wire: one list entry per HTTP chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tests.server.sse import MODEL, pieces, sse

__all__ = ["anthropic_answer", "anthropic_calls", "anthropic_error", "anthropic_text", "anthropic_tools"]


def anthropic_tools(
    json_text: str,
    *,
    size: int | None = 4,
    name: str = "Answer",
    stop: str | None = "tool_use",
    text: str = "",
    end: bool = True,
) -> list[bytes]:
    """Stream the text as the input of one tool use.

    Args:
        json_text: the tool's input.
        size: characters per delta.
        name: of the tool.
        stop: the stop reason, e.g. "max_tokens" or "refusal"; None leaves `message_delta` out.
        text: prose in a block of its own before the tool use.
        end: whether `message_stop` ends the stream.
    """
    return anthropic_calls([(name, json_text)], size=size, stop=stop, text=text, end=end)


def anthropic_calls(
    calls: Sequence[tuple[str, str]],
    *,
    size: int | None = 4,
    stop: str | None = "tool_use",
    text: str = "",
    end: bool = True,
) -> list[bytes]:
    """Stream several tool uses, `(name, input)` each, one after another; arguments as in `anthropic_tools`."""
    chunks = _block(0, {"type": "text", "text": ""}, "text_delta", "text", pieces(text, size)) if text else []
    for number, (name, json_text) in enumerate(calls):
        tool = {"type": "tool_use", "id": f"toolu_{number + 1}", "name": name, "input": {}}
        parts = ["", *pieces(json_text, size)]
        chunks += _block(number + (1 if text else 0), tool, "input_json_delta", "partial_json", parts)
    return [*_open(), *chunks, *_close(stop, end=end)]


def anthropic_text(
    text: str, *, size: int | None = 4, stop: str | None = "end_turn", thinking: str = "", end: bool = True
) -> list[bytes]:
    """Stream the text as content, after `thinking` in a block of its own if given; a refusal is `stop="refusal"`."""
    block = {"type": "thinking", "thinking": "", "signature": ""}
    thoughts = _block(0, block, "thinking_delta", "thinking", pieces(thinking, size)) if thinking else []
    index = 1 if thinking else 0
    body = _block(index, {"type": "text", "text": ""}, "text_delta", "text", pieces(text, size))
    return [*_open(), *thoughts, *body, *_close(stop, end=end)]


def anthropic_error(message: str = "Overloaded", *, kind: str = "overloaded_error") -> bytes:
    """Give an error event, which comes with status 200 in mid-stream."""
    return _event("error", error={"type": kind, "message": message})


def anthropic_answer(
    json_text: str, *, kind: Literal["tools", "text"] = "tools", name: str = "Answer", stop: str | None = None
) -> bytes:
    """Give the answer to a plain, unstreamed request, as bytes for `Answer(..., headers=JSON_HEADERS)`.

    Bytes, since the tool's input has to appear in it just as it was given.
    """
    if kind == "text":
        content = sse([{"type": "text", "text": json_text}])[6:-2]
    else:
        content = f'[{{"type": "tool_use", "id": "toolu_1", "name": "{name}", "input": {json_text}}}]'.encode()
    reason = stop or ("tool_use" if kind == "tools" else "end_turn")
    head = sse(_message(reason) | {"usage": {"input_tokens": 11, "output_tokens": 7}})[6:-2]
    return head.replace(b'"content": []', b'"content": ' + content)


def _open() -> list[bytes]:
    usage = {"input_tokens": 11, "output_tokens": 1}
    return [_event("message_start", message=_message(None) | {"usage": usage}), _event("ping")]


def _message(stop: str | None) -> dict[str, Any]:
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": []}
    return message | {"stop_reason": stop, "stop_sequence": None}


def _block(index: int, block: dict[str, Any], kind: str, key: str, parts: list[str]) -> list[bytes]:
    deltas = [_event("content_block_delta", index=index, delta={"type": kind, key: part}) for part in parts]
    start = _event("content_block_start", index=index, content_block=block)
    return [start, *deltas, _event("content_block_stop", index=index)]


def _close(stop: str | None, *, end: bool) -> list[bytes]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    chunks = [] if stop is None else [_event("message_delta", delta=delta, usage={"output_tokens": 7})]
    return [*chunks, _event("message_stop")] if end else chunks


def _event(kind: str, **rest: Any) -> bytes:
    return sse({"type": kind} | rest, event=kind)
