"""Many streams of one client and one response model at a time, as a web back end runs them."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import instructor
import pytest
from pydantic import BaseModel

from instructor_stream_ext import wrap
from tests.server import ScriptedServer, reply
from tests.server.clients import anthropic_client, async_anthropic_client, async_openai_client, openai_client

TEXTS = [json.dumps({"number": number, "words": ["one", "two"] * number}) for number in range(12)]


class Answer(BaseModel):
    number: int
    words: list[str]


ASYNC = {"openai": async_openai_client, "anthropic": async_anthropic_client}
SYNC = {"openai": openai_client, "anthropic": anthropic_client}


@pytest.mark.parametrize("name", ASYNC)
async def test_tasks(server: ScriptedServer, name: str) -> None:
    for text in TEXTS:
        server.add(reply(text))
    client = wrap(ASYNC[name](server, instructor.Mode.TOOLS))

    async def one() -> Answer:
        stream = client.create_partial(Answer, "go", model="m", max_tokens=100, max_retries=0)
        seen = [partial async for partial in stream]
        assert type(seen[-1]) is Answer
        return seen[-1]

    finals = await asyncio.gather(*(one() for _ in TEXTS))
    assert sorted(final.number for final in finals) == list(range(len(TEXTS)))
    assert all(len(final.words) == 2 * final.number for final in finals)


@pytest.mark.parametrize("name", SYNC)
async def test_threads(server: ScriptedServer, name: str) -> None:
    for text in TEXTS:
        server.add(reply(text))
    client = wrap(SYNC[name](server, instructor.Mode.TOOLS))

    def one(_: str) -> Answer:
        return client.create_partial(Answer, "go", model="m", max_tokens=100, max_retries=0).get_final_response()

    with ThreadPoolExecutor(4) as pool:
        finals = list(await asyncio.to_thread(lambda: list(pool.map(one, TEXTS))))
    assert sorted(final.number for final in finals) == list(range(len(TEXTS)))
    assert all(len(final.words) == 2 * final.number for final in finals)
