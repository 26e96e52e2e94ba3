"""A bad answer is retried while streaming. Without OPENAI_API_KEY a local model answers, badly at first."""

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel, Field

from instructor_stream_ext import StreamRestarted, wrap


class Booking(BaseModel):
    guest: str
    nights: int = Field(ge=1)
    rooms: list[str]


stand_in(
    {"guest": "Ada", "nights": 0, "rooms": ["12"]},  # refused by the field
    {"guest": "Ada", "nights": 2, "rooms": []},  # refused by the check below
    {"guest": "Ada", "nights": 2, "rooms": ["12"]},
)


def has_rooms(booking: Booking) -> None:
    if not booking.rooms:
        raise ValueError("a booking needs a room")


def on_restart(restarted: StreamRestarted) -> None:
    """What was shown so far is void: a front end would clear it here."""
    print(f"-- attempt {restarted.attempt}, because of {' '.join(str(restarted.error).split()):.96}")


client = wrap(instructor.from_openai(openai.OpenAI()), on_restart=on_restart)
stream = client.create_partial(
    model="gpt-4o-mini",
    messages="Ada books room 12 for two nights.",
    response_model=Booking,
    max_retries=3,
    final_checks=[has_rooms],
)
for booking in stream:
    print(stream.attempt, booking)

print(f"{stream.attempt} attempts, {stream.usage}")
