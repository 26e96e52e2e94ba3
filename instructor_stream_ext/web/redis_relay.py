"""Runs in Redis Streams, across processes and machines."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from instructor_stream_ext.core.errors import MissingExtra
from instructor_stream_ext.web.entries import LOST, LOST_END
from instructor_stream_ext.web.entry_log import EntryLog
from instructor_stream_ext.web.relay import BadEventId, RunExpired, UnknownRun

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRelay"]

log = logging.getLogger("instructor_stream_ext")

_BLOCK = 500
"""Milliseconds that a read waits for entries before it checks whether the owner is still alive."""


class RedisRelay:
    """Stores runs in Redis Streams. The id of an event is that of its entry.

    The owner of a run holds a lease, which it renews while it lives. All readers of a run within a process share one
    connection. A run whose owner died, and a Redis that is gone, end with an error for all readers.

    Args:
        url: Such as "redis://localhost:6379", or a client of redis-py's asyncio kind.
        prefix: Of all keys.
        lease: Seconds without a sign of life after which an owner counts as dead.
        most: Approximately how many entries of each run are kept.

    Raises:
        MissingExtra: redis-py is not installed.
    """

    def __init__(
        self, url: str | Redis, *, prefix: str = "instructor-stream:", lease: float = 15.0, most: int = 10_000
    ) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            raise MissingExtra("RedisRelay", "redis") from error
        self._redis: Any = Redis.from_url(url) if isinstance(url, str) else url
        self._prefix = prefix
        self._lease = lease
        self._most = most
        self._token = secrets.token_bytes(16)
        self._ttls: dict[str, float] = {}
        self._fans: dict[str, _Fan] = {}

    def _key(self, run_id: str, what: str = "") -> str:
        return f"{self._prefix}{run_id}{what}"

    async def claim(self, run_id: str, ttl: float) -> bool:
        """Claim a run, as in `Relay`. The owner calls it again and again to keep its lease."""
        owner, seconds = self._key(run_id, ":owner"), max(1, round(self._lease))
        if run_id in self._ttls:
            return bool(await self._redis.expire(owner, seconds))
        if await self._redis.exists(self._key(run_id), self._key(run_id, ":known")):
            return False
        if not await self._redis.set(owner, self._token, nx=True, ex=seconds):
            return False
        self._ttls[run_id] = ttl
        await self._redis.set(self._key(run_id, ":known"), b"1", ex=max(1, round(10 * ttl)))
        return True

    async def append(self, run_id: str, entry: bytes, *, last: bool = False) -> str:
        """Add an entry, as in `Relay`."""
        key = self._key(run_id)
        if run_id not in self._ttls and not await self._redis.exists(key):
            raise UnknownRun(f"there is no run {run_id!r}")
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xadd(key, {b"e": entry, b"l": b"1" if last else b""}, maxlen=self._most, approximate=True)
            pipe.expire(key, max(1, round(self._ttls.get(run_id, 600.0))))
            if last:
                pipe.delete(self._key(run_id, ":owner"))
            made = await pipe.execute()
        if last:
            self._ttls.pop(run_id, None)
        return str(made[0].decode())

    async def read(self, run_id: str, after: str = "") -> AsyncIterator[tuple[str, bytes]]:
        """Read entries, as in `Relay`."""
        if after and re.fullmatch(r"\d{1,20}-\d{1,20}", after) is None:
            raise BadEventId(f"{after!r} is not the id of an event")
        fan = self._fans.get(run_id)
        if fan is None:
            fan = self._fans[run_id] = _Fan()
            fan.task = asyncio.ensure_future(self._follow(run_id, fan))
        fan.readers += 1
        try:
            async for one in fan.after(after):
                yield one
        finally:
            fan.readers -= 1
            if not fan.readers:
                if self._fans.get(run_id) is fan:
                    del self._fans[run_id]
                await fan.stop()

    async def _check(self, run_id: str) -> None:
        if await self._redis.exists(self._key(run_id), self._key(run_id, ":owner")):
            return
        if await self._redis.exists(self._key(run_id, ":known")):
            raise RunExpired(f"the run {run_id!r} is over and no longer stored")
        raise UnknownRun(f"there is no run {run_id!r}")

    async def _follow(self, run_id: str, fan: _Fan) -> None:
        """Read a run once for all of its readers in this process."""
        key, last = self._key(run_id), b"0-0"
        try:
            await self._check(run_id)
            while not fan.log.is_over:
                found = await self._redis.xread({key: last}, count=500, block=_BLOCK)
                for _, entries in found:
                    for last, fields in entries:
                        fan.log.append((last.decode(), fields[b"e"]), last=bool(fields[b"l"]))
                if not found and not await self._redis.exists(self._key(run_id, ":owner")):
                    if await self._redis.xread({key: last}, count=1):
                        continue  # it came between the two questions
                    fan.lose()
        except (UnknownRun, RunExpired) as error:
            fan.log.fail(error)
        except Exception:
            log.warning("the relay of the run %s is gone", run_id, exc_info=True)
            fan.lose()

    async def aclose(self) -> None:
        """Close the connections."""
        for fan in self._fans.values():
            await fan.stop()
        self._fans.clear()
        await self._redis.aclose()


@dataclass
class _Fan:
    """The entries of a run, shared by its readers in this process."""

    log: EntryLog[tuple[str, bytes]] = field(default_factory=EntryLog)
    readers: int = 0
    task: asyncio.Task[None] | None = None

    def lose(self) -> None:
        """End without a last entry."""
        at, number = _order(self.log.entries[-1][0]) if self.log.entries else (0, 0)
        self.log.append((f"{at}-{number + 1}", LOST))
        self.log.append((f"{at}-{number + 2}", LOST_END), last=True)

    async def after(self, entry_id: str) -> AsyncIterator[tuple[str, bytes]]:
        """Iterate over the entries after this one, including those still to come."""
        behind = _order(entry_id)
        async for _, one in self.log.after():
            if _order(one[0]) > behind:
                yield one

    async def stop(self) -> None:
        """Stop reading."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))


def _order(entry_id: str) -> tuple[int, int]:
    """Return an entry's sort key."""
    if not entry_id:
        return (0, 0)
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
