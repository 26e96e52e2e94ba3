"""The queue of events for one client: everything except partials that a newer one has replaced."""

from __future__ import annotations

import asyncio

from instructor_stream_ext.web.encoders import Shown
from instructor_stream_ext.web.feed import Numbered

__all__ = ["Outbox"]


class Outbox:
    """A queue of one partial and everything else, between a stream and one client."""

    def __init__(self) -> None:
        self._waiting: list[Numbered] = []
        self._waiter: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_left = False
        self.is_over = False
        """Nothing more follows."""

    def put(self, one: Numbered) -> None:
        """Add an event. A partial replaces one that still waits at the end."""
        waiting = self._waiting
        if waiting and isinstance(one.event, Shown) and isinstance(waiting[-1].event, Shown):
            waiting[-1] = one
        else:
            waiting.append(one)
        self.wake()

    def finish(self) -> None:
        """Note that the stream has ended."""
        self.is_over = True
        self.wake()

    def leave(self, *_: object) -> None:
        """Note that the client has left."""
        self._is_left = True
        self.wake()

    def wake(self) -> None:
        """Make `take` return even if nothing waits."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> list[Numbered] | None:
        """Wait for events and return them; empty when woken or at the end, None if the client has left."""
        if not self._waiting and not (self.is_over or self._is_left):
            self._loop = self._loop or asyncio.get_running_loop()  # each asking is a system call
            self._waiter = self._loop.create_future()
            await self._waiter
        taken, self._waiting = self._waiting, []
        return None if self._is_left else taken
