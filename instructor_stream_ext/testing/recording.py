"""Recording a stream while it is read: nothing is held back, and its end is recorded as it was.

What stands between the client and the network is one thin layer that notes each piece and its instant as it passes. It
says nothing to the provider and reads nothing by itself: what the client does not read is not on the cassette.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from instructor_stream_ext.testing.cassette import End
from instructor_stream_ext.testing.encoding import decoded
from instructor_stream_ext.testing.payload import finished, has_end_signal, pieces
from instructor_stream_ext.testing.sidecar import Timing

__all__ = ["Recorder", "recorded_aiohttp", "recorded_stream"]

_LEFT = "left by the client"
_BODILESS = frozenset({204, 304})


class Recorder:
    """One interaction while it is being recorded.

    Args:
        request: vcrpy's request.
        clock: Returns seconds.
        timed: Whether what was measured belongs on the cassette.
    """

    def __init__(self, request: Any, clock: Callable[[], float] = time.perf_counter, *, timed: bool = True) -> None:
        self.request = request
        self.timed = timed
        self._clock = clock
        self._began = clock()
        self._pieces: list[tuple[float, bytes]] = []
        self._headers_at = 0.0
        self._ended_at = 0.0
        self._end: End | None = None
        self._error = ""
        self.status = 0
        self.reason = ""
        self.headers: dict[str, list[str]] = {}
        self.decoded = False

    def answered(self, status: int, reason: str, headers: dict[str, list[str]]) -> None:
        """Note that the headers have arrived."""
        self._headers_at = self._clock()
        self.status, self.reason, self.headers = status, reason, headers

    def arrived(self, data: bytes) -> None:
        """Note that a piece of the body has arrived."""
        self._pieces.append((self._clock(), data))

    def passed(self, at: float, data: bytes) -> None:
        """Note that a piece, which arrived at this instant, has been read."""
        self._pieces.append((at, data))

    def ended(self, end: End, error: str = "") -> None:
        """Note that the stream has ended. The first report counts."""
        if self._end is None:
            self._end, self._error, self._ended_at = end, error, self._clock()

    def failed(self, error: BaseException) -> None:
        """Note that reading failed: the client waited too long, or the connection broke."""
        name = type(error).__name__
        said = f"{name}: {error}" if str(error) else name
        if not isinstance(error, Exception):
            self.left()
        else:
            self.ended(End.ERROR if "Timeout" in name else End.CUT, said)

    def left(self) -> None:
        """Note that the client has stopped reading, as it may after the last event or the last byte."""
        if self._end is None:
            read = b"".join(data for _, data in self._pieces)
            whole = finished(read) or len(read) == self._length()
            self.ended(End.COMPLETE if whole else End.ABANDONED, "" if whole else _LEFT)

    def interaction(self) -> tuple[dict[str, Any], Timing]:
        """Return vcrpy's response, and what belongs in the sidecar."""
        self.left()
        headers, parts = self._decoded()
        body = b"".join(data for _, data in parts)
        kind = _header(headers, "content-type")
        end, error = self._outcome(body, kind)
        chunks, offset = [], 0
        for at, data in parts:
            chunks.append((offset, self._since(at)))
            offset += len(data)
        timing = Timing(
            request=f"{self.request.method.upper()} {urlsplit(self.request.uri).path}",
            size=len(body),
            chunks=tuple(chunks),
            end=end,
            ended_at=self._since(self._ended_at),
            headers_at=self._since(self._headers_at),
            error=error,
            deltas=sum(1 for piece in pieces(body, kind) if piece.text),
        )
        response = {
            "status": {"code": self.status, "message": self.reason},
            "headers": headers,
            "body": {"string": body},
        }
        return response, timing

    def _decoded(self) -> tuple[dict[str, list[str]], list[tuple[float, bytes]]]:
        """Return the headers and the body's pieces, without the transport's compression where it can be undone."""
        headers = dict(self.headers)
        parts = [(at, data) for at, data in self._pieces if data]
        encoding = _header(headers, "content-encoding")
        plain = parts if self.decoded else decoded(parts, encoding)
        if not parts or not encoding or plain is None:  # an answer to HEAD keeps the headers of the body it lacks
            return headers, parts
        size = [str(sum(len(data) for _, data in plain))]
        return {
            name: size if name.lower() == "content-length" else value
            for name, value in headers.items()
            if name.lower() != "content-encoding"
        }, plain

    def _outcome(self, body: bytes, content_type: str) -> tuple[End, str]:
        """Return how the answer ended, and the error if it was one."""
        if self._end is not End.COMPLETE:
            return self._end or End.ABANDONED, self._error
        if self.status >= 400:  # noqa: PLR2004 - the first status that is an error
            return End.ERROR, f"HTTP {self.status}"
        if "event-stream" in content_type and not has_end_signal(body, content_type):
            return End.CUT, "the body ended properly, without an end signal"
        return End.COMPLETE, self._error

    def _length(self) -> int | None:
        """Return the length of the body, if the headers state it."""
        if self.request.method.upper() == "HEAD" or self.status in _BODILESS:
            return 0
        said = _header(self.headers, "content-length")
        plain = self.decoded and _header(self.headers, "content-encoding")
        return int(said) if said.isdecimal() and not plain else None

    def _since(self, at: float) -> float:
        return 1000 * max(0.0, at - self._began)


