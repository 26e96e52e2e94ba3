"""Callbacks on what happens in a stream. Without OPENAI_API_KEY a local model answers."""

from typing import Any

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import FieldState, FieldTransition, Hooks, StreamEnded, wrap


class Step(BaseModel):
    action: str
    minutes: int


class Plan(BaseModel):
    goal: str
    steps: list[Step]


stand_in({"goal": "coffee", "steps": [{"action": "grind", "minutes": 1}, {"action": "brew", "minutes": 4}]})


def on_transition(transition: FieldTransition) -> None:
    if transition.after is FieldState.COMPLETE:
        print("complete  ", transition.path)


def on_item(step: Step, path: tuple[str | int, ...]) -> None:
    print("item      ", path, step.action)


def on_end(ended: StreamEnded) -> None:
    print("ended     ", ended.outcome.value, "with", ended.stats.end_signal)


def kwargs(**sent: Any) -> None:
    print("instructor", "sends to", sent["model"])


client = wrap(instructor.from_openai(openai.OpenAI()), hooks=Hooks(on_transition=on_transition, on_end=on_end))
client.on("completion:kwargs", kwargs)  # instructor's own hooks work on streams, too

# `create` streams underneath when somebody listens
plan = client.create(model="gpt-4o-mini", messages="How do I make coffee?", response_model=Plan, on_item=on_item)
print("final     ", plan)
