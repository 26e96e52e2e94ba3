"""Carrying out a session's effects: `drive` for sync, `adrive` for async. Only here are tasks and waiting."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeAlias, assert_never

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Event
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.effects import END, LOOK, TICK, Call, Close, Departed, Open, Read, Steps, Told
from instructor_stream_ext.session.pump import Pump, abandon
from instructor_stream_ext.session.waking import GLANCE, Watchdog

__all__ = ["NOTHING", "Pick", "adrive", "check_loop", "drive", "shielded"]

NOTHING: Any = object()
"""What a `Pick` returns for an event that the consumer does not receive."""

Pick: TypeAlias = Callable[[Event], Any]


# ---------------------------------------------------------------------- sync


def drive(session: Session, pick: Pick) -> Generator[Any, None, None]:  # noqa: C901, PLR0912  read beside its twin
    """Run a session without an event loop.

    Args:
        session: The stream.
        pick: Maps an event to what the consumer receives, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the session raises.
    """
    run = session.run()
    chunks = _Chunks(session)
    try:
        effect = next(run)
        while True:
            try:
                answer: Any = None
                match effect:
                    case Read():
                        step, answer = session.step, END
                        for chunk in chunks.all:
                            answer = chunk if chunk is TICK else step(chunk)
                            if answer is LOOK or answer is TICK:
                                break
                            if answer is not None:
                                yield answer
                        else:
                            answer = END
                    case Told() | Event():
                        for event in effect.events if isinstance(effect, Told) else (effect,):
                            if (value := pick(event)) is not NOTHING:
                                yield value
                    case Call() | Close():
                        answer = _done(effect)
                    case Open():
                        answer = chunks.open(effect)
                    case _:
                        assert_never(effect)
            except Exception as error:
                effect = run.throw(error)
            else:
                effect = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        _settle(session, run)
        raise
    finally:
        chunks.watchdog.stop()


class _Chunks:
    """A connection's chunks, and `TICK` whenever the machine's deadline passes."""

    def __init__(self, session: Session) -> None:
        self._machine = session.machine
        self._clock = session.clock
        self._chunks: Iterator[Any] = iter(())
        self._wake: Callable[[], bool] = _no_socket
        self._untimed: Iterator[Any] | None = None
        self.watchdog = Watchdog(session.clock, session.machine.bounds.expire)

    def open(self, effect: Open) -> Any:
        """Connect, unless the deadline has passed."""
        left = effect.deadline - self._clock()
        if left <= 0:
            return TICK
        connection = effect.connect(left if self._clock is time.monotonic else math.inf)
        self._chunks, self._wake = iter(connection.chunks), connection.wake
        self._untimed = self._chunks if self._machine.is_steady else None
        return connection

    @property
    def all(self) -> Iterator[Any]:
        """What to iterate: where the machine has no deadlines the bare chunks, without a step of ours."""
        return self if self._untimed is None else self._untimed

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        bounds, due = self._machine.bounds, self._machine.due
        if not bounds.any:
            return TICK if due <= self._clock() else next(self._chunks)
        now = self._clock()
        bound = bounds.waits(now)
        if due <= now or bound <= now:
            return TICK
        chunk = self.watchdog.wait(bound, self._wake, next, self._chunks, END)
        if chunk is END:
            raise StopIteration
        return chunk


def _no_socket() -> bool:
    return False


def _done(effect: Call | Close) -> Any:
    answer = effect.fn(*effect.args, **effect.kwargs) if isinstance(effect, Call) else effect.fn()
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError(f"{effect.fn!r} returned a coroutine, which a sync stream cannot await")
    return answer


def _settle(session: Session, run: Steps[None]) -> None:
    """Let the session close the connection and report the end after the consumer has left."""
    with contextlib.suppress(StopIteration, Departed):
        effect = next(run := session.depart()) if _is_over(run) else run.throw(Departed())
        while True:
            try:
                answer = _done(effect) if isinstance(effect, Call | Close) else None
            except Exception as error:
                effect = run.throw(error)
            else:
                effect = run.send(answer)


def _is_over(run: Steps[None]) -> bool:
    """Return whether a session has ended. The garbage collector may have ended it before the driver."""
    return inspect.getgeneratorstate(run) == inspect.GEN_CLOSED


# ---------------------------------------------------------------------- async


async def adrive(session: Session, pick: Pick) -> AsyncGenerator[Any, None]:  # noqa: C901, PLR0912  read beside its twin
    """Run a session in an event loop. A due partial is emitted even while the provider is silent.

    Args:
        session: The stream.
        pick: Maps an event to what the consumer receives, `NOTHING` for nothing.

    Yields:
        What was picked, and bare partials while nobody wants events.

    Raises:
        BaseException: What the session raises.
    """
    check_loop(session)
    run = session.run()
    chunks = _AsyncChunks(session)
    try:
        effect = next(run)
        while True:
            try:
                answer: Any = None
                match effect:
                    case Read():
                        step, answer = session.step, END
                        async for chunk in chunks.all:
                            answer = chunk if chunk is TICK else step(chunk)
                            if answer is LOOK or answer is TICK:
                                break
                            if answer is not None:
                                yield answer
                        else:
                            answer = END
                    case Told() | Event():
                        for event in effect.events if isinstance(effect, Told) else (effect,):
                            if (value := pick(event)) is not NOTHING:
                                yield value
                    case Call():
                        answer = await _adone(effect)
                    case Close():
                        answer = await _unbroken(chunks.close(effect))
                    case Open():
                        answer = await chunks.open(effect)
                    case _:
                        assert_never(effect)
            except Exception as error:
                effect = run.throw(error)
            else:
                effect = run.send(answer)
    except StopIteration:
        return
    except BaseException:
        await shielded(_asettle(session, run, chunks))
        raise


class _AsyncChunks:
    """The async twin of `_Chunks`. Where the machine has deadlines, a separate task reads the stream."""

    def __init__(self, session: Session) -> None:
        self._machine = session.machine
        self._clock = session.clock
        self._pump: Pump | None = None
        self._untimed: AsyncIterator[Any] | None = None

    async def open(self, effect: Open) -> Any:
        """Connect, or give up at the deadline."""
        connection = await _connected(effect, self._clock)
        if connection is not TICK:
            chunks = aiter(connection.chunks)
            self._untimed = chunks if self._machine.is_steady else None
            self._pump = None if self._machine.is_steady else Pump(chunks, self._clock)
        return connection

    async def close(self, effect: Close) -> Any:
        """Stop reading, then close the connection."""
        await self.abandon()
        return await _adone(effect)

    async def abandon(self) -> None:
        """Stop reading."""
        pump, self._pump = self._pump, None
        if pump is not None:
            await pump.stop()

    @property
    def all(self) -> AsyncIterator[Any]:
        """What to iterate: see `_Chunks`."""
        return self if self._untimed is None else self._untimed

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        machine, pump = self._machine, self._pump
        assert pump is not None  # noqa: S101
        if machine.bounds.any:
            machine.bounds.waits(self._clock())
        deadline = machine.deadline()
        if (deadline <= self._clock()) if pump.ready else not await pump.arrives(deadline):
            return TICK
        chunk = pump.take()
        if chunk is END:
            raise StopAsyncIteration
        return chunk


def check_loop(session: Session | None = None) -> None:
    """Raise `StreamMisuse` where no asyncio loop runs, as under trio; a stream also keeps it as its error."""
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        misuse = StreamMisuse("an async stream needs a running asyncio loop; under trio use a sync stream in a thread")
        if session is not None:
            session.error = misuse
        raise misuse from error


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


async def _unbroken(work: Coroutine[Any, Any, Any]) -> Any:
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


async def _adone(effect: Call | Close) -> Any:
    answer = effect.fn(*effect.args, **effect.kwargs) if isinstance(effect, Call) else effect.fn()
    return await answer if inspect.isawaitable(answer) else answer


async def _asettle(session: Session, run: Steps[None], chunks: _AsyncChunks) -> None:
    """Await what `_settle` does; reading stops first."""
    await chunks.abandon()
    with contextlib.suppress(StopIteration, Departed):
        effect = next(run := session.depart()) if _is_over(run) else run.throw(Departed())
        while True:
            try:
                answer = await _adone(effect) if isinstance(effect, Call | Close) else None
            except Exception as error:
                effect = run.throw(error)
            else:
                effect = run.send(answer)


async def _connected(effect: Open, clock: Callable[[], float]) -> Any:
    """Connect, or give up at the deadline."""
    if effect.deadline == math.inf:
        return await effect.connect(math.inf)
    connecting = asyncio.ensure_future(effect.connect(math.inf))
    try:
        is_here = await _arrives(connecting, effect.deadline, clock)
    except BaseException:
        await shielded(_forsake(connecting))
        raise
    if is_here:
        return connecting.result()
    await shielded(_forsake(connecting))
    return TICK


async def _forsake(connecting: asyncio.Task[Any]) -> None:
    """Cancel a connection attempt that nobody waits for any more; if it succeeded anyway, close the connection."""
    await abandon(connecting)
    if not connecting.cancelled() and connecting.exception() is None:
        closing = connecting.result().close()
        if inspect.isawaitable(closing):
            await closing


async def _arrives(reading: asyncio.Task[Any], deadline: float, clock: Callable[[], float]) -> bool:
    """Wait for a chunk until the deadline of the stream's own clock; returns False if the deadline comes first."""
    while not reading.done():
        left = deadline - clock()
        if left <= 0:
            return False
        seconds = None if left == math.inf else left if clock is time.monotonic else min(left, GLANCE)
        await asyncio.wait((reading,), timeout=seconds)
    return True
