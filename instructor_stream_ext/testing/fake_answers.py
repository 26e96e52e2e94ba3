"""The answers of a fake provider, cut into chunks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from instructor_stream_ext.core.usage import Usage

__all__ = ["FakeAnswer", "FakePlan", "chat_chunk", "completion_of", "plan_of"]


_MODEL = "fake-model"
_WRAPPERS = frozenset({"content", "tasks"})
"""The fields that instructor puts around an answer that is not an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAnswer:
    """One answer with settings of its own; what is None is as given to `fake_client`.

    Args:
        answer: An object, JSON text, plain text or an exception.
        chunk_size: Characters of a piece.
        delay: Seconds before each piece.
        fail_at: The connection breaks when so many pieces have come.
        usage: Tokens.
        finish_reason: The word of the provider; "" for a stream that just stops.

    Raises:
        ValueError: A size, a number or a time is out of range; `usage` tells no tokens.
    """

    answer: Any
    chunk_size: int | None = None
    delay: float | None = None
    fail_at: int | None = None
    usage: Any = None
    finish_reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that no answer can have."""
        if (self.chunk_size is not None and self.chunk_size < 1) or (self.delay is not None and not self.delay >= 0):
            raise ValueError("chunk_size is 1 or more characters, delay 0 or more seconds")
        if self.fail_at is not None and self.fail_at < 0:
            raise ValueError(f"fail_at={self.fail_at!r}: must be 0 or more pieces")
        usage = self.usage
        if isinstance(usage, (Mapping, Usage, type(None))):
            return
        if isinstance(usage, Sequence) and len(usage) == 2:  # noqa: PLR2004 - sent and made
            return
        raise ValueError(f"usage={usage!r}: must be a Usage, (input, output) or the provider's own dict")


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePlan:
    """One answer, ready to be sent."""

    text: str
    tool: str | None
    chunk_size: int
    delay: float
    fail_at: int | None
    usage: dict[str, Any]
    finish_reason: str

    def pieces(self) -> list[str]:
        """Return the pieces of the text that arrive."""
        starts = range(0, len(self.text), self.chunk_size)
        found = [self.text[start : start + self.chunk_size] for start in starts]
        return found if self.fail_at is None else found[: self.fail_at]

    def chunks(self) -> Iterator[tuple[float, Any]]:
        """Yield the SDK's chunks, each with the seconds before it."""
        found = self.pieces()
        first: dict[str, Any] = {"role": "assistant", "content": None if self.tool else ""}
        if self.tool:
            first["tool_calls"] = [_call(self.tool)]
        yield 0.0, chat_chunk([{"index": 0, "delta": first}])
        for piece in found:
            delta = {"tool_calls": [_call(None, piece)]} if self.tool else {"content": piece}
            yield self.delay, chat_chunk([{"index": 0, "delta": delta}])
        if self.fail_at is None:
            if self.finish_reason:
                yield 0.0, chat_chunk([{"index": 0, "delta": {}, "finish_reason": self.finish_reason}])
            yield 0.0, chat_chunk([], self.usage)

    def end(self) -> None:
        """Break the connection, if that was asked for."""
        if self.fail_at is not None:
            raise ConnectionResetError(f"the fake connection broke after {len(self.pieces())} pieces")


def plan_of(given: FakeAnswer, default: FakeAnswer, request: dict[str, Any]) -> FakePlan:
    """Return the answer to a request, where `default` has what `given` leaves open."""
    size, delay, fail_at, usage, reason = (
        getattr(default if getattr(given, name) is None else given, name)
        for name in ("chunk_size", "delay", "fail_at", "usage", "finish_reason")
    )
    tools = request.get("tools") or []
    tool = tools[0]["function"]["name"] if tools else None
    text = _text(given.answer, _schema(request))
    pieces = -(-len(text) // size)
    return FakePlan(
        text=text,
        tool=tool,
        chunk_size=size,
        delay=delay,
        fail_at=fail_at,
        usage=_usage(usage, request, pieces),
        finish_reason=("tool_calls" if tool else "stop") if reason is None else reason,
    )


def _schema(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema in the request."""
    if tools := request.get("tools"):
        found = tools[0]["function"].get("parameters")
    else:
        found = ((request.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return found if isinstance(found, dict) else {}


def _text(answer: Any, schema: Mapping[str, Any]) -> str:
    if isinstance(answer, str):
        return answer
    if isinstance(answer, bytes):
        return answer.decode()
    text = to_json(answer, by_alias=True).decode()
    named = set(schema.get("properties") or ())
    if len(named) == 1 and named <= _WRAPPERS and not text.startswith("{"):
        return json.dumps({named.pop(): json.loads(text)}, ensure_ascii=False)
    if named and named <= _WRAPPERS and len(named) == 1 and not named & set(json.loads(text)):
        return json.dumps({named.pop(): json.loads(text)}, ensure_ascii=False)
    return text


def _usage(usage: Any, request: Mapping[str, Any], pieces: int) -> dict[str, Any]:
    if isinstance(usage, Mapping):
        return dict(usage)
    if isinstance(usage, Usage):
        sent, made = usage.input_tokens, usage.output_tokens
    elif isinstance(usage, Sequence):
        sent, made = usage
    else:
        sent, made = len(json.dumps(request.get("messages"), default=str)) // 4, pieces
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def _call(name: str | None, arguments: str = "") -> dict[str, Any]:
    if name is None:
        return {"index": 0, "function": {"arguments": arguments}}
    return {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_chunk(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> Any:
    """Return a chunk as the openai SDK does."""
    from openai.types.chat import ChatCompletionChunk

    head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": _MODEL}
    return ChatCompletionChunk.model_validate(head | {"choices": choices, "usage": usage})


def completion_of(plan: FakePlan) -> Any:
    """Return the answer as the openai SDK does without streaming."""
    from openai.types.chat import ChatCompletion

    plan.end()
    message: dict[str, Any] = {"role": "assistant", "content": plan.text}
    if plan.tool:
        call = _call(plan.tool, plan.text)
        message |= {"content": None, "tool_calls": [{key: call[key] for key in ("id", "type", "function")}]}
    choice = {"index": 0, "message": message, "finish_reason": plan.finish_reason or "stop"}
    head = {"id": "chatcmpl-fake", "object": "chat.completion", "created": 0, "model": _MODEL}
    return ChatCompletion.model_validate(head | {"choices": [choice], "usage": plan.usage})
