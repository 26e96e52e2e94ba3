"""testing/server.py: a real server that plays a cassette to any client."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest

from instructor_stream_ext.testing import (
    Cassette,
    CutOff,
    Drop,
    End,
    EndEarly,
    ErrorEvent,
    FailFirst,
    FakeClock,
    Fault,
    Interaction,
    ReplayServer,
    Stall,
    Trickle,
)
from instructor_stream_ext.testing.cassette import Chunk
from tests.server.wire_chat import chat_content
from tests.testing.carriers import FAILURES, Carrier, every_carrier

EVENTS = chat_content('{"name": "Ada"}', size=4)
BODY = b"".join(EVENTS)
PATH = "/v1/chat/completions"
TAKE = Interaction(
    url=f"https://api.example.com{PATH}",
    headers=(("content-type", "text/event-stream"), ("x-kept", "yes"), ("transfer-encoding", "chunked")),
    chunks=tuple(Chunk(float(number), event) for number, event in enumerate(EVENTS)),
    ended_at=float(len(EVENTS)),
)


@every_carrier
async def test_a_cassette_is_played_to_any_client(carrier: Carrier) -> None:
    with ReplayServer([TAKE]) as server:
        status, pieces = await carrier.read(server.url + PATH)
        assert server.requests == 1
        assert server.unplayed == []
    assert (status, b"".join(pieces)) == (200, BODY)


def test_the_sdk_finds_it_by_its_base_url() -> None:
    with (
        ReplayServer(Cassette(Path("cassette.yaml"), (TAKE,))) as server,
        openai.OpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client,
    ):
        chunks = list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == '{"name": "Ada"}'


def test_headers_are_kept_but_for_those_of_the_connection() -> None:
    with ReplayServer([TAKE]) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
        connection.request(
            "POST", PATH, iter([b"{", b"}"]), encode_chunked=True, headers={"transfer-encoding": "chunked"}
        )
        answer = connection.getresponse()
        assert answer.read() == BODY
        connection.close()
    assert answer.headers["x-kept"] == "yes"
    assert answer.headers.get_all("transfer-encoding") == ["chunked"]


def test_a_clock_is_moved_in_place_of_waiting() -> None:
    clock = FakeClock()
    with ReplayServer([TAKE], speed=0.5, clock=clock) as server:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
        connection.request("POST", PATH, b"{}")
        assert connection.getresponse().read() == BODY
        connection.close()
    assert clock() == 2 * len(EVENTS)


@every_carrier
@pytest.mark.parametrize("fault", [CutOff(after=3), Trickle(5) | CutOff(at_byte=400)], ids=["events", "bytes"])
async def test_a_reset_is_a_reset(carrier: Carrier, fault: Fault) -> None:
    got: list[bytes] = []
    with ReplayServer([TAKE], faults=fault) as server, pytest.raises(FAILURES):
        await carrier.read(server.url + PATH, each=got.append)
    assert BODY.startswith(b"".join(got))


@every_carrier
async def test_what_was_cut_when_it_was_recorded_is_cut_again(carrier: Carrier) -> None:
    error = "RemoteProtocolError: peer closed connection without sending complete message body"
    interaction = Interaction(url=TAKE.url, headers=TAKE.headers, chunks=TAKE.chunks[:2], end=End.CUT, error=error)
    got: list[bytes] = []
    with ReplayServer([interaction]) as server, pytest.raises(FAILURES):
        await carrier.read(server.url + PATH, each=got.append)
    assert b"".join(got) == b"".join(EVENTS[:2])


async def test_a_clean_end_an_error_event_and_refusals() -> None:
    carrier = Carrier("httpx2", is_async=True)
    for fault, body in ((EndEarly(after=2), b"".join(EVENTS[:2])), (ErrorEvent(after=1, message="no"), None)):
        with ReplayServer([TAKE], faults=fault) as server:
            _, pieces = await carrier.read(server.url + PATH)
        assert b"".join(pieces) == body or b'"message": "no"' in b"".join(pieces)
    with ReplayServer([TAKE], faults=[FailFirst(529, times=1)]) as server:
        assert [(await carrier.read(server.url + PATH))[0] for _ in range(2)] == [529, 200]


async def test_takes_are_played_in_order_and_the_last_again() -> None:
    other = Interaction(url=TAKE.url, chunks=(Chunk(0.0, b"second"),))
    elsewhere = Interaction(url="https://api.example.com/v1/models", method="GET", chunks=(Chunk(0.0, b"models"),))
    carrier = Carrier("httpx2", is_async=False)
    with ReplayServer([TAKE, other, elsewhere]) as server:
        bodies = [b"".join((await carrier.read(server.url + PATH))[1]) for _ in range(3)]
        assert bodies == [BODY, b"second", b"second"]
        assert server.unplayed == [elsewhere]
        status, pieces = await carrier.read(server.url + "/v1/other")
        assert status == 404
        assert b"plays GET /v1/models, POST /v1/chat/completions, not POST /v1/other" in b"".join(pieces)


async def test_a_server_that_waits_can_be_stopped() -> None:
    carrier = Carrier("httpx2", is_async=True)
    with ReplayServer([TAKE], speed=1, faults=Stall(3600, before=0)) as server, pytest.raises(FAILURES):
        await carrier.read(server.url + PATH, patience=0.05)


@every_carrier
async def test_a_fault_that_never_happens_is_an_error(carrier: Carrier) -> None:
    never = r"fault Drop\(event=100\) never happened"
    with pytest.raises(AssertionError, match=never), ReplayServer([TAKE], faults=Drop(100)) as server:
        await carrier.read(server.url + PATH)
    with pytest.raises(AssertionError, match=r"Stall.* never happened"), ReplayServer([TAKE], faults=Stall(1)):
        pass
    with pytest.raises(KeyError), ReplayServer([TAKE], faults=Drop(100)):
        raise KeyError  # what went wrong first is told


def test_speeds_are_not_negative() -> None:
    with pytest.raises(ValueError, match="speed must be 0"):
        ReplayServer([TAKE], speed=-1)
