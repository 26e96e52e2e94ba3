"""A small HTTP server that plays a tape to whoever asks, at its original pace."""

from __future__ import annotations

import json
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from instructor_stream_ext.demo.tape import Chunk, Tape

__all__ = ["ReplayServer"]


class ReplayServer:
    """Serves one tape on a free port of 127.0.0.1, in a thread of its own; use it as a context manager.

    Args:
        tape: what to play, to every POST of its path.
        speed: 1.0 is the original pace, 2.0 twice as fast, infinity without any pause.
    """

    def __init__(self, tape: Tape, *, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be positive")
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.tape = tape
        self._server.speed = speed
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="replay", daemon=True)

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its `base_url`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    tape: Tape
    speed: float
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.stopping = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 5.0

    def do_POST(self) -> None:
        began = time.monotonic()
        self.rfile.read(int(self.headers.get("content-length", "0")))
        tape = self.server.tape
        if self.path != tape.path:
            self._refuse(tape.path)
            return
        self.close_connection = True
        self.send_response(tape.status)
        for name, value in tape.headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        try:
            self._play(tape.chunks, began)
        except ConnectionError:
            return  # the client has seen enough

    def log_message(self, *_arguments: Any) -> None:
        """Keep quiet: the terminal belongs to the demo."""

    def _play(self, chunks: tuple[Chunk, ...], began: float) -> None:
        for chunk in chunks:
            if self.server.stopping.wait(max(0.0, began + chunk.at / self.server.speed - time.monotonic())):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk.data), chunk.data))
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, path: str) -> None:
        body = json.dumps(
            {"error": {"message": f"this server plays one tape, at {path}", "type": "not_found"}}
        ).encode()
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
