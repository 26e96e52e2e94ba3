"""Unit tests of code that streams, without HTTP: the test sets answers, failures and time."""

from pydantic import BaseModel, Field

from instructor_stream_ext import OutputTruncated, PartialEmitted, StreamClient, StreamRestarted
from instructor_stream_ext.testing import FakeAnswer, FakeClock, fake_client, record_events


class Order(BaseModel):
    dish: str
    plates: int = Field(ge=1)


def take_order(client: StreamClient) -> str:  # the code under test
    stream = client.create_partial(model="gpt-4o-mini", messages="An order, please.", response_model=Order)
    order = stream.get_final_response()
    return f"{order.plates} x {order.dish}"


def test_a_good_order() -> None:
    assert take_order(fake_client([Order(dish="pastel de nata", plates=2)])) == "2 x pastel de nata"


def test_a_bad_answer_is_asked_again() -> None:
    client = fake_client(['{"dish": "soup", "plates": 0}', {"dish": "soup", "plates": 1}])
    assert take_order(client) == "1 x soup"
    assert "greater than or equal to 1" in str(client.requests[1]["messages"])


def test_what_is_shown_and_when() -> None:
    clock = FakeClock()
    client = fake_client([Order(dish="bacalhau", plates=3)], chunk_size=4, delay=0.5, clock=clock, debounce=1.0)
    events = record_events(client.create_partial(Order, "go"))
    shown = [(event.at, event.partial.dish) for event in events if isinstance(event, PartialEmitted)]
    print(*shown, sep="\n")
    assert not [event for event in events if isinstance(event, StreamRestarted)]


def test_the_token_limit() -> None:
    try:
        take_order(fake_client([FakeAnswer(answer='{"dish": "caldo ver', finish_reason="length")]))
    except OutputTruncated as cut:
        print("cut off:", repr(cut.partial.dish))


for test in (test_a_good_order, test_a_bad_answer_is_asked_again, test_what_is_shown_and_when, test_the_token_limit):
    test()
    print("passed:", test.__name__)
