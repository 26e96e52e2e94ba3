"""Several tools in one answer, each shown while it is being called. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import Calls, stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int = 1


class Reminder(BaseModel):
    """A note to self."""

    text: str


stand_in(
    Calls(("Weather", {"city": "Lisbon", "days": 3}), ("Reminder", {"text": "Pack an umbrella, maybe two."})),
)

client = wrap(instructor.from_openai(openai.OpenAI(), mode=instructor.Mode.PARALLEL_TOOLS))
calls = client.create_iterable(Weather | Reminder, model="gpt-4o-mini", messages="Pack for Lisbon.")
for number, call in calls.partials():
    print(number, repr(call))
print([type(call).__name__ for call in calls.get_final_response()])
