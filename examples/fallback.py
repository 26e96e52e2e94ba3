"""The first model fails in mid-object and the next starts over; their texts are never joined. Runs without a key."""

import os
from typing import Any

from local_model import Answer, Server, stand_in
from pydantic import BaseModel

from instructor_stream_ext import StreamRestarted
from instructor_stream_ext.routing import route


class Recipe(BaseModel):
    title: str
    steps: list[str] = []


os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # litellm would fetch its prices when imported
stand_in(
    Answer('{"title": "Bread", "steps": ["Mix flour and wa', finish=None),  # the connection breaks
    {"title": "Flatbread", "steps": ["Mix flour, water and salt.", "Roll it thin.", "Bake it on a hot stone."]},
)
local = os.environ["OPENAI_API_KEY"] == Server.key
here: dict[str, Any] = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": Server.key} if local else {}


def void(restarted: StreamRestarted) -> None:
    print(f"--- void: {restarted.from_model} failed ({type(restarted.error).__name__}), {restarted.to_model} begins")


client = route(["openai/gpt-4o-mini", "mistral/mistral-small-latest"], on_restart=void, **here)
stream = client.create_partial(Recipe, "Some bread, please.")
for recipe in stream:
    print(stream.attempt, recipe.title, recipe.steps)
print("cost: $", stream.cost, "of which some is estimated" if stream.stats.cost_estimated else "")
