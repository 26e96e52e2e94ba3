"""Mistral's events: chat-completion chunks in an envelope."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.providers.family import Family
from instructor_stream_ext.providers.openai_chat import OpenAIChatReader

__all__ = ["FAMILY", "MistralReader"]


class MistralReader(OpenAIChatReader):
    """Reads Mistral's events, which carry a chat-completion chunk as `data`."""

    def read(self, chunk: Any) -> str:
        """Return the new text of the document in this event, "" if there is none."""
        return super().read(chunk["data"] if isinstance(chunk, dict) else chunk.data)


FAMILY = Family(
    providers=("mistral",),
    reader=MistralReader,
    holders={"mistralai": ("response",)},
    telemetry={"mistral": "mistral_ai"},
    litellm={"mistral": ("JSON_SCHEMA", "sends tool arguments whole, and text under a JSON schema in pieces")},
)
