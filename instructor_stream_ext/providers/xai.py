"""Streams of the xAI SDK: pairs of the response so far and a chunk.

instructor's own xAI client reads the pairs itself and hands on bare text; such text is the document as it is, and
nothing else is known of the answer then.
"""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers.family import Family
from instructor_stream_ext.providers.reader import Reading

__all__ = ["FAMILY", "XAIReader"]


class XAIReader(Reading):
    """Reads the SDK's pairs, its chunks alone, or text.

    Args:
        tools: Names of the tools in the request; None when the document is the content.
    """

    def __init__(self, tools: frozenset[str] | None = None) -> None:
        super().__init__(tools)
        self._response: Any = None

    def read(self, chunk: Any) -> str:
        """Return the new text of the document in this chunk, "" if there is none."""
        self.alive = bool(chunk)
        if isinstance(chunk, str):
            return chunk
        self.alive = False
        if isinstance(chunk, tuple):
            self._response, chunk = chunk
        proto = chunk.proto
        self._identify(proto.id, proto.model)
        if proto.usage.total_tokens:
            self._usage = proto.usage
        return "".join(self._choice(choice) for choice in chunk.choices if not choice.proto.index)

    def completion(self) -> Any:
        """Return the answer so far: the SDK's own `Response`, None if only text came."""
        return self._response

    def _choice(self, choice: Any) -> str:
        """Take one choice's part of a chunk; its tool calls are complete."""
        text = ""
        if choice.reasoning_content:
            self._reason(choice.reasoning_content)
        if choice.content:
            text += self._text(choice.content)
        for fragment in choice.tool_calls:
            call = self._calls.find(fragment.id, fragment.function.name, len(self._calls.all))
            text += self._calls.name(call, fragment.function.name)
            if args := fragment.function.arguments:
                self.alive = self._began = True
                text += self._calls.write(call, args)
        if choice.finish_reason:
            reasons = choice.proto.DESCRIPTOR.fields_by_name["finish_reason"].enum_type.values_by_number
            self._close(reasons[choice.finish_reason].name)
        return text


FAMILY = Family(
    providers=("xai",),
    reader=XAIReader,
    end_words={  # docs.x.ai: the gRPC API's FinishReason
        EndKind.COMPLETE: "reason_stop reason_tool_calls reason_tool_call reason_stop_sequence",
        EndKind.TRUNCATED: "reason_max_len reason_max_context reason_time_limit time_limit max_context_len_limit",
    },
    telemetry={"xai": "x_ai"},
    prices={"xai": "x-ai"},
    litellm={"xai": ("JSON_SCHEMA", "sends tool arguments whole, and text under a JSON schema in pieces")},
)
