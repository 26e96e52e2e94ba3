"""`route`: models in order of preference. When one fails, the next starts over; two texts are never joined.

litellm's Router decides which deployment of a model is asked: it balances, counts rates and cools down, in Redis if it
is given one. What it does with a stream that breaks, having another model continue the first one's text, is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, overload

from instructor_stream_ext._instructor.facts import Mode
from instructor_stream_ext._instructor.litellm_lookup import litellm_module
from instructor_stream_ext.client.aio import AsyncStreamClient
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.core.errors import OutputTruncated, StreamInterrupted, StreamMisuse, StreamTimeout
from instructor_stream_ext.routing.client import split_arguments, wrap_link
from instructor_stream_ext.routing.stations import FallbackOn, Policy, RouteLink, all_cool_down, entries_of

__all__ = ["FALLBACK_ON", "FallbackOn", "route", "unavailable"]


def unavailable(error: Exception) -> bool:
    """Return whether a provider was unreachable, overloaded or too slow to begin: 5xx, 429, 408, no connection."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status in (408, 429) or status >= _SERVERS_FAULT
    return all_cool_down(error)


_SERVERS_FAULT = 500


FALLBACK_ON: tuple[FallbackOn, ...] = (unavailable, StreamInterrupted, StreamTimeout, OutputTruncated)
"""The errors after which another model is asked by default. `RetriesExhausted` may be added."""


@overload
def route(
    models: Sequence[str | Mapping[str, Any]],
    *,
    async_client: Literal[True],
    fallback_on: FallbackOn | Iterable[FallbackOn] = FALLBACK_ON,
    max_fallbacks: int | None = None,
    mode: Mode | None = None,
    **wrap_arguments: Any,
) -> AsyncStreamClient: ...


@overload
def route(
    models: Sequence[str | Mapping[str, Any]],
    *,
    async_client: Literal[False] = False,
    fallback_on: FallbackOn | Iterable[FallbackOn] = FALLBACK_ON,
    max_fallbacks: int | None = None,
    mode: Mode | None = None,
    **wrap_arguments: Any,
) -> StreamClient: ...


@overload
def route(
    models: Sequence[str | Mapping[str, Any]],
    *,
    async_client: bool = False,
    fallback_on: FallbackOn | Iterable[FallbackOn] = FALLBACK_ON,
    max_fallbacks: int | None = None,
    mode: Mode | None = None,
    **wrap_arguments: Any,
) -> StreamClient | AsyncStreamClient: ...


def route(
    models: Sequence[str | Mapping[str, Any]],
    *,
    async_client: bool = False,
    fallback_on: FallbackOn | Iterable[FallbackOn] = FALLBACK_ON,
    max_fallbacks: int | None = None,
    mode: Mode | None = None,
    **wrap_arguments: Any,
) -> StreamClient | AsyncStreamClient:
    """Return a wrapped client that falls back to another model when one fails, even in mid-stream.

    What was shown of the first answer is then void: `StreamRestarted(reason="fallback")` says so, and partials begin
    anew. `Timeouts.total` spans all models; each has its own `max_retries`. `create` streams underneath.

    Args:
        models: In order of preference, each a model string or a mapping of litellm's arguments with `model`. Several
            with the same `model` (or `model_name`) are deployments of one model: litellm's Router balances over them,
            by `weight`, `rpm` or `tpm` if given, and the others of them come before the next model.
        async_client: Whether the client is async.
        fallback_on: After which errors another model is asked: classes, or functions of an error. All others end the
            stream, and so does `Timeouts.total`.
        max_fallbacks: How often at most in one stream; None for as often as there are models.
        mode: instructor's, for all models; None for the one in which each streams.
        wrap_arguments: Those of `wrap`; those of litellm's `Router`, such as `redis_url`, `routing_strategy`,
            `cooldown_time` or `allowed_fails`; all others are litellm's and go with each call.

    Raises:
        StreamMisuse: There is no model; one has no `model`; litellm does not know whose it is; an argument cannot work.
        MissingExtra: litellm is not installed.
    """
    litellm_module()
    policy = Policy(_kinds(fallback_on), _most(max_fallbacks))
    ours, theirs = split_arguments(wrap_arguments)
    link = RouteLink.made(entries_of(models), policy, mode, theirs, is_async=async_client)
    return wrap_link(link, ours)


def _kinds(fallback_on: FallbackOn | Iterable[FallbackOn]) -> tuple[FallbackOn, ...]:
    kinds = (fallback_on,) if callable(fallback_on) else tuple(fallback_on)
    for kind in kinds:
        if not callable(kind) or (isinstance(kind, type) and not issubclass(kind, Exception)):  # type: ignore[redundant-expr]
            raise StreamMisuse(f"fallback_on takes classes of errors and functions of an error, not {kind!r}")
    return kinds


def _most(max_fallbacks: int | None) -> int | None:
    if max_fallbacks is None:
        return None
    if isinstance(max_fallbacks, bool) or not isinstance(max_fallbacks, int) or max_fallbacks < 0:  # type: ignore[redundant-expr]
        raise StreamMisuse(f"max_fallbacks must be a number from 0, or None, not {max_fallbacks!r}")
    return max_fallbacks
