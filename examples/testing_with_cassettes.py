"""A real stream on cassette: recorded from llama.cpp, played at any pace and with any fault, with no network."""

from pathlib import Path
from typing import Any

import instructor
import openai
from pydantic import BaseModel

from instructor_stream_ext import PartialStream, StreamInterrupted, StreamTimeout, Timeouts, wrap
from instructor_stream_ext.testing import CutOff, FakeClock, ReplayServer, Stall, Trickle, load_cassette, use_cassette

CASSETTE = Path(__file__).parent.parent / "tests" / "cassettes" / "recorded" / "llamacpp_object_sync.yaml"
OTHER = ("response_format", "seed", "temperature")  # the cassette was recorded with a stricter model


class Card(BaseModel):
    name: str
    city: str
    languages: list[str]
    since: int
    active: bool


def card(url: str, **options: Any) -> PartialStream[Card]:
    bare = openai.OpenAI(base_url=url, api_key="none-needed", max_retries=0)
    client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
    # as it was recorded: a request that has changed is told, but for the paths that are to be ignored
    return client.create_partial(
        model="random-weights", messages="Write a visiting card.", response_model=Card, **options
    )


url = load_cassette(CASSETTE).interactions[0].url.removesuffix("/chat/completions")

clock = FakeClock()
with use_cassette(
    CASSETTE, speed=clock, ignore=OTHER
):  # through the SDK's own transport; the clock is moved, nothing waits
    print("final:", card(url).get_final_response(), f"after {1000 * clock():.0f} ms of the cassette's time")

with use_cassette(CASSETTE, faults=Trickle(7) | CutOff(after=20), ignore=OTHER):
    try:
        card(url).get_final_response()
    except StreamInterrupted as broken:
        print("broken:", broken.partial)

with ReplayServer(CASSETTE, speed=1, faults=Stall(60, before=12)) as server:  # for any client, in any language
    try:
        card(server.base_url, timeouts=Timeouts(idle=0.2)).get_final_response()
    except StreamTimeout as slow:
        print("stalled:", slow, "|", slow.partial)
