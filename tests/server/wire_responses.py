"""OpenAI's Responses API as it comes over the wire: one list entry per HTTP chunk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from tests.server.sse import MODEL, pieces, sse

__all__ = ["responses_answer", "responses_error", "responses_refusal", "responses_text", "responses_tools"]

Ending = Literal["completed", "incomplete", "content_filter", "failed", "error"]

RESPONSE_ID = "resp_1"
USAGE = {
    "input_tokens": 11,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 18,
}


def responses_tools(
    json_text: str,
    *,
    size: int | None = 4,
    name: str = "Answer",
    ending: Ending | None = "completed",
    only_in_done: bool = False,
) -> list[bytes]:
    """Stream the text as the arguments of a function call.

    Args:
        json_text: the arguments.
        size: characters per delta.
        name: of the function.
        ending: how the response ends; None just stops after the item. Only "completed" closes the item.
        only_in_done: no deltas; the arguments come in the `done` events alone (LM Studio).
    """
    place = {"item_id": "fc_1", "output_index": 0}
    parts = [] if only_in_done else pieces(json_text, size)
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": _function_call(name, "", "in_progress")},
        *({"type": "response.function_call_arguments.delta", **place, "delta": part} for part in parts),
    ]
    item = _function_call(name, json_text, "completed")
    if ending in {"completed", None}:
        events += [
            {"type": "response.function_call_arguments.done", **place, "name": name, "arguments": json_text},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
        ]
    return _stream(events, item, ending)


def responses_text(text: str, *, size: int | None = 4, ending: Ending | None = "completed") -> list[bytes]:
    """Stream the text as an output message; arguments as in `responses_tools`."""
    return _message(text, size=size, ending=ending, kind="output_text", key="text")


def responses_refusal(text: str = "I cannot help with that.", *, size: int | None = 4) -> list[bytes]:
    """Stream a refusal."""
    return _message(text, size=size, ending="completed", kind="refusal", key="refusal")


def responses_error(message: str = "overloaded", *, sequence_number: int = 99) -> bytes:
    """Give an error event."""
    error = {"type": "error", "code": "server_error", "message": message, "param": None}
    return sse(error | {"sequence_number": sequence_number}, event="error")


def responses_answer(
    json_text: str, *, kind: Literal["tools", "text"] = "tools", name: str = "Answer"
) -> dict[str, Any]:
    """Give the answer to a plain, unstreamed request, for `Answer`."""
    if kind == "tools":
        return _response("completed", [_function_call(name, json_text, "completed")])
    return _response("completed", [_output_message([_part("output_text", "text", json_text)], "completed")])


def _message(text: str, *, size: int | None, ending: Ending | None, kind: str, key: str) -> list[bytes]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = _output_message([_part(kind, key, text)], "completed")
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": _output_message([], "in_progress")},
        {"type": "response.content_part.added", **place, "part": _part(kind, key, "")},
        *({"type": f"response.{kind}.delta", **place, "delta": part} for part in pieces(text, size)),
    ]
    if ending in {"completed", None}:
        events += [
            {"type": f"response.{kind}.done", **place, key: text},
            {"type": "response.content_part.done", **place, "part": _part(kind, key, text)},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
        ]
    return _stream(events, item, ending)


def _stream(events: Iterable[dict[str, Any]], item: dict[str, Any], ending: Ending | None) -> list[bytes]:
    start = [
        {"type": f"response.{kind}", "response": _response("in_progress", [])} for kind in ("created", "in_progress")
    ]
    numbered = [*start, *events, *_end(item, ending)]
    return [sse(event | {"sequence_number": n}, event=event["type"]) for n, event in enumerate(numbered)]


def _end(item: dict[str, Any], ending: Ending | None) -> list[dict[str, Any]]:
    match ending:
        case None:
            return []
        case "completed":
            return [{"type": "response.completed", "response": _response("completed", [item])}]
        case "incomplete" | "content_filter":
            reason = "max_output_tokens" if ending == "incomplete" else "content_filter"
            cut = item | {"status": "incomplete"}
            response = _response("incomplete", [cut], incomplete_details={"reason": reason})
            return [{"type": "response.incomplete", "response": response}]
        case "failed":
            error = {"code": "server_error", "message": "the model failed"}
            return [{"type": "response.failed", "response": _response("failed", [], error=error)}]
        case "error":
            return [{"type": "error", "code": "server_error", "message": "overloaded", "param": None}]


def _response(status: str, output: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    usage = USAGE if status in {"completed", "incomplete"} else None
    response: dict[str, Any] = {
        "id": RESPONSE_ID,
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": status,
    }
    response |= {"output": output, "error": None, "incomplete_details": None, "instructions": None, "metadata": {}}
    response |= {"parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0}
    return response | {"usage": usage} | changes


def _function_call(name: str, arguments: str, status: str) -> dict[str, Any]:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name}
    return call | {"arguments": arguments, "status": status}


def _output_message(content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": content}


def _part(kind: str, key: str, text: str) -> dict[str, Any]:
    part: dict[str, Any] = {"type": kind, key: text}
    return part | ({"annotations": []} if kind == "output_text" else {})
