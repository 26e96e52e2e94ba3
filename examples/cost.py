"""What an answer costs while it is written, and a bound that stops a runaway one.

Without OPENAI_API_KEY a local model answers. Needs the extra `[cost]`.
"""

from __future__ import annotations

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import LimitExceeded, Limits, PartialStream, wrap


class Story(BaseModel):
    title: str
    text: str


stand_in({"title": "The tram", "text": "It went up the hill, and down, and up again. " * 60})
client = wrap(instructor.from_openai(openai.OpenAI()))


def story(limits: Limits | None = None) -> PartialStream[Story]:
    return client.create_partial(
        model="gpt-4o-mini", messages="A story about a tram.", response_model=Story, limits=limits
    )


stream = story()
for number, _ in enumerate(stream):
    if number % 40 == 0:
        print(f"about $ {stream.cost:.6f}")
print(f"$ {stream.stats.cost:.6f}, estimated: {stream.stats.cost_estimated}")

try:
    story(Limits(max_cost=0.0001)).get_final_response()
except LimitExceeded as beyond:
    print(f"{beyond}; {len(beyond.text)} characters had come")
