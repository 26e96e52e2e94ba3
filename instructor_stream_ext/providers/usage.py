"""Token counts, under whatever names a provider gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers.family import USAGE_NAMES

__all__ = ["cached_tokens", "tokens"]


def tokens(usage: object) -> Usage:
    """Convert a provider's usage object to `Usage`.

    What only the total has is part of the answer: reasoning of xAI's models, and of Gemini's behind many gateways
    (https://github.com/mozilla-ai/any-llm/issues/1290). It is part of the request where it is as much as came from the
    cache (Bedrock) or was heard (Mistral's Voxtral).

    Args:
        usage: An object or mapping; absent figures count as 0, an absent total as the sum.
    """
    came, went, total = (_figure(usage, [names[place] for names in USAGE_NAMES]) for place in range(3))
    rest = max(0, total - came - went)
    if rest in (sum(cached_tokens(usage)), _figure(usage, ("audio_tokens",), within=_DETAILS)):
        came += rest
    else:
        went += rest
    return Usage(came, went, total or came + went)


def cached_tokens(usage: object) -> tuple[int, int]:
    """Return the input tokens read from the provider's cache, and written to it.

    Args:
        usage: A provider's usage object or mapping.
    """
    return _figure(usage, _CACHE_READ, within=_DETAILS), _figure(usage, _CACHE_WRITTEN, within=_DETAILS)


_CACHE_READ = (
    "cached_tokens",  # openai, in prompt_tokens_details or input_tokens_details
    "cache_read_input_tokens",  # anthropic
    "cached_content_token_count",  # google-genai
    "cacheReadInputTokens",  # bedrock
)


_CACHE_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens")


_DETAILS = ("prompt_tokens_details", "input_tokens_details")


def _figure(usage: object, names: Iterable[str], within: Iterable[str] = ()) -> int:
    """Return the first of these counts that a usage object has, in itself or within some of its parts; 0 for none."""
    places = (usage, *(_part(usage, name) for name in within))
    found = (_part(place, name) for place in places if place is not None for name in names)
    return next((int(count) for count in found if isinstance(count, int | float)), 0)


def _part(of: object, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else getattr(of, name, None)
