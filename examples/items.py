"""Items one by one, bad ones skipped, and no more than wanted. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel, Field

from instructor_stream_ext import Limits, wrap


class Station(BaseModel):
    name: str
    platforms: int = Field(ge=1)


STATIONS = [("Rossio", 5), ("Ghost", 0), ("Oriente", 8), ("Cais do Sodré", 7), ("Entrecampos", 4)]
stand_in({"tasks": [{"name": name, "platforms": platforms} for name, platforms in STATIONS]})

client = wrap(instructor.from_openai(openai.OpenAI()))
stream = client.create_iterable(
    Station,
    model="gpt-4o-mini",
    messages="Stations of Lisbon.",
    on_bad_item="skip",  # or "raise", or "reask", which is what happens if nothing is said
    limits=Limits(max_items=3),  # then the connection closes, and nothing more is paid for
)
for station in stream:
    print(station.name, station.platforms)
for skipped in stream.skipped:
    print("skipped", skipped.path, skipped.text, skipped.errors[0]["msg"])
print(len(stream.get_final_response()), "in all")
