"""Cohere's chat events, from its second API and its first."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from typing import Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.family import Family
from instructor_stream_ext.providers.plain import namespace, plain
from instructor_stream_ext.providers.reader import Reading
from instructor_stream_ext.providers.usage import tokens

__all__ = ["FAMILY", "CohereReader"]

_EMPTY = re.compile(r"\s*\{\s*\}\s*\Z").match


class CohereReader(Reading):
    """Reads chat events, as objects or as mappings.

    instructor's tool mode asks Cohere for the object as text, so without names of tools the text is the document.

    Args:
        tools: Names of the tools in the request; None or empty when the document is the text.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools or None)
        self._whole: Any = None
        self._plan = StringIO()
        self._citations: list[Any] = []
        self._steps: dict[str, Callable[[dict[str, Any]], str]] = {
            "message-start": self._start,
            "content-delta": self._content_delta,
            "tool-plan-delta": self._plan_delta,
            "citation-start": self._citation,
            "tool-call-start": self._call_started,
            "tool-call-delta": self._call_fragment,
            "tool-call-end": self._call_ended,
            "message-end": self._message_end,
            "text-generation": self._generated,
            "stream-start": self._stream_start,
            "stream-end": self._stream_end,
        }

    def read(self, chunk: object) -> str:
        """Return the new text of the document in this event, "" if there is none."""
        self.alive = False
        self.switched = None
        if chunk.__class__ is dict:
            chunk = namespace(chunk)
        fields = chunk.__dict__
        step = self._steps.get(fields.get("type") or fields.get("event_type") or "")
        return "" if step is None else step(fields)

    @property
    def usage(self) -> Usage | None:
        """The tokens that the provider counted; None if it has sent no count."""
        if self._usage is None:
            return None
        told = plain(self._usage)
        return tokens(told.get("tokens") or told.get("billed_units") or {})

    def completion(self) -> Any:
        """Return the answer so far as Cohere's `V2ChatResponse` (first API: the response in its last event)."""
        if self._whole is not None:
            return self._whole
        content: list[dict[str, Any]] = []
        if thought := self._thought.getvalue():
            content.append({"type": "thinking", "thinking": thought})
        if text := self._content.getvalue():
            content.append({"type": "text", "text": text})
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if plan := self._plan.getvalue():
            message["tool_plan"] = plan
        if self._citations:
            message["citations"] = plain(self._citations)
        if self._calls.all:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.called, "arguments": call.arguments}}
                for call in self._calls.all
            ]
        answer = {
            "id": self.response_id or "",
            "finish_reason": self.end.word if self.end else None,
            "message": message,
            "usage": plain(self._usage),
        }
        return _typed(answer)

    def _forget(self) -> None:
        super()._forget()
        self._whole = None
        self._plan, self._citations = StringIO(), []

    def _start(self, fields: dict[str, Any]) -> str:
        self._start_over(fields.get("id"), None)
        return ""

    def _stream_start(self, fields: dict[str, Any]) -> str:
        self._start_over(fields.get("generation_id"), None)
        return ""

    def _content_delta(self, fields: dict[str, Any]) -> str:
        content = vars(fields["delta"].message.content)
        if content.get("thinking"):
            self._reason(content["thinking"])
        text = content.get("text")
        return self._text(text) if text else ""

    def _plan_delta(self, fields: dict[str, Any]) -> str:
        if plan := fields["delta"].message.tool_plan:
            self._reason(plan)
            self._plan.write(plan)
        return ""

    def _citation(self, fields: dict[str, Any]) -> str:
        message = getattr(fields.get("delta"), "message", None)
        if (cited := getattr(message, "citations", None)) is not None:
            self._citations.append(cited)
        return ""

    def _call_started(self, fields: dict[str, Any]) -> str:
        """Take the start of a call. An empty object among its arguments counts once the call is over."""
        function = vars(vars(fields["delta"].message.tool_calls)["function"])
        if _EMPTY(function.get("arguments") or ""):
            function["arguments"] = ""
        return self._call_fragment(fields)

    def _call_ended(self, fields: dict[str, Any]) -> str:
        call = self._calls.newest.get(fields.get("index"))
        return self._calls.write(call, "{}") if call is not None and not call.started else ""

    def _call_fragment(self, fields: dict[str, Any]) -> str:
        fragment = vars(fields["delta"].message.tool_calls)
        function = vars(fragment["function"])
        name = function.get("name") or ""
        call = self._calls.find(fragment.get("id") or "", name, fields.get("index"))
        text = self._calls.name(call, name)
        if args := function.get("arguments"):
            self.alive = self._began = True
            text += self._calls.write(call, args)
        return text

    def _message_end(self, fields: dict[str, Any]) -> str:
        delta = vars(fields["delta"])
        self._usage = delta.get("usage") or self._usage
        if delta.get("error"):
            self._fail("ERROR", str(delta["error"]))
        elif delta.get("finish_reason"):
            self._close(delta["finish_reason"])
        return ""

    def _generated(self, fields: dict[str, Any]) -> str:
        return self._text(fields["text"]) if fields.get("text") else ""

    def _stream_end(self, fields: dict[str, Any]) -> str:
        self._whole = fields.get("response")
        meta = vars(self._whole).get("meta") if self._whole is not None else None
        self._usage = meta or self._usage
        if fields.get("finish_reason"):
            self._close(fields["finish_reason"])
        return ""


def _typed(answer: dict[str, Any]) -> Any:
    """Return the answer in the SDK's type, or as plain attributes without the SDK."""
    try:
        whole = import_module("cohere").V2ChatResponse
        construct = import_module("cohere.core.unchecked_base_model").construct_type
    except ImportError:
        return namespace(answer)
    return construct(type_=whole, object_=answer)


FAMILY = Family(
    providers=("cohere",),
    reader=CohereReader,
    end_words={  # docs.cohere.com: Chat with streaming, finish_reason
        EndKind.COMPLETE: "complete completed tool_call end_of_turn",
        EndKind.TRUNCATED: "error_limit",
        EndKind.FILTERED: "error_toxic",
    },
    litellm={
        "cohere": ("TOOLS", "sends tool arguments as they are written"),
        "cohere_chat": ("TOOLS", "sends tool arguments as they are written"),
    },
)
