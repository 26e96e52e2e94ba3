"""A model string becomes the mode in which its provider streams, by one table and litellm's own look-ups."""

from __future__ import annotations

from typing import Any

import pytest
from instructor import Mode

from instructor_stream_ext import StreamMisuse
from instructor_stream_ext.routing import MODES, from_litellm, mode_for
from tests.routing.calls import PROVIDERS, QUIET, litellm

pytestmark = QUIET

TABLE = {provider.model: provider.mode for provider in PROVIDERS.values()} | {
    "gpt-4o": Mode.TOOLS,
    "azure/mine": Mode.TOOLS,
    "azure/mine/with-a-slash": Mode.TOOLS,
    "cohere/command-a-03-2025": Mode.TOOLS,
    "claude-haiku-4-5": Mode.TOOLS,
    "ollama/llama3": Mode.MD_JSON,
    "openrouter/anthropic/claude-sonnet-4": Mode.TOOLS,
    "openrouter/openai/gpt-4o": Mode.TOOLS,
    "vertex_ai/claude-sonnet-4@20250514": Mode.TOOLS,
    "vertex_ai/gemini-2.5-flash": Mode.JSON_SCHEMA,
    "xai/grok-3": Mode.JSON_SCHEMA,
    "zai/glm-4.7": Mode.MD_JSON,
}

ASKED = {
    "fireworks_ai/accounts/x": Mode.JSON_SCHEMA,
    "openrouter/google/gemini-2.5-flash": (Mode.JSON, Mode.JSON_SCHEMA),
    "perplexity/sonar": (Mode.JSON, Mode.JSON_SCHEMA),
    "replicate/meta/x": Mode.TOOLS,
    "cerebras/llama3.1-8b": (Mode.JSON, Mode.JSON_SCHEMA),
}


@pytest.mark.parametrize(("model", "mode"), TABLE.items())
def test_what_the_table_knows(model: str, mode: Mode) -> None:
    choice = mode_for(model)
    assert choice.mode is mode
    assert choice in MODES.values()
    assert from_litellm(model)._calls.link.mode is mode


@pytest.mark.parametrize(("model", "mode"), ASKED.items())
def test_what_litellm_is_asked(model: str, mode: Any) -> None:
    choice = mode_for(model)
    assert choice.mode in (mode if isinstance(mode, tuple) else (mode,))
    assert choice not in MODES.values()
    assert "litellm says" in choice.reason


@pytest.mark.parametrize(
    ("known", "follows", "mode"),
    [
        (["response_format", "tools"], True, Mode.JSON_SCHEMA),
        (["response_format", "tools"], False, Mode.JSON),
        (["tools"], False, Mode.TOOLS),
        (["temperature"], False, Mode.MD_JSON),
        (None, False, Mode.MD_JSON),
    ],
)
def test_the_order_of_the_look_ups(monkeypatch: pytest.MonkeyPatch, known: Any, follows: bool, mode: Mode) -> None:
    monkeypatch.setattr(litellm, "get_supported_openai_params", lambda **_: known)
    monkeypatch.setattr(litellm, "supports_response_schema", lambda **_: follows)
    assert mode_for("nvidia_nim/x").mode is mode


def test_the_provider_may_be_told_otherwise() -> None:
    assert mode_for("anything", custom_llm_provider="gemini").mode is Mode.JSON_SCHEMA
    with pytest.raises(StreamMisuse, match="LLM Provider NOT provided"):
        mode_for("anything")


def test_each_line_has_a_reason() -> None:
    assert all(len(choice.reason) > 20 for choice in MODES.values())
    assert list(MODES) == sorted(MODES)


def test_a_mode_that_is_given_is_taken() -> None:
    assert from_litellm("openai/gpt-4o", mode=Mode.JSON)._calls.link.mode is Mode.JSON
