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

from instructor_stream_ext._instructor.litellm_feed import AsyncFeed, Feed, says_nothing
from instructor_stream_ext._instructor.litellm_watch import is_watched
from instructor_stream_ext.providers.condensed import Condenser, finish_in, is_mere_end

__all__ = ["chunks_below"]


def chunks_below(wrapper: Any, tell: Callable[[Any], None], *, is_async: bool) -> Any:
    """Return an iterator over the chunks below litellm's wrapper, or the wrapper itself where it has to be read.

    Args:
        wrapper: What litellm handed out, not yet read from.
        tell: Called with litellm's own first chunk, which has the id and the model of the answer as litellm says them.
        is_async: Whether it is read by `async for`.
    """
    litellm = sys.modules["litellm"]
    if type(wrapper) is not getattr(litellm, "CustomStreamWrapper", None) or is_watched(
        litellm, wrapper, is_async=is_async
    ):
        return wrapper
    feed = (AsyncFeed if is_async else Feed)(litellm.ModelResponseStream)
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

    def __init__(self, wrapper: Any, feed: Feed, condenser: Condenser, tell: Callable[[Any], None]) -> None:
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
