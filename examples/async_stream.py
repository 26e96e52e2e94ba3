"""Two async streams at the same time. Without OPENAI_API_KEY a local model answers."""

import asyncio

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import AsyncStreamClient, OnItem, wrap


class Recipe(BaseModel):
    title: str
    steps: list[str]


stand_in({"title": "Caldo verde", "steps": ["Boil the potatoes.", "Shred the kale.", "Mash, join and season."]})


async def cook(client: AsyncStreamClient, cook: str) -> Recipe:
    stream = client.create_partial(
        model="gpt-4o-mini", messages="A soup from the north of Portugal.", response_model=Recipe
    )
    async with stream:  # leaving it closes the connection, also when the task is cancelled
        async for recipe in stream:
            print(f"{cook}: {recipe.title}, step {len(recipe.steps)}")
    return await stream.get_final_response()


async def main() -> None:
    async with openai.AsyncOpenAI() as bare:
        client = wrap(instructor.from_openai(bare), debounce=OnItem())  # a partial for each step
        recipes = await asyncio.gather(cook(client, "Ana"), cook(client, "Rui"))
    print(*(" ".join(recipe.steps) for recipe in recipes), sep="\n")


asyncio.run(main())
