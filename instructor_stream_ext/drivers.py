"""Carrying out a script's wishes: `drive` for sync, `adrive` for async. Here alone are a thread, a task and waiting."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeAlias

from instructor_stream_ext.core.events import Event
from instructor_stream_ext.script import END, LOOK, READ, TICK, Close, Connection, Departed, Do, Open, Script

__all__ = ["NOTHING", "Pick", "Watchdog", "adrive", "drive"]

NOTHING: Any = object()
"""What a `Pick` says of an event that the consumer is not shown."""

Pick: TypeAlias = Callable[[Event], Any]

_GLANCE = 0.01
"""Seconds between looks at a clock that is not the machine's own, which may jump at any time."""


def drive(script: Script, pick: Pick) -> Generator[Any, None, None]:
    """Run a script without an event loop.

    Args:
        script: The stream.
        pick: From an event to what the consumer sees of it, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the script raises.
    """
    run = script.run()
    machine, clock = script.machine, script.clock
    chunks: Iterator[Any] = iter(())
    watchdog = Watchdog(clock) if machine.timed else None
    try:
        wish = next(run)
        while True:
            try:
                if wish is READ:
                    glance = script.glance
                    while True:
                        deadline = machine.deadline()
                        if deadline < math.inf and deadline <= clock():
                            answer: Any = TICK
                        else:
                            if watchdog is not None:
                                watchdog.guard(deadline)
                            try:
                                answer = next(chunks, END)
                            finally:
                                if watchdog is not None:
                                    watchdog.release()
                        if glance is None or (partial := glance(answer)) is LOOK:
                            break
                        if partial is not None:
                            yield partial
                elif type(wish) is Do or type(wish) is Close:
                    answer = wish.fn(*wish.args, **wish.kwargs)
                    if inspect.iscoroutine(answer):
                        answer.close()
                        raise TypeError(f"{wish.fn!r} gave a coroutine, which a sync stream cannot await")
                elif type(wish) is Open:
                    left = wish.deadline - clock()
                    answer = wish.connect(None if left == math.inf else max(left, 0.001))
                    chunks = iter(answer.chunks)
                    if watchdog is not None:
                        watchdog.watch(answer)
                else:
                    value = pick(wish)
                    if value is not NOTHING:
                        yield value
                    answer = None
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        _settle(script, run)
        raise
    finally:
        if watchdog is not None:
            watchdog.stop()


def _settle(script: Script, run: Generator[Any, Any, None]) -> None:
    """The consumer has left: let the script close the connection and tell the end, with nobody to yield to."""
    with contextlib.suppress(StopIteration, Departed):
        # the garbage collector may have ended the script before its driver
        wish = run.throw(Departed()) if run.gi_frame else next(run := script.depart())
        while True:
            try:
                answer = wish.fn(*wish.args, **wish.kwargs) if isinstance(wish, Do) else None
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)


async def adrive(script: Script, pick: Pick) -> AsyncGenerator[Any, None]:
    """Run a script in an event loop; a due partial comes although the provider is silent.

    Args:
        script: The stream.
        pick: From an event to what the consumer sees of it, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the script raises.
    """
    run = script.run()
    machine, clock = script.machine, script.clock
    chunks: AsyncIterator[Any] | None = None
    reading: asyncio.Task[Any] | None = None
    try:
        wish = next(run)
        while True:
            try:
                if wish is READ:
                    assert chunks is not None  # noqa: S101
                    glance = script.glance
                    while True:
                        deadline = machine.deadline()
                        if reading is None and deadline == math.inf:
                            answer: Any = await anext(chunks, END)
                        else:
                            reading = reading or asyncio.ensure_future(_next(chunks))
                            if await _arrives(reading, deadline, clock):
                                done, reading = reading, None
                                answer = done.result()
                            else:
                                answer = TICK
                        if glance is None or (partial := glance(answer)) is LOOK:
                            break
                        if partial is not None:
                            yield partial
                elif type(wish) is Do or type(wish) is Close:
                    if reading is not None and type(wish) is Close:
                        await _abandon(reading)
                        reading = None
                    answer = wish.fn(*wish.args, **wish.kwargs)
                    if inspect.isawaitable(answer):
                        answer = await answer
                elif type(wish) is Open:
                    answer = await _connect(wish, clock)
                    if answer is not TICK:
                        chunks = aiter(answer.chunks)
                else:
                    value = pick(wish)
                    if value is not NOTHING:
                        yield value
                    answer = None
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        if reading is not None:
            await _abandon(reading)
        await _asettle(script, run)
        raise


