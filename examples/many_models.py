"""Many models at once: side by side, all of them, or the first. Without OPENAI_API_KEY a local model answers."""

import asyncio

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import AsyncPartialStream, DeltaReceived, gather, merge, race, wrap


class Name(BaseModel):
    name: str


stand_in({"name": "Fernando"})


async def main() -> None:
    async with openai.AsyncOpenAI() as bare:
        client = wrap(instructor.from_openai(bare))

        def streams() -> dict[str, AsyncPartialStream[Name]]:
            return {
                model: client.create_partial(Name, "A name for a cat.", model=model)
                for model in ("gpt-4o-mini", "gpt-4o")
            }

        async for label, event in merge(streams()):
            if not isinstance(event, DeltaReceived):
                print(label, type(event).__name__)
        print(await gather(streams()))
        label, winner = await race(streams())  # the connections of the others are closed
        print(label in streams(), winner)


asyncio.run(main())
