"""All wire formats in one place: pure functions that give the bytes of an answer, one list entry per HTTP chunk."""

from __future__ import annotations

from tests.server.sse import DONE, MODEL, pieces, sse
from tests.server.wire_anthropic import (
    anthropic_answer,
    anthropic_calls,
    anthropic_error,
    anthropic_text,
    anthropic_tools,
)
from tests.server.wire_chat import (
    chat,
    chat_answer,
    chat_calls,
    chat_choices,
    chat_chunk,
    chat_content,
    chat_error,
    chat_refusal,
    chat_tools,
)
from tests.server.wire_gemini import gemini_answer, gemini_chunk, gemini_error, gemini_text, gemini_tools
from tests.server.wire_responses import (
    responses_answer,
    responses_error,
    responses_refusal,
    responses_text,
    responses_tools,
)

__all__ = [
    "DONE",
    "MODEL",
    "anthropic_answer",
    "anthropic_calls",
    "anthropic_error",
    "anthropic_text",
    "anthropic_tools",
    "chat",
    "chat_answer",
    "chat_calls",
    "chat_choices",
    "chat_chunk",
    "chat_content",
    "chat_error",
    "chat_refusal",
    "chat_tools",
    "gemini_answer",
    "gemini_chunk",
    "gemini_error",
    "gemini_text",
    "gemini_tools",
    "pieces",
    "responses_answer",
    "responses_error",
    "responses_refusal",
    "responses_text",
    "responses_tools",
    "sse",
]
