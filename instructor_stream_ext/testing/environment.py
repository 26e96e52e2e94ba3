"""Environment variables that clients need and a replay does not: keys, and the recorded address."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

__all__ = ["OPENAI_PATHS", "playing"]

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
"""Either is enough, and google-genai warns if both are set."""
_REGIONS = ("AWS_DEFAULT_REGION", "AWS_REGION")
_NO_KEY = "no-key-is-needed-to-replay"
OPENAI_PATHS = ("/chat/completions", "/responses", "/completions")
"""The paths of requests that OpenAI's clients send."""
_BASES = (
    (
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        re.compile(rf"((?!.*/openai/deployments/).*?)(?:{'|'.join(OPENAI_PATHS)})"),
    ),
    ("AZURE_OPENAI_ENDPOINT", "", re.compile(r"(.*)/openai/deployments/.+")),
    ("ANTHROPIC_BASE_URL", "https://api.anthropic.com", re.compile(r"(.*)/v1/messages")),
    (
        "GOOGLE_GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com",
        re.compile(r"(.*)/v1\w*/models/[^/]+:\w+"),
    ),
)
"""For each SDK: the variable with its address, the default address, and the paths of its requests."""
_AZURE_VERSION = "OPENAI_API_VERSION"


@contextlib.contextmanager
def playing(urls: Iterable[str]) -> Iterator[None]:
    """Fill in missing or empty variables while a cassette is played.

    Args:
        urls: Of the recorded requests: where all of an SDK's went to one other address, such as a gateway's or a local
            server's, its clients get that.
    """
    made = {name: _NO_KEY for name in _KEYS if not os.environ.get(name)}
    if not any(map(os.environ.get, _GEMINI)):
        made[_GEMINI[0]] = _NO_KEY
    if not any(map(os.environ.get, _REGIONS)):
        made[_REGIONS[0]] = "us-east-1"
    recorded = [urlsplit(url) for url in urls]
    for name, usual, path in _BASES:
        found = {f"{url.scheme}://{url.netloc}{match[1]}" for url in recorded if (match := path.fullmatch(url.path))}
        if not os.environ.get(name) and len(found) == 1 and found != {usual}:
            made[name] = found.pop()
    versions = {version for url in recorded for name, version in parse_qsl(url.query) if name == "api-version"}
    if not os.environ.get(_AZURE_VERSION) and len(versions) == 1:
        made[_AZURE_VERSION] = versions.pop()
    with mock.patch.dict(os.environ, made):
        yield
