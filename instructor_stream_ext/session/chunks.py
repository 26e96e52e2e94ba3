"""A connection's chunks for the drivers, and a tick whenever the machine's deadline passes."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.effects import END, TICK, Open
from instructor_stream_ext.session.pump import Pump, abandon
from instructor_stream_ext.session.shielding import shielded
from instructor_stream_ext.session.waking import GLANCE, Watchdog

__all__ = ["AsyncChunks", "Chunks"]


class Chunks:
    """A connection's chunks, and `TICK` whenever the machine's deadline passes."""

    def __init__(self, session: Session) -> None:
        self._machine = session.machine
        self._clock = session.clock
        self._chunks: Iterator[Any] = iter(())
        self._wake: Callable[[], bool] = _no_socket
        self._untimed: Iterator[Any] | None = None
        self.watchdog = Watchdog(session.clock, session.machine.bounds.expire)

    def open(self, effect: Open) -> Any:
        """Connect, unless the deadline has passed."""
        left = effect.deadline - self._clock()
        if left <= 0:
            return TICK
        connection = effect.connect(left if self._clock is time.monotonic else math.inf)
        self._chunks, self._wake = iter(connection.chunks), connection.wake
        self._untimed = self._chunks if self._machine.is_steady else None
        return connection

    @property
    def all(self) -> Iterator[Any]:
        """What to iterate: where the machine has no deadlines the bare chunks, without a step of ours."""
        return self if self._untimed is None else self._untimed

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        bounds, due = self._machine.bounds, self._machine.due
        if not bounds.any:
            return TICK if due <= self._clock() else next(self._chunks)
        now = self._clock()
        bound = bounds.waits(now)
        if due <= now or bound <= now:
            return TICK
        chunk = self.watchdog.wait(bound, self._wake, next, self._chunks, END)
        if chunk is END:
            raise StopIteration
        return chunk


def _no_socket() -> bool:
    return False


class AsyncChunks:
    """The async twin of `Chunks`. Where the machine has deadlines, a separate task reads the stream."""

    def __init__(self, session: Session) -> None:
        self._machine = session.machine
        self._clock = session.clock
        self._pump: Pump | None = None
        self._untimed: AsyncIterator[Any] | None = None

    async def open(self, effect: Open) -> Any:
        """Connect, or give up at the deadline."""
        connection = await _connected(effect, self._clock)
        if connection is not TICK:
            chunks = aiter(connection.chunks)
            self._untimed = chunks if self._machine.is_steady else None
            self._pump = None if self._machine.is_steady else Pump(chunks, self._clock)
        return connection

    async def abandon(self) -> None:
        """Stop reading."""
        pump, self._pump = self._pump, None
        if pump is not None:
            await pump.stop()

    @property
    def all(self) -> AsyncIterator[Any]:
        """What to iterate: see `Chunks`."""
        return self if self._untimed is None else self._untimed

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        machine, pump = self._machine, self._pump
        assert pump is not None  # noqa: S101
        if machine.bounds.any:
            machine.bounds.waits(self._clock())
        deadline = machine.deadline()
        if (deadline <= self._clock()) if pump.ready else not await pump.arrives(deadline):
            return TICK
        chunk = pump.take()
        if chunk is END:
            raise StopAsyncIteration
        return chunk


async def _connected(effect: Open, clock: Callable[[], float]) -> Any:
    """Connect, or give up at the deadline."""
    if effect.deadline == math.inf:
        return await effect.connect(math.inf)
    connecting = asyncio.ensure_future(effect.connect(math.inf))
    try:
        is_here = await _arrives(connecting, effect.deadline, clock)
    except BaseException:
        await shielded(_forsake(connecting))
        raise
    if is_here:
        return connecting.result()
    await shielded(_forsake(connecting))
    return TICK


async def _forsake(connecting: asyncio.Task[Any]) -> None:
    """Cancel a connection attempt that nobody waits for any more; if it succeeded anyway, close the connection."""
    await abandon(connecting)
    if not connecting.cancelled() and connecting.exception() is None:
        closing = connecting.result().close()
        if inspect.isawaitable(closing):
            await closing


async def _arrives(reading: asyncio.Task[Any], deadline: float, clock: Callable[[], float]) -> bool:
    """Wait for a chunk until the deadline of the stream's own clock; returns False if the deadline comes first."""
    while not reading.done():
        left = deadline - clock()
        if left <= 0:
            return False
        seconds = None if left == math.inf else left if clock is time.monotonic else min(left, GLANCE)
        await asyncio.wait((reading,), timeout=seconds)
    return True
