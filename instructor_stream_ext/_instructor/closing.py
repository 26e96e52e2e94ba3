"""Closing a provider's stream so that its connection ends at once, and finding the socket below it.

Closing what an SDK hands out is not enough everywhere: a generator may hold its response only through generators of
its own, and some wrappers have no `close`. So the HTTP responses below a stream are sought where the SDKs are known
to keep them, and are closed as well; closing twice does no harm.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterable, Iterator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from instructor_stream_ext._instructor.sockets import OwnSocket, connection_under
from instructor_stream_ext.providers import HOLDERS

__all__ = ["aclose", "close", "error_under", "generators_under", "innermost", "own_socket", "responses_under"]

_CLOSED_BY_READER = "ClientConnectionError"
"""The error that aiohttp sets on a response that its reader closed; a network failure is a subclass of it."""
_LAYERS = 6
"""How many httpx streams may be nested: httpx's own, a transport's, an event hook's, the pool's."""
_RESPONSES = {("httpx", "Response"), ("httpx2", "Response"), ("aiohttp", "ClientResponse")}


def close(stream: object) -> None:
    """Close a sync stream and the connection below it.

    Args:
        stream: What the SDK handed out; anything without a way to be closed is left alone.
    """
    below = list(_below(stream))
    for held in below:
        if _is_response(held):
            held.close()
    for held in below:
        if isinstance(held, GeneratorType) and not held.gi_running:  # another thread may be reading
            held.close()
    closing = getattr(stream, "close", None)
    if callable(closing) and not isinstance(stream, GeneratorType):
        closing()


def generators_under(stream: object) -> list[AsyncGeneratorType[Any, Any]]:
    """Return the async generators that a stream reads through. Ask between two reads, as with `own_socket`.

    openai drops some of them half read when the answer ends, and nothing closes them (PEP 533). The loop then closes
    each in a task of its own, which is never done if the loop stops first. Whoever holds them can close them.

    Args:
        stream: What the SDK handed out.
    """
    return [held for held in _below(stream) if isinstance(held, AsyncGeneratorType)]


async def aclose(stream: object, noted: Iterable[Any] = (), *, is_left: bool = False) -> None:
    """Close an async stream and the connection below it.

    httpcore 1, on which openai 2 stands, begins to close a connection when a read is cancelled. If the task is
    cancelled once more meanwhile, it takes the response for closed and leaves the connection open
    (https://github.com/encode/httpx/issues/3782): so that is closed itself. Its answer is not at its end, so nobody
    else can have it by now.

    Args:
        stream: What the SDK handed out; a sync stream that an async client gave is closed as well.
        noted: From `generators_under` and `responses_under`; a read that was cancelled leaves no way to them.
        is_left: Whether the stream was not read to its end.
    """
    below = [*_below(stream), *noted]
    for held in below:
        if _is_response(held):
            await _ended(held.aclose() if hasattr(held, "aclose") else held.close())
            if is_left and hasattr(connection := connection_under(held), "aclose"):
                await connection.aclose()
            await _leave_the_pool(held)
    for held in below:
        if isinstance(held, AsyncGeneratorType):
            if not held.ag_running:  # another task may be reading
                await held.aclose()
        elif isinstance(held, GeneratorType):
            held.close()
    closing = getattr(stream, "aclose", None) or getattr(stream, "close", None)
    if callable(closing) and not isinstance(stream, GeneratorType | AsyncGeneratorType):
        await _ended(closing())
    # A transport lets go of its socket in the loop's next turn. litellm drops a generator with each chunk, which the
    # loop begins to close in one turn and has closed in the next. Both must be over even if the loop stops now.
    for _ in range(2):
        await asyncio.sleep(0)


async def _leave_the_pool(response: object) -> None:
    """Have the pool forget a request whose closing was cancelled.

    httpcore 1 and httpcore2 take such a response for closed, and keep the request and all that hangs on it for as long
    as the client lives (https://github.com/encode/httpcore/pull/1116). Closing it once more ends what was begun.
    """
    held = getattr(response, "stream", None)
    for _ in range(_LAYERS):
        if hasattr(held, "_pool_request"):
            break
        held = getattr(held, "_stream", None) or getattr(held, "_httpcore_stream", None)
    pool = getattr(held, "_pool", None)
    if held is not None and getattr(held, "_closed", False) and held._pool_request in getattr(pool, "_requests", ()):  # noqa: SLF001
        held._closed = False  # noqa: SLF001
        await held.aclose()


def own_socket(stream: object, own: OwnSocket) -> None:
    """Note the socket that a sync stream reads from. Ask between two reads.

    A generator that is running does not show what it reads from, and one that has not begun has no connection yet.

    Args:
        stream: What the SDK handed out; of a transport that is neither of httpx nor of urllib3 nothing is noted.
        own: Where to note it.
    """
    for held in _below(stream):
        if _is_response(held) or _package(held) == "urllib3":
            own.take(held)


def responses_under(stream: object) -> list[Any]:
    """Return the HTTP responses that a stream reads from. Ask between two reads, as with `own_socket`.

    Args:
        stream: What the SDK handed out.
    """
    return [held for held in _below(stream) if _is_response(held)]


def innermost(stream: object, attribute: str) -> Any:
    """Return the innermost of the nested streams that has an attribute, or the stream itself if none has.

    Args:
        stream: What the SDK handed out; to be asked between two reads.
        attribute: Its name.
    """
    return [stream, *(held for held in _below(stream) if attribute in getattr(held, "__dict__", {}))][-1]


def error_under(responses: list[Any]) -> BaseException | None:
    """Return the network error that ended one of these responses, although its reader saw a normal end.

    litellm's async transport, which puts aiohttp under httpx, takes a connection that broke for one that ended
    (https://github.com/BerriAI/litellm/issues/33404; mended by 1.110 only where no finish reason had come).

    Args:
        responses: From `responses_under`.
    """
    for response in responses:
        held = getattr(response, "stream", None)
        for _ in range(4):  # httpx wraps a transport's stream once, and an event hook may once more
            if held is None or hasattr(held, "_aiohttp_response"):
                break
            held = getattr(held, "_stream", None)
        content = getattr(getattr(held, "_aiohttp_response", None), "content", None)
        error = content.exception() if content is not None else None
        if error is not None and type(error).__name__ != _CLOSED_BY_READER:
            return error  # type: ignore[no-any-return]
    return None


async def _ended(result: object) -> None:
    """Await the result of an async close; a sync close has nothing to await."""
    if inspect.isawaitable(result):
        await result


def _below(stream: object) -> Iterator[Any]:
    """Yield a stream, the streams it reads from, and their responses, from the outside in."""
    seen: set[int] = set()
    waiting = [stream]
    while waiting:
        held = waiting.pop(0)
        if held is None or id(held) in seen:
            continue
        seen.add(id(held))
        yield held
        if not _is_response(held):
            waiting.extend(_held_by(held))


def _held_by(stream: object) -> list[Any]:
    """Return what a stream reads from, if its kind is known.

    The stream a generator loops over is no variable of it; the garbage collector knows it, as long as it is suspended.
    """
    if isinstance(stream, GeneratorType | AsyncGeneratorType):
        return [held for held in gc.get_referents(stream) if _may_hold(held)]
    insides = getattr(stream, "__dict__", {})
    return [insides.get(name) for name in HOLDERS.get(_package(stream), ())]


def _may_hold(value: object) -> bool:
    """Return whether what a generator holds may lead to a response."""
    return isinstance(value, GeneratorType | AsyncGeneratorType) or _is_response(value) or _package(value) in HOLDERS


def _is_response(held: object) -> bool:
    """Return whether this is a response of an HTTP library that the SDKs use."""
    return any((_package(held), kind.__name__) in _RESPONSES for kind in type(held).__mro__[:2])


def _package(held: object) -> str:
    """Return the top-level package of an object's type."""
    return type(held).__module__.partition(".")[0]
