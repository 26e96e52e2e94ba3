"""Provider chunks in, text and signals out: one reader per family of chunks, all sans-I/O."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.wire.anthropic import AnthropicReader
from instructor_stream_ext.wire.genai import GenAIReader
from instructor_stream_ext.wire.openai_chat import MistralReader, OpenAIChatReader
from instructor_stream_ext.wire.openai_responses import OpenAIResponsesReader
from instructor_stream_ext.wire.reader import EndKind, EndSignal, Reader, Switch

__all__ = ["EndKind", "EndSignal", "Reader", "Switch", "reader_for"]

_TOOL_MODES = frozenset({"tool_call", "tools_strict", "responses_tools", "responses_tools_with_inbuilt_tools"})
_CHAT = frozenset(
    {
        "anyscale",
        "azure_openai",
        "cerebras",
        "databricks",
        "deepseek",
        "fireworks",
        "groq",
        "litellm",
        "ollama",
        "openai",
        "openrouter",
        "perplexity",
        "together",
        "writer",
    }
)


def reader_for(provider: str, mode: str, *, tools: frozenset[str] | None, extractor: Any = None) -> Reader:
    """The reader for what a provider streams in a mode.

    Args:
        provider: The value of instructor's `Provider`.
        mode: The value of instructor's canonical `Mode`.
        tools: Names of the tools in the request, None if the answer is to be text.
        extractor: instructor's stream extractor for the two, for providers whose chunks are not known here.

    Raises:
        ValueError: The provider is unknown and there is no extractor.
    """
    asked = tools if mode in _TOOL_MODES else None
    if provider in _CHAT:
        return OpenAIResponsesReader(asked) if mode.startswith("responses_tools") else OpenAIChatReader(asked)
    if provider == "anthropic":
        return AnthropicReader(asked)
    if provider in ("genai", "google", "generative-ai"):
        return GenAIReader(asked)
    if provider == "mistral":
        return MistralReader(asked)
    raise ValueError(f"no reader for {provider} in mode {mode}, and no extractor to read it with")
