"""A conversation that keeps what was seen. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import Conversation, wrap


class Place(BaseModel):
    name: str
    country: str


stand_in("It is a long story. It begins with a ship.", {"name": "Sagres", "country": "Portugal"})

client = wrap(instructor.from_openai(openai.OpenAI()))
talk = Conversation(client, system="You know a lot about sailors.", max_turns=10)

with talk.say("Tell me about Henry the Navigator.", model="gpt-4o-mini", by="sentence") as answer:
    for sentence in answer:
        print(sentence)
        break  # enough: the connection is closed, and the turn is kept as far as it was seen

for place in talk.say("Where did he live?", Place, model="gpt-4o-mini"):
    print(place)

talk.save("talk.json")
again = Conversation.load("talk.json", client)
for message in again.messages:
    print(message)
