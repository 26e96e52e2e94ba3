"""The way out to a client: compression, and a watch for slow clients and for silence."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Send

from instructor_stream_ext.web.compression import Compressor

__all__ = ["Wire"]

log = logging.getLogger("instructor_stream_ext")


class Wire:
    """The server's `send`, with compression, and a watch for slow clients and for silence.

    There is one timer for a response, and what is sent only notes the instant: a timer for each event would cost more
    than all else that is done here for it.

    Args:
        send: The server's.
        compressor: Compresses the body; None leaves it as it is.
        heartbeat: Seconds without sending after which `silent` is called, again and again.
        slow_reader: Seconds that a client may take to accept what is sent.
        silent: Called from the event loop.
    """

    def __init__(
        self,
        send: Send,
        compressor: Compressor | None,
        heartbeat: float,
        slow_reader: float,
        silent: Callable[[], None],
    ) -> None:
        self._send = send
        self._compressor = compressor
        self._heartbeat = heartbeat
        self._slow_reader = slow_reader
        self._silent = silent
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._sending_since: float | None = None
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._is_slow = False
        self.is_open = True
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    def _watch(self) -> None:
        """Do what is due, and schedule the next look."""
        now = self._loop.time()
        if self._sending_since is not None:
            due = self._sending_since + self._slow_reader
            if now >= due:
                self._is_slow = True
                assert self._task is not None  # noqa: S101
                self._task.cancel()  # it waits in `send`
                return
        else:
            due = self._sent_at + self._heartbeat
            if now >= due:
                self._silent()
                due = now + self._heartbeat
            due = min(due, now + self._slow_reader)  # a send may begin at any moment
        if due < math.inf:
            self._timer = self._loop.call_at(due, self._watch)

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message, unless the client was too slow before."""
        if not self.is_open:
            return
        self._sending_since = self._loop.time()
        try:
            await self._send(message)
        except asyncio.CancelledError:
            if not self._is_slow or self._task is None or self._task.uncancel() > 0:
                raise
            self.is_open = False
            log.info("a client took more than %s s to read; its stream is left", self._slow_reader)
        finally:
            self._sending_since = None
            self._sent_at = self._loop.time()

    def body(self, data: bytes) -> Awaitable[None]:
        """Send a part of the body, not empty."""
        sent = data if self._compressor is None else self._compressor.compress(data)
        return self.send({"type": "http.response.body", "body": sent, "more_body": True})

    def finish(self) -> Awaitable[None]:
        """Send the end."""
        rest = b"" if self._compressor is None else self._compressor.finish()
        return self.send({"type": "http.response.body", "body": rest, "more_body": False})
