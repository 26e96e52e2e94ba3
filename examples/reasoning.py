"""What a model thinks before it answers, apart from the answer.

Without OPENAI_API_KEY a local model answers, which thinks in its text, as many open models do.
"""

from __future__ import annotations

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Route(BaseModel):
    start: str
    stops: list[str]


stand_in(
    "<think>Two hours, and they like tiles. The museum first, then the tram back along the river.</think>"
    '{"start": "Santa Apolónia", "stops": ["Museu do Azulejo", "Cais do Sodré"]}'
)
client = wrap(instructor.from_openai(openai.OpenAI(), mode=instructor.Mode.MD_JSON), debounce=0.1)

stream = client.create_partial(
    model="gpt-4o-mini",
    messages="A walk of two hours for people who like tiles.",
    response_model=Route,
    on_reasoning=lambda text: print(text, end="", flush=True),
)
for partial in stream:
    print(f"\n{partial.start}: {partial.stops}", end="")
print(f"\nit thought {len(stream.reasoning)} characters, from {stream.stats.first_reasoning_at:.2f} s on")
print("<think>" in stream.text, "<think>" in stream.get_final_response().start)
