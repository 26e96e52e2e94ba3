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

    A wait takes no lock unless there is something to settle: each side first says what it does and then looks at what
    the other has said (Dekker's way), so at least one of them sees the other. Either the thread sees that the deadline
    has changed, or whoever waits sees that the thread has planned for another one, or has begun to wake it.

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
        self._alarmed = False
        self._wake: Callable[[], bool]  # of the wait that has set the deadline
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
        self._wake = wake
        self._deadline = bound
        if bound < self._planned:
            self._plan()
        try:
            return fn(*args)
        finally:
            self._deadline = math.inf
            if self._alarmed:
                self._calm()

    def _plan(self) -> None:
        """Have the thread look at the deadline, which is nearer than it knows."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="instructor_stream_ext watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _calm(self) -> None:
        """Take note of what the thread did, once it has done it."""
        with self._changed:
            fired, self._fired, self._alarmed = self._fired, False, False
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
                planned = self._planned = self._deadline
                left = planned - self._clock()
                if self._deadline < planned:
                    continue
                if left == math.inf:
                    self._changed.wait()
                elif left > 0:
                    self._changed.wait(min(left, _LONGEST) if self._clock is time.monotonic else min(left, GLANCE))
                else:
                    self._alarmed = True
                    if self._deadline == planned:  # whoever waits has not come back, and comes no further than `_calm`
                        self._fired = self._wake() or self._fired
                    self._changed.wait(GLANCE)  # an SDK may try again, or connect only now
