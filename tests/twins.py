"""The sync and the async client behind one face, so that one test body shows both and their events can be compared.

A test is `async def` and is parametrised over `TWINS`. On the sync side nothing is awaited: the stream blocks the
thread while the server, which has its own, answers.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
import tenacity
from instructor import Mode

from instructor_stream_ext import wrap
from tests.server import ScriptedServer, clients

__all__ = ["ASYNC", "SYNC", "TWINS", "Recorder", "StillClock", "Twin", "both", "settled"]

Wrapped: TypeAlias = Any
"""A `StreamClient` or `AsyncStreamClient`: which one is what the tests do not want to know."""

_MAKERS: dict[tuple[str, bool], Callable[..., Any]] = {
    ("openai", False): clients.openai_client,
    ("openai", True): clients.async_openai_client,
    ("anthropic", False): clients.anthropic_client,
    ("anthropic", True): clients.async_anthropic_client,
    ("genai", False): clients.genai_client,
    ("genai", True): clients.async_genai_client,
}


async def settled(value: Any) -> Any:
    """The value, awaited if need be."""
    return await value if inspect.isawaitable(value) else value


@dataclass(frozen=True)
class Twin:
    """How one kind of client is made and read."""

    is_async: bool

    def __str__(self) -> str:
        return "async" if self.is_async else "sync"

    def plain(self, server: ScriptedServer, mode: Mode = Mode.TOOLS, *, provider: str = "openai") -> Any:
        """instructor's own client."""
        return _MAKERS[provider, self.is_async](server, mode)

    def client(
        self, server: ScriptedServer, mode: Mode = Mode.TOOLS, *, provider: str = "openai", **wrap_arguments: Any
    ) -> Wrapped:
        """The wrapped client."""
        return wrap(self.plain(server, mode, provider=provider), **wrap_arguments)

    async def values(self, stream: Any, into: list[Any] | None = None) -> list[Any]:
        """All that iterating gives; `into` keeps it also when the stream raises."""
        seen: list[Any] = [] if into is None else into
        if self.is_async:
            async for value in stream:
                seen.append(value)  # noqa: PERF401  kept also when the stream raises
        else:
            for value in stream:
                seen.append(value)  # noqa: PERF402
        return seen

    async def events(self, stream: Any, into: list[Any] | None = None) -> list[Any]:
        """All events; `into` keeps them also when the stream raises."""
        return await self.values(stream.events(), into)

    async def first(self, stream: Any, count: int) -> list[Any]:
        """The first values; the stream is then left and closed."""
        seen: list[Any] = []
        if self.is_async:
            async with stream:
                async for value in stream:
                    seen.append(value)
                    if len(seen) == count:
                        break
        else:
            with stream:
                for value in stream:
                    seen.append(value)
                    if len(seen) == count:
                        break
        return seen

    async def final(self, stream: Any) -> Any:
        """The validated result."""
        return await settled(stream.get_final_response())

    def hook(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The handler as it is, or as an `async def` that gives way to the loop first."""
        if not self.is_async:
            return handler

        async def awaited(*args: Any, **kwargs: Any) -> object:
            await asyncio.sleep(0)
            return handler(*args, **kwargs)

        return awaited

    def retrying(self, slept: list[float], **rules: Any) -> tenacity.Retrying | tenacity.AsyncRetrying:
        """The tenacity object of this side, whose waits are noted in `slept` and cost no time."""
        if not self.is_async:
            return tenacity.Retrying(sleep=slept.append, **rules)

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        return tenacity.AsyncRetrying(sleep=sleep, **rules)


SYNC = Twin(is_async=False)
ASYNC = Twin(is_async=True)
TWINS = (SYNC, ASYNC)
both = pytest.mark.parametrize("twin", TWINS, ids=str)


class StillClock:
    """A clock that stands until the test moves it; `reads` says how often somebody has looked."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.now += seconds


class Recorder:
    """Handlers that note who was called with what, in order."""

    NAMES = ("start", "delta", "partial", "transition", "item", "restart", "final", "error", "end", "event")

    def __init__(self, twin: Twin) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._twin = twin

    def handler(self, name: str) -> Callable[..., Any]:
        """A handler that notes its calls under this name."""

        def note(*args: Any) -> None:
            self.calls.append((name, args))

        return self._twin.hook(note)

    def hooks(self, *names: str) -> dict[str, Callable[..., Any]]:
        """`on_NAME=` arguments for these names, or for all."""
        return {f"on_{name}": self.handler(name) for name in names or self.NAMES}

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of one name."""
        return [args for called, args in self.calls if called == name]

    @property
    def names(self) -> list[str]:
        """Who was called, in order."""
        return [name for name, _ in self.calls]
