"""A real HTTP/1.1 server on the loopback interface that does what a test's scripts say.

It lives in a thread of its own with its own event loop, so sync and async tests use it alike. It sends when the script
says so and not before, and it notices a client that goes away at any moment, also while a script waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeAlias, assert_never
from urllib.parse import parse_qs, urlsplit

from tests.server.script import (
    Answer,
    Cut,
    End,
    Forever,
    KeepAlive,
    Reset,
    Script,
    Send,
    Silent,
    Start,
    Status,
    Step,
    Trickle,
    Wait,
    flatten,
)
from tests.server.signals import PATIENCE, Signal

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Exchange", "Request", "ScriptedServer"]

READ_SIZE = 65536


@dataclass(frozen=True)
class Request:
    """What a client sent. Header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(urlsplit(self.target).query)

    @cached_property
    def json(self) -> Any:
        """The body, parsed; None where there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(eq=False)
class Exchange:
    """One request and what became of its answer.

    Attributes:
        request: what came.
        disconnected: the client has closed the connection, at `disconnected.at`.
        finished: nothing more will be sent, for whatever reason.
        completed: the script was played to its end, and the client was there.
        sent: HTTP chunks handed to the network so far.
    """

    request: Request
    disconnected: Signal = field(default_factory=Signal)
    finished: Signal = field(default_factory=Signal)
    completed: bool = False
    sent: int = 0


Scripted: TypeAlias = "Script | Callable[[Request], Script]"


@dataclass(frozen=True)
class _Plan:
    script: Scripted
    match: Callable[[Request], bool] | None

    def fits(self, request: Request) -> bool:
        return self.match is None or self.match(request)

    def steps(self, request: Request) -> list[Step]:
        return flatten(self.script(request) if callable(self.script) else self.script)


class _ClientGoneError(Exception):
    pass


class _Hangup(Exception):
    pass


class ScriptedServer:
    """Answers request after request with the scripts it was given.

    Use as a context manager (the `server` fixture does)::

        server.add(sends(openai_chat('{"a": 1}')))          # the answer to the next request
        server.always(Status(429))                          # to each request for which no script is left
        server.requests[0].json["messages"]
        server.exchanges[0].disconnected.wait()

    `closers` holds what the `server` fixture calls at the end (and awaits, if need be): clients to close.
    A script (a function) that raises answers with status 500, and its error comes out when the server stops.
    """

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.failures: list[Exception] = []
        self.closers: list[Callable[[], object]] = []
        self._plans: list[_Plan] = []
        self._fallback: _Plan | None = None
        self._arrivals: dict[int, Signal] = {}
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._serving: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, name="scripted-server", daemon=True)
        self.port = 0

    # -- for tests -------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order of arrival."""
        with self._lock:
            return [exchange.request for exchange in self.exchanges]

    @property
    def scripts_left(self) -> int:
        """How many scripts were given by `add` and not yet asked for."""
        with self._lock:
            return len(self._plans)

    def add(self, *script: Scripted, match: Callable[[Request], bool] | None = None) -> Self:
        """Queue the answer to one request: the next one, or the next that `match` accepts.

        Args:
            script: steps, bytes, lists of them, or functions of the request that give such.
            match: says whether this script is for the request; scripts are asked in the order given.
        """
        with self._lock:
            self._plans.append(self._plan(script, match))
        return self

    def always(self, *script: Scripted) -> Self:
        """Set the answer to every request for which no queued script is left."""
        with self._lock:
            self._fallback = self._plan(script, None)
        return self

    def arrived(self, count: int = 1) -> Signal:
        """Give a signal that is set as soon as `count` requests have come in."""
        with self._lock:
            signal = self._arrivals.setdefault(count, Signal())
            if len(self.exchanges) >= count:
                signal.set()
        return signal

    def exchange(self, number: int = 0) -> Exchange:
        """Wait for request `number` (from 0) and give its exchange."""
        self.arrived(number + 1).wait()
        return self.exchanges[number]

    async def exchange_async(self, number: int = 0) -> Exchange:
        """Like `exchange`, without blocking the event loop."""
        await self.arrived(number + 1).wait_async()
        return self.exchanges[number]

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(PATIENCE):
            message = "the server did not start"
            raise RuntimeError(message)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        if exc is None and self.failures:
            raise self.failures[0]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._shut_down())
            self._loop.close()

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _shut_down(self) -> None:
        assert self._listener is not None
        # asyncio loses a connection that it has accepted and not yet handed over when its server closes.
        for listening in self._listener.sockets:
            self._loop.remove_reader(listening)
        await self._some_passes()
        self._listener.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._some_passes()  # in which the closed connections let go of their sockets
        await self._loop.shutdown_asyncgens()

    @staticmethod
    async def _some_passes() -> None:
        for _ in range(8):
            await asyncio.sleep(0)

    # -- connections -----------------------------------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The task is made here and not by asyncio, which would lose a connection when the server stops before the
        # task's first step.
        task = self._loop.create_task(_Connection(self, reader, writer).serve())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _: writer.close())

    def _begin(self, request: Request) -> tuple[Exchange, list[Step]]:
        exchange = Exchange(request)
        with self._lock:
            plan = next((plan for plan in self._plans if plan.fits(request)), None)
            if plan is not None:
                self._plans.remove(plan)
            plan = plan or self._fallback
            self.exchanges.append(exchange)
            if (signal := self._arrivals.get(len(self.exchanges))) is not None:
                signal.set()
        if plan is None:
            return exchange, [Status(501, {"error": {"message": f"no script for {request.method} {request.target}"}})]
        try:
            return exchange, plan.steps(request)
        except Exception as error:  # noqa: BLE001 - kept for the test, which it would not reach from this thread
            self.failures.append(error)
            return exchange, [Status(500, {"error": {"message": f"the script failed: {error!r}"}})]

    @staticmethod
    def _plan(script: tuple[Scripted, ...], match: Callable[[Request], bool] | None) -> _Plan:
        if len(script) == 1:
            return _Plan(script[0], match)

        def parts(request: Request) -> Script:
            return [part(request) if callable(part) else part for part in script]

        return _Plan(parts, match)


