"""Waking a sync read that blocks: the one thread of this package."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from instructor_stream_ext.ports import TICK

__all__ = ["GLANCE", "Watchdog"]

GLANCE = 0.01
"""Seconds between looks at a clock that is not the machine's own, which may jump at any time."""

_LONGEST = 3600.0
"""Seconds that a wait may take: much longer ones are no time to the operating system."""


class Watchdog:
    """Ends what a sync stream waits for at a deadline, by shutting down the socket under it.

    Closing a socket from another thread does not wake a reader; shutting it down does. Which socket that is, the
    waiting thread's own stack shows: that serves a request whose headers have not come as well as a reader that an SDK
    hides. One thread per stream with timeouts, started at the first wait, gone at the end. It never knows the stream.

    Args:
        clock: The stream's clock, in seconds.
        expired: Told when a bound has passed and a socket was shut down for it: whatever the call says after that, and
            be it a chunk that came in the same moment, the connection is gone.
    """

    def __init__(self, clock: Callable[[], float], expired: Callable[[], None]) -> None:
        self._clock = clock
        self._expired = expired
        self._fired = False
        self._deadline = math.inf
        self._planned = math.inf
        self._changed = threading.Condition()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._stopped = False

    def wait(self, due: float, bound: float, fn: Callable[..., Any], *args: Any) -> Any:
        """Call something that may block.

        Args:
            due: From when on there is something better to do than to begin waiting, in the clock's seconds.
            bound: When the waiting has to end; `math.inf` for never.
            fn: What to call.
            args: With what.

        Returns:
            What it returns; `TICK` if it was not called, because it is past `due`. A bound that passes makes it end,
            with an error or as if the connection had.
        """
        if due <= self._clock():
            return TICK
        if bound == math.inf:
            return fn(*args)
        self._guard(bound)
        try:
            return fn(*args)
        finally:
            self._release()

    def _guard(self, deadline: float) -> None:
        with self._changed:
            self._deadline = deadline
            self._waiting = threading.get_ident()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="instructor_stream_ext watchdog", daemon=True)
                self._thread.start()
            elif deadline < self._planned:
                self._changed.notify()

    def _release(self) -> None:
        with self._changed:
            self._deadline = math.inf
            fired, self._fired = self._fired, False
        if fired:
            self._expired()

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
                    self._changed.wait(min(left, _LONGEST) if self._clock is time.monotonic else min(left, GLANCE))
                else:  # the lock is held, so whoever waits has not come to `_release`
                    found = _socket_under(self._waiting)
                    if found is not None:
                        self._fired = True
                        with contextlib.suppress(OSError):  # it may be closed already
                            found.shutdown(socket.SHUT_RDWR)
                    self._changed.wait(GLANCE)  # it may be connecting still, or an SDK may try again


def _socket_under(thread: int) -> socket.socket | None:
    """The socket a thread is blocked in, below this module's own frames; None if it is in none."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001  documented, whatever its name says
    while frame is not None and frame.f_code.co_filename != __file__:
        seen = frame.f_locals
        for holder in (seen.get("self"), seen.get("sock")):
            found = holder
            if not isinstance(holder, socket.socket):
                with contextlib.suppress(Exception):  # whatever object that is, it is not to run code of its own
                    found = object.__getattribute__(holder, "_sock")
            if isinstance(found, socket.socket):
                return found
        frame = frame.f_back
    return None
