"""The base class of the sync and the async client."""

from __future__ import annotations

from typing import Any, Self

from instructor_stream_ext._instructor.facts import HOOK_NAMES as INSTRUCTOR_HOOK_NAMES
from instructor_stream_ext._instructor.facts import Instructor
from instructor_stream_ext.client.call import CallMaker
from instructor_stream_ext.session.hooks import Handler, refuse_coroutine

__all__ = ["Client"]


class Client:
    """The base class of both clients. Unknown attributes are looked up on the instructor client."""

    def __init__(self, calls: CallMaker) -> None:
        self._calls = calls

    @property
    def wrapped(self) -> Instructor:
        """The wrapped instructor client."""
        return self._calls.link.client

    @property
    def chat(self) -> Self:
        """This client, so that `client.chat.completions.create(...)` works."""
        return self

    @property
    def completions(self) -> Self:
        """This client."""
        return self

    @property
    def messages(self) -> Self:
        """This client."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.link.provider.value}, {self._calls.link.mode.name})"

    def on(self, name: str, handler: Handler) -> None:
        """Register a callback.

        Args:
            name: One of ours, as in "partial", or of instructor's, as in "completion:kwargs".
            handler: The callback; an `async def` only on async clients.

        Raises:
            StreamMisuse: The name is unknown, or a sync client was given an `async def`.
        """
        name = getattr(name, "value", name)
        if not self._calls.link.is_async:
            refuse_coroutine(name, handler)
        if name in INSTRUCTOR_HOOK_NAMES:
            self._calls.instructor_hooks.on(name, handler)  # type: ignore[arg-type]
        else:
            self._calls.hooks.on(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Remove a callback that was registered here.

        Raises:
            StreamMisuse: The name is unknown.
        """
        name = getattr(name, "value", name)
        if name in INSTRUCTOR_HOOK_NAMES:
            self._calls.instructor_hooks.off(name, handler)  # type: ignore[arg-type]
        else:
            self._calls.hooks.off(name, handler)

    def clear(self, name: str | None = None) -> None:
        """Remove the callbacks of one name, or all, that were registered here.

        Raises:
            StreamMisuse: The name is unknown.
        """
        name = getattr(name, "value", name)
        if name is None or name in INSTRUCTOR_HOOK_NAMES:
            self._calls.instructor_hooks.clear(name)  # type: ignore[arg-type]
        if name is None or name not in INSTRUCTOR_HOOK_NAMES:
            self._calls.hooks.clear(name)
