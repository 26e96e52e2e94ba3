"""Where a run's events live while somebody may read them: in this process, or in Redis."""

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
    """There never was such a run."""


class RunExpired(StreamMisuse):
    """The run is over, and its events are not kept any more."""


class BadEventId(StreamMisuse):
    """The id of the last event is not one of this run's."""


class Relay(Protocol):
    """Keeps the entries of runs in their order, for any number of readers."""

    async def claim(self, run_id: str, ttl: float) -> bool:
        """Become the owner of a run, or stay it.

        Args:
            run_id: Its name.
            ttl: Seconds that its entries are kept after the last.

        Returns:
            Whether the caller owns it; False if another does, or did.
        """
        ...

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """Add an entry; its id. `last` says that no other follows.

        Raises:
            UnknownRun: Nobody has claimed it.
        """
        ...

    def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """The ids and entries behind this id, and those that come, to the last one.

        Raises:
            UnknownRun: There is no such run.
            RunExpired: There was.
            BadEventId: `after` is no id.
        """
        ...

    async def aclose(self) -> None:
        """Give up what is held."""
        ...


@dataclass
class _Run:
    """A run, kept for `ttl` seconds after its last entry."""

    ttl: float
    log: EntryLog[bytes]
    expires_at: float = float("inf")


class MemoryRelay:
    """Runs within this process.

    Args:
        most: Entries kept of each run; the oldest go first.
        clock: Gives the instant, in seconds.
    """

    def __init__(self, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._runs: dict[str, _Run] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    async def claim(self, run_id: str, ttl: float) -> bool:
        """As `Relay.claim`: within one process a run is claimed once."""
        self._expire()
        if run_id in self._runs or run_id in self._gone:
            return False
        self._runs[run_id] = _Run(ttl, EntryLog(self._most))
        return True

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """As `Relay.append`."""
        run = self._find(run_id)
        if last:
            run.expires_at = self._clock() + run.ttl
        return str(run.log.append(entry, last=last))

    async def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """As `Relay.read`."""
        if after and re.fullmatch(r"\d{1,18}", after) is None:
            raise BadEventId(f"{after!r} is no id of an event")
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
            raise RunExpired(f"the run {run_id!r} is over, and not kept any more")
        raise UnknownRun(f"there is no run {run_id!r}")

    def _expire(self) -> None:
        now = self._clock()
        for run_id in [run_id for run_id, run in self._runs.items() if run.expires_at <= now]:
            del self._runs[run_id]
            self._gone[run_id] = None
        while len(self._gone) > self._most:
            self._gone.popitem(last=False)
