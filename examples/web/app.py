"""A trip fills in on a web page while the model plans it: `make web`, then open the address that it prints.

Without a key, a recorded stream is played at its original pace. With OPENAI_API_KEY set, gpt-4o-mini plans.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import instructor
import openai
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from instructor_stream_ext import AsyncStreamClient, wrap
from instructor_stream_ext.demo.model import Trip
from instructor_stream_ext.demo.server import ReplayServer
from instructor_stream_ext.demo.tape import demo_tape
from instructor_stream_ext.web import Runs

HERE = Path(__file__).parent
MOST = 2_000  # bytes of a request


def make_app(*, base_url: str | None = None, speed: float = 1.0) -> Starlette:
    """The app; over this provider, else over OpenAI's if there is a key, else over the recording."""
    runs = Runs(ttl=120, max_runs=50, max_seconds=120)
    clients: list[AsyncStreamClient] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            url, key = base_url, os.environ.get("OPENAI_API_KEY")
            if url is None and key is None:
                url = stack.enter_context(ReplayServer(demo_tape(), speed=speed)).base_url
            async with openai.AsyncOpenAI(base_url=url, api_key=key or "none-needed", max_retries=0) as bare:
                clients.append(wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA), debounce=0.05))
                yield
                await runs.aclose()

    async def plan(request: Request) -> Response:
        if int(request.headers.get("content-length") or MOST + 1) > MOST:
            return Response("the request is too long", status_code=413)
        wish = str((await request.json())["wish"])
        stream = clients[0].create_partial(model="gpt-4o-mini", messages=wish, response_model=Trip)
        return await runs.respond(await runs.start(stream))

    routes = [
        Route("/plan", plan, methods=["POST"]),
        *runs.routes("/runs"),
        Mount("/client", StaticFiles(directory=HERE.parents[1] / "js" / "src")),
        Mount("/", StaticFiles(directory=HERE / "static", html=True)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Serve it on this machine."""
    with socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0")))) as listening:
        print(f"open http://127.0.0.1:{listening.getsockname()[1]}/ and press Ctrl-C to stop", flush=True)
        config = uvicorn.Config(make_app(), log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
