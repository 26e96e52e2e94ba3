"""The socket that a sync stream reads from, so that another thread can wake a blocked read.

Closing a socket from another thread does not wake a reader; shutting it down does. A socket is only ever shut down for
the stream it was found with: it comes from that stream's own response, never from another thread's frames (looking
there can deadlock CPython 3.11), and it is forgotten before the response gives its connection back to the pool.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from typing import Any

__all__ = ["OwnSocket", "connection_under"]

_SHARED = (b"HTTP/2", b"HTTP/3")
"""HTTP versions in which a connection carries other requests as well."""


class OwnSocket:
    """The socket of one stream, while no other stream can be using it. All methods may be called from any thread."""

    def __init__(self) -> None:
        # the collector may close a stream in whatever thread it runs, also in one that holds this very lock
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._name: object = None

    @property
    def is_known(self) -> bool:
        """True if there is a socket to shut down."""
        return self._socket is not None

    def take(self, response: object) -> None:
        """Remember the socket under a response, until the response is closed.

        Args:
            response: Of httpx or httpx2, whose headers have come; or urllib3's. Others are left alone.
        """
        found = _socket_under(response)
        if found is None or self._socket is not None:
            return
        with contextlib.suppress(OSError):  # it may be closed already
            self._name = found.getsockname()
            self._socket = found
            # the response tells by its class: a function of its own would need the response, and be a cycle with it,
            # or a weak reference, which the collector has cleared by the time it closes what nobody holds any more
            kind: Any = type(response)
            response.__class__ = _telling(kind)
            vars(response)[_OWNER] = self

    def forget(self) -> None:
        """Forget the socket: the connection returns to the pool, where another stream may take it."""
        with self._lock:
            self._socket = None

    def shut_down(self) -> bool:
        """Shut the socket down, which ends the read, with or without an error; return whether there was one."""
        with self._lock:
            if self._socket is None:
                return False
            try:
                # a second descriptor: the first may be closed, and its number given to another socket, at any moment;
                # and a TLS socket drops its own state when it is shut down, under whoever is reading from it
                pinned = socket.socket(fileno=socket.dup(self._socket.fileno()))
            except OSError:
                return False
            with pinned, contextlib.suppress(OSError):  # the peer may have reset it
                if pinned.getsockname() == self._name:
                    pinned.shutdown(socket.SHUT_RDWR)
                    return True
            return False


_OWNER = "_instructor_stream_ext_owner"
"""Where a response keeps the `OwnSocket` to notify when it is closed."""


@functools.cache
def _telling(kind: Any) -> Any:
    """Return a subclass of a response class whose instances notify before they are closed."""

    def close(response: Any) -> None:
        owner = vars(response).pop(_OWNER, None)
        if owner is not None:
            owner.forget()
        kind.close(response)

    return type(kind.__name__, (kind,), {"__module__": kind.__module__, "__doc__": kind.__doc__, "close": close})


def _socket_under(response: object) -> socket.socket | None:
    """Return the socket that a response reads from, if no other response shares it."""
    if type(response).__module__.partition(".")[0] == "urllib3":
        # urllib3 2 has no public way from a response to its socket; http.client's response reads from a `SocketIO`
        reader = getattr(getattr(response, "_fp", None), "fp", None)
        found = getattr(getattr(reader, "raw", None), "_sock", None)
        return found if isinstance(found, socket.socket) else None
    stream = connection_under(response)
    found = None if stream is None else stream.get_extra_info("socket")
    return found if isinstance(found, socket.socket) else None


def connection_under(response: object) -> Any:
    """Return the connection that an httpx or httpx2 response is read from, if no other response shares it."""
    extensions = getattr(response, "extensions", None) or {}
    return None if extensions.get("http_version") in _SHARED else extensions.get("network_stream")
