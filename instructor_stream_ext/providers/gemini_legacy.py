"""Chunks of the two older Google SDKs: google-generativeai and vertexai."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from instructor_stream_ext.core.events import EndKind, EndSignal
from instructor_stream_ext.providers.family import Family
from instructor_stream_ext.providers.plain import object_of
from instructor_stream_ext.providers.reader import Reading

__all__ = ["FAMILY", "GeminiLegacyReader"]


class GeminiLegacyReader(Reading):
    """Reads generate-content responses of google-generativeai and of vertexai.

    Both are views of protocol buffers: an absent field reads as an empty one, and text is asked for by its presence.

    Args:
        tools: Names of the tools in the request; None when the document is the text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._kind: type | None = None

    def read(self, chunk: Any) -> str:
        """Return the new text of the document in this response, "" if there is none."""
        self.alive = False
        self._kind = type(chunk)
        if getattr(chunk, "usage_metadata", None):
            self._usage = chunk.usage_metadata
        if not chunk.candidates:
            self._blocked(getattr(chunk, "prompt_feedback", None))
            return ""
        candidate = chunk.candidates[0]
        text = "".join(self._part(_fields(part)) for part in candidate.content.parts)
        if reason := candidate.finish_reason:
            self._close(_name(reason), getattr(candidate, "finish_message", "") or "")
        return text

    def completion(self) -> Any:
        """Return the answer so far, in the type of the SDK whose chunks arrived."""
        parts: list[dict[str, Any]] = []
        if text := self._content.getvalue():
            parts.append({"text": text})
        parts += [
            {"function_call": {"name": call.called, "args": object_of(call.arguments)}} for call in self._calls.all
        ]
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
        if self.end is not None:
            candidate["finish_reason"] = self.end.word
        answer = {"candidates": [candidate]}
        if (self._kind.__module__ if self._kind else "").startswith("vertexai"):
            return import_module("vertexai.generative_models").GenerationResponse.from_dict(answer)
        message = import_module("google.generativeai.protos").GenerateContentResponse(answer)
        return import_module("google.generativeai.types").GenerateContentResponse.from_response(message)

    def _part(self, part: dict[str, Any]) -> str:
        """Take one part: text, or a function call with all its arguments."""
        if called := part.get("function_call"):
            call = self._calls.open("", called.get("name") or "", len(self._calls.all))
            self.alive = self._began = True
            return self._calls.write(call, json.dumps(_whole(called.get("args") or {}), ensure_ascii=False))
        text = part.get("text")
        if not text:
            return ""
        if part.get("thought"):
            self._reason(text)
            return ""
        return self._text(text)

    def _blocked(self, feedback: object) -> None:
        """Note that the prompt was blocked."""
        reason = getattr(feedback, "block_reason", None)
        if reason:
            said = getattr(feedback, "block_reason_message", "") or ""
            self.end = EndSignal(EndKind.FILTERED, _name(reason), said)


def _name(reason: object) -> str:
    """Return the word of a finish or block reason."""
    return str(getattr(reason, "name", reason))


def _fields(part: Any) -> dict[str, Any]:
    """Return a part as plain data: vertexai's part converts itself, google-generativeai's type converts it."""
    fields: dict[str, Any] = part.to_dict() if type(part).__module__.startswith("vertexai") else _proto_fields(part)
    return fields


def _proto_fields(part: Any) -> dict[str, Any]:
    """Return the fields that are set in a proto-plus part."""
    whole = type(part).to_dict(part)
    return {name: value for name, value in whole.items() if name == "thought" or name in part}


def _whole(value: object) -> Any:
    """Return arguments with whole numbers as ints: the transport made all of them floats."""
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


FAMILY = Family(
    providers=("gemini", "vertexai"),
    reader=GeminiLegacyReader,
    prices={"gemini": "google", "vertexai": "google"},
    telemetry={"vertex_ai": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai"},
)
