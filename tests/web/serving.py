"""A Starlette app under a real uvicorn on a free port, and what comes of asking it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

__all__ = ["Frame", "frames_of", "serving"]


@contextlib.asynccontextmanager
async def serving(endpoint: Callable[[Request], Awaitable[Response]], *more: BaseRoute) -> AsyncIterator[str]:
    """The app's address, while it runs; the endpoint answers at `/`."""
    app = Starlette(routes=[Route("/", endpoint, methods=["GET", "POST"]), *more])
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


class Frame(NamedTuple):
    """One server-sent event."""

    event: str
    id: str
    data: Any


def frames_of(body: bytes) -> list[Frame]:
    """The events of a whole body; a comment is none."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            data = lines["data"] if lines["data"] == "[DONE]" else json.loads(lines["data"])
            found.append(Frame(lines.get("event", ""), lines.get("id", ""), data))
    return found
