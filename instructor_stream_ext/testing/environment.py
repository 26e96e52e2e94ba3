"""What clients ask the environment for and a replay does not need: keys, and the address that was recorded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from unittest import mock
from urllib.parse import urlsplit

__all__ = ["playing"]

_KEYS = (
    "ANTHROPIC_API_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AZURE_OPENAI_API_KEY",
    "CEREBRAS_API_KEY",
    "COHERE_API_KEY",
    "CO_API_KEY",
    "DEEPSEEK_API_KEY",
    "FIREWORKS_API_KEY",
    "GROQ_API_KEY",
    "MISTRAL_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "PERPLEXITY_API_KEY",
    "WRITER_API_KEY",
    "XAI_API_KEY",
)
_GEMINI = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
"""Either will do, and google-genai warns of both."""
_NO_KEY = "no-key-is-needed-to-replay"
_BASES = (
    ("OPENAI_BASE_URL", "https://api.openai.com/v1", ("/chat/completions", "/responses", "/completions")),
    ("ANTHROPIC_BASE_URL", "https://api.anthropic.com", ("/v1/messages",)),
)
"""The variable in which an SDK looks for its address, the address without it, and how its requests' paths end."""


@contextlib.contextmanager
def playing(urls: Iterable[str]) -> Iterator[None]:
    """Fill in what the environment lacks, for as long as a cassette is played.

    Args:
        urls: Of the recorded requests: where all of an SDK's went to one other address, such as a gateway's or a local
            server's, its clients get that.
    """
    made = {name: _NO_KEY for name in _KEYS if name not in os.environ}
    if not any(name in os.environ for name in _GEMINI):
        made[_GEMINI[0]] = _NO_KEY
    if not any(name in os.environ for name in ("AWS_DEFAULT_REGION", "AWS_REGION")):
        made["AWS_DEFAULT_REGION"] = "us-east-1"
    recorded = list(urls)
    for name, usual, ends in _BASES:
        bases = {base for url in recorded if (base := _base(url, ends)) is not None}
        if name not in os.environ and len(bases) == 1 and bases != {usual}:
            made[name] = bases.pop()
    with mock.patch.dict(os.environ, made):
        yield


def _base(url: str, ends: tuple[str, ...]) -> str | None:
    parts = urlsplit(url)
    for end in ends:
        if parts.path.endswith(end):
            return f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix(end)}"
    return None
