"""The page: one self-contained HTML file, written to disk or served on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

__all__ = ["page_of", "serve"]

_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""Text that could end the script element that holds the data."""


_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""The page loads nothing from anywhere."""


def page_of(data: Mapping[str, Any]) -> str:
    """Return the whole page.

    Args:
        data: From `look_into`.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for unsafe, safe in _UNSAFE.items():
        text = text.replace(unsafe, safe)
    text = text.encode(errors="backslashreplace").decode()
    template = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return template.replace("/*DATA*/null", text, 1)


def serve(page: str, port: int = 0, ready: Callable[[str, ThreadingHTTPServer], None] = lambda *_: None) -> None:
    """Serve the page on loopback until it is interrupted.

    Args:
        page: From `page_of`.
        port: 0 for any that is free.
        ready: Called with the address and the server once it listens.
    """
    body = page.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Send the page; there is nothing else."""
            found = self.path in ("/", "/index.html")
            self.send_response(200 if found else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-security-policy", _POLICY)
            self.send_header("content-length", str(len(body) if found else 0))
            self.end_headers()
            if found:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        ready(f"http://127.0.0.1:{server.server_address[1]}/", server)
        server.serve_forever(poll_interval=0.1)
