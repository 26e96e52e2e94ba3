"""A trip fills in on a web page while the model plans it: `make web`, then open the address that it prints.

`make web-react` builds the same page in React first, which is then at `/react/`.

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
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from instructor_stream_ext import AsyncStreamClient, wrap
from instructor_stream_ext.demo.cassette import demo_interaction
from instructor_stream_ext.demo.model import Trip
from instructor_stream_ext.testing import ReplayServer
from instructor_stream_ext.web import Runs

HERE = Path(__file__).parent
REACT = HERE / "react" / "dist"
MOST = 2_000  # bytes of a request


class Wish(BaseModel):
    wish: str = Field(max_length=400)


class Idea(BaseModel):
    theme: str


class Ideas(BaseModel):
    days: list[Idea]


def make_app(*, base_url: str | None = None, speed: float = 1.0, react: Path = REACT) -> FastAPI:
    """Make the app: over this provider, else over OpenAI's if there is a key, else over the recording.

    Args:
        base_url: Of the provider.
        speed: Of the recording; 1 is its own.
        react: Where the page in React was built.
    """
    runs = Runs(ttl=120, max_runs=50, max_seconds=120)
    clients: list[AsyncStreamClient] = []

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            url, key = base_url, os.environ.get("OPENAI_API_KEY")
            if url is None and key is None:
                url = stack.enter_context(ReplayServer([demo_interaction()], speed=speed)).base_url
            async with openai.AsyncOpenAI(base_url=url, api_key=key or "none-needed", max_retries=0) as bare:
                clients.append(wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA), debounce=0.05))
                yield
                await runs.aclose()

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MOST)
    app.router.routes += runs.routes("/runs")

    @app.post("/plan", response_model=None)
    async def plan(body: Wish) -> Response:
        stream = clients[0].create_partial(model="gpt-4o-mini", messages=body.wish, response_model=Trip)
        return await runs.respond(await runs.start(stream))

    @app.get("/ideas")
    async def ideas(topic: str, request: Request) -> StreamingResponse:
        """The endpoint of `IdeaStream.jsx`, written by hand: it reports no failures and cannot be resumed."""
        prompt = f"What could one do on three days in {topic}?"

        async def events() -> AsyncIterator[str]:
            async with clients[0].create_partial(model="gpt-4o-mini", messages=prompt, response_model=Ideas) as stream:
                async for partial in stream:
                    if await request.is_disconnected():
                        return
                    yield f"data: {partial.model_dump_json()}\n\n"
            yield "event: done\ndata: {}\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    app.mount("/client", StaticFiles(directory=HERE.parents[1] / "js" / "src"))
    app.mount("/react", StaticFiles(directory=react, html=True, check_dir=False))
    app.mount("/", StaticFiles(directory=HERE / "static", html=True))
    return app


def main() -> None:
    """Serve it on this machine."""
    with socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "0")))) as listening:
        print(f"open http://127.0.0.1:{listening.getsockname()[1]}/ and press Ctrl-C to stop", flush=True)
        config = uvicorn.Config(make_app(), log_level="warning", timeout_graceful_shutdown=2)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
