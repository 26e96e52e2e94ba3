"""One-shot signals that may be set and awaited from any thread and any event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PATIENCE", "Signal"]

PATIENCE = 20.0
"""Seconds after which a wait for something that should have happened gives up."""


class Signal:
    """Something that happens once: `set()` says so, `at` is when (`time.monotonic()`).

    The same class serves as a gate which a test opens (`Wait(signal)` in a script, `signal.set()` in the test) and as a
    report which the server gives (`exchange.disconnected.wait()`).
    """

    def __init__(self) -> None:
        self.at: float | None = None
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Say that it has happened. The first time counts; later calls do nothing."""
        with self._lock:
            if self._event.is_set():
                return
            self.at = time.monotonic()
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._event.is_set()

    def wait(self, timeout: float = PATIENCE) -> float:
        """Block this thread until it has happened.

        Returns:
            The instant at which it happened.

        Raises:
            TimeoutError: it did not happen within `timeout` seconds.
        """
        if not self._event.wait(timeout):
            message = f"it did not happen within {timeout:g} s"
            raise TimeoutError(message)
        return self._instant()

    async def wait_async(self, timeout: float | None = PATIENCE) -> float:  # noqa: ASYNC109 - same words as wait()
        """Like `wait`, without blocking the event loop; `timeout=None` waits for ever."""
        loop = asyncio.get_running_loop()
        happened: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not happened.done():
                happened.set_result(None)

        def notify() -> None:
            loop.call_soon_threadsafe(resolve)

        with self._lock:
            if self._event.is_set():
                return self._instant()
            self._callbacks.append(notify)
        try:
            async with asyncio.timeout(timeout):
                await happened
        finally:
            with self._lock:
                if notify in self._callbacks:
                    self._callbacks.remove(notify)
        return self._instant()

    def _instant(self) -> float:
        assert self.at is not None
        return self.at
