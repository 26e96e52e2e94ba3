"""Playing a stream of a wrapped client to its end, sync or async, and keeping all that came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import instructor

from instructor_stream_ext import (
    AsyncStreamClient,
    DeltaReceived,
    PartialEmitted,
    StreamClient,
    StreamCompleted,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    wrap,
)
from tests.server import ScriptedServer
from tests.server.clients import (
    anthropic_client,
    async_anthropic_client,
    async_genai_client,
    async_litellm_client,
    async_openai_client,
    genai_client,
    litellm_client,
    openai_client,
)

__all__ = ["CLIENTS", "MODELS", "Played", "arguments_for", "client_for", "play", "still"]

Client = StreamClient | AsyncStreamClient

CLIENTS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "anthropic": (anthropic_client, async_anthropic_client),
    "genai": (genai_client, async_genai_client),
    "litellm": (litellm_client, async_litellm_client),
    "openai": (openai_client, async_openai_client),
}
"""The sync and the async client of each SDK."""

MODELS = {"litellm": "openai/test-model"}


def still() -> float:
    """A clock that stands still, so that event lists can be compared whole."""
    return 0.0


def client_for(
    server: ScriptedServer, provider: str, mode: instructor.Mode, *, is_async: bool, **options: Any
) -> Client:
    """The wrapped client of a provider, under a clock that stands still."""
    client: Client = wrap(CLIENTS[provider][is_async](server, mode), clock=still, **options)
    return client


def arguments_for(provider: str) -> dict[str, Any]:
    """What a call to this provider cannot do without."""
    arguments: dict[str, Any] = {"model": MODELS.get(provider, "test-model"), "messages": "go"}
    return arguments | ({"max_tokens": 1000} if provider == "anthropic" else {})


@dataclass
class Played:
    """A stream that was read to its end as events.

    Attributes:
        stream: The stream itself.
        events: All of them, in order.
        error: What was raised at the end, None if it went well.
    """

    stream: Any
    events: list[StreamEvent] = field(default_factory=list)
    error: Exception | None = None

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of a kind."""
        return [event for event in self.events if type(event) is kind]

    @property
    def partials(self) -> list[Any]:
        """The partials that were emitted."""
        return [event.partial for event in self.of(PartialEmitted)]

    @property
    def text(self) -> str:
        """All text that came, of all attempts."""
        return "".join(event.text for event in self.of(DeltaReceived))

    @property
    def final(self) -> Any:
        """The result; the error is raised if there is none."""
        if self.error is not None:
            raise self.error
        (completed,) = self.of(StreamCompleted)
        return completed.result

    def comparable(self) -> list[Any]:
        """The events, with errors as their type and message, which can be compared."""
        return [
            ("failed", event.at, event.attempt, type(event.error), str(event.error))
            if type(event) is StreamFailed
            else event
            for event in self.events
        ]

    def check_the_end(self) -> None:
        """One end, of one kind, and nothing after it."""
        *_, last, ended = self.events
        assert type(ended) is StreamEnded
        assert len(self.of(StreamEnded)) == 1
        assert ended.stats == self.stream.stats
        if self.error is None:
            assert type(last) is StreamCompleted
            assert ended.outcome == "completed"
            assert not self.of(StreamFailed)
        else:
            assert type(last) is StreamFailed
            assert last.error is self.error
            assert ended.outcome == "failed"
            assert len(self.of(StreamFailed)) == 1
            assert not self.of(StreamCompleted)


async def play(stream: Any) -> Played:
    """Read a stream to its end, whatever that is; it must end the same when it is asked again."""
    played = Played(stream)
    try:
        if hasattr(stream, "__aiter__"):
            async for event in stream.events():
                played.events.append(event)
        else:
            for event in stream.events():
                played.events.append(event)
    except Exception as error:  # noqa: BLE001  whatever it is, it is looked at
        played.error = error
    if played.events:
        await _ask_again(played)
    return played


async def _ask_again(played: Played) -> None:
    """The final response of a stream that was read is what it ended with."""
    try:
        final = played.stream.get_final_response()
        if hasattr(final, "__await__"):
            final = await final
    except Exception as error:
        if error is not played.error:
            raise
    else:
        assert final is played.final
