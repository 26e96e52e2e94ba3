"""What litellm's wrapper reads in place of the provider's stream: the same, as far as it is let."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from instructor_stream_ext.providers.raw import read_as_json

__all__ = ["AsyncFeed", "Feed", "says_nothing"]


class Feed:
    """Stands between litellm's wrapper and the stream that it reads. All but the chunks passes through.

    Args:
        kind: litellm's type of chunks.

    Attributes:
        completion_stream: The stream; None before the wrapper has asked for one.
        unseen: What the wrapper is yet to see before anything else is read.
        given: What it has been given of the stream itself since this was last looked at.
        ended: What the stream has raised at its end.
    """

    def __init__(self, kind: type) -> None:
        self._kind = kind
        self._made: Callable[[Any], Any] = _same
        self.completion_stream: Any = None
        self.chunks: Any = None
        self.unseen: deque[Any] = deque()
        self.read: deque[Any] = deque()
        self.given: list[Any] = []
        self.ended: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("completion_stream"), name)

    def can_read(self, stream: Any) -> bool:
        """Return whether a stream of this type can be read below the wrapper."""
        return hasattr(stream, "__next__") or _is_sdks(stream)

    def reading(self, stream: Any) -> Any:
        """Take the place of a stream."""
        self.completion_stream = stream
        self._made = _made_by(stream)
        self.chunks = self._iterator(stream)
        return self

    def calling(self, make_call: Callable[..., Any]) -> Callable[..., Any]:
        """Take the place of the function by which the wrapper sends the request when it is first read."""
        return lambda **kwargs: self.reading(make_call(**kwargs))

    def _iterator(self, stream: Any) -> Any:
        return iter(stream)

    @property
    def is_known(self) -> bool:
        """True if the reader of the wrapper's chunks can also read what the wrapper was given."""
        return all(map(self._knows, self.given))

    def _knows(self, chunk: Any) -> bool:
        if isinstance(chunk, dict):
            return "choices" in chunk
        return isinstance(chunk, self._kind) or hasattr(chunk, "choices")

    def next_unseen(self) -> Any:
        """Return what the wrapper is to see next without reading the stream; None for nothing."""
        if self.unseen:
            return self._made(self.unseen.popleft())
        if self.read:
            return self.handed(self.read.popleft())
        if self.ended is not None:
            raise self.ended
        return None

    def handed(self, chunk: Any) -> Any:
        """Note a chunk that the wrapper gets from the stream itself."""
        if not says_nothing(chunk):
            self.given.append(chunk)
        return self._made(chunk)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        chunk = self.next_unseen()
        return self.handed(next(self.chunks)) if chunk is None else chunk


class AsyncFeed(Feed):
    """The async twin."""

    __iter__ = None  # type: ignore[assignment]  # litellm must not take it for a sync stream
    __next__ = None  # type: ignore[assignment]

    def can_read(self, stream: Any) -> bool:
        return hasattr(stream, "__aiter__")

    def _iterator(self, stream: Any) -> Any:
        return stream if hasattr(stream, "__anext__") and _is_sdks(stream) else aiter(stream)

    def calling(self, make_call: Callable[..., Any]) -> Callable[..., Any]:
        async def call(**kwargs: Any) -> Any:
            stream = await make_call(**kwargs)
            return self.reading(stream) if self.can_read(stream) else stream

        return call

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        chunk = self.next_unseen()
        return self.handed(await anext(self.chunks)) if chunk is None else chunk


def says_nothing(chunk: Any) -> bool:
    """Return whether a chunk is empty, as litellm's own streams return for an event without content."""
    return chunk is None or (chunk.__class__ is dict and "text" in chunk and not any(map(chunk.get, _GENERIC)))


_GENERIC = ("text", "is_finished", "finish_reason", "usage", "tool_use", "provider_specific_fields")
"""The keys that litellm's `GenericStreamingChunk` may have."""


def _same(chunk: Any) -> Any:
    return chunk


def _is_sdks(stream: Any) -> bool:
    return type(stream).__module__.partition(".")[0] == "openai"


def _made_by(stream: Any) -> Callable[[Any], Any]:
    """Return what builds the chunk objects of a stream; they are read as plain data where that is possible."""
    kind = getattr(stream, "_cast_to", None)
    read_as_json(stream)
    if kind is None or stream._cast_to is kind:  # noqa: SLF001
        return _same
    client, response = stream._client, stream.response  # noqa: SLF001
    return lambda chunk: client._process_response_data(data=chunk, cast_to=kind, response=response)  # noqa: SLF001
