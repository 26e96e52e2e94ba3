"""A small HTTP server on this machine that plays cassettes to any client, in any language, at their original pace."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from instructor_stream_ext.testing.cassette import Cassette, End, Interaction, load_cassette
from instructor_stream_ext.testing.clock import FakeClock, Pace
from instructor_stream_ext.testing.environment import OPENAI_PATHS
from instructor_stream_ext.testing.fault import Fault, FaultsInUse

__all__ = ["ReplayServer"]

_FRAMING = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})


class ReplayServer:
    """Serves a cassette on a free port of 127.0.0.1, in its own thread. Use it as a context manager.

    A request gets the first interaction of its method and path that was not played yet; when all were, the last once
    more.

    Args:
        cassette: A cassette, the path of one, or interactions.
        speed: 1 is the original pace, 2 twice as fast, 0 without any pause.
        clock: A fake clock that is moved in place of waiting.
        faults: What goes wrong, in order.

    Raises:
        AssertionError: When the context is left: a fault never happened. Not raised if the context's body has failed.
    """

    def __init__(
        self,
        cassette: Cassette | Path | str | Sequence[Interaction],
        *,
        speed: float | FakeClock | None = None,
        clock: FakeClock | None = None,
        faults: Fault | Iterable[Fault] = (),
    ) -> None:
        loaded = load_cassette(cassette) if isinstance(cassette, str | Path) else cassette
        self.interactions = loaded.interactions if isinstance(loaded, Cassette) else tuple(loaded)
        pace, chosen = Pace.of(speed, clock), FaultsInUse(faults)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.interactions, self._server.pace, self._server.faults = self.interactions, pace, chosen
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="replay", daemon=True)

    @property
    def url(self) -> str:
        """The address without a path, as anthropic's and Google's clients expect it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def base_url(self) -> str:
        """The address with the path before the method's, as OpenAI's client expects its `base_url`."""
        path = urlsplit(self.interactions[0].url).path if self.interactions else ""
        for tail in OPENAI_PATHS:
            if path.endswith(tail):
                return self.url + path.removesuffix(tail)
        return f"{self.url}/v1"

    @property
    def unplayed(self) -> list[Interaction]:
        """The interactions that were not requested."""
        with self._server.lock:
            return [
                interaction for number, interaction in enumerate(self.interactions) if not self._server.plays[number]
            ]

    @property
    def requests(self) -> int:
        """How many requests have arrived."""
        with self._server.lock:
            return self._server.requests

    def problems(self) -> list[str]:
        """The faults that never happened."""
        with self._server.lock:
            return self._server.faults.problems()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and (found := self.problems()):
            raise AssertionError("; ".join(found))

    def close(self) -> None:
        """Stop, without any check."""
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    interactions: tuple[Interaction, ...]
    pace: Pace
    faults: FaultsInUse
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.plays: Counter[int] = Counter()
        self.requests = 0

    def choose(self, method: str, target: str) -> Interaction | None:
        """Choose the interaction to play to a request; None if there is none for its path."""
        with self.lock:
            number, self.requests = self.requests, self.requests + 1
            if (refusal := self.faults.refuse(number)) is not None:
                return refusal
            fitting = [
                place
                for place, interaction in enumerate(self.interactions)
                if interaction.method == method and urlsplit(interaction.url).path == urlsplit(target).path
            ]
            if not fitting:
                return None
            place = next((one for one in fitting if not self.plays[one]), fitting[-1])
            self.plays[place] += 1
            return self.faults(self.interactions[place])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        self._play("GET")

    def do_POST(self) -> None:
        self._play("POST")

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: the terminal belongs to the tests."""

    def _play(self, method: str) -> None:
        left = self.server.pace.start()
        self._read_request()
        self.close_connection = True
        interaction = self.server.choose(method, self.path)
        if interaction is None:
            self._refuse(method)
            return
        try:
            self._send(interaction, left)
        except ConnectionError:
            return  # the client has seen enough

    def _read_request(self) -> None:
        if "chunked" in (self.headers.get("transfer-encoding") or ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("content-length", "0")))

    def _send(self, interaction: Interaction, left: Any) -> None:
        if not self._wait(left(interaction.headers_at)):
            return
        self.send_response(interaction.status, interaction.reason or None)
        for name, value in interaction.headers:
            if name.lower() not in _FRAMING:
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        for chunk in interaction.chunks:
            if not self._wait(left(chunk.at)):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk.data), chunk.data))
        if not self._wait(left(interaction.ended_at)):
            return
        if (
            interaction.end in (End.COMPLETE, End.ERROR) and "Timeout" not in interaction.error
        ) or "ended properly" in interaction.error:
            self.wfile.write(b"0\r\n\r\n")
        elif "reset" in interaction.error.lower():
            self._reset()
        elif "Timeout" in interaction.error:
            self.server.stopping.wait()  # the recorded client had waited in vain

    def _wait(self, seconds: float) -> bool:
        """Let this many seconds pass; returns whether the server still runs."""
        if self.server.pace.clock is not None:
            self.server.pace.wait(seconds)
            return not self.server.stopping.is_set()
        return not self.server.stopping.wait(seconds) if seconds else not self.server.stopping.is_set()

    def _reset(self) -> None:
        """Make the kernel send a reset in place of a normal end, once what was sent has arrived."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.connection.close()

    def _refuse(self, method: str) -> None:
        paths = sorted(
            {f"{interaction.method} {urlsplit(interaction.url).path}" for interaction in self.server.interactions}
        )
        holds = f"plays one cassette, at {paths[0]}" if len(paths) == 1 else f"plays {', '.join(paths) or 'nothing'}"
        message = f"this server {holds}, not {method} {urlsplit(self.path).path}"
        body = json.dumps({"error": {"message": message, "type": "not_found"}}).encode()
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)
