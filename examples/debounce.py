"""How many partials each policy shows of the same answer. Without OPENAI_API_KEY a local model answers."""

import math

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import EveryN, FinalOnly, Growth, OnItem, OnTransition, Pending, Throttle, wrap


class Report(BaseModel):
    title: str
    findings: list[str]


stand_in({"title": "Tides", "findings": [f"Finding {n}: the water went out and came back again." for n in range(6)]})


LINE = 60


def every_line(pending: Pending) -> float:
    """Any function from what is pending to the instant at which it is due is a policy."""
    return pending.now if pending.chars >= LINE else math.inf


policies = {
    "each change": None,
    "0.2 seconds": 0.2,
    "every 10 deltas": EveryN(10),
    "half as much again": Growth(1.5),
    "each item, or 0.5 s": OnItem() | Throttle(0.5),
    "transitions": OnTransition(),
    "every 60 characters": every_line,
    "only the final": FinalOnly(),
}

client = wrap(instructor.from_openai(openai.OpenAI()))
for name, policy in policies.items():
    stream = client.create_partial(
        model="gpt-4o-mini", messages="Report on the tides.", response_model=Report, debounce=policy
    )
    final = stream.get_final_response()
    print(f"{name:>20}: {stream.stats.partials_yielded:3} partials, {len(final.findings)} findings")
