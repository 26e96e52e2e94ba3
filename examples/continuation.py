"""An answer longer than its token limit is continued. Without OPENAI_API_KEY a local model answers."""

import instructor
import openai
from local_model import Answer, stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Story(BaseModel):
    title: str
    chapters: list[str]


WHOLE = (
    '{"title": "The lighthouse", "chapters": ["A keeper counts the ships.", "One night there is a ship too many.", '
    '"She answers its lamp until the morning."]}'
)
CUT = 80
# the model repeats a little of what it had written, as it is asked to, and goes on
stand_in(Answer(WHOLE[:CUT], finish="length"), WHOLE[CUT - 38 :])

client = wrap(instructor.from_openai(openai.OpenAI()), on_truncated="continue")
stream = client.create_partial(Story, model="gpt-4o-mini", messages="A story.", max_tokens=40)
for story in stream:
    print(len(story.chapters or []), (story.chapters or ["..."])[-1])
print(stream.stats.continuations, "continuation,", stream.stats.attempts, "attempt,", stream.stats.usage)
