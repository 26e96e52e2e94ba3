"""Provider chunks in, text and signals out: one file per family of chunks, all sans-I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from instructor_stream_ext.providers import (
    anthropic,
    bedrock,
    cohere,
    gemini_legacy,
    genai,
    mistral,
    openai_chat,
    openai_responses,
    xai,
)
from instructor_stream_ext.providers.fallback import FallbackReader
from instructor_stream_ext.providers.family import learn
from instructor_stream_ext.providers.reader import Reader

__all__ = ["FAMILIES", "HOLDERS", "LITELLM_MODES", "PRICE_NAMES", "TELEMETRY_NAMES", "reader_for"]

Extractor: TypeAlias = Callable[[Iterable[Any]], Iterable[str]]

FAMILIES = (
    openai_chat.FAMILY,
    openai_responses.FAMILY,
    anthropic.FAMILY,
    bedrock.FAMILY,
    cohere.FAMILY,
    gemini_legacy.FAMILY,
    genai.FAMILY,
    mistral.FAMILY,
    xai.FAMILY,
)
"""All that is known about providers; the tables below are built from it."""

for _family in FAMILIES:
    learn(_family)

_BY_PROVIDER = {provider: family for family in FAMILIES for provider in family.providers}
HOLDERS = {package: names for family in FAMILIES for package, names in family.holders.items()}
"""By an SDK's package: the attributes of its objects that lead towards the HTTP response."""
TELEMETRY_NAMES = {name: said for family in FAMILIES for name, said in family.telemetry.items()}
"""Providers for which OpenTelemetry's conventions use another name than instructor or litellm."""
PRICE_NAMES = {name: listed for family in FAMILIES for name, listed in family.prices.items()}
"""Providers for which genai-prices uses another name than instructor."""
LITELLM_MODES = {start: mode for family in FAMILIES for start, mode in family.litellm.items()}
"""By the start of litellm's model string: the name of instructor's mode, and the reason for it."""

_TOOL_MODES = frozenset(
    {"tool_call", "tools_strict", "parallel_tool_call", "responses_tools", "responses_tools_with_inbuilt_tools"}
)


def reader_for(provider: str, mode: str, *, tools: frozenset[str] | None, extractor: Extractor | None = None) -> Reader:
    """Return the reader for a provider's stream in a mode.

    Args:
        provider: The value of instructor's `Provider`.
        mode: The value of instructor's canonical `Mode`.
        tools: Names of the tools in the request, None if the answer is to be text.
        extractor: instructor's stream extractor for the two, for providers whose chunks are not known here.

    Raises:
        ValueError: The provider is unknown and there is no extractor.
    """
    asked = tools if mode in _TOOL_MODES else None
    family = _BY_PROVIDER.get(provider)
    if family is openai_chat.FAMILY and mode.startswith("responses_tools"):
        family = openai_responses.FAMILY
    if family is not None:
        reader: Reader = family.reader(asked)
        return reader
    if extractor is None:
        raise ValueError(f"no reader for {provider} in mode {mode}, and no extractor to read it with")
    return FallbackReader(extractor)
