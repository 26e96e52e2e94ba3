"""Waking a blocked sync read: the one thread of this package."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

__all__ = ["GLANCE", "Watchdog"]

GLANCE = 0.01
"""Seconds between looks at a clock that is not the machine's own and may jump at any time."""

_LONGEST = 3600.0
"""The longest wait in seconds: operating systems refuse much longer ones."""


class Watchdog:
    """Ends a sync stream's read at a deadline, by shutting down the stream's own socket.

    One thread per stream with timeouts, started at the first wait, gone at the end. It never knows the stream.

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
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wake: Callable[[], bool] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def wait(self, bound: float, wake: Callable[[], bool], fn: Callable[..., Any], *args: object) -> Any:
        """Call something that may block.

        Args:
            bound: When the waiting has to end, in the clock's seconds; `math.inf` for never.
            wake: Shuts down the socket that is read from; whether it could.
            fn: What to call.
            args: With what.

        Returns:
            What it returns. A bound that passes makes it end, with an error or as if the connection had.
        """
        if bound == math.inf:
            return fn(*args)
        with self._lock:  # not through the condition, whose own `__enter__` costs more
            self._deadline, self._wake = bound, wake
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="instructor_stream_ext watchdog", daemon=True)
                self._thread.start()
            elif bound < self._planned:
                self._changed.notify()
        try:
            return fn(*args)
        finally:
            with self._lock:
                self._deadline, self._wake = math.inf, None
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
                else:  # the lock is held, so whoever waits has not come back yet
                    if self._wake is not None and self._wake():
                        self._fired = True
                    self._changed.wait(GLANCE)  # an SDK may try again, or connect only now
