"""Recordings of real providers, from the wire through their SDK and the wrapped client to the validated object."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from instructor_stream_ext import (
    NoOutput,
    OutputRefused,
    OutputTruncated,
    RetriesExhausted,
    StreamError,
    StreamInterrupted,
    StreamRestarted,
)
from tests.playing import Played, arguments_for, client_for, play
from tests.recordings import (
    CLIENTS,
    INDEX,
    NOT_THROUGH_THESE_SDKS,
    Recording,
    body_of,
    kind_for,
    list_of,
    mode_of,
    model_for,
    recordings,
)
from tests.server import Answer, ScriptedServer, Send, Start, Step, sends

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason="the collection of recordings is not beside this checkout")

TRUNCATED = {"length", "max_tokens"}
BROKEN = {"groq__chat-error__tool-use-failed-mid-stream.yaml": "Tool call validation failed"}
TWO_ANSWERS = {"cerebras__chat-tools__vercel-glm47-reasoning.jsonl"}

READ = [one for one in recordings() if one.file not in NOT_THROUGH_THESE_SDKS]
CALLS = [one for one in READ if one.calls]
OBJECTS = [one for one in READ if not one.calls and one.texts and one.texts[0].endswith(".json")]
TEXTS = [one for one in READ if one.texts and one.texts[0].endswith(".txt") and not one.calls]


def _ids(of: list[Recording]) -> list[str]:
    return [one.file.rpartition(".")[0] for one in of]


# -- how a recording is served ---------------------------------------------------------------------------------------

EVENT_END = re.compile(rb"\r?\n\r?\n")
RANDOM_CUTS = 12


def _at_events(body: bytes) -> list[bytes]:
    ends = [found.end() for found in EVENT_END.finditer(body)]
    return _cut(body, ends)


def _at_random(body: bytes, seed: str) -> list[bytes]:
    places = random.Random(seed).choices(range(len(body)), k=RANDOM_CUTS)
    return _cut(body, sorted({*places}))


def _cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *places, len(body)]
    return [part for begin, end in itertools.pairwise(edges) if (part := body[begin:end])]


def _ways(recording: Recording, body: bytes) -> list[list[Step]]:
    """Whole, as it came over the wire; event by event; cut anywhere."""
    whole: list[Step] = [Send(body)]
    if recording.is_compressed and body == recording.body:
        headers = {"content-type": "text/event-stream", "content-encoding": "gzip"}
        whole = [Start(headers=headers), Send(recording.raw)]
    return [whole, sends(_at_events(body)), sends(_at_random(body, recording.file))]


# -- what is asked for -----------------------------------------------------------------------------------------------


def _as_sent(model: BaseModel) -> Any:
    return model.model_dump(by_alias=True, exclude_unset=True)


async def _play_all(
    server: ScriptedServer, recording: Recording, body: bytes, make: Callable[[Any, dict[str, Any]], Any]
) -> Played:
    """Play it in every way, sync and async: each time the same must come of it."""
    provider = CLIENTS[recording.api]
    runs = []
    for is_async in (False, True):
        client = client_for(server, provider, mode_of(recording), is_async=is_async)
        for way in _ways(recording, body):
            server.add(way)
            played = await play(make(client, {**arguments_for(provider), "max_retries": 0}))
            played.check_the_end()
            runs.append(played)
    first, *others = runs
    for other in others:
        assert other.comparable() == first.comparable()
        assert other.stream.text == first.stream.text
    assert len(server.requests) == len(runs) == 6
    return first


# -- the tests -------------------------------------------------------------------------------------------------------


def test_every_recording_is_read_or_said_not_to_be() -> None:
    known = {one.file for one in recordings()}
    assert set(NOT_THROUGH_THESE_SDKS) <= known
    covered = {one.file for one in (*CALLS, *OBJECTS, *TEXTS)} | set(BROKEN)
    assert covered | set(NOT_THROUGH_THESE_SDKS) == known
    assert len(covered) >= 39
    assert {one.api for one in READ} == set(CLIENTS)


@pytest.mark.parametrize("recording", CALLS, ids=_ids(CALLS))
async def test_a_call_becomes_its_object(server: ScriptedServer, recording: Recording) -> None:
    """The first call under the name that was asked for, whichever comes before it."""
    names = [name for name, _ in recording.calls]
    for name in dict.fromkeys(names):
        place = names.index(name)
        carried = recording.carried[place]
        whole = recording.texts[place].endswith(".json")
        value = json.loads(carried) if whole else {}
        if not whole and recording.file not in TWO_ANSWERS:
            value = from_json(carried, allow_partial="trailing-strings")
        model = model_for(name, value)

        def make(client: Any, arguments: dict[str, Any], model: type[BaseModel] = model) -> Any:
            return client.create_partial(model, **arguments)

        played = await _play_all(server, recording, body_of(recording, name), make)
        if whole or recording.file in TWO_ANSWERS:
            _check_whole(recording, played, model, value)
        else:
            _check_truncated(recording, played, value, carried)
        _check_counts(recording, played, place)
        server.exchanges.clear()


def _check_whole(recording: Recording, played: Played, model: type[BaseModel], value: Any) -> None:
    assert type(played.final) is model
    assert _as_sent(played.final) == value
    assert json.loads(played.stream.json_text) == value
    if value:
        assert _as_sent(played.partials[-1]) == value
    assert played.stream.stats.end_signal == recording.finish
    assert played.of(StreamRestarted) == []


def _check_truncated(recording: Recording, played: Played, value: Any, carried: str) -> None:
    error = played.error
    assert type(error) is OutputTruncated
    assert error.text.endswith(carried)
    assert len(error.text) == len(carried) + recording.beside
    assert _as_sent(error.partial) == value
    assert recording.finish in TRUNCATED
    assert played.stream.stats.end_signal == recording.finish


def _check_counts(recording: Recording, played: Played, place: int) -> None:
    """The recording's pieces came one by one, and none twice."""
    _, fragments = recording.calls[place]
    stats = played.stream.stats
    assert stats.deltas >= max(1, fragments - 1)
    assert stats.deltas - fragments <= recording.beside
    if fragments > 3:
        assert len(played.partials) > 1
    assert stats.chars == len(played.text)
    usage = played.stream.usage
    assert (usage is not None and usage.output_tokens > 0) == recording.says("usage")


