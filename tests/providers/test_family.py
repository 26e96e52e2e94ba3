"""The tables that are made of what each provider's file says."""

from __future__ import annotations

import pytest
from instructor import Mode
from instructor.v2.core.providers import Provider

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.providers import FAMILIES, HOLDERS, LITELLM_MODES, TELEMETRY_NAMES
from instructor_stream_ext.providers.family import END_KINDS, USAGE_NAMES, Family, UsageNames, learn


def test_holders_are_attributes_of_packages() -> None:
    assert {"openai", "anthropic", "litellm", "google", "botocore", "mistralai"} <= set(HOLDERS)
    assert all(name.isidentifier() for package, names in HOLDERS.items() for name in (package, *names))


def test_modes_are_instructors() -> None:
    assert {"openai", "azure", "anthropic", "gemini", "groq", "bedrock"} <= set(LITELLM_MODES)
    assert all(name in Mode.__members__ and len(reason) > 20 for name, reason in LITELLM_MODES.values())


def test_a_provider_is_in_one_family() -> None:
    named = [provider for family in FAMILIES for provider in family.providers]
    assert len(named) == len(set(named))
    assert {provider.value for provider in Provider} - {"unknown"} <= set(named)


def test_a_word_means_one_thing() -> None:
    said: dict[str, EndKind] = {}
    for family in FAMILIES:
        for kind, words in family.end_words.items():
            for word in words.split():
                assert said.setdefault(word, kind) is kind, word
                assert word == word.lower()
    assert said == END_KINDS


def test_what_a_family_says_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    words: dict[str, EndKind] = {}
    names = list(USAGE_NAMES)
    monkeypatch.setattr("instructor_stream_ext.providers.family.END_KINDS", words)
    monkeypatch.setattr("instructor_stream_ext.providers.family.USAGE_NAMES", names)
    own = UsageNames("came", "went", "all")
    ends = {EndKind.COMPLETE: "basta fine"}
    learn(Family(providers=("x",), reader=lambda _: None, end_words=ends, usage_names=(own,)))
    assert words == {"basta": EndKind.COMPLETE, "fine": EndKind.COMPLETE}
    assert names[-1] is own
    assert TELEMETRY_NAMES["xai"] == "x_ai"
