"""Chunks of the google-genai SDK: responses whose parts are new text, thoughts and function calls."""

from __future__ import annotations

import json
from typing import Any

from instructor_stream_ext.core.events import EndKind, EndSignal
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.calls import Call
from instructor_stream_ext.providers.family import Family, UsageNames
from instructor_stream_ext.providers.paths import OutOfOrderError, PathWriter
from instructor_stream_ext.providers.plain import namespace, object_of, plain
from instructor_stream_ext.providers.reader import Reading

__all__ = ["FAMILY", "GenAIReader"]


class GenAIReader(Reading):
    """Reads generate-content responses, as SDK objects or as mappings with their attribute names.

    Args:
        tools: Names of the tools in the request; None when the document is the text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._parts: list[_Part] = []
        self._open: tuple[Call, PathWriter] | None = None
        self._kept: dict[str, Any] = {}
        self._logprobs: dict[str, list[Any]] = {}

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this response, "" if there is none."""
        self.alive = False
        self.switched = None
        if chunk.__class__ is dict:
            chunk = namespace(chunk)
        fields = chunk.__dict__
        if (usage := fields.get("usage_metadata")) is not None:
            self._usage = usage
        self._identify(fields.get("response_id"), fields.get("model_version"))
        candidates = fields.get("candidates")
        if not candidates:
            self._blocked(fields.get("prompt_feedback"))
            return ""
        candidate = candidates[0].__dict__
        content = candidate.get("content")
        text = ""
        if content is not None:
            for part in content.__dict__.get("parts") or ():
                text += self._part(part.__dict__)
        self._keep(candidate)
        if (reason := candidate.get("finish_reason")) is not None:
            self._reasoned_end(reason, candidate.get("finish_message") or "")
        return text

    @property
    def usage(self) -> Usage | None:
        """Tokens, with thoughts counted as output; None if the provider has sent no count."""
        if self._usage is None:
            return None
        told = self._usage.__dict__
        came = (told.get("prompt_token_count") or 0) + (told.get("tool_use_prompt_token_count") or 0)
        went = (told.get("candidates_token_count") or 0) + (told.get("thoughts_token_count") or 0)
        return Usage(came, went, told.get("total_token_count") or came + went)

    def completion(self) -> Any:
        """Return the answer so far as google-genai's `GenerateContentResponse`."""
        from google.genai import types

        candidate: dict[str, Any] = {
            **plain(self._kept),
            "index": 0,
            "content": {"role": "model", "parts": [part.whole() for part in self._parts if part.says]},
        }
        if self.end is not None and self.end.word in types.FinishReason.__members__:
            candidate["finish_reason"] = self.end.word
        if self._logprobs:
            candidate["logprobs_result"] = plain(self._logprobs)
        whole: dict[str, Any] = {"candidates": [candidate]}
        if self._usage is not None:
            whole["usage_metadata"] = plain(self._usage)
        return types.GenerateContentResponse.model_validate(
            {**whole, "response_id": self.response_id, "model_version": self.model}
        )

    def _forget(self) -> None:
        super()._forget()
        self._parts = []
        self._open = None
        self._kept, self._logprobs = {}, {}

    def _keep(self, candidate: dict[str, Any]) -> None:
        """Keep for the answer what else is said of the candidate."""
        for name in _KEPT:
            if (said := candidate.get(name)) is not None:
                self._kept[name] = said
        if (logprobs := candidate.get("logprobs_result")) is not None:
            for name, tokens in logprobs.__dict__.items():
                if isinstance(tokens, list):
                    self._logprobs.setdefault(name, []).extend(tokens)

    def _part(self, part: dict[str, Any]) -> str:
        """Take one part."""
        if (call := part.get("function_call")) is not None:
            return self._called(call.__dict__, part.get("thought_signature"))
        text, thought = part.get("text"), bool(part.get("thought"))
        if text is None:
            if other := {name: plain(value) for name, value in part.items() if value is not None}:
                self._parts.append(_Part(other=other))
            return ""
        if not self._parts or not self._parts[-1].takes_text(thought=thought):
            self._parts.append(_Part(thought=thought))
        self._parts[-1].add(text, part.get("thought_signature"))
        if not text:
            return ""
        if thought:
            self._reason(text)
            return ""
        return self._text(text)

    def _called(self, fields: dict[str, Any], signature: object) -> str:
        """Take a function call: a complete one, or the next updates of the current one."""
        if self._open is not None and not fields.get("name"):
            return self._updated(fields)
        call = self._calls.open(fields.get("id") or "", fields.get("name") or "", len(self._calls.all))
        part = _Part(call=call)
        part.add("", signature)
        self._parts.append(part)
        self.alive = self._began = True
        if fields.get("will_continue") or fields.get("partial_args"):
            self._open = (call, PathWriter())
            return self._updated(fields)
        return self._calls.write(call, json.dumps(fields.get("args") or {}, ensure_ascii=False))

    def _updated(self, fields: dict[str, Any]) -> str:
        """Take updates of the current call, each a value under a JSONPath."""
        if self._open is None:
            return ""
        call, writer = self._open
        text = ""
        try:
            for update in fields.get("partial_args") or ():
                path, value, more = _value_of(update.__dict__)
                text += writer.write(path, value, more=more)
        except OutOfOrderError as error:
            self._fail("error", str(error))
        if not fields.get("will_continue"):
            text += writer.close()
            self._open = None
        self.alive = self._began = True
        return self._calls.write(call, text) if text else ""

    def _blocked(self, feedback: object) -> None:
        """Note that the prompt was blocked."""
        reason = feedback.__dict__.get("block_reason") if feedback is not None else None
        if reason is not None:
            word = getattr(reason, "name", str(reason))
            self.end = EndSignal(EndKind.FILTERED, word, feedback.__dict__.get("block_reason_message") or "")

    def _reasoned_end(self, reason: object, message: str) -> None:
        """Take the finish reason; "unspecified" is not one."""
        word = getattr(reason, "name", str(reason))
        if word != "FINISH_REASON_UNSPECIFIED":
            self._close(word, message)


