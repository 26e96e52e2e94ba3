"""One worker of an app whose runs are in Redis: `python -m tests.web.worker LISTENING REDIS PROVIDER`.

LISTENING is the number of an open socket.
"""

from __future__ import annotations

import socket
import sys

import instructor
import openai
import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from instructor_stream_ext import wrap
from instructor_stream_ext.web import RedisRelay, Runs


class Person(BaseModel):
    name: str
    age: int


def main(listening: socket.socket, redis: str, provider: str) -> None:
    """Serve until it is killed."""
    runs = Runs(RedisRelay(redis, lease=5), lease=5)
    client = wrap(instructor.from_openai(openai.AsyncOpenAI(base_url=provider, api_key="none", max_retries=0)))

    async def start(_: Request) -> Response:
        stream = client.create_partial(Person, [{"role": "user", "content": "who?"}], model="m")
        return JSONResponse(await runs.start(stream))

    async def ready(_: Request) -> Response:
        return Response(status_code=204)

    app = Starlette(routes=[Route("/", start, methods=["POST"]), Route("/ready", ready), *runs.routes()])
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2], sys.argv[3])
