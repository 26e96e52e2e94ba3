"""Provider chunks in, text and signals out: one reader per family of chunks, all sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from instructor_stream_ext.providers.anthropic import AnthropicReader
from instructor_stream_ext.providers.bedrock import BedrockReader
from instructor_stream_ext.providers.cohere import CohereReader
from instructor_stream_ext.providers.fallback import FallbackReader
from instructor_stream_ext.providers.gemini_legacy import GeminiLegacyReader
from instructor_stream_ext.providers.genai import GenAIReader
from instructor_stream_ext.providers.openai_chat import MistralReader, OpenAIChatReader
from instructor_stream_ext.providers.openai_responses import OpenAIResponsesReader
from instructor_stream_ext.providers.reader import EndKind, EndSignal, Reader, Switch
from instructor_stream_ext.providers.xai import XAIReader

__all__ = ["EndKind", "EndSignal", "Reader", "Switch", "reader_for"]

Extractor: TypeAlias = Callable[[Iterable[Any]], Iterable[str]]

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

_FAMILIES: dict[str, Callable[[frozenset[str] | None], Reader]] = {
    "anthropic": AnthropicReader,
    "bedrock": BedrockReader,
    "cohere": CohereReader,
    "gemini": GeminiLegacyReader,
    "genai": GenAIReader,
    "generative-ai": GenAIReader,
    "google": GenAIReader,
    "mistral": MistralReader,
    "vertexai": GeminiLegacyReader,
    "xai": XAIReader,
}


def reader_for(provider: str, mode: str, *, tools: frozenset[str] | None, extractor: Extractor | None = None) -> Reader:
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
    if (known := _FAMILIES.get(provider)) is not None:
        return known(asked)
    if extractor is None:
        raise ValueError(f"no reader for {provider} in mode {mode}, and no extractor to read it with")
    return FallbackReader(extractor)