class _Connection:
    """One TCP connection: reads all the time, so that a client's leaving is seen at once."""

    def __init__(self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._inbox = bytearray()
        self._news = asyncio.Event()
        self._gone = Signal()
        self._exchanges: list[Exchange] = []
        self._framing: Start | None = None
        writer.transport.set_write_buffer_limits(high=0)

    async def serve(self) -> None:
        watcher = asyncio.create_task(self._watch())
        try:
            while (request := await self._next_request()) is not None:
                await self._answer(request)
        except (_ClientGoneError, _Hangup):
            pass
        finally:
            watcher.cancel()
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    async def _watch(self) -> None:
        try:
            while data := await self._reader.read(READ_SIZE):
                self._inbox += data
                self._news.set()
        except ConnectionError:
            pass
        self._gone.set()
        for exchange in self._exchanges:
            exchange.disconnected.set()
        self._news.set()

    async def _more(self) -> bool:
        self._news.clear()
        if self._gone.is_set():
            return False
        await self._news.wait()
        return not self._gone.is_set()

    async def _next_request(self) -> Request | None:
        while (end := self._inbox.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                return None
        start_line, *lines = bytes(self._inbox[:end]).decode("latin-1").split("\r\n")
        method, target, _version = start_line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        del self._inbox[: end + 4]
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunked_body()
        else:
            body = await self._take(int(headers.get("content-length", "0")))
        return Request(method=method, target=target, headers=headers, body=body)

    async def _take(self, size: int) -> bytes:
        while len(self._inbox) < size:
            if not await self._more():
                raise _ClientGoneError
        taken = bytes(self._inbox[:size])
        del self._inbox[:size]
        return taken

    async def _chunked_body(self) -> bytes:
        body = b""
        while True:
            while (end := self._inbox.find(b"\r\n")) < 0:
                if not await self._more():
                    raise _ClientGoneError
            size = int((await self._take(end + 2)).split(b";")[0], 16)
            body += (await self._take(size + 2))[:size]
            if not size:
                return body

    # -- answers ---------------------------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> None:
        exchange, steps = self._server._begin(request)
        self._exchanges.append(exchange)
        try:
            for step in steps:
                await self._play(step, exchange)
            if self._framing is not None:
                await self._play(End(), exchange)
            exchange.completed = True
        except _Hangup:
            exchange.completed = True
            raise
        except ConnectionError:
            self._gone.set()
            exchange.disconnected.set()
            raise _ClientGoneError from None
        finally:
            exchange.finished.set()

    async def _play(self, step: Step, exchange: Exchange) -> None:  # noqa: C901, PLR0912 - one match over all steps
        match step:
            case Start():
                await self._start(step)
            case Send(data):
                await self._send(data, exchange)
            case Wait(signal):
                await self._until(signal)
            case KeepAlive(count, comment):
                for _ in range(count):
                    await self._send(comment, exchange)
            case Trickle(chunk, every, until):
                while not (until is not None and until.is_set()):
                    await self._send(chunk, exchange)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(every):
                            await self._until(until or Signal())
            case Forever(chunks):
                for chunk in itertools.cycle(chunks):
                    await self._send(chunk, exchange)
                    await asyncio.sleep(0)
            case End():
                await self._end()
            case Cut():
                raise _Hangup
            case Reset():
                raw: socket.socket = self._writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._writer.transport.abort()
                raise _Hangup
            case Silent():
                await self._until(Signal())
            case Answer():
                await self._whole(step)
            case _:
                assert_never(step)

    async def _start(self, start: Start) -> None:
        framing = {"transfer-encoding": "chunked"} if start.chunked else {"connection": "close"}
        self._framing = start
        await self._write(_head(start.status, {**start.headers, **framing}))

    async def _send(self, data: bytes, exchange: Exchange) -> None:
        if self._framing is None:
            await self._start(Start())
        assert self._framing is not None
        exchange.sent += 1
        await self._write(b"%x\r\n%b\r\n" % (len(data), data) if self._framing.chunked else data)

    async def _end(self) -> None:
        framing, self._framing = self._framing or Start(), None
        if not framing.chunked:
            raise _Hangup
        await self._write(b"0\r\n\r\n")

    async def _whole(self, answer: Answer) -> None:
        is_raw = isinstance(answer.body, bytes)
        body = answer.body if is_raw else json.dumps(answer.body).encode()
        headers = {"content-type": "application/octet-stream" if is_raw else "application/json"}
        headers |= {**answer.headers, "content-length": str(len(body))}
        await self._write(_head(answer.status, headers) + body)

    async def _write(self, data: bytes) -> None:
        if self._gone.is_set():
            raise _ClientGoneError
        self._writer.write(data)
        await self._writer.drain()

    async def _until(self, signal: Signal) -> None:
        """Wait for the signal or for the client to leave, whichever is first."""
        waits = [asyncio.create_task(each.wait_async(None)) for each in (signal, self._gone)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._gone.is_set() and not signal.is_set():
            raise _ClientGoneError


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
