"""A typed object that fills in while the model writes. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel, Field

from instructor_stream_ext import wrap


class City(BaseModel):
    name: str
    inhabitants: int = Field(gt=0)
    sights: list[str]


stand_in({"name": "Lisbon", "inhabitants": 545_000, "sights": ["Alfama", "Belém", "the 28 tram"]})

client = wrap(instructor.from_openai(openai.OpenAI()))

stream = client.create_partial(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Describe Lisbon."}],
    response_model=City,
)
for city in stream:
    kind = "validated" if stream.is_final else "partial"
    print(f"{kind:>9}: {city.name} {city.inhabitants} {city.sights}")

final = stream.get_final_response()
assert type(final) is City
print(f"first partial after {stream.stats.first_partial_at:.2f} s, all after {stream.stats.ended_at:.2f} s")
