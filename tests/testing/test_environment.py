"""A replay needs no key and no address of the recorder's."""

from __future__ import annotations

import os
from pathlib import Path

import anthropic
import openai
import pytest

from instructor_stream_ext.testing import use_cassette
from instructor_stream_ext.testing.environment import playing
from tests.server import ScriptedServer, reply

VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "OPENAI_API_VERSION",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell without keys."""
    for name in (*VARIABLES, "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_clients_are_made_without_keys() -> None:
    before = dict(os.environ)
    with playing([]):
        assert str(openai.OpenAI().base_url) == "https://api.openai.com/v1/"
        anthropic.Anthropic()
        assert "OPENAI_BASE_URL" not in os.environ
    assert dict(os.environ) == before


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.test/v1")
    monkeypatch.setenv("GOOGLE_API_KEY", "theirs")
    with playing(["http://127.0.0.1:1/v1/chat/completions"]):
        assert os.environ["OPENAI_API_KEY"] == "mine"
        assert os.environ["OPENAI_BASE_URL"] == "https://gateway.test/v1"
        assert "GEMINI_API_KEY" not in os.environ  # google-genai warns where both are set


@pytest.mark.parametrize(
    ("urls", "base"),
    [
        (["http://127.0.0.1:8080/v1/chat/completions"], "http://127.0.0.1:8080/v1"),
        (
            ["https://gateway.test/openai/responses", "https://gateway.test/openai/models"],
            "https://gateway.test/openai",
        ),
        (["https://api.openai.com/v1/chat/completions"], None),
        (["https://a.test/v1/responses", "https://b.test/v1/responses"], None),  # nobody knows which
        (["https://a.test/v1/messages"], None),
    ],
)
def test_the_address_that_was_recorded(urls: list[str], base: str | None) -> None:
    with playing(urls):
        assert os.environ.get("OPENAI_BASE_URL") == base


def test_a_recording_of_a_local_server_plays_without_its_address(server: ScriptedServer, tmp_path: Path) -> None:
    server.add(reply("hello"))
    cassette_file = tmp_path / "cassette.yaml"

    def ask(**options: str) -> str | None:
        with openai.OpenAI(**options, max_retries=0) as client:  # type: ignore[arg-type]
            stream = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "go"}], stream=True
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    with use_cassette(cassette_file, record_mode="once"):
        recorded = ask(base_url=f"{server.url}/v1", api_key="key")
    with use_cassette(cassette_file, strict=True):
        assert ask() == recorded == "hello"


def test_what_is_empty_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a CI's secret is in a fork."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    monkeypatch.setenv("GOOGLE_API_KEY", "")
    with playing(["http://127.0.0.1:1/v1/responses"]):
        assert os.environ["OPENAI_API_KEY"]
        assert os.environ["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
        assert os.environ["GEMINI_API_KEY"]
    assert os.environ["OPENAI_API_KEY"] == ""


def test_azures_endpoint_and_version_are_those_of_the_cassette() -> None:
    with playing(["https://us.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21"]):
        assert str(openai.AzureOpenAI().base_url) == "https://us.openai.azure.com/openai/"
        assert os.environ["OPENAI_API_VERSION"] == "2024-10-21"
        assert "OPENAI_BASE_URL" not in os.environ


def test_googles_gateway_is_that_of_the_cassette() -> None:
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    with playing([f"https://gateway.test/google{path}"]):
        assert os.environ["GOOGLE_GEMINI_BASE_URL"] == "https://gateway.test/google"
    with playing([f"https://generativelanguage.googleapis.com{path}"]):
        assert "GOOGLE_GEMINI_BASE_URL" not in os.environ
