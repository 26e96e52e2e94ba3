"""Two endpoints of FastAPI: one writes its own events, one leaves that to `stream_response`.

Without OPENAI_API_KEY a local model answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import instructor
import openai
from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import AsyncPartialStream, wrap
from instructor_stream_ext.web import stream_response


class Topic(BaseModel):
    topic: str


class Idea(BaseModel):
    title: str
    why: str


stand_in({"title": "Cold tea", "why": "Nobody has to wait for it."})
app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://front.example"], allow_methods=["POST"])
client = wrap(instructor.from_openai(openai.AsyncOpenAI()), debounce=0.1)


def idea(topic: str) -> AsyncPartialStream[Idea]:
    return client.create_partial(model="gpt-4o-mini", messages=f"An idea about {topic}", response_model=Idea)


@app.post("/by-hand")
async def by_hand(body: Topic, request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async with idea(body.topic) as stream:
            async for partial in stream:
                if await request.is_disconnected():
                    return
                yield f"data: {partial.model_dump_json()}\n\n"
        yield "event: done\ndata: {}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/ideas", response_model=None)
async def ideas(body: Topic) -> Response:
    return await stream_response(idea(body.topic))


async def main() -> None:
    origin = {"origin": "https://front.example"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=origin) as browser:
        for path in ("/by-hand", "/ideas"):
            answer = await browser.post(path, json={"topic": "tea"})
            print(path, answer.headers["access-control-allow-origin"], answer.text.splitlines()[-3:])


asyncio.run(main())
