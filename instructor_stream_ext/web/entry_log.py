"""Entries in order, for any number of readers in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

__all__ = ["EntryLog"]

T = TypeVar("T")


class EntryLog(Generic[T]):
    """A list that is written once and read by many, each at its own pace.

    Args:
        most: How many entries are kept; the oldest are dropped first. None keeps all.

    Attributes:
        entries: What is kept.
        is_over: No further entry follows.
    """

    def __init__(self, most: int | None = None) -> None:
        self.entries: list[T] = []
        self.is_over = False
        self._most = most
        self._dropped = 0
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def append(self, entry: T, *, last: bool = False) -> int:
        """Add an entry and return its number; the first is 1."""
        self.entries.append(entry)
        if self._most is not None and len(self.entries) > self._most:
            del self.entries[0]
            self._dropped += 1
        self.is_over = self.is_over or last
        self._wake()
        return self._dropped + len(self.entries)

    def fail(self, error: Exception) -> None:
        """End the log. Readers get this error after the entries."""
        self._error, self.is_over = error, True
        self._wake()

    async def after(self, number: int = 0) -> AsyncIterator[tuple[int, T]]:
        """Iterate over the entries after this number, including those still to come, to the last one.

        A reader that falls behind what is kept goes on with the oldest entry there is.
        """
        while True:
            changed = self._changed
            number = max(number, self._dropped)
            while number < self._dropped + len(self.entries):
                entry = self.entries[number - self._dropped]
                number += 1
                yield number, entry
                number = max(number, self._dropped)
            if self._error is not None:
                raise self._error
            if self.is_over:
                return
            if changed is self._changed:
                await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
