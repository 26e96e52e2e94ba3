"""Calling the callbacks of an event, and what happens when one fails."""

from __future__ import annotations

import contextlib
import inspect
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast
from weakref import WeakValueDictionary

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import (
    EVENTS,
    DeltaReceived,
    Event,
    FieldTransition,
    ItemCompleted,
    PartialEmitted,
    ReasoningReceived,
    StreamCompleted,
    StreamEnded,
    StreamFailed,
    StreamRestarted,
    StreamStarted,
)
from instructor_stream_ext.session.effects import Call
from instructor_stream_ext.session.hooks import Handler, Hooks, Sink

__all__ = ["CALLED", "Dispatch", "HookErrors", "HookFailures"]

log = logging.getLogger("instructor_stream_ext")

KEPT_AT_MOST = 256
"""For how many callbacks without weak references it is remembered that they failed."""


def _itself(event: object) -> tuple[Any, ...]:
    return (event,)


CALLED: dict[type[Event], tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    PartialEmitted: ("partial", lambda event: (event.partial,)),
    DeltaReceived: ("delta", lambda event: (event.text,)),
    ReasoningReceived: ("reasoning", lambda event: (event.text,)),
    FieldTransition: ("transition", _itself),
    ItemCompleted: ("item", lambda event: (event.item, event.path)),
    StreamStarted: ("start", _itself),
    StreamRestarted: ("restart", _itself),
    StreamCompleted: ("final", lambda event: (event.result,)),
    StreamFailed: ("error", lambda event: (event.error,)),
    StreamEnded: ("end", _itself),
}
"""Which hook an event calls, and with which arguments. `StreamCancelled` calls only `on_event`."""


class HookErrors:
    """What to do with callbacks that raise.

    Args:
        mode: "warn" logs it with its traceback and warns, once per callback, and then only counts; "raise" raises it.

    Raises:
        StreamMisuse: Another mode.
    """

    def __init__(self, mode: Literal["warn", "raise"]) -> None:
        if mode not in ("warn", "raise"):
            raise StreamMisuse(f"hook_errors must be 'warn' or 'raise', not {mode!r}")
        self.mode = mode
        self._warned: WeakValueDictionary[int, object] = WeakValueDictionary()
        self._kept: dict[int, object] = {}

    def for_stream(self) -> HookFailures:
        """Return the same treatment with a count of its own."""
        return HookFailures(self)

    def handle(self, handler: Handler, error: Exception) -> bool:
        """Log and warn, or raise `error`.

        Returns:
            Whether this callback failed for the first time; nothing is logged of the others.
        """
        if self.mode == "raise":
            raise error
        if not self._is_news(getattr(handler, "__func__", handler)):
            return False
        log.error("the hook %r raised; the stream goes on", handler, exc_info=error)
        with contextlib.suppress(RuntimeWarning):  # where warnings are errors, it must not hurt the stream either
            warnings.warn(
                f"the hook {handler!r} raised {error!r}; see the log for the traceback",
                RuntimeWarning,
                stacklevel=2,
            )
        return True

    def _is_news(self, handler: object) -> bool:
        """Return whether this callback has not been warned about; by identity, since it need not be hashable."""
        if id(handler) in self._warned or id(handler) in self._kept:
            return False
        try:
            self._warned[id(handler)] = handler
        except TypeError:  # it takes no weak reference
            while len(self._kept) >= KEPT_AT_MOST:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[id(handler)] = handler
        return True


class HookFailures:
    """The callbacks that failed in one stream, and how often. What was not logged is reported at the end."""

    def __init__(self, errors: HookErrors) -> None:
        self._errors = errors
        self._more: dict[int, _Failures] = {}

    def handle(self, handler: Handler, error: Exception) -> None:
        """Log, warn and count, or raise `error`."""
        if self._errors.handle(handler, error):
            return
        key = id(getattr(handler, "__func__", handler))
        before = self._more.get(key)
        self._more[key] = _Failures(handler, 1 if before is None else before.times + 1, repr(error))

    def conclude(self) -> None:
        """Log, at the end of the stream, how often callbacks failed beyond what was logged with a traceback."""
        failed, self._more = self._more, {}
        for handler, count, last in failed.values():
            times = "once more" if count == 1 else f"{count} more times"
            log.error("the hook %r raised %s in this stream, the last time %s", handler, times, last)


class _Failures(NamedTuple):
    """How often a callback failed. `handler` keeps its id from being reused."""

    handler: Handler
    times: int
    last: str


class _Called:
    """A callback that was called, and gave something to be awaited."""

    def __init__(self, handler: Handler, answer: object) -> None:
        self.__func__ = handler
        self._answer = answer

    def __repr__(self) -> str:
        return repr(self.__func__)

    def __call__(self) -> object:
        return self._answer


def _raise(error: BaseException) -> None:
    raise error


_Listener: TypeAlias = tuple[Handler, Callable[[Any], tuple[Any, ...]]]
"""A callback, and its arguments from an event."""


class Dispatch:
    """Which callbacks an event calls, computed once per stream."""

    def __init__(self, hooks: Hooks, errors: HookErrors) -> None:
        self.errors = errors.for_stream()
        self._of: dict[type[Event], list[_Listener]] = {}
        for sink in cast("list[object]", hooks.handlers("event")):
            taker = sink.for_stream() if isinstance(sink, Sink) else cast("Handler", sink)
            for kind in getattr(sink, "takes", EVENTS):
                self._of.setdefault(kind, []).append((taker, _itself))
        for kind, (name, arguments) in CALLED.items():
            if handlers := hooks.handlers(name):
                self._of.setdefault(kind, []).extend((handler, arguments) for handler in handlers)
        self.deltas = DeltaReceived in self._of
        # a failing hook that ends the stream does so only when all others have been called
        self._calls_now = errors.mode == "warn"
        self.transitions = not self._of.keys().isdisjoint((FieldTransition, ItemCompleted))
        self.reasoning = ReasoningReceived in self._of
        self.silent = not hooks

    def __contains__(self, kind: type[Event]) -> bool:
        return kind in self._of

    def calls(self, event: Event) -> list[Call] | tuple[()]:
        """Return the callbacks for an event with their arguments, `on_event` first."""
        handlers = self._of.get(type(event))
        return [Call(handler, arguments(event)) for handler, arguments in handlers] if handlers else ()

    def call_now(self, event: Event) -> Sequence[Call]:
        """Call the callbacks for an event, as far as that needs no driver, and return the calls that do.

        A delta's way through the session and back for each of its callbacks is most of what they cost.
        """
        handlers = self._of.get(type(event))
        if handlers is None:
            return ()
        if not self._calls_now:
            return self.calls(event)
        for number, (handler, arguments) in enumerate(handlers, 1):
            try:
                answer = handler(*arguments(event))
            except Exception as error:
                self.errors.handle(handler, error)
            except BaseException as error:  # such as `KeyboardInterrupt`: the driver's to raise
                return [Call(_raise, (error,))]
            else:
                if answer is not None and inspect.isawaitable(answer):
                    rest = [Call(other, given(event)) for other, given in handlers[number:]]
                    return [Call(_Called(handler, answer)), *rest]
        return ()
