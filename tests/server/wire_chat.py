"""OpenAI chat completions as they come over the wire: one list entry per HTTP chunk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Literal

from tests.server.sse import DONE, MODEL, pieces, sse

__all__ = [
    "chat",
    "chat_answer",
    "chat_calls",
    "chat_choices",
    "chat_chunk",
    "chat_content",
    "chat_error",
    "chat_refusal",
    "chat_tools",
]

ID = "chatcmpl-1"
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def chat_chunk(
    delta: dict[str, Any] | None = None,
    *,
    finish: str | None = None,
    index: int = 0,
    usage: dict[str, Any] | None = None,
    model: str = MODEL,
    completion_id: str = ID,
) -> bytes:
    """Give one `chat.completion.chunk`. With `usage` and neither delta nor finish reason its `choices` are empty."""
    choices = [] if usage and delta is None and finish is None else [_choice(delta, finish, index)]
    chunk = {"id": completion_id, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return sse(chunk | ({"usage": usage} if usage else {}))


def chat_tools(
    json_text: str,
    *,
    size: int | None = 4,
    name: str = "Answer",
    finish: str | None = "tool_calls",
    usage: bool = False,
    done: bool = True,
    model: str = MODEL,
) -> list[bytes]:
    """Stream the text as the arguments of one tool call.

    Args:
        json_text: the arguments.
        size: characters per fragment; None sends all in one.
        name: of the tool; instructor's is the model's class name.
        finish: the finish reason, e.g. "length" or "content_filter"; None leaves the finish chunk out.
        usage: whether a usage chunk follows.
        done: whether `[DONE]` ends the stream.
        model: as the provider calls it.
    """
    return chat_calls([(name, json_text)], size=size, finish=finish, usage=usage, done=done, model=model)


def chat_calls(
    calls: Sequence[tuple[str, str]],
    *,
    size: int | None = 4,
    interleaved: bool = False,
    finish: str | None = "tool_calls",
    usage: bool = False,
    done: bool = True,
    model: str = MODEL,
) -> list[bytes]:
    """Stream several tool calls, `(name, arguments)` each: one after another, or fragment by fragment in turn."""
    opened = [[_call(index, name=name)] for index, (name, _) in enumerate(calls)]
    cut = [[_call(index, arguments=part) for part in pieces(text, size)] for index, (_, text) in enumerate(calls)]
    lanes = [head + tail for head, tail in zip(opened, cut, strict=True)]
    turns = zip_longest(*lanes) if interleaved else lanes
    deltas = [{"tool_calls": [call]} for turn in turns for call in turn if call is not None]
    role = {"role": "assistant", "content": None}
    return _stream([role, *deltas], finish=finish, usage=usage, done=done, model=model)


def chat_content(
    text: str,
    *,
    size: int | None = 4,
    reasoning: str = "",
    finish: str | None = "stop",
    usage: bool = False,
    done: bool = True,
    model: str = MODEL,
) -> list[bytes]:
    """Stream the text as the message's content, after `reasoning` (DeepSeek's `reasoning_content`) if given."""
    deltas = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": part} for part in pieces(reasoning, size)]
    deltas += [{"content": part} for part in pieces(text, size)]
    return _stream(deltas, finish=finish, usage=usage, done=done, model=model)


def chat_refusal(text: str = "I cannot help with that.", *, size: int | None = 4, done: bool = True) -> list[bytes]:
    """Stream a refusal; its finish reason is "stop", as OpenAI's is."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "refusal": None}]
    return _stream(deltas + [{"refusal": part} for part in pieces(text, size)], finish="stop", done=done)


def chat_choices(
    texts: Sequence[str], *, kind: Literal["tools", "content"] = "content", size: int | None = 4, name: str = "Answer"
) -> list[bytes]:
    """Stream the answers of `n=len(texts)`, piece by piece in turn."""
    lanes = []
    for index, text in enumerate(texts):
        parts = pieces(text, size)
        lane: list[dict[str, Any]] = [{"role": "assistant", "content": None if kind == "tools" else ""}]
        if kind == "tools":
            lane += [{"tool_calls": [_call(0, name=name, call_id=f"call_{index + 1}")]}]
            lane += [{"tool_calls": [_call(0, arguments=part)]} for part in parts]
        else:
            lane += [{"content": part} for part in parts]
        lanes.append([chat_chunk(delta, index=index) for delta in lane])
    ends = [
        chat_chunk({}, finish="tool_calls" if kind == "tools" else "stop", index=index) for index in range(len(texts))
    ]
    return [chunk for turn in zip_longest(*lanes) for chunk in turn if chunk is not None] + [*ends, DONE]


def chat_error(message: str = "overloaded", *, named: bool = False) -> bytes:
    """Give an error in mid-stream; `named` sends it as `event: error`, as some compatible servers do."""
    error = {"error": {"message": message, "type": "server_error", "code": 500}}
    return sse(error, event="error" if named else None)


def chat(
    json_text: str,
    size: int | None = 4,
    *,
    kind: Literal["tools", "content"] = "tools",
    name: str = "Answer",
    **rest: Any,
) -> list[bytes]:
    """Stream one document in tool mode or as content; `rest` as in `chat_tools` and `chat_content`."""
    if kind == "content":
        return chat_content(json_text, size=size, **rest)
    return chat_tools(json_text, size=size, name=name, **rest)


def chat_answer(
    json_text: str, *, kind: Literal["tools", "content"] = "tools", name: str = "Answer", finish: str | None = None
) -> dict[str, Any]:
    """Give the answer to a plain, unstreamed request, for `Answer`."""
    message: dict[str, Any] = {"role": "assistant", "content": json_text}
    if kind == "tools":
        message |= {"content": None, "tool_calls": [_call(0, name=name, arguments=json_text)]}
    reason = finish or ("tool_calls" if kind == "tools" else "stop")
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
    answer = {"id": ID, "object": "chat.completion", "created": 1, "model": MODEL}
    return answer | {"choices": [choice], "usage": USAGE}


def _choice(delta: dict[str, Any] | None, finish: str | None, index: int) -> dict[str, Any]:
    return {"index": index, "delta": delta or {}, "logprobs": None, "finish_reason": finish}


def _call(index: int, *, name: str | None = None, arguments: str = "", call_id: str | None = None) -> dict[str, Any]:
    if name is None:
        return {"index": index, "function": {"arguments": arguments}}
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": call_id or f"call_{index + 1}", "type": "function", "function": function}


def _stream(
    deltas: Sequence[dict[str, Any]],
    *,
    finish: str | None,
    usage: bool = False,
    done: bool = True,
    model: str = MODEL,
) -> list[bytes]:
    chunks = [chat_chunk(delta, model=model) for delta in deltas]
    if finish is not None:
        chunks.append(chat_chunk({}, finish=finish, model=model))
    if usage:
        chunks.append(chat_chunk(usage=USAGE, model=model))
    return [*chunks, DONE] if done else chunks
