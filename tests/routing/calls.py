"""What the tests of routing share: the providers on loopback, and clients that are tidied up after a test."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext.routing import from_litellm, route
from instructor_stream_ext.routing.stations import RouteLink
from tests.server import ScriptedServer
from tests.server.clients import close_litellm

__all__ = [
    "DOCUMENT",
    "FINAL",
    "PROVIDERS",
    "QUIET",
    "Person",
    "Provider",
    "every_provider",
    "litellm",
    "retiring",
    "routed",
    "single",
]


litellm: Any = importlib.import_module("litellm")
"""It exports without saying so."""


def retiring(router: Any) -> Callable[[], None]:
    """What lets go of what a Router has registered with litellm; `discard` is deprecated in 1.110."""
    retire: Callable[[], None] = router.retire if hasattr(router, "retire") else router.discard
    return retire


class Person(BaseModel):
    name: str
    age: int


DOCUMENT = '{"name": "Ann of the Fens", "age": 47}'
FINAL = Person(name="Ann of the Fens", age=47)

QUIET = pytest.mark.filterwarnings(
    "ignore:Accessing the 'model_:DeprecationWarning",
    r"ignore:Exception ignored in. <(socket|ssl|function (ClientSession|BaseConnector|BaseEventLoop|_Selector))"
    ":pytest.PytestUnraisableExceptionWarning",
)
"""litellm asks its own chunks for what pydantic has moved, and leaves its aiohttp sessions to the garbage collector."""


@dataclass(frozen=True)
class Provider:
    """One of litellm's providers, which the scripted server can play.

    Attributes:
        model: A model string of its.
        mode: instructor's mode that it gets.
        path: Where its interface begins.
        asked: The path of its requests.
        arguments: What litellm needs for it.
    """

    model: str
    mode: Mode
    path: str = "/v1"
    asked: str = "/v1/chat/completions"
    arguments: dict[str, Any] = field(default_factory=lambda: {"api_key": "key"})

    @property
    def name(self) -> str:
        """litellm's."""
        return self.model.partition("/")[0]

    def at(self, server: ScriptedServer) -> dict[str, Any]:
        """What litellm needs to find it on this server."""
        return {"api_base": server.url + self.path, **self.arguments}


AWS = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "aws_region_name": "us-east-1"}
CLAUDE_ON_AWS = "anthropic.claude-3-5-sonnet-20241022-v2:0"
CONVERSE = f"/model/{CLAUDE_ON_AWS.replace(':', '%3A')}/converse-stream"
GEMINI = "/models/gemini-2.5-flash:streamGenerateContent"

PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider("openai/gpt-4o-mini", Mode.TOOLS),
        Provider("anthropic/claude-haiku-4-5", Mode.TOOLS, path="", asked="/v1/messages"),
        Provider("gemini/gemini-2.5-flash", Mode.JSON_SCHEMA, path="", asked=GEMINI),
        Provider("groq/llama-3.3-70b-versatile", Mode.MD_JSON),
        Provider("ollama_chat/llama3", Mode.JSON_SCHEMA, path="", asked="/api/chat"),
        Provider("mistral/mistral-small-latest", Mode.JSON_SCHEMA),
        Provider("deepseek/deepseek-chat", Mode.TOOLS),
        Provider("hosted_vllm/qwen", Mode.JSON_SCHEMA),
        Provider(f"bedrock/{CLAUDE_ON_AWS}", Mode.TOOLS, path="", asked=CONVERSE, arguments=AWS),
    )
}
every_provider = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)


def single(server: ScriptedServer, provider: Provider, *, is_async: bool, **arguments: Any) -> Any:
    """The wrapped client of one provider on this server."""
    server.closers.append(close_litellm)
    client: Callable[..., Any] = from_litellm
    return client(provider.model, async_client=is_async, **{**provider.at(server), **arguments})


def routed(server: ScriptedServer, *models: Any, is_async: bool, **arguments: Any) -> Any:
    """A route over providers (by name) or litellm's own arguments."""
    server.closers.append(close_litellm)
    known = [PROVIDERS.get(each) if isinstance(each, str) else None for each in models]
    listed = [
        each if one is None else {"model": one.model, **one.at(server)} for each, one in zip(models, known, strict=True)
    ]
    client: Any = route(listed, async_client=is_async, **arguments)
    assert isinstance(client._calls.link, RouteLink)
    server.closers.append(retiring(client._calls.link.router))
    return client