_PIECES = 256
_KEPT = (
    "avg_logprobs",
    "citation_metadata",
    "finish_message",
    "grounding_metadata",
    "safety_ratings",
    "token_count",
    "url_context_metadata",
)
"""What the answer has of its candidate besides text, calls and their end: each as it was told last."""


class _Part:
    """One part of the answer: text that adjacent chunks share, a function call, or anything else as it came."""

    __slots__ = ("call", "other", "pieces", "signature", "thought")

    def __init__(self, *, call: Call | None = None, thought: bool = False, other: dict[str, Any] | None = None) -> None:
        self.call = call
        self.thought = thought
        self.other = other
        self.signature: Any = None
        self.pieces: list[str] = []

    def add(self, text: str, signature: object) -> None:
        """Add text, and the part's signature if it came."""
        self.signature = signature or self.signature
        if text:
            self.pieces.append(text)
        if len(self.pieces) > _PIECES:
            self.pieces = ["".join(self.pieces)]

    def takes_text(self, *, thought: bool) -> bool:
        """Return whether text of an adjacent chunk belongs to this part."""
        return self.call is None and self.other is None and self.thought is thought

    @property
    def says(self) -> bool:
        """True if there is anything in it. Gemini refuses a conversation that contains an empty text."""
        return self.call is not None or self.other is not None or bool(self.pieces) or bool(self.signature)

    def whole(self) -> dict[str, Any]:
        """Return the part as plain data."""
        if self.other is not None:
            return self.other
        part: dict[str, Any] = {}
        if self.call is not None:
            part["function_call"] = {"name": self.call.called, "args": object_of(self.call.arguments)}
            if self.call.id:
                part["function_call"]["id"] = self.call.id
        else:
            part["text"] = "".join(self.pieces)
        if self.thought:
            part["thought"] = True
        if self.signature:
            part["thought_signature"] = self.signature
        return part


def _value_of(update: dict[str, Any]) -> tuple[str, Any, bool]:
    """Return the path, the value, and whether more of that value follows."""
    path = update.get("json_path") or "$"
    if (text := update.get("string_value")) is not None:
        return path, text, bool(update.get("will_continue"))
    if (number := update.get("number_value")) is not None:
        whole = isinstance(number, float) and number.is_integer() and abs(number) < 2**53
        return path, int(number) if whole else number, False
    return path, update.get("bool_value"), False


FAMILY = Family(
    providers=("genai", "generative-ai", "google"),
    reader=GenAIReader,
    end_words={  # ai.google.dev: GenerateContentResponse, FinishReason and BlockReason
        EndKind.FILTERED: (
            "safety recitation blocklist prohibited_content spii language image_safety image_prohibited_content "
            "image_recitation other no_image model_armor pup_limited_disabled block_reason_unspecified "
            "blocked_reason_unspecified"
        ),
        EndKind.FAILED: (
            "malformed_function_call unexpected_tool_call malformed_response too_many_tool_calls "
            "missing_thought_signature image_other"
        ),
    },
    usage_names=(UsageNames("prompt_token_count", "candidates_token_count", "total_token_count"),),
    holders={"google": ("response_stream", "segment_iterator")},
    prices={"genai": "google", "generative-ai": "google"},
    telemetry={"genai": "gcp.gen_ai", "google": "gcp.gen_ai", "gemini": "gcp.gemini"},
    litellm={
        "gemini": ("JSON_SCHEMA", "sends tool arguments whole, and text under a JSON schema in pieces"),
        "vertex_ai/gemini": ("JSON_SCHEMA", "sends tool arguments whole, and text under a JSON schema in pieces"),
    },
)
