"""How a stream can end, and what is kept. Without OPENAI_API_KEY a local model answers, badly."""

import instructor
import openai
from local_model import Answer, stand_in
from pydantic import BaseModel

from instructor_stream_ext import (
    NoOutput,
    OutputFiltered,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
    StreamInterrupted,
    wrap,
)


class Poem(BaseModel):
    title: str
    lines: list[str]


BEGUN = '{"title": "Tide", "lines": ["The sea withdr'
stand_in(
    Answer(BEGUN, finish="length"),
    Answer(BEGUN, finish="content_filter"),
    Answer(BEGUN, finish=None),  # the connection breaks
    Answer(""),
    {"title": "Tide", "lines": "no list"},
)

client = wrap(instructor.from_openai(openai.OpenAI(max_retries=0)))
for _ in range(5):
    try:
        poem = client.create_partial(
            model="gpt-4o-mini", messages="A poem.", response_model=Poem, max_retries=0
        ).get_final_response()
    except (OutputTruncated, OutputFiltered, StreamInterrupted) as error:
        print(f"{type(error).__name__}: kept {error.partial.lines}, attempt {error.attempt}, {error.usage}")
    except (NoOutput, RetriesExhausted) as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0]}")
    except StreamError as error:  # all others are of this class, too
        print(f"{type(error).__name__}: {error}")
    else:
        print("a poem:", poem.title)
