"""Playing an interaction to an SDK through the SDK's own transport, at any pace, with its recorded end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from instructor_stream_ext.testing.cassette import End, Interaction
from instructor_stream_ext.testing.clock import Pace
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.payload import has_end_signal, pieces

__all__ = ["Performance", "httpx_response", "played_aiohttp"]


class Performance:
    """One playback of an interaction.

    Args:
        interaction: What to play.
        pace: How fast.
        source: The cassette, for messages.
    """

    def __init__(self, interaction: Interaction, pace: Pace, source: str) -> None:
        self.interaction = interaction
        self.pace = pace
        self.source = source
        self.played = 0
        self.over = False
        self.failure: CassetteError | None = None

    @property
    def left_early(self) -> bool:
        """True if the client stopped reading before the end, and the recorded one did not.

        Some clients stop at the end signal, and leave `[DONE]` or the usage unread. Nobody need read an error's body,
        nor what was recorded without its times.
        """
        interaction = self.interaction
        if self.over or interaction.end is End.ABANDONED or interaction.status >= 400 or not interaction.timed:  # noqa: PLR2004 - errors
            return False
        if self.played == len(interaction.chunks) and not self._breaks:
            return False
        read = b"".join(chunk.data for chunk in interaction.chunks[: self.played])
        if not has_end_signal(read, interaction.content_type):
            return True
        return any(piece.text for piece in pieces(interaction.body, interaction.content_type) if piece.stop > len(read))

    @property
    def deltas(self) -> int:
        """How many pieces of the model's text the client received."""
        body = b"".join(chunk.data for chunk in self.interaction.chunks[: self.played])
        return sum(1 for piece in pieces(body, self.interaction.content_type) if piece.text)

    @property
    def _breaks(self) -> bool:
        """True if the transport fails where the interaction ends."""
        interaction = self.interaction
        cut = interaction.end is End.CUT and not interaction.error.startswith("the body ended properly")
        return cut or "Timeout" in interaction.error.partition(": ")[0]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to read, as in an answer to HEAD."""
        return not self.interaction.chunks and self.interaction.end is not End.ABANDONED and not self._breaks

    def end(self, error: Callable[[str, str], Exception]) -> None:
        """End as the interaction did, now that the last piece was read.

        Args:
            error: Makes the transport's exception of the recorded one's name and message.

        Raises:
            CassetteError: The client reads on where the recorded one stopped.
            Exception: The transport's, for an interaction that was cut or timed out.
        """
        interaction = self.interaction
        self.over = True
        if interaction.end is End.ABANDONED:
            self.failure = CassetteError(
                self.source,
                1,
                "the recorded client left here, so the rest of the answer is unknown",
                "leave the stream at the same place, or record the cassette again with --record-mode=rewrite",
            )
            raise self.failure
        if self._breaks:
            name, _, said = interaction.error.partition(": ")
            raise error(name, said)


# ------------------------------------------------------------------ httpx and httpx2


def httpx_response(httpx: Any, performance: Performance, *, is_async: bool) -> Any:
    """Return a response that plays an interaction.

    Args:
        httpx: `httpx` or `httpx2`.
        performance: What to play.
        is_async: For which kind of client.
    """
    interaction = performance.interaction
    kind = _async_stream(httpx) if is_async else _sync_stream(httpx)
    extensions = {"reason_phrase": interaction.reason.encode("ascii", "replace")} if interaction.reason else None
    return httpx.Response(
        interaction.status, headers=list(interaction.headers), stream=kind(performance), extensions=extensions
    )


def _httpx_error(httpx: Any) -> Callable[[str, str], Exception]:
    def error(name: str, said: str) -> Exception:
        made = getattr(httpx, name, None)
        if not (isinstance(made, type) and issubclass(made, httpx.TransportError)):  # of another library
            made = httpx.ReadTimeout if "Timeout" in name else httpx.RemoteProtocolError
        return made(said)  # type: ignore[no-any-return]

    return error


def _sync_stream(httpx: Any) -> Any:
    class PlayedStream(httpx.SyncByteStream):  # type: ignore[misc]
        def __init__(self, performance: Performance) -> None:
            self._performance = performance

        def __iter__(self) -> Iterator[bytes]:
            performance = self._performance
            interaction, pace = performance.interaction, performance.pace
            left, pauses = pace.start(), pace.pauses
            for number, chunk in enumerate(interaction.chunks, start=1):
                if pauses:
                    pace.wait(left(chunk.at))
                performance.played = number
                yield chunk.data
            pace.wait(left(interaction.ended_at))
            performance.end(_httpx_error(httpx))

    return PlayedStream


def _async_stream(httpx: Any) -> Any:
    class PlayedStream(httpx.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, performance: Performance) -> None:
            self._performance = performance

        async def __aiter__(self) -> AsyncIterator[bytes]:
            performance = self._performance
            interaction, pace = performance.interaction, performance.pace
            left, pauses = pace.start(), pace.pauses
            for number, chunk in enumerate(interaction.chunks, start=1):
                if pauses:
                    await pace.await_(left(chunk.at))
                performance.played = number
                yield chunk.data
            if pauses:
                await pace.await_(left(interaction.ended_at))
            performance.end(_httpx_error(httpx))

    return PlayedStream


# ------------------------------------------------------------------ aiohttp


def played_aiohttp(response: Any, performance: Performance) -> None:
    """Make vcrpy's aiohttp response play an interaction in place of its body, in every way of reading it.

    Args:
        response: As vcrpy's stub made it.
        performance: What to play.
    """
    response.content = _reader_class()(performance)
    response._body = None  # noqa: SLF001 - as of a response that was not read yet

    async def read() -> bytes:
        if response._body is None:  # noqa: SLF001
            response._body = await response.content.read()  # noqa: SLF001
        body: bytes = response._body  # noqa: SLF001
        return body

    async def text(encoding: str | None = None, errors: str = "strict") -> str:
        return (await read()).decode(encoding or response.get_encoding(), errors)

    async def as_json(*, encoding: str | None = None, loads: Callable[[str], Any] = json.loads, **_: object) -> Any:
        """Parse the body, whatever content type the headers state: they may have been filtered."""
        said = (await text(encoding)).strip()
        return loads(said) if said else None

    response.read, response.text, response.json = read, text, as_json


def _aiohttp_error(name: str, said: str) -> Exception:
    import aiohttp

    made = getattr(aiohttp, name, None)
    if not (isinstance(made, type) and issubclass(made, aiohttp.ClientError | TimeoutError)):  # of another library
        made = aiohttp.SocketTimeoutError if "Timeout" in name else aiohttp.ClientPayloadError
    return made(said)


def _reader_class() -> Any:  # noqa: C901 - one class, made when aiohttp is there
    from aiohttp import streams
    from vcr.stubs.aiohttp_stubs import _NoConnection

    class PlayedReader(streams.StreamReader):
        """aiohttp's own reader, fed with the next piece whenever something waits for one."""

        def __init__(self, performance: Performance) -> None:
            limit = max(1 << 16, len(performance.interaction.body))  # no line of the body is too long
            super().__init__(_NoConnection(), limit, loop=asyncio.get_running_loop())
            self._performance = performance
            self._left: Callable[[float], float] | None = None
            if performance.is_empty:
                performance.over = True
                self.feed_eof()

        def passed_over(self) -> None:
            """Skip the body of a redirect that the client follows."""
            self._performance.over = True

        async def _wait(self, func_name: str) -> None:
            del func_name
            performance = self._performance
            interaction, pace = performance.interaction, performance.pace
            self._left = self._left or pace.start()
            if pace.pauses:
                last = performance.played == len(interaction.chunks)
                await pace.await_(
                    self._left(interaction.ended_at if last else interaction.chunks[performance.played].at)
                )
            self._feed()

        def _feed(self) -> None:
            performance = self._performance
            if performance.played < len(performance.interaction.chunks):
                performance.played += 1
                self.feed_data(performance.interaction.chunks[performance.played - 1].data)
                return
            try:
                performance.end(_aiohttp_error)
            except Exception as error:
                self.set_exception(error)  # as the network does; some who read ask for it afterwards
                raise
            self.feed_eof()

        def read_nowait(self, n: int = -1) -> bytes:
            """Return what has arrived: everything, if there are no pauses."""
            while not (self._eof or self._exception or self._performance.pace.pauses):
                self._feed()
            return super().read_nowait(n)

    return PlayedReader
