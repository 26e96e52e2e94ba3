"""Getting a sync request's headers in time: the request's own timeout is shortened to what is left of a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from instructor_stream_ext._instructor.sockets import OwnSocket

__all__ = ["HASTE", "Haste", "genai_hastened", "hastened"]


class Haste:
    """One sync request whose headers have to arrive before a deadline.

    Args:
        within: Seconds from now.
    """

    def __init__(self, within: float) -> None:
        self._until = time.monotonic() + within
        self.own = OwnSocket()
        self._patience: Any = None

    @property
    def left(self) -> float:
        """Seconds left. Never 0, which some libraries take for no timeout."""
        return max(self._until - time.monotonic(), 0.001)

    def shorten(self, timeout: Any) -> Any:
        """Return an SDK's timeout (None, a number or an httpx object), shortened so that it ends no later than this."""
        fields = [getattr(timeout, name, timeout) for name in ("connect", "read", "write", "pool")]
        self._patience = fields[1]
        connect, read, write, pool = (self.left if given is None else min(given, self.left) for given in fields)
        if isinstance(timeout, int | float | None):
            return read
        return type(timeout)(connect=connect, read=read, write=write, pool=pool)

    def lift(self, responses: Iterable[Any]) -> None:
        """Restore the caller's own timeout for the body, since the headers have arrived.

        httpx has no public way to set another timeout for a body; its transports (httpcore 1, httpcore2) look into the
        request's `timeout` extension when they begin to read it, which they have not yet.
        """
        for response in responses:
            timeouts = getattr(getattr(response, "request", None), "extensions", {}).get("timeout")
            if isinstance(timeouts, dict):
                timeouts["read"] = self._patience


HASTE: ContextVar[Haste | None] = ContextVar("haste", default=None)
"""The deadline of the request being sent. instructor and the SDK stand between us and the function that sends it."""


def hastened(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
    """Return an SDK's function that shortens the request's timeout to what is left."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if (haste := HASTE.get()) is not None:
            given = kwargs.get("timeout")
            is_given = isinstance(given, int | float) or hasattr(given, "read")
            kwargs["timeout"] = haste.shorten(given if is_given else default)
        return function(*args, **kwargs)

    return call


def genai_hastened(client: Any) -> Callable[..., Any]:
    """Return google-genai's streaming function, which sends the request only when it is first read.

    Its own option for a timeout (google-genai 3) is told to the server as well, in `X-Server-Timeout`
    (https://github.com/googleapis/js-genai/issues/1489 shows how it is meant), which would then end the whole answer,
    and it holds for the body; so the request is shortened where it is sent, in a copy of the SDK's client.
    """

    def call(*_: Any, model: str = "", stream: bool = True, **kwargs: Any) -> Any:
        models, haste = client.models, HASTE.get()
        if stream and haste is not None and getattr(models._api_client, "_httpx_client", None) is not None:  # noqa: SLF001
            api = _copied_api(models._api_client)  # noqa: SLF001
            api._httpx_client = _HastySender(api._httpx_client, haste)  # noqa: SLF001
            models = type(models)(api)
        return (models.generate_content_stream if stream else models.generate_content)(model=model, **kwargs)

    return call


def _copied_api(api: Any) -> Any:
    kind = type(api)
    # the SDK's own `__del__` closes the HTTP client, which the copy only borrows
    copied: Any = object.__new__(type(kind.__name__, (kind,), {"__del__": lambda _: None}))
    vars(copied).update(vars(api))
    return copied


class _HastySender:
    """An HTTP client for one request."""

    def __init__(self, client: Any, haste: Haste) -> None:
        self._client = client
        self._haste = haste

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send(self, request: Any, **kwargs: Any) -> Any:
        """Send a request with a timeout that covers the headers only."""
        timeouts = request.extensions.get("timeout") or {}
        left = self._haste.left
        self._haste._patience = timeouts.get("read")  # noqa: SLF001
        hasty = {name: left if (given := timeouts.get(name)) is None else min(given, left) for name in _PHASES}
        request.extensions["timeout"] = hasty
        response = self._client.send(request, **kwargs)
        self._haste.lift([response])
        self._haste.own.take(response)
        return response


_PHASES = ("connect", "read", "write", "pool")
