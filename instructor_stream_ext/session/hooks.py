"""Callbacks: who listens to what."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, runtime_checkable

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import (
    FieldTransition,
    Path,
    StreamEnded,
    StreamEvent,
    StreamRestarted,
    StreamStarted,
    T,
)

__all__ = ["HOOK_NAMES", "HookArguments", "Hooks", "Sink", "check_name", "refuse_coroutine"]

Handler: TypeAlias = Callable[..., object]
"""A hook: a plain function, or on async streams also an `async def`."""


@runtime_checkable
class Sink(Protocol):
    """An `on_event` callback with state per stream: it is asked for a fresh consumer for each stream.

    An attribute `takes`, the types of the events that the consumers take, spares streams the making of all others.
    """

    def for_stream(self) -> Callable[[StreamEvent], object]:
        """Return a consumer of one stream's events."""
        ...


A = TypeVar("A")
_One: TypeAlias = Callable[[A], object] | Iterable[Callable[[A], object]] | None
"""One callback, or several; on async streams also `async def`s."""


class HookArguments(TypedDict, Generic[T], total=False):
    """The `on_...=` arguments, for streams whose final is a `T`."""

    on_start: _One[StreamStarted]
    on_delta: _One[str]
    on_reasoning: _One[str]
    on_partial: _One[T]
    on_transition: _One[FieldTransition]
    on_item: Callable[[Any, Path], object] | Iterable[Callable[[Any, Path], object]] | None
    on_restart: _One[StreamRestarted]
    on_final: _One[T]
    on_error: _One[Any]
    on_end: _One[StreamEnded]
    on_event: Callable[[StreamEvent[T]], object] | Sink | Iterable[Callable[[StreamEvent[T]], object] | Sink] | None


HOOK_NAMES = tuple(name.removeprefix("on_") for name in HookArguments.__annotations__)


class Hooks:
    """A set of callbacks for `wrap(..., hooks=...)` or for one call.

    Args:
        on: Callbacks by name, `on_partial=show` or `on_partial=[show, save]`. The names: start, delta, partial,
            transition, item, restart, final, error, end, event.

    Raises:
        StreamMisuse: A name that does not exist, or something that cannot be called.

    Example:
        ```python
        wrap(client, hooks=Hooks(on_partial=show, on_final=[show, save]))
        ```
    """

    def __init__(self, **on: Unpack[HookArguments[Any]]) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        callbacks: dict[str, Any] = {**on}
        for name, given in callbacks.items():
            if not name.startswith("on_") or name.removeprefix("on_") not in HOOK_NAMES:
                raise StreamMisuse(f"unknown hook {name!r}; {_known()}")
            if given is None:
                continue
            for handler in [given] if callable(given) else given:
                self.on(name.removeprefix("on_"), handler)

    def on(self, name: str, handler: Handler) -> None:
        """Add a callback.

        Args:
            name: As in "partial".
            handler: Called with what the contract names for this hook.

        Raises:
            StreamMisuse: The name does not exist, or `handler` cannot be called.
        """
        check_name(name)
        if not callable(handler):
            raise StreamMisuse(f"the {name!r} hook must be callable, not {handler!r}")
        self._handlers.setdefault(name, []).append(handler)

    def off(self, name: str, handler: Handler) -> None:
        """Remove a callback. Removing one that is not registered is not an error.

        Raises:
            StreamMisuse: The name does not exist.
        """
        check_name(name)
        registered = self._handlers.get(name, [])
        if handler in registered:
            registered.remove(handler)

    def clear(self, name: str | None = None) -> None:
        """Remove all callbacks of a name, or all there are.

        Raises:
            StreamMisuse: The name does not exist.
        """
        if name is None:
            self._handlers.clear()
            return
        check_name(name)
        self._handlers.pop(name, None)

    def __add__(self, other: Hooks) -> Hooks:
        joined = Hooks()
        for hooks in (self, other):
            for name, handlers in hooks._handlers.items():
                joined._handlers.setdefault(name, []).extend(handlers)
        return joined

    def __bool__(self) -> bool:
        return any(self._handlers.values())

    def __contains__(self, name: str) -> bool:
        return bool(self._handlers.get(name))

    def handlers(self, name: str) -> list[Handler]:
        """Return the callbacks of one name, in the order of their registration."""
        return list(self._handlers.get(name, ()))

    def refuse_coroutines(self) -> None:
        """Refuse `async def` callbacks, for a sync stream, which cannot await them.

        Raises:
            StreamMisuse: One of the callbacks is an `async def`.
        """
        for name, handlers in self._handlers.items():
            for handler in handlers:
                refuse_coroutine(name, handler)


def check_name(name: str) -> None:
    """Raise `StreamMisuse` unless there is such a hook."""
    if name not in HOOK_NAMES:
        raise StreamMisuse(f"unknown hook {name!r}; {_known()}")


def refuse_coroutine(name: str, handler: Handler) -> None:
    """Raise `StreamMisuse` if `handler` is an `async def`, which a sync stream cannot await."""
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None)):  # noqa: B004
        raise StreamMisuse(f"the {name!r} hook {handler!r} is a coroutine function; a sync stream cannot await it")


def _known() -> str:
    return "the hooks are " + ", ".join(f"on_{name}" for name in HOOK_NAMES)
