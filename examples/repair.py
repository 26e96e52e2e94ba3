"""An answer that is almost JSON is repaired. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from json_repair import repair_json
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Recipe(BaseModel):
    title: str
    steps: list[str]


stand_in("{'title': 'Caldo verde', 'steps': ['Boil the potatoes', 'Slice the kale',], } // enjoy")

client = wrap(instructor.from_openai(openai.OpenAI(), mode=instructor.Mode.JSON), repair=repair_json)
stream = client.create_partial(Recipe, model="gpt-4o-mini", messages="A Portuguese soup.")
recipe = stream.get_final_response()
print(recipe.title, recipe.steps)
print("repaired:", stream.stats.repaired, "in", stream.stats.attempts, "attempt")