async def _asettle(script: Script, run: Generator[Any, Any, None]) -> None:
    """As `_settle`, awaiting."""
    with contextlib.suppress(StopIteration, Departed):
        wish = run.throw(Departed()) if run.gi_frame else next(run := script.depart())
        while True:
            try:
                answer = wish.fn(*wish.args, **wish.kwargs) if isinstance(wish, Do) else None
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)


async def _connect(wish: Open, clock: Callable[[], float]) -> Any:
    """Connect, or give up at the deadline."""
    if wish.deadline == math.inf:
        return await wish.connect(None)
    connecting = asyncio.ensure_future(wish.connect(None))
    try:
        if await _arrives(connecting, wish.deadline, clock):
            return connecting.result()
    except BaseException:
        if not connecting.done():
            await _abandon(connecting)
        raise
    await _abandon(connecting)
    return TICK


async def _next(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, END)


async def _arrives(reading: asyncio.Task[Any], deadline: float, clock: Callable[[], float]) -> bool:
    """Wait for a chunk until the deadline of the stream's own clock; False if that came first."""
    while not reading.done():
        left = deadline - clock()
        if left <= 0:
            return False
        seconds = None if left == math.inf else left if clock is time.monotonic else min(left, _GLANCE)
        await asyncio.wait((reading,), timeout=seconds)
    return True


async def _abandon(reading: asyncio.Task[Any]) -> None:
    """End a read that nobody waits for any more, so that no task is left."""
    reading.cancel()
    await asyncio.wait((reading,))
    if not reading.cancelled():
        reading.exception()  # fetched, so that the loop does not complain that nobody did


class Watchdog:
    """Ends a blocked sync read at a deadline, by shutting its socket down.

    Closing a socket from another thread does not wake a reader; shutting it down does. One thread per stream with
    timeouts, started at the first read, gone at the end. It knows the socket, never the stream.

    Args:
        clock: The stream's clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline = math.inf
        self._planned = math.inf
        self._changed = threading.Condition()
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, connection: Connection) -> None:
        """Guard this connection from now on."""
        with self._changed:
            self._connection, self._socket = connection, None

    def guard(self, deadline: float) -> None:
        """A read begins that may last until `deadline`."""
        with self._changed:
            self._deadline = deadline
            if self._socket is None and self._connection is not None:  # there is none before some SDKs' first read
                self._socket = self._connection.socket()
            if self._thread is None and deadline < math.inf and self._socket is not None:
                self._thread = threading.Thread(target=self._watch, name="instructor_stream_ext watchdog", daemon=True)
                self._thread.start()
            elif deadline < self._planned:
                self._changed.notify()

    def release(self) -> None:
        """The read has ended."""
        with self._changed:
            self._deadline = math.inf

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._connection = self._socket = None
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                left = self._deadline - self._clock()
                if left <= 0 and self._socket is not None:
                    with contextlib.suppress(OSError):  # it may be closed already
                        self._socket.shutdown(socket.SHUT_RDWR)
                    self._deadline = math.inf
                    continue
                self._planned = self._deadline
                if left == math.inf:
                    self._changed.wait()
                else:
                    self._changed.wait(left if self._clock is time.monotonic else min(left, _GLANCE))
