"""Where a run's events are stored while somebody may read them: in this process, or in Redis."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.web.entry_log import EntryLog

__all__ = ["BadEventId", "MemoryRelay", "Relay", "RunExpired", "UnknownRun"]


class UnknownRun(StreamMisuse):
    """There has never been such a run."""


class RunExpired(StreamMisuse):
    """The run has ended, and its events are no longer stored."""


class BadEventId(StreamMisuse):
    """The last event's id is not one of this run's."""


class Relay(Protocol):
    """Stores the entries of runs in order, for any number of readers."""

    async def claim(self, run_id: str, ttl: float) -> bool:
        """Become the owner of a run, or remain it.

        Args:
            run_id: Its name.
            ttl: Seconds that its entries are stored after the last.

        Returns:
            Whether the caller owns it; False if another does, or did.
        """
        ...

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """Add an entry and return its id. `last` means that no other follows.

        Raises:
            UnknownRun: Nobody has claimed it.
        """
        ...

    def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """Yield the ids and entries after this id, including those still to come, to the last one.

        Raises:
            UnknownRun: There is no such run.
            RunExpired: There was.
            BadEventId: `after` is no id.
        """
        ...

    async def aclose(self) -> None:
        """Release what is held."""
        ...


@dataclass
class _Run:
    """A run, stored for `ttl` seconds after its last entry."""

    ttl: float
    log: EntryLog[bytes]
    expires_at: float = float("inf")


class MemoryRelay:
    """Runs in this process.

    Args:
        most: How many entries of each run are kept; the oldest are dropped first.
        clock: Returns the instant, in seconds.
    """

    def __init__(self, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._runs: dict[str, _Run] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    async def claim(self, run_id: str, ttl: float) -> bool:
        """Claim a run, as in `Relay`. In one process a run is claimed once."""
        self._expire()
        if run_id in self._runs or run_id in self._gone:
            return False
        self._runs[run_id] = _Run(ttl, EntryLog(self._most))
        return True

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """Add an entry, as in `Relay`."""
        run = self._find(run_id)
        if last:
            run.expires_at = self._clock() + run.ttl
        return str(run.log.append(entry, last=last))

    async def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """Read entries, as in `Relay`."""
        if after and re.fullmatch(r"\d{1,18}", after) is None:
            raise BadEventId(f"{after!r} is not the id of an event")
        async for number, entry in self._find(run_id).log.after(int(after or 0)):
            yield str(number), entry

    async def aclose(self) -> None:
        """Forget all runs."""
        self._runs.clear()
        self._gone.clear()

    def _find(self, run_id: str) -> _Run:
        self._expire()
        run = self._runs.get(run_id)
        if run is not None:
            return run
        if run_id in self._gone:
            raise RunExpired(f"the run {run_id!r} is over and no longer stored")
        raise UnknownRun(f"there is no run {run_id!r}")

    def _expire(self) -> None:
        now = self._clock()
        for run_id in [run_id for run_id, run in self._runs.items() if run.expires_at <= now]:
            del self._runs[run_id]
            self._gone[run_id] = None
        while len(self._gone) > self._most:
            self._gone.popitem(last=False)