def _header(headers: Mapping[str, list[str]], name: str) -> str:
    return next((values[0] for key, values in headers.items() if key.lower() == name and values), "").lower()


# ------------------------------------------------------------------ httpx and httpx2


def recorded_stream(httpx: Any, stream: Any, recorder: Recorder, *, is_async: bool) -> Any:
    """Return an httpx response's stream that notes what passes.

    Args:
        httpx: `httpx` or `httpx2`.
        stream: The stream.
        recorder: Where to note it.
        is_async: Whether the stream is.
    """
    return _async_stream(httpx)(stream, recorder) if is_async else _sync_stream(httpx)(stream, recorder)


def _sync_stream(httpx: Any) -> Any:
    class RecordedStream(httpx.SyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, recorder: Recorder) -> None:
            self._stream = stream
            self._recorder = recorder

        def __iter__(self) -> Iterator[bytes]:
            arrived = self._recorder.arrived
            try:
                for data in self._stream:
                    arrived(data)
                    yield data
            except GeneratorExit:
                raise
            except BaseException as error:
                self._recorder.failed(error)
                raise
            self._recorder.ended(End.COMPLETE)

        def close(self) -> None:
            self._recorder.left()
            self._stream.close()

    return RecordedStream


def _async_stream(httpx: Any) -> Any:
    class RecordedStream(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any, recorder: Recorder) -> None:
            self._stream = stream
            self._recorder = recorder

        async def __aiter__(self) -> AsyncIterator[bytes]:
            arrived = self._recorder.arrived
            try:
                async for data in self._stream:
                    arrived(data)
                    yield data
            except GeneratorExit:
                raise
            except BaseException as error:
                self._recorder.failed(error)
                raise
            self._recorder.ended(End.COMPLETE)

        async def aclose(self) -> None:
            self._recorder.left()
            await self._stream.aclose()

    return RecordedStream


# ------------------------------------------------------------------ aiohttp


def recorded_aiohttp(response: Any, recorder: Recorder) -> None:  # noqa: C901 - one class, made for one response
    """Make an aiohttp response note what its client reads.

    aiohttp's parser keeps hold of the reader it feeds, so the reader itself is made to note: it becomes an instance of
    a subclass. Arrivals are noted when the parser feeds, and kept as far as the client has read.

    Args:
        response: aiohttp's own response.
        recorder: Where to note it.
    """
    content = response.content
    if type(content).__name__ == "EmptyStreamReader":
        recorder.ended(End.COMPLETE)
        return
    base: Any = type(content)
    arrivals: list[tuple[float, int]] = []
    clock = time.perf_counter

    def took(data: bytes) -> None:
        """Note what was read, in the pieces in which it arrived."""
        while data:
            at, size = arrivals[0] if arrivals else (clock(), len(data))
            piece, data = data[:size], data[size:]
            recorder.passed(at, piece)
            if arrivals:
                if len(piece) == size:
                    arrivals.pop(0)
                else:
                    arrivals[0] = (at, size - len(piece))

    class RecordedReader(base):  # type: ignore[misc]
        __slots__ = ()

        def feed_data(self, data: bytes, *rest: Any) -> Any:
            if data:
                arrivals.append((clock(), len(data)))
            return super().feed_data(data, *rest)

        def set_exception(self, exc: BaseException, *rest: Any) -> None:
            if type(exc).__name__ == "ClientConnectionError":  # aiohttp's own, for a client that closes
                recorder.left()
            else:
                recorder.failed(exc)
            super().set_exception(exc, *rest)

        def _read_nowait_chunk(self, n: int) -> Any:
            data = super()._read_nowait_chunk(n)
            took(bytes(data))
            if self._eof and not self._buffer:
                recorder.ended(End.COMPLETE)
            return data

        def feed_eof(self) -> None:
            super().feed_eof()
            if not self._buffer:
                recorder.ended(End.COMPLETE)

    now = clock()
    arrivals.extend((now, len(data)) for data in content._buffer)  # noqa: SLF001 - came together with the headers
    if content._exception is not None:  # noqa: SLF001
        recorder.failed(content._exception)  # noqa: SLF001
    elif content.at_eof():
        recorder.ended(End.COMPLETE)
    content.__class__ = RecordedReader