@pytest.mark.parametrize("recording", OBJECTS, ids=_ids(OBJECTS))
async def test_json_as_text_becomes_its_object(server: ScriptedServer, recording: Recording) -> None:
    value = json.loads(recording.carried[0])
    is_list = isinstance(value, list)
    model: Any = list_of(kind_for("Item", value)) if is_list else model_for("Answer", value)

    if recording.api == "responses":  # instructor has no mode for JSON as text there

        def make(client: Any, arguments: dict[str, Any]) -> Any:
            arguments.pop("max_retries")
            return client.stream_text(**arguments)

    else:

        def make(client: Any, arguments: dict[str, Any]) -> Any:
            return client.create_partial(model, **arguments)

    played = await _play_all(server, recording, recording.sse, make)
    if recording.api == "responses":
        assert json.loads(played.final) == value
    else:
        assert [_as_sent(item) for item in played.final] == value if is_list else _as_sent(played.final) == value
        assert json.loads(played.stream.json_text) == value
    assert played.stream.stats.end_signal == recording.finish
    assert len(played.partials) > 1
    assert (played.stream.usage is not None) == recording.says("usage")


@pytest.mark.parametrize("recording", TEXTS, ids=_ids(TEXTS))
async def test_text_comes_whole_or_its_want_is_told(server: ScriptedServer, recording: Recording) -> None:
    def make(client: Any, arguments: dict[str, Any]) -> Any:
        arguments.pop("max_retries")
        return client.stream_text(**arguments)

    played = await _play_all(server, recording, recording.sse, make)
    assert played.stream.text.strip() == recording.carried[0].strip()
    assert played.text == played.stream.text
    assert len(played.partials) > 1 or recording.mode == "chat-refusal"
    if recording.mode == "chat-refusal":
        assert type(played.error) is OutputRefused
        assert recording.carried[0].strip() in str(played.error)
    elif recording.finish == "-":
        assert type(played.error) is OutputTruncated
        assert played.error.text == played.text
        assert played.error.partial == played.text
    else:
        assert played.final == played.text
        assert played.stream.stats.end_signal == recording.finish


@pytest.mark.parametrize("recording", CALLS, ids=_ids(CALLS))
async def test_under_another_name_only_a_lone_call_is_the_answer(server: ScriptedServer, recording: Recording) -> None:
    server.add(_at_events(recording.sse))
    client = client_for(server, CLIENTS[recording.api], mode_of(recording), is_async=False)
    arguments = arguments_for(CLIENTS[recording.api])
    played = await play(client.create_partial(model_for("another_name", {"a": 1}), **arguments, max_retries=0))
    assert isinstance(played.error, StreamError)
    if recording.finish in TRUNCATED:
        assert type(played.error) is OutputTruncated
    elif len(recording.calls) == 1 and recording.file not in TWO_ANSWERS:
        assert type(played.error) is RetriesExhausted
        assert isinstance(played.error.__cause__, ValidationError)
    else:
        assert type(played.error) is NoOutput
        assert len(played.error.text) == recording.beside
        assert played.partials == []


async def test_an_array_in_place_of_events_is_told(server: ScriptedServer) -> None:
    """google's SDK asks for events and cannot read the array that its API gives otherwise."""
    recording = next(one for one in READ if one.says("json-array"))
    for is_async in (False, True):
        server.add(Answer(recording.raw, headers={"content-type": "application/json", "content-encoding": "gzip"}))
        client = client_for(server, "genai", Mode.JSON, is_async=is_async)
        played = await play(client.create_partial(list_of(model_for("Dog", {"name": ""})), **arguments_for("genai")))
        assert type(played.error) is StreamInterrupted
        assert "Failed to parse" in str(played.error)
        assert type(played.error.__cause__).__name__ == "UnknownApiResponseError"


@pytest.mark.parametrize("file", BROKEN)
async def test_an_error_in_mid_stream_is_raised(server: ScriptedServer, file: str) -> None:
    recording = next(one for one in READ if one.file == file)
    model = model_for("get_something_by_name", {"name": "x"})
    played = await _play_all(
        server, recording, recording.sse, lambda client, arguments: client.create_partial(model, **arguments)
    )
    assert type(played.error) is StreamInterrupted
    assert BROKEN[file] in str(played.error)
    assert type(played.error.__cause__).__name__ == "APIError"
    assert played.error.text == ""
