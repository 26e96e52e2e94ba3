"""A stream in the terminal. Without OPENAI_API_KEY a local model answers."""

from typing import Any

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import Limits, wrap
from instructor_stream_ext.sinks.terminal import live


class Bird(BaseModel):
    name: str
    note: str


BIRDS = [{"name": f"Bird {n}", "note": "It sings in the morning, and again at night."} for n in range(1, 9)]
stand_in({"tasks": BIRDS})

client = wrap(instructor.from_openai(openai.OpenAI()))
ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": "Eight birds of the estuary."}

# a row per bird, and a progress bar since it is known how many there will be; into a pipe, only the final
birds = live(client.create_iterable(Bird, limits=Limits(max_items=8), **ask), view="table")
assert [bird.name for bird in birds] == [bird["name"] for bird in BIRDS]

# the object as it fills in, with a mark for each field
live(client.create_partial(list[Bird], **ask))
