"""How far each field has come, and what partials show of it. Without OPENAI_API_KEY a local model answers."""

from typing import Annotated

import instructor
import openai
from local_model import stand_in
from pydantic import BaseModel

from instructor_stream_ext import Done, FieldState, NotNull, Streamed, WithState, wrap


class Line(BaseModel):
    id: Annotated[int, NotNull()]  # no line is shown before it has its number
    note: str


class Order(BaseModel):
    headline: Annotated[str, WithState()]  # shown together with its state
    address: Annotated[str, Done()]  # shown in one piece
    lines: list[Line]


stand_in({"headline": "Two books", "address": "Rua Augusta 1", "lines": [{"note": "bound in blue cloth", "id": 7}]})

client = wrap(instructor.from_openai(openai.OpenAI()))
stream = client.create_partial(model="gpt-4o-mini", messages="An order.", response_model=Order)
for order in stream:
    headline: object = order.headline
    if isinstance(headline, Streamed):  # in the final it is plain text
        print(repr(headline.value), headline.state.value, repr(order.address), order.lines)
    if stream.state("lines") is FieldState.COMPLETE and not stream.is_final:
        print("all lines have come")
print(stream.get_final_response())
