"""Where a run's events live while somebody may read them: in this process, or in Redis."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol

from instructor_stream_ext.core.errors import StreamMisuse

__all__ = ["BadEventId", "MemoryRelay", "Relay", "RunExpired", "UnknownRun"]


class UnknownRun(StreamMisuse):
    """There never was such a run."""


class RunExpired(StreamMisuse):
    """The run is over, and its events are not kept any more."""


class BadEventId(StreamMisuse):
    """What was given as the id of the last event is none."""


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
    """The entries of one run."""

    ttl: float
    entries: list[bytes] = field(default_factory=list)
    dropped: int = 0
    is_over: bool = False
    expires_at: float = float("inf")
    changed: asyncio.Event = field(default_factory=asyncio.Event)


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
        self._runs[run_id] = _Run(ttl)
        return True

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """As `Relay.append`."""
        run = self._find(run_id)
        run.entries.append(entry)
        if len(run.entries) > self._most:
            del run.entries[0]
            run.dropped += 1
        if last:
            run.is_over = True
            run.expires_at = self._clock() + run.ttl
        run.changed.set()
        run.changed = asyncio.Event()
        return str(run.dropped + len(run.entries))

    async def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """As `Relay.read`."""
        if after and re.fullmatch(r"\d{1,18}", after) is None:
            raise BadEventId(f"{after!r} is no id of an event")
        run = self._find(run_id)
        number = int(after or 0)
        while True:
            changed = run.changed
            number = max(number, run.dropped)
            while number < run.dropped + len(run.entries):
                entry = run.entries[number - run.dropped]
                number += 1
                yield str(number), entry
                number = max(number, run.dropped)
            if run.is_over:
                return
            if changed is run.changed:
                await changed.wait()

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
