"""Carrying out a script's wishes: `drive` for sync, `adrive` for async. Here alone are a task and waiting."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeAlias

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Event
from instructor_stream_ext.session.attempts import Script
from instructor_stream_ext.session.effects import END, LOOK, READ, TICK, Close, Departed, Do, Open
from instructor_stream_ext.session.waking import GLANCE, Watchdog

__all__ = ["NOTHING", "Pick", "adrive", "check_loop", "drive", "shielded"]

NOTHING: Any = object()
"""What a `Pick` says of an event that the consumer is not shown."""

Pick: TypeAlias = Callable[[Event], Any]


def drive(script: Script, pick: Pick) -> Generator[Any, None, None]:  # noqa: C901, PLR0912  read beside its twin
    """Run a script without an event loop.

    Args:
        script: The stream.
        pick: From an event to what the consumer sees of it, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the script raises.
    """
    run = script.run()
    machine, clock = script.machine, script.clock
    chunks: Iterator[Any] = iter(())
    wake = _no_socket
    watchdog = Watchdog(clock, machine.expire)
    try:
        wish = next(run)
        while True:
            try:
                if wish is READ:
                    glance = script.glance
                    answer: Any = END
                    if glance is not None and machine.is_steady:
                        for answer in chunks:  # the common case, with as few steps as can be
                            if (partial := glance(answer)) is LOOK:
                                break
                            if partial is not None:
                                yield partial
                        else:
                            answer = END
                    else:
                        due = machine.deadline()
                        if due == math.inf:
                            answer = next(chunks, END)
                        else:
                            answer = watchdog.wait(due, machine.bound(), wake, next, chunks, END)
                elif isinstance(wish, Do):
                    answer = _done(wish)
                elif type(wish) is Open:
                    left = wish.deadline - clock()
                    answer = TICK if left <= 0 else wish.connect(left if clock is time.monotonic else math.inf)
                    if answer is not TICK:
                        chunks, wake = iter(answer.chunks), answer.wake
                else:
                    answer = None
                    if (value := pick(wish)) is not NOTHING:
                        yield value
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        _settle(script, run)
        raise
    finally:
        watchdog.stop()


def _no_socket() -> bool:
    return False


def _done(wish: Do) -> Any:
    answer = wish.fn(*wish.args, **wish.kwargs)
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError(f"{wish.fn!r} gave a coroutine, which a sync stream cannot await")
    return answer


def _settle(script: Script, run: Generator[Any, Any, None]) -> None:
    """The consumer has left: let the script close the connection and tell the end, with nobody to yield to."""
    with contextlib.suppress(StopIteration, Departed):
        wish = next(run := script.depart()) if _is_over(run) else run.throw(Departed())
        while True:
            try:
                answer = _done(wish) if isinstance(wish, Do) else None
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)


def _is_over(run: Generator[Any, Any, None]) -> bool:
    """Whether a script has ended, which the garbage collector may have done before it came to the driver."""
    return inspect.getgeneratorstate(run) == inspect.GEN_CLOSED


async def adrive(script: Script, pick: Pick) -> AsyncGenerator[Any, None]:  # noqa: C901, PLR0912, PLR0915  read beside its twin
    """Run a script in an event loop; a due partial comes although the provider is silent.

    Args:
        script: The stream.
        pick: From an event to what the consumer sees of it, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the script raises.
    """
    check_loop(script)
    run = script.run()
    machine, clock = script.machine, script.clock
    chunks: AsyncIterator[Any] | None = None
    reading: asyncio.Task[Any] | None = None
    try:
        wish = next(run)
        while True:
            try:
                if wish is READ:
                    assert chunks is not None  # noqa: S101
                    glance = script.glance
                    answer: Any = END
                    if glance is not None and machine.is_steady:
                        async for answer in chunks:  # the common case, with as few steps as can be
                            if (partial := glance(answer)) is LOOK:
                                break
                            if partial is not None:
                                yield partial
                        else:
                            answer = END
                    else:
                        deadline = machine.deadline()
                        if reading is None and deadline == math.inf:
                            answer = await anext(chunks, END)
                        else:
                            reading = reading or asyncio.ensure_future(_next(chunks))
                            if await _arrives(reading, deadline, clock):
                                done, reading = reading, None
                                answer = done.result()
                            else:
                                answer = TICK
                elif isinstance(wish, Do):
                    if reading is not None and type(wish) is Close:
                        await _abandon(reading)
                        reading = None
                    answer = await _adone(wish)
                elif type(wish) is Open:
                    answer = await _connect(wish, clock)
                    chunks = None if answer is TICK else aiter(answer.chunks)
                else:
                    answer = None
                    if (value := pick(wish)) is not NOTHING:
                        yield value
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        await shielded(_leave(script, run, reading))
        raise


def check_loop(script: Script | None = None) -> None:
    """Raise `StreamMisuse` where no asyncio loop runs, as under trio; a stream keeps it as its error."""
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        misuse = StreamMisuse("an async stream needs a running asyncio loop; under trio use a sync stream in a thread")
        if script is not None:
            script.error = misuse
        raise misuse from error


async def shielded(work: Coroutine[Any, Any, None]) -> None:
    """Do something to its end although the task that waits for it is cancelled, once or again and again.

    A cancelled scope of anyio, in which Starlette runs a response whose client has left, cancels each further await. So
    the work has a task of its own, which is waited for whatever comes; the cancellation under way goes on after it.
    """
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((task,))
    task.result()


async def _leave(script: Script, run: Generator[Any, Any, None], reading: asyncio.Task[Any] | None) -> None:
    """End what is being read, then let the script close the connection and tell the end."""
    if reading is not None:
        await _abandon(reading)
    await _asettle(script, run)


async def _adone(wish: Do) -> Any:
    answer = wish.fn(*wish.args, **wish.kwargs)
    return await answer if inspect.isawaitable(answer) else answer


async def _asettle(script: Script, run: Generator[Any, Any, None]) -> None:
    """As `_settle`, awaiting."""
    with contextlib.suppress(StopIteration, Departed):
        wish = next(run := script.depart()) if _is_over(run) else run.throw(Departed())
        while True:
            try:
                answer = await _adone(wish) if isinstance(wish, Do) else None
            except Exception as error:
                wish = run.throw(error)
            else:
                wish = run.send(answer)


async def _connect(wish: Open, clock: Callable[[], float]) -> Any:
    """Connect, or give up at the deadline."""
    if wish.deadline == math.inf:
        return await wish.connect(math.inf)
    connecting = asyncio.ensure_future(wish.connect(math.inf))
    try:
        if await _arrives(connecting, wish.deadline, clock):
            return connecting.result()
    except BaseException:
        if not connecting.done():
            await shielded(_abandon(connecting))
        raise
    await shielded(_abandon(connecting))
    return TICK


async def _next(chunks: AsyncIterator[Any]) -> Any:
    return await anext(chunks, END)


async def _arrives(reading: asyncio.Task[Any], deadline: float, clock: Callable[[], float]) -> bool:
    """Wait for a chunk until the deadline of the stream's own clock; False if that came first."""
    while not reading.done():
        left = deadline - clock()
        if left <= 0:
            return False
        seconds = None if left == math.inf else left if clock is time.monotonic else min(left, GLANCE)
        await asyncio.wait((reading,), timeout=seconds)
    return True


async def _abandon(reading: asyncio.Task[Any]) -> None:
    """End a read that nobody waits for any more, so that no task is left."""
    reading.cancel()
    await asyncio.wait((reading,))
    if not reading.cancelled():
        reading.exception()  # fetched, so that the loop does not complain that nobody did
