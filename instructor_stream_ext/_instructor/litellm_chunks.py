"""litellm's streams, read below litellm's own wrapper, which sees what came in a few condensed chunks.

litellm's `CustomStreamWrapper` makes each chunk anew, which costs eight times what the SDK below costs, and does its
duties by what passes through it: callbacks of success and failure with the assembled answer, usage and cost, its cache,
the classes of errors. So it is given the first chunk as it comes, by which it measures the time to the first token;
then chunks are read below it; and at the end, or when the stream breaks, it is given the text between as one chunk, and
the last ones as they come. It then says and raises what it would have.

It is read itself, as by everybody, where something is to see every chunk, and where the stream below is of a kind
whose chunks nobody here knows.
"""

from __future__ import annotations

import enum
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from instructor_stream_ext.providers.condensed import Condenser, finish_in, is_mere_end
from instructor_stream_ext.providers.raw import read_as_json

__all__ = ["chunks_below"]


def chunks_below(wrapper: Any, tell: Callable[[Any], None], *, is_async: bool) -> Any:
    """Return an iterator over the chunks below litellm's wrapper, or the wrapper itself where it has to be read.

    Args:
        wrapper: What litellm handed out, not yet read from.
        tell: Called with litellm's own first chunk, which has the id and the model of the answer as litellm says them.
        is_async: Whether it is read by `async for`.
    """
    litellm = sys.modules["litellm"]
    if type(wrapper) is not getattr(litellm, "CustomStreamWrapper", None) or _is_watched(
        litellm, wrapper, is_async=is_async
    ):
        return wrapper
    feed = (_AsyncFeed if is_async else _Feed)(litellm.ModelResponseStream)
    if wrapper.completion_stream is not None:
        if not feed.can_read(wrapper.completion_stream):
            return wrapper
        wrapper.completion_stream = feed.reading(wrapper.completion_stream)
    elif wrapper.make_call is not None:
        wrapper.make_call = feed.calling(wrapper.make_call)
    else:
        return wrapper
    condenser = Condenser(litellm.REPEATED_STREAMING_CHUNK_LIMIT)
    return (_AsyncChunks if is_async else _Chunks)(wrapper, feed, condenser, tell)


# ------------------------------------------------------------------ who has to see every chunk


_PER_CHUNK = ("log_stream_event", "async_log_stream_event", "logging_hook", "async_logging_hook")
_CACHE = "cache"
"""litellm's own cache callback, which takes whole answers; the first request to Gemini registers it."""
_CHANGES = "async_post_call_streaming_deployment_hook"
_REWRITTEN = ("cached_response", "sagemaker")
"""litellm's names of providers whose text the wrapper changes or makes up."""


def _is_watched(litellm: Any, wrapper: Any, *, is_async: bool) -> bool:
    """Return whether the wrapper or a callback acts on every chunk."""
    constants = sys.modules.get("litellm.constants")
    return bool(
        wrapper.custom_llm_provider in _REWRITTEN
        or getattr(wrapper, "merge_reasoning_content_in_choices", False)
        or litellm.post_call_rules
        or getattr(constants, "LITELLM_MAX_STREAMING_DURATION_SECONDS", None) is not None
        or any(_sees_chunks(litellm, callback, is_async=is_async) for callback in _callbacks(litellm, wrapper))
    )


def _callbacks(litellm: Any, wrapper: Any) -> list[Any]:
    """Return everything that litellm may call when this answer succeeds."""
    log = wrapper.logging_obj
    own = [getattr(log, f"dynamic_{name}", None) or () for name in ("success_callbacks", "async_success_callbacks")]
    everybodys = litellm.callbacks, litellm.success_callback, litellm._async_success_callback  # noqa: SLF001
    return [callback for some in (*everybodys, *own) for callback in some]


def _sees_chunks(litellm: Any, callback: Any, *, is_async: bool) -> bool:
    """Return whether a callback sees or changes chunks; True for one whose code is not known."""
    logger = _custom_logger(litellm)
    if logger is not None and isinstance(callback, logger):
        names = (_CHANGES,) if is_async else _PER_CHUNK
        return any(getattr(type(callback), name, None) is not getattr(logger, name, None) for name in names)
    # with `acompletion`, litellm calls functions and its own integrations at the end only
    return not is_async and callback != _CACHE


def _custom_logger(litellm: Any) -> Any:
    module = sys.modules.get(f"{litellm.__name__}.integrations.custom_logger")
    return getattr(module, "CustomLogger", None)


# ------------------------------------------------------------------ what the wrapper reads


