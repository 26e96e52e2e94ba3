"""Clients of every kind pointed at the test server, with the SDKs' own retries off.

The bare ones are the SDKs' clients; the others are instructor's. litellm takes seconds to import, so everything is
imported where it is needed. The `server` fixture closes all of them after the test.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import instructor

if TYPE_CHECKING:
    import anthropic
    import openai
    from google import genai

    from tests.server.server import ScriptedServer

__all__ = [
    "anthropic_client",
    "async_anthropic_client",
    "async_genai_client",
    "async_litellm_client",
    "async_openai_client",
    "bare_anthropic",
    "bare_async_anthropic",
    "bare_async_openai",
    "bare_genai",
    "bare_openai",
    "close_litellm",
    "genai_client",
    "litellm_client",
    "openai_client",
]

KEY = "test-key"


def bare_openai(server: ScriptedServer, **options: Any) -> openai.OpenAI:
    """Give openai's client; `options` are its own."""
    import openai

    client = openai.OpenAI(**{"base_url": f"{server.url}/v1", "api_key": KEY, "max_retries": 0, **options})
    server.closers.append(client.close)
    return client


def bare_async_openai(server: ScriptedServer, **options: Any) -> openai.AsyncOpenAI:
    """Give openai's async client; `options` are its own."""
    import openai

    client = openai.AsyncOpenAI(**{"base_url": f"{server.url}/v1", "api_key": KEY, "max_retries": 0, **options})
    server.closers.append(client.close)
    return client


def bare_anthropic(server: ScriptedServer, **options: Any) -> anthropic.Anthropic:
    """Give anthropic's client; `options` are its own."""
    import anthropic

    client = anthropic.Anthropic(**{"base_url": server.url, "api_key": KEY, "max_retries": 0, **options})
    server.closers.append(client.close)
    return client


def bare_async_anthropic(server: ScriptedServer, **options: Any) -> anthropic.AsyncAnthropic:
    """Give anthropic's async client; `options` are its own."""
    import anthropic

    client = anthropic.AsyncAnthropic(**{"base_url": server.url, "api_key": KEY, "max_retries": 0, **options})
    server.closers.append(client.close)
    return client


def bare_genai(server: ScriptedServer, **options: Any) -> genai.Client:
    """Give google-genai's client, which is sync and (as `.aio`) async; `options` are its own."""
    from google import genai

    client = genai.Client(**{"api_key": KEY, "http_options": {"base_url": server.url}, **options})
    server.closers += [client.close, client.aio.aclose]
    return client


def openai_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.Instructor:
    """Give instructor's client over openai."""
    return instructor.from_openai(bare_openai(server, **options), mode=mode)


def async_openai_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.AsyncInstructor:
    """Give instructor's async client over openai."""
    return instructor.from_openai(bare_async_openai(server, **options), mode=mode)


def anthropic_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.Instructor:
    """Give instructor's client over anthropic; calls need `max_tokens`."""
    return instructor.from_anthropic(bare_anthropic(server, **options), mode=mode)


def async_anthropic_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.AsyncInstructor:
    """Give instructor's async client over anthropic; calls need `max_tokens`."""
    return instructor.from_anthropic(bare_async_anthropic(server, **options), mode=mode)


def genai_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.Instructor:
    """Give instructor's client over google-genai; `Mode.JSON` streams, `Mode.TOOLS` answers whole."""
    return instructor.from_genai(bare_genai(server, **options), mode=mode, use_async=False)


def async_genai_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **options: Any
) -> instructor.AsyncInstructor:
    """Give instructor's async client over google-genai; `Mode.JSON` streams, `Mode.TOOLS` answers whole."""
    return instructor.from_genai(bare_genai(server, **options), mode=mode, use_async=True)


def litellm_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **arguments: Any
) -> instructor.Instructor:
    """Give instructor's client over `litellm.completion`; models are called `openai/...`."""
    import litellm

    call = functools.partial(litellm.completion, **_litellm_arguments(server, arguments))
    return instructor.from_litellm(call, mode=mode)


def async_litellm_client(
    server: ScriptedServer, mode: instructor.Mode = instructor.Mode.TOOLS, **arguments: Any
) -> instructor.AsyncInstructor:
    """Give instructor's async client over `litellm.acompletion`; models are called `openai/...`."""
    import litellm

    call = functools.partial(litellm.acompletion, **_litellm_arguments(server, arguments))
    client: object = instructor.from_litellm(call, mode=mode)
    assert isinstance(client, instructor.AsyncInstructor)
    return client


def _litellm_arguments(server: ScriptedServer, arguments: dict[str, Any]) -> dict[str, Any]:
    server.closers.append(close_litellm)
    return {"api_base": f"{server.url}/v1", "api_key": KEY, "num_retries": 0, **arguments}


async def close_litellm() -> None:
    """Close the clients that litellm keeps: they belong to the event loop of the test that is ending."""
    import litellm

    cache = litellm.in_memory_llm_clients_cache
    clients = list(cache.cache_dict.values())
    cache.flush_cache()  # type: ignore[no-untyped-call]
    shared = [vars(litellm).pop(name, None) for name in ("module_level_aclient", "module_level_client")]
    clients += [client for client in shared if client is not None and client not in clients]
    for client in clients:
        closed = client.aclose() if hasattr(client, "aclose") else client.close()
        if inspect.isawaitable(closed):
            await closed
