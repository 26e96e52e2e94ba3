"""Recording and playing through the SDKs themselves: the events of a stream are those of its recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import PartialEmitted, StreamCancelled, StreamCompleted
from instructor_stream_ext.testing import CutOff, End, FakeClock, Trickle, load_cassette, record_events, use_cassette
from tests.playing import arguments_for, client_for, play
from tests.server import ScriptedServer, gated, reply
from tests.server.signals import Signal
from tests.twins import settled

CASES = [
    ("openai", Mode.TOOLS),
    ("openai", Mode.JSON_SCHEMA),
    ("openai", Mode.RESPONSES_TOOLS),
    ("anthropic", Mode.TOOLS),
    ("genai", Mode.JSON),
    ("litellm", Mode.TOOLS),
]
every_sdk = pytest.mark.parametrize(("provider", "mode"), CASES, ids=lambda case: getattr(case, "name", case))
both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
# litellm does, and takes it for an error where warnings are errors
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")


class Person(BaseModel):
    """Somebody."""

    name: str
    town: str


TEXT = '{"name": "Ada Lovelace", "town": "Zürich an der Limmat"}'


@pytest.fixture
def cassette_file(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


def stream_of(server: ScriptedServer, provider: str, mode: Mode, *, is_async: bool, **options: Any) -> Any:
    client = client_for(server, provider, mode, is_async=is_async)
    return client.create_partial(Person, **arguments_for(provider), max_retries=0, **options)


@both
@every_sdk
async def test_a_replay_has_the_events_of_its_recording(
    server: ScriptedServer, cassette_file: Path, provider: str, mode: Mode, is_async: bool
) -> None:
    gate = Signal()

    def halfway(event: object) -> None:
        if isinstance(event, PartialEmitted) and event.partial.name:
            gate.set()  # without it the server never sends the rest: the first partials come while it is recorded

    held = [Signal() for _ in range(9)]
    for signal in held:
        signal.set()
    server.add(reply(TEXT, arrange=lambda chunks: gated(chunks, [*held, gate])))
    with use_cassette(cassette_file, record_mode="once"):
        recorded = await play(stream_of(server, provider, mode, is_async=is_async, on_event=halfway))
    assert recorded.final == Person(name="Ada Lovelace", town="Zürich an der Limmat")
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    assert interaction.deltas == recorded.stream.stats.deltas
    assert interaction.end is End.COMPLETE
    with use_cassette(cassette_file):
        played = await play(stream_of(server, provider, mode, is_async=is_async))
    assert played.comparable() == recorded.comparable()
    with use_cassette(cassette_file, faults=Trickle(11), speed=FakeClock()):
        trickled = await play(stream_of(server, provider, mode, is_async=is_async))
    assert trickled.comparable() == recorded.comparable()
    assert len(server.requests) == 1


@both
@every_sdk
async def test_a_stream_that_is_left_is_abandoned_on_cassette(
    server: ScriptedServer, cassette_file: Path, provider: str, mode: Mode, is_async: bool
) -> None:
    gate = Signal()
    held = [Signal() for _ in range(6)]
    for signal in held:
        signal.set()
    server.add(reply(TEXT, arrange=lambda chunks: gated(chunks, [*held, gate])))
    with use_cassette(cassette_file, record_mode="once"):
        events = await settled(record_events(stream_of(server, provider, mode, is_async=is_async), limit=4))
    gate.set()
    assert len(events) == 4
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    assert interaction.end is End.ABANDONED
    assert b"Limmat" not in interaction.body
    with use_cassette(cassette_file):
        again = await settled(record_events(stream_of(server, provider, mode, is_async=is_async), limit=4))
    assert again == events
    assert not [event for event in again if isinstance(event, StreamCompleted | StreamCancelled)]


@both
@every_sdk
async def test_a_broken_connection_is_the_same_error_for_every_sdk(
    server: ScriptedServer, cassette_file: Path, provider: str, mode: Mode, is_async: bool
) -> None:
    server.add(reply(TEXT))
    with use_cassette(cassette_file, record_mode="once"):
        await play(stream_of(server, provider, mode, is_async=is_async))
    with use_cassette(cassette_file, faults=CutOff(after=6)):
        played = await play(stream_of(server, provider, mode, is_async=is_async))
    assert type(played.error).__name__ == "StreamInterrupted"
    assert played.text
    assert TEXT.startswith(played.text)
