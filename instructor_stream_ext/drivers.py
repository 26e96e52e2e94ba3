"""Carrying out a script's wishes: `drive` for sync, `adrive` for async. Here alone are a thread, a task and waiting."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeAlias

from instructor_stream_ext.core.events import Event
from instructor_stream_ext.ports import END, LOOK, READ, TICK, Close, Departed, Do, Open
from instructor_stream_ext.script import Script

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
                    if watchdog is not None:
                        watchdog.guard(wish.deadline)
                    try:
                        answer = wish.connect(hurried=wish.deadline < math.inf)
                    finally:
                        if watchdog is not None:
                            watchdog.release()
                    chunks = iter(answer.chunks)
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
        return await wish.connect(hurried=False)
    connecting = asyncio.ensure_future(wish.connect(hurried=False))
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
    """Ends what a sync stream waits for at a deadline, by shutting down the socket under it.

    Closing a socket from another thread does not wake a reader; shutting it down does. Which socket that is, the
    waiting thread's own stack shows: that serves a request whose headers have not come as well as a reader that an SDK
    hides. One thread per stream with timeouts, started at the first wait, gone at the end. It never knows the stream.

    Args:
        clock: The stream's clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline = math.inf
        self._planned = math.inf
        self._changed = threading.Condition()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._stopped = False

    def guard(self, deadline: float) -> None:
        """This thread begins to wait, until `deadline` at most."""
        with self._changed:
            self._deadline = deadline
            self._waiting = threading.get_ident()
            if self._thread is None and deadline < math.inf:
                self._thread = threading.Thread(target=self._watch, name="instructor_stream_ext watchdog", daemon=True)
                self._thread.start()
            elif deadline < self._planned:
                self._changed.notify()

    def release(self) -> None:
        """The waiting has ended."""
        with self._changed:
            self._deadline = math.inf

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                left = self._deadline - self._clock()
                self._planned = self._deadline
                if left == math.inf:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(left if self._clock is time.monotonic else min(left, _GLANCE))
                else:  # the lock is held, so whoever waits has not come to `release`
                    found = _socket_under(self._waiting)
                    if found is not None:
                        with contextlib.suppress(OSError):  # it may be closed already
                            found.shutdown(socket.SHUT_RDWR)
                    self._changed.wait(_GLANCE)  # it may be connecting still, or an SDK may try again


def _socket_under(thread: int) -> socket.socket | None:
    """The socket a thread is blocked in, below this module's own frames; None if it is in none."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  documented, whatever its name says
    while frame is not None and frame.f_code.co_filename != __file__:
        seen = frame.f_locals
        for holder in (seen.get("self"), seen.get("sock")):
            found = holder if isinstance(holder, socket.socket) else getattr(holder, "_sock", None)
            if isinstance(found, socket.socket):
                return found
        frame = frame.f_back
    return None
