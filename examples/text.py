"""Text by sentence or word, and one long field of a typed answer. Without OPENAI_API_KEY a local model answers."""

from typing import Any

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Post(BaseModel):
    title: str
    body: str
    tags: list[str]


TEXT = "The tide comes in twice a day. Nobody has asked it why! It would not say."
stand_in(TEXT, TEXT, {"title": "Tides", "body": TEXT, "tags": ["sea", "time"]})

client = wrap(instructor.from_openai(openai.OpenAI()))
ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": "About the tides."}

for sentence in client.stream_text(**ask, by="sentence"):  # for a voice that reads aloud
    print("sentence:", sentence)
for words in client.stream_text(**ask, by="word", buffer=5):
    print("five words:", words)

stream = client.create_partial(response_model=Post, **ask)
for piece in stream.text_of("body"):
    print(piece, end="|")
print()
print(stream.get_final_response().tags)
