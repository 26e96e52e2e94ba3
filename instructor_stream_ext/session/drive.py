"""Carrying out a session's effects: `drive` for sync, `adrive` for async."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeAlias, assert_never

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import Event
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.chunks import AsyncChunks, Chunks
from instructor_stream_ext.session.effects import END, LOOK, TICK, Call, Close, Departed, Open, Read, Steps, Told
from instructor_stream_ext.session.shielding import shielded, unbroken

__all__ = ["NOTHING", "Pick", "adrive", "check_loop", "drive"]

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
    chunks = Chunks(session)
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
    chunks = AsyncChunks(session)
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
                        answer = await unbroken(_aclosed(chunks, effect))
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


def check_loop(session: Session | None = None) -> None:
    """Raise `StreamMisuse` where no asyncio loop runs, as under trio; a stream also keeps it as its error."""
    try:
        asyncio.get_running_loop()
    except RuntimeError as error:
        misuse = StreamMisuse("an async stream needs a running asyncio loop; under trio use a sync stream in a thread")
        if session is not None:
            session.error = misuse
        raise misuse from error


async def _adone(effect: Call | Close) -> Any:
    answer = effect.fn(*effect.args, **effect.kwargs) if isinstance(effect, Call) else effect.fn()
    return await answer if inspect.isawaitable(answer) else answer


async def _aclosed(chunks: AsyncChunks, effect: Close) -> Any:
    """Stop reading, then close the connection."""
    await chunks.abandon()
    return await _adone(effect)


async def _asettle(session: Session, run: Steps[None], chunks: AsyncChunks) -> None:
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
