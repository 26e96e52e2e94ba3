"""Finishing what has begun, although the task that waits for it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any

__all__ = ["shielded", "unbroken"]


async def shielded(work: Awaitable[None]) -> None:
    """Finish some work although the task that waits for it is cancelled, once or repeatedly.

    A cancelled scope of anyio, in which Starlette runs a response whose client has left, cancels each further await. So
    the work has a task of its own, which is waited for whatever comes; the cancellation under way goes on after it.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((task,))
    task.result()


async def unbroken(work: Coroutine[Any, Any, Any]) -> Any:
    """Finish some work before its task may be cancelled.

    A connection whose closing is cancelled is taken for closed by httpcore, whose pool then keeps the request.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):  # which is of less account than the cancellation
            await shielded(task)
        raise
