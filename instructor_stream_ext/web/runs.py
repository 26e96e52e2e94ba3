"""Runs: named streams that clients can leave, resume, share and cancel."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from instructor_stream_ext.core.errors import LimitExceeded, StreamMisuse
from instructor_stream_ext.core.events import Outcome, StreamEnded, StreamStats
from instructor_stream_ext.web.encoders import Encoder, Failed
from instructor_stream_ext.web.entries import STOP, as_bytes, as_event, is_last
from instructor_stream_ext.web.feed import AnyStream, Feed, Numbered, checked
from instructor_stream_ext.web.problems import problem_of
from instructor_stream_ext.web.protocols import encoder_for
from instructor_stream_ext.web.relay import BadEventId, MemoryRelay, Relay, RunExpired, UnknownRun
from instructor_stream_ext.web.response import StreamResponse, problem_response

__all__ = ["Authorize", "Runs"]

log = logging.getLogger("instructor_stream_ext")

Authorize: TypeAlias = Callable[[Request, str], bool | Awaitable[bool]]
"""Decides for a request and a run's name whether it may resume or cancel that run."""

_RENEWALS = 3
"""How often a lease is renewed before it would end."""


class Runs:
    """Named streams behind a relay.

    Args:
        relay: Where their events are stored; in this process if None.
        ttl: Seconds that a run's events are stored after its end.
        max_runs: How many runs may be under way in this process at once.
        authorize: Guards resuming and cancelling through `routes`; everybody who knows the name may if None.
        max_seconds: Seconds that a run may take.
        max_bytes: How many bytes of events a run may produce.
        heartbeat: As in `stream_response`.
        slow_reader: As in `stream_response`.
        lease: Seconds after which a shared relay takes this process for dead.
    """

    def __init__(
        self,
        relay: Relay | None = None,
        *,
        ttl: float = 600.0,
        max_runs: int = 1000,
        authorize: Authorize | None = None,
        max_seconds: float | None = None,
        max_bytes: int | None = None,
        heartbeat: float = 15.0,
        slow_reader: float = 30.0,
        lease: float = 15.0,
    ) -> None:
        self._relay: Relay = MemoryRelay() if relay is None else relay
        self._ttl = ttl
        self._max_runs = max_runs
        self._authorize = authorize
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes
        self._heartbeat = heartbeat
        self._slow_reader = slow_reader
        self._lease = lease
        self._running: dict[str, asyncio.Task[None]] = {}

    async def start(self, stream: AnyStream, run_id: str | None = None) -> str:
        """Start a run, which continues whether or not anyone reads it.

        Args:
            stream: Of an async client, not yet read.
            run_id: Its name; one that nobody can guess is made if None.

        Returns:
            The name.

        Raises:
            StreamMisuse: Too many runs are under way, the name is taken, or the stream cannot be read.
        """
        checked(stream)
        if len(self._running) >= self._max_runs:
            raise StreamMisuse(
                f"{len(self._running)} runs are under way, which is all that max_runs={self._max_runs} allows"
            )
        run_id = secrets.token_urlsafe(16) if run_id is None else run_id
        if not await self._relay.claim(run_id, self._ttl):
            raise StreamMisuse(f"a run {run_id!r} exists already: follow it, or choose another run_id")
        feed = Feed(stream)
        task = asyncio.ensure_future(self._run(run_id, feed))
        self._running[run_id] = task
        task.add_done_callback(lambda _: self._running.pop(run_id, None))
        return run_id

    async def _run(self, run_id: str, feed: Feed) -> None:
        """Move a stream into the relay, to its end, whatever that is."""
        watch = asyncio.ensure_future(self._watch(run_id, feed))
        error: BaseException = RuntimeError("the run broke off")
        is_told = False
        try:
            async with asyncio.timeout(self._max_seconds):
                is_told = await self._relayed(run_id, feed)
        except TimeoutError:
            error = LimitExceeded("max_seconds", int(self._max_seconds or 0))
        except LimitExceeded as over:
            error = over
        except Exception:
            log.warning("the run %s broke off", run_id, exc_info=True)
        finally:
            watch.cancel()
            await feed.aclose()
            if not is_told:
                await self._fail(run_id, error)

    async def _relayed(self, run_id: str, feed: Feed) -> bool:
        """Append each event; returns whether the last one was among them."""
        size, is_told = 0, False
        async for one in feed:
            entry = as_bytes(one.event)
            size += len(entry)
            if self._max_bytes is not None and size > self._max_bytes:
                raise LimitExceeded("max_bytes", self._max_bytes)
            is_told = is_last(one.event)
            await self._relay.append(run_id, entry, last=is_told)
        return is_told

    async def _fail(self, run_id: str, error: BaseException) -> None:
        failed = Failed(at=0.0, attempt=1, error=error, problem=problem_of(error))
        ended = StreamEnded(at=0.0, attempt=1, outcome=Outcome.FAILED, stats=StreamStats())
        try:
            await self._relay.append(run_id, as_bytes(failed))
            await self._relay.append(run_id, as_bytes(ended), last=True)
        except Exception:
            log.warning("the end of the run %s could not be stored", run_id, exc_info=True)

    async def _watch(self, run_id: str, feed: Feed) -> None:
        """Keep the lease, and cancel the run when a process asks for it."""
        renewing = asyncio.ensure_future(self._renew(run_id))
        try:
            async for _, entry in self._relay.read(run_id):
                if entry == STOP:
                    await feed.aclose()
        finally:
            renewing.cancel()

    async def _renew(self, run_id: str) -> None:
        while True:
            await asyncio.sleep(self._lease / _RENEWALS)
            await self._relay.claim(run_id, self._ttl)

    async def respond(
        self, run_id: str, *, protocol: str | Encoder = "sse", last_event_id: str | None = None, compress: bool = True
    ) -> Response:
        """Return a response for a run, from its beginning or after an event.

        A client that leaves does not cancel the run. The first event is waited for, as in `stream_response`.

        Args:
            run_id: From `start`, in this process or another one on the same relay.
            protocol: As in `stream_response`.
            last_event_id: The id of the last event that the client has.
            compress: As in `stream_response`.

        Raises:
            UnknownRun: There is no such run.
            RunExpired: There was.
            BadEventId: `last_event_id` is none.
        """
        encoder = encoder_for(protocol)
        source = _RunSource(self._relay.read(run_id, last_event_id or ""))
        first = await anext(source, None)
        if first is None:
            await source.aclose()
            return Response(status_code=204)  # all of it was read before; EventSource then asks no more
        if isinstance(first.event, Failed) and not last_event_id:
            await source.aclose()
            return problem_response(first.event.error)
        response = StreamResponse(source, encoder, self._heartbeat, self._slow_reader, compress=compress, run_id=run_id)
        response.headers["instructor-stream-run"] = run_id
        response.outbox.put(first)
        return response

    async def cancel(self, run_id: str) -> None:
        """End a run and tell its readers. A run that has ended is not changed.

        Raises:
            UnknownRun: There is no such run.
            RunExpired: There was.
        """
        reading = self._relay.read(run_id)
        try:
            await anext(reading, None)  # is there such a run at all?
        finally:
            await reading.aclose()  # type: ignore[attr-defined]
        await self._relay.append(run_id, STOP)

    def routes(self, prefix: str = "/runs") -> list[Route]:
        """Routes for Starlette: `GET prefix/ID` resumes (with `Last-Event-ID`), `DELETE prefix/ID` cancels."""

        async def resume(request: Request) -> Response:
            run_id: str = request.path_params["run_id"]
            last = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
            protocol = request.query_params.get("protocol", "sse")
            return await self.respond(run_id, protocol=protocol, last_event_id=last)

        async def cancel(request: Request) -> Response:
            await self.cancel(request.path_params["run_id"])
            return Response(status_code=204)

        return [
            Route(f"{prefix}/{{run_id}}", self._guarded(resume), methods=["GET"]),
            Route(f"{prefix}/{{run_id}}", self._guarded(cancel), methods=["DELETE"]),
        ]

    def _guarded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Wrap an endpoint with authorization, and give errors their statuses."""

        async def guarded(request: Request) -> Response:
            if not await self._may(request):
                return _refused(403, "this run is not yours")
            try:
                return await endpoint(request)
            except UnknownRun as error:
                return _refused(404, str(error))
            except RunExpired as error:
                return _refused(410, str(error))
            except (BadEventId, StreamMisuse) as error:
                return _refused(400, str(error))

        return guarded

    async def _may(self, request: Request) -> bool:
        if self._authorize is None:
            return True
        said: Any = self._authorize(request, request.path_params["run_id"])
        return bool(await said if inspect.isawaitable(said) else said)

    async def aclose(self) -> None:
        """Cancel the runs of this process and close the relay."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._relay.aclose()


def _refused(status: int, detail: str) -> Response:
    body = {"title": detail, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


@functools.lru_cache(maxsize=256)
def _numbered(entry_id: str, entry: bytes) -> Numbered | None:
    """Return the event of an entry; None for entries that are not events. All readers of a run ask for the same few."""
    event = as_event(entry)
    return None if event is None else Numbered(entry_id, event)


class _RunSource:
    """A run's events from a relay. Events that a new attempt made void, and older partials, may be among them."""

    def __init__(self, entries: AsyncIterator[tuple[str, bytes]]) -> None:
        self._entries = entries

    def __aiter__(self) -> _RunSource:
        return self

    async def __anext__(self) -> Numbered:
        while True:
            entry_id, entry = await anext(self._entries)
            one = _numbered(entry_id, entry)
            if one is not None:
                return one

    async def aclose(self) -> None:
        """Leave; the run continues."""
        await self._entries.aclose()  # type: ignore[attr-defined]