class _Feed:
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


class _AsyncFeed(_Feed):
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


# ------------------------------------------------------------------ what is read in place of the wrapper


class _Way(enum.Enum):
    """Where chunks are read."""

    BEGINNING = enum.auto()
    BELOW = enum.auto()
    ALONG = enum.auto()
    """Through the wrapper, whose own chunks are left unread."""
    WRAPPER = enum.auto()


class _Reading:
    """Decides which chunks to return; everything else is left to the wrapper.

    Args:
        wrapper: litellm's.
        feed: What it reads.
        condenser: Takes what is read below it.
        tell: Called with the wrapper's first chunk.
    """

    def __init__(self, wrapper: Any, feed: _Feed, condenser: Condenser, tell: Callable[[Any], None]) -> None:
        self.completion_stream = wrapper
        self._feed = feed
        self._condenser = condenser
        self._tell = tell
        self._way = _Way.BEGINNING
        self._ready: deque[Any] = deque()
        self._over: Exception | None = None
        self._has_end = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("completion_stream"), name)

    @property
    def _is_below(self) -> bool:
        """True if the next chunk is to be read below the wrapper."""
        return self._way is _Way.BELOW and not self._ready

    def _takes(self, chunk: Any) -> bool:
        """Take a chunk that was read below the wrapper; return False for one from which on the wrapper reads."""
        if self._condenser.take(chunk):
            return True
        self._feed.read.append(chunk)
        self._read_along()
        return False

    def _ended(self, error: Exception) -> None:
        """Note that the stream below has ended or raised; the wrapper will raise it in its own way."""
        self._feed.ended = error
        self._read_along()

    def _read_along(self) -> None:
        """Let the wrapper read from here on, beginning with what was read below it."""
        self._way = _Way.ALONG
        self._feed.unseen.extend(self._condenser.give())

    @property
    def _wants_more(self) -> bool:
        """True if there is nothing to return before the wrapper has read on.

        Raises:
            Exception: What the wrapper has ended with, once all that came before it is read.
        """
        if not self._ready and self._over is not None:
            raise self._over
        return not self._ready

    def _answered(self, chunk: Any) -> None:
        """Note that the wrapper has returned a chunk."""
        feed = self._feed
        if self._way is _Way.BEGINNING:
            self._begin(chunk)
        elif self._way is _Way.WRAPPER or not feed.is_known:
            self._ready.append(chunk)
        else:
            self._hand_out()
            if (usage := getattr(chunk, "usage", None)) is not None:  # as litellm counts it, where nobody said it
                self._ready.append({"usage": usage, "choices": []})
            if self._has_end and is_mere_end(chunk):  # "tool_calls", where the provider said "stop"
                self._ready.append(chunk)
        feed.given.clear()

    def _hand_out(self) -> None:
        """Pass to the reader what the wrapper was given."""
        given = self._feed.given
        self._ready.extend(given)
        self._has_end = self._has_end or any(map(finish_in, given))

    def _begin(self, chunk: Any) -> None:
        given = self._feed.given
        if not given or not self._feed.is_known:
            self._way = _Way.WRAPPER
            self._ready.append(chunk)
            return
        self._tell(chunk)
        self._hand_out()
        taken = [self._condenser.take(one) for one in given]
        self._condenser.give()  # the wrapper has seen them
        self._way = _Way.BELOW if all(taken) else _Way.ALONG

    def _failed(self, error: Exception) -> None:
        """Note that the wrapper has ended or raised; what it was given before comes first."""
        if self._way is not _Way.WRAPPER and self._feed.is_known:
            self._hand_out()
        self._over = error


class _Chunks(_Reading):
    """The chunks below litellm's wrapper, for a sync stream."""

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._is_below:
            try:
                while says_nothing(chunk := next(self._feed.chunks)):
                    pass
            except Exception as error:
                self._ended(error)
            else:
                if self._takes(chunk):
                    return chunk
        while self._wants_more:
            try:
                self._answered(next(self.completion_stream))
            except Exception as error:
                self._failed(error)
        return self._ready.popleft()


class _AsyncChunks(_Reading):
    """The chunks below litellm's wrapper, for an async stream."""

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._is_below:
            try:
                while says_nothing(chunk := await anext(self._feed.chunks)):
                    pass
            except Exception as error:
                self._ended(error)
            else:
                if self._takes(chunk):
                    return chunk
        while self._wants_more:
            try:
                self._answered(await anext(self.completion_stream))
            except Exception as error:
                self._failed(error)
        return self._ready.popleft()
