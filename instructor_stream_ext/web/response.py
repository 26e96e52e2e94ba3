"""A response that shows a stream while it is written."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.session.shielding import shielded
from instructor_stream_ext.web import problems
from instructor_stream_ext.web.compression import compressor_for
from instructor_stream_ext.web.encoders import Encoder, Failed
from instructor_stream_ext.web.feed import AnyStream, Feed, Numbered
from instructor_stream_ext.web.outbox import Outbox
from instructor_stream_ext.web.protocols import encoder_for
from instructor_stream_ext.web.protocols.sse import ServerSentEvents
from instructor_stream_ext.web.wire import Wire

__all__ = ["StatusOf", "StreamResponse", "problem_response", "stream_response"]

log = logging.getLogger("instructor_stream_ext")

StatusOf = Callable[[BaseException], int]
"""Maps an error to the HTTP status of the response that reports it."""

_HEADERS = {"cache-control": "no-cache, no-transform", "x-accel-buffering": "no"}
"""They keep proxies from holding back what has arrived, as nginx with gzip would."""


async def stream_response(
    stream: AnyStream,
    *,
    protocol: str | Encoder = "sse",
    heartbeat: float = 15.0,
    slow_reader: float = 30.0,
    compress: bool = True,
    headers: Mapping[str, str] | None = None,
    status_of: StatusOf | None = None,
) -> Response:
    """Return a Starlette response (and therefore a FastAPI one) for a stream of an async client.

    It waits for the first event, so that an error before it has a status of its own, with a problem body (RFC 9457).
    Later errors are the protocol's error event. A client that leaves cancels the model call; one that reads slowly gets
    the newest partial, and always the final.

    Args:
        stream: Not yet read.
        protocol: One of `PROTOCOLS`, or a new custom encoder.
        heartbeat: Seconds of silence after which a heartbeat is sent.
        slow_reader: Seconds that a client may take to accept what is sent, before it counts as gone.
        compress: Whether to compress, as `Accept-Encoding` allows.
        headers: Additional headers.
        status_of: The status of an error before the first event; the provider's own, or the nearest there is, if None.

    Raises:
        StreamMisuse: There is no such protocol, or the stream is sync or already read.
    """
    for name, seconds in (("heartbeat", heartbeat), ("slow_reader", slow_reader)):
        if not seconds > 0:
            raise StreamMisuse(f"{name}={seconds!r}: must be more than 0 seconds")
    encoder = encoder_for(protocol)
    feed = Feed(stream)
    first = await anext(feed, None)
    if first is None or isinstance(first.event, Failed):
        await feed.aclose()
        error = first.event.error if first is not None and isinstance(first.event, Failed) else RuntimeError("no event")
        return problem_response(error, status_of)
    response = StreamResponse(feed, encoder, heartbeat, slow_reader, compress=compress, headers=headers)
    response.outbox.put(first)
    return response


def problem_response(error: BaseException, status_of: StatusOf | None = None) -> Response:
    """Return an error as a response: status and problem body. Source: RFC 9457.

    Args:
        error: The stream's error.
        status_of: As in `stream_response`.
    """
    status = (status_of or problems.status_of)(error)
    told = problems.problem_of(error)
    body = {"title": told["message"], "status": status, **told, "detail": told["message"]}
    return Response(json.dumps(body), status_code=status, media_type="application/problem+json")


class Source(Protocol):
    """Numbered events, and a way to leave them."""

    def __aiter__(self) -> AsyncIterator[Numbered]:
        """The events."""
        ...

    async def aclose(self) -> None:
        """Leave the source."""
        ...


class StreamResponse(Response):
    """A response made of numbered events.

    Args:
        source: The events.
        encoder: Turns them into bytes.
        heartbeat: Seconds of silence after which a heartbeat is sent.
        slow_reader: Seconds that a client may take to accept what is sent.
        compress: Whether to compress, as `Accept-Encoding` allows.
        headers: Additional headers.
        run_id: The run's name; one is made if None.
    """

    def __init__(
        self,
        source: Source,
        encoder: Encoder,
        heartbeat: float = 15.0,
        slow_reader: float = 30.0,
        *,
        compress: bool = True,
        headers: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> None:
        super().__init__(headers={**_HEADERS, **encoder.headers, **(headers or {})})
        del self.headers["content-length"]
        self.headers["content-type"] = encoder.content_type
        self.outbox = Outbox()
        self._source = source
        self._encoder = encoder
        self._heartbeat = heartbeat
        self._slow_reader = slow_reader
        self._compress = compress
        self._run_id = run_id or secrets.token_urlsafe(16)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or as much as the client stays for."""
        accepted = Headers(scope=scope).get("accept-encoding", "") if self._compress else ""
        compressor = compressor_for(accepted)
        if compressor is not None:
            self.headers["content-encoding"] = compressor.name
        if self._compress:
            self.headers.add_vary_header("Accept-Encoding")
        pump = asyncio.ensure_future(self._pump())
        gone = asyncio.ensure_future(_gone(receive))
        gone.add_done_callback(self.outbox.leave)
        wire = Wire(send, compressor, self._heartbeat, self._slow_reader, self.outbox.wake)
        try:
            await self._deliver(wire)
        finally:
            wire.stop()
            await shielded(self._end(pump, gone))
        if self.background is not None:
            await self.background()

    async def _pump(self) -> None:
        """Move events from the source to the outbox."""
        try:
            async for one in self._source:
                self.outbox.put(one)
        except Exception:
            log.exception("a stream for a front-end failed without reporting it")
        finally:
            self.outbox.finish()

    async def _end(self, *tasks: asyncio.Future[Any]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._source.aclose()

    async def _deliver(self, wire: Wire) -> None:
        """Send what is in the outbox to the client."""
        outbox, encoder = self.outbox, self._encoder
        encoded = _shared if type(encoder) is ServerSentEvents else _encoding(encoder)
        await wire.send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if begun := encoder.start(run_id=self._run_id):
            await wire.body(begun)
        while wire.is_open:
            events = await outbox.take()
            if events is None:
                return  # the client has left
            for one in events:
                # where the protocol has no words for it, `CutOff` has the server drop the connection
                if data := encoded(one):
                    await wire.body(data)
            if not events:
                if outbox.is_over:
                    break
                if beat := encoder.heartbeat():
                    await wire.body(beat)
        await wire.finish()


async def _gone(receive: Receive) -> None:
    """Wait until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _encoding(encoder: Encoder) -> Callable[[Numbered], bytes]:
    """Return a function that turns a numbered event into bytes."""
    is_numbered = getattr(encoder, "numbered", False)

    def encoded(one: Numbered) -> bytes:
        data = encoder.encode(one.event)
        return _numbered(data, one.id) if data and is_numbered else data

    return encoded


def _shared(one: Numbered) -> bytes:
    """Return an event as plain SSE. The bytes are the same for all readers of a run, and are made once."""
    if one.frame is None:
        one.frame = _plain_sse(one)
    return one.frame


_plain_sse = _encoding(ServerSentEvents())


def _numbered(frames: bytes, event_id: str) -> bytes:
    """Insert an id into the last of some server-sent events, directly before its data."""
    named = b"id: %b\ndata:" % event_id.encode()
    if frames.find(b"\n\n") == len(frames) - 2:
        return frames.replace(b"data:", named, 1)
    last = frames.rfind(b"\n\n", 0, -2) + 2
    return frames[:last] + frames[last:].replace(b"data:", named, 1)
