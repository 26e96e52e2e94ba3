"""Reading an async stream in a separate task, so that its consumer can also wait for an instant.

One task for the whole stream, which is a few chunks ahead: what has come in one packet is handed over without a change
of tasks. The SDK's own code runs in that task only, as its timeouts (anyio's scopes) must begin and end in one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from instructor_stream_ext.session.effects import END
from instructor_stream_ext.session.waking import GLANCE

__all__ = ["Pump", "abandon"]

AHEAD = 32
"""How many chunks may wait for the consumer. With that many, the provider's stream is not read further."""


class _Raised:
    """An error that reading raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Pump:
    """Reads a stream ahead.

    Args:
        chunks: The stream.
        clock: The consumer's clock, in seconds.

    Attributes:
        ready: What has come and was not taken.
    """

    def __init__(self, chunks: AsyncIterator[Any], clock: Callable[[], float]) -> None:
        self._chunks = chunks
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self.ready: deque[Any] = deque()
        self._ahead = AHEAD if clock is time.monotonic else 0  # a clock of the caller's may move with what is read
        self._is_wanted = False
        self._deadline = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._planned = math.inf
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._wake)

    async def _run(self) -> None:
        ready, chunks, chunk = self.ready, self._chunks, None
        try:
            while chunk is not END:
                if len(ready) >= self._ahead and not self._is_wanted:
                    self._room = self._loop.create_future()
                    await self._room
                chunk = await anext(chunks, END)
                ready.append(chunk)
                self._is_wanted = False
                self._wake()
        except Exception as error:
            ready.append(_Raised(error))

    def _wake(self, *_: object) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def take(self) -> Any:
        """Return the next ready chunk, `END` after the last.

        Raises:
            Exception: What reading raised.
        """
        ready = self.ready
        chunk = ready.popleft()
        if not ready and self._ahead:
            self._make_room()
        if type(chunk) is _Raised:
            raise chunk.error
        return chunk

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    async def arrives(self, deadline: float) -> bool:
        """Wait for a chunk; returns False if the deadline comes first."""
        self._deadline = deadline
        while not self.ready:
            if self._task.done():
                self._task.result()  # raises: somebody has cancelled it, as `asyncio.run` cancels all tasks at its end
            if self._clock() >= deadline:
                return False
            self._is_wanted = True
            self._make_room()
            self._plan()
            waiter = self._waiter = self._loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        return True

    def _plan(self) -> None:
        """Schedule a look at the clock for the deadline. A timer that fires too early does no harm."""
        if self._deadline == math.inf:
            return
        if self._timer is not None and self._planned <= self._deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        left = self._deadline - self._clock()
        self._planned = self._deadline
        self._timer = self._loop.call_later(left if self._clock is time.monotonic else min(left, GLANCE), self._look)

    def _look(self) -> None:
        self._timer, self._planned = None, math.inf
        self._wake()

    async def stop(self) -> None:
        """Stop reading, so that no task is left."""
        if self._timer is not None:
            self._timer.cancel()
        await abandon(self._task)


async def abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task that nobody waits for any more, so that none is left."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # fetched, so that the loop does not complain that nobody did
