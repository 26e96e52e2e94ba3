"""What stands between a client and a server: TLS, and an HTTP proxy that forwards requests or opens tunnels."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Relay"]


class Relay:
    """A relay on loopback, in threads of its own.

    Args:
        target: The port to which connections go; None for what a client asks the proxy for.
        tls: Ends TLS here.
    """

    def __init__(self, target: int | None, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, name="relay", daemon=True)
        self._pairs: list[socket.socket] = []
        self.tunnels = 0
        self.forwarded = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._pairs):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="relayed", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            stack.enter_context(client)
            host, port, first = ("127.0.0.1", self._target, b"") if self._target else self._asked(client)
            server = stack.enter_context(socket.create_connection((host, port)))
            self._pairs += [client, server]
            server.sendall(first)
            _pump(client, server)

    def _asked(self, client: socket.socket) -> tuple[str, int, bytes]:
        """Where a client of the proxy wants to go, and what is to be sent there first."""
        head = b""
        while b"\r\n\r\n" not in head:
            got = client.recv(65536)
            if not got:
                raise OSError("the client has left")
            head += got
        line, _, rest = head.partition(b"\r\n")
        method, address, version = line.decode().split()
        if method == "CONNECT":
            host, _, port = address.partition(":")
            self.tunnels += 1
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            return host, int(port), b""
        self.forwarded += 1
        url = urlsplit(address)
        return url.hostname or "", url.port or 80, f"{method} {url.path} {version}\r\n".encode() + rest


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Pass on what comes from either, until one of them has no more to say."""
    with selectors.DefaultSelector() as selector:
        ways: dict[socket.socket, Callable[[bytes], None]] = {one: other.sendall, other: one.sendall}
        for each in ways:
            selector.register(each, selectors.EVENT_READ, each)
        while True:
            for key, _ in selector.select():
                end: socket.socket = key.data
                data = end.recv(65536)
                if not data:
                    return
                while isinstance(end, ssl.SSLSocket) and end.pending():
                    data += end.recv(65536)
                ways[end](data)
