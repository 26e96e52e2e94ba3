"""From plain instructor to this package: the same call before and after. Needs no OPENAI_API_KEY."""

import time

import instructor
import openai
from instructor.core.exceptions import IncompleteOutputException
from local_model import Answer, stand_in
from pydantic import BaseModel

from instructor_stream_ext import wrap


class Meeting(BaseModel):
    topic: str
    notes: list[str]


MEETING = {"topic": "Harbour", "notes": ["Dredging begins in May.", "The ferry moves to pier 2.", "Ask the pilots."]}
CUT = Answer('{"topic": "Harbour", "notes": ["Dredging beg', finish="length")
stand_in(MEETING, MEETING, CUT, MEETING, CUT)


def read(client: instructor.Instructor) -> None:
    """Code as it is written for instructor."""
    for _ in range(2):
        began, seen = time.monotonic(), []
        try:
            stream = client.create_partial(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Notes."}], response_model=Meeting
            )
            for meeting in stream:
                at = time.monotonic() - began
                seen.append((at, meeting))
        except IncompleteOutputException as error:
            print("   cut off:", error)
        else:
            (first, _), *_, (last, meeting) = seen
            print(f"   {len(seen)} objects, from {first:.2f} to {last:.2f} s; the last: {meeting!r}")


before = instructor.from_openai(openai.OpenAI())
list(before.create_partial(Meeting, model="gpt-4o-mini", messages=[{"role": "user", "content": "Notes."}]))  # warms up
print("before: all at the end, and an answer that was cut off passes for one")
read(before)

after = wrap(before)  # the one line that changes
print("after: partials as they come, and an error that is told")
read(after)  # type: ignore[arg-type]  # it has instructor's methods, but is not of its class
