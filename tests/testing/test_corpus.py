"""Every cassette there is: played whole, event by event and cut anywhere, it gives what stands beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import instructor
import pytest
from instructor import Mode

from instructor_stream_ext import AsyncStreamClient, FinalOnly, OutputTruncated, StreamClient, StreamError, wrap
from instructor_stream_ext.testing import (
    End,
    Fault,
    Interaction,
    Resplit,
    ResplitAtEvents,
    load_cassette,
    record_events,
    use_cassette,
)
from instructor_stream_ext.testing.cassette import Chunk
from instructor_stream_ext.testing.checks import check_cassette
from instructor_stream_ext.testing.clock import Pace
from instructor_stream_ext.testing.payload import has_end_signal, text_of
from instructor_stream_ext.testing.replay import Performance, httpx_response
from tests import test_recordings as known
from tests.playing import Played, arguments_for, play, still
from tests.providers.chunks import http_library
from tests.recordings import CLIENTS, Recording, body_of, kind_for, list_of, mode_of, model_for, recordings
from tests.testing.cassette_models import Card, Catalogue

OTHERWISE_ASKED = (
    *("grammar", "max_tokens", "messages", "model", "response_format", "seed"),
    *("parallel_tool_calls", "stop", "stream_options", "temperature", "tool_choice", "tools"),
)
"""The recorder asked in its own words and with models of its own."""
PLANS = 50
LONG, HUGE = 20_000, 200_000
HERE = Path(__file__).parent.parent / "cassettes"
CASSETTES = sorted(HERE.rglob("*.yaml"))
MODELS = {"Card": Card, "Catalogue": Catalogue}


WAYS: list[Fault] = [Resplit(), ResplitAtEvents(), *(Resplit(count=12, seed=seed) for seed in range(PLANS))]
"""Whole, event by event, and cut at random 50 times."""


# -- the project's own cassettes
# -----------------------------------------------------------------------------------------


def openai_client(url: str, mode: Mode) -> StreamClient:
    import openai

    bare = openai.OpenAI(base_url=url, api_key="none-needed", max_retries=0)
    return wrap(instructor.from_openai(bare, mode=mode), clock=still)


def async_openai_client(url: str, mode: Mode) -> AsyncStreamClient:
    import openai

    bare = openai.AsyncOpenAI(base_url=url, api_key="none-needed", max_retries=0)
    return wrap(instructor.from_openai(bare, mode=mode), clock=still)


def litellm_client(url: str, mode: Mode, *, is_async: bool = False) -> Any:
    import functools

    import litellm

    called = litellm.acompletion if is_async else litellm.completion
    call = functools.partial(called, api_base=url, api_key="none-needed", num_retries=0)
    return wrap(instructor.from_litellm(call, mode=mode), clock=still)


async def close_litellm() -> None:
    import inspect

    import litellm

    cache = litellm.in_memory_llm_clients_cache
    clients = list(cache.cache_dict.values())
    cache.flush_cache()  # type: ignore[no-untyped-call]
    for client in clients:
        closed = client.close()
        if inspect.isawaitable(closed):
            await closed


TRANSPORTS: dict[str, Callable[[str, Mode], Any]] = {
    "httpx2-sync": openai_client,
    "httpx2-async": async_openai_client,
    "httpx-sync": litellm_client,
    "aiohttp-async": lambda url, mode: litellm_client(url, mode, is_async=True),
}


def expected(cassette_file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(cassette_file.with_suffix(".json").read_text(encoding="utf-8"))
    return content


@pytest.mark.filterwarnings(
    "ignore:Accessing the 'model_:DeprecationWarning"
)  # litellm does, and takes it for an error
@pytest.mark.parametrize("cassette_file", CASSETTES, ids=lambda cassette_file: cassette_file.stem)
async def test_a_cassette_of_ours_gives_what_stands_beside_it(cassette_file: Path) -> None:
    (interaction,) = load_cassette(cassette_file, sidecar=True).interactions
    wanted = expected(cassette_file)
    url = interaction.url.removesuffix("/chat/completions")
    mode = Mode.TOOLS if b'"tools"' in interaction.request_body else Mode.JSON_SCHEMA
    clients = {name: make(url, mode) for name, make in TRANSPORTS.items()}
    names = list(clients)
    is_long, is_huge = len(interaction.body) >= LONG, len(interaction.body) >= HUGE
    runs = [(name, fault) for name in names for fault in ((None,) if is_huge else (None, *WAYS[:2]))]
    # litellm takes ten times as long as all the rest, and what cuts can break lies below it
    cuts = WAYS[2:6] if is_long else WAYS[2:14]
    runs += [(names[number % 2], fault) for number, fault in enumerate(cuts)]
    runs += [] if is_huge else [(name, fault) for name, fault in zip(names[2:], WAYS[2:4], strict=True)]
    for name, fault in runs:
        model = "openai/any" if "httpx-" in name or "aiohttp" in name else "any"
        quiet = {"debounce": FinalOnly()} if is_huge or isinstance(fault, Resplit) else {}
        with use_cassette(
            cassette_file, faults=fault, whole=wanted.get("error") != "left", ignore=OTHERWISE_ASKED
        ) as cassette:
            stream = clients[name].create_partial(
                model=model, messages="go", response_model=MODELS[wanted["response_model"]], max_retries=0, **quiet
            )
            if is_huge or ("final" in wanted and isinstance(fault, Resplit)):
                final, error = await _finished(stream)
                assert error is None, fault
                assert final.model_dump(mode="json") == wanted["final"], fault
                assert stream.text == text_of(interaction.body, interaction.content_type)
                continue
            played = await _left(stream) if wanted.get("error") == "left" else await play(stream)
            assert len(cassette.performances) == 1
        _check(played, wanted, interaction, f"{name} {fault}")
        if hasattr(stream, "aclose"):
            await stream.aclose()
    for client in list(clients.values())[:2]:
        closed = client.wrapped.client.close()
        if closed is not None:
            await closed
    await close_litellm()


async def _finished(stream: Any) -> tuple[Any, Any]:
    """The final, or the error in its place; nothing is shown on the way, which is quicker."""
    try:
        final = stream.get_final_response()
        return (await final if hasattr(final, "__await__") else final), None
    except StreamError as error:
        return None, error


async def _left(stream: Any) -> Played:
    """Read what is on a cassette whose client left, and leave too."""
    events = record_events(stream, limit=3)
    return Played(stream, events if isinstance(events, list) else await events)


def _check(played: Played, wanted: dict[str, Any], interaction: Interaction, way: str) -> None:
    if "final" in wanted:
        assert played.final.model_dump(mode="json") == wanted["final"], way
        assert played.text == text_of(interaction.body, interaction.content_type), way
        return
    if wanted["error"] == "left":
        assert played.events, way
        assert wanted["text"].startswith(played.text), way
        return
    assert type(played.error).__name__ == wanted["error"], f"{way}: {played.error!r}"
    if interaction.status == 200:
        assert wanted["text"].startswith(played.error.text), way  # type: ignore[union-attr]  # of a StreamError
        assert played.text == wanted["text"] or "several" in way or b"tool_calls" in interaction.body, way


def test_our_cassettes_are_clean_and_of_every_kind() -> None:
    assert len(CASSETTES) >= 20
    assert [found for cassette_file in CASSETTES for found in check_cassette(cassette_file)] == []
    interactions = [
        interaction
        for cassette_file in CASSETTES
        for interaction in load_cassette(cassette_file, sidecar=True).interactions
    ]
    assert {interaction.end for interaction in interactions} == set(End)
    assert (
        max(len(text_of(interaction.body, interaction.content_type).encode()) for interaction in interactions)
        >= 64 * 1024
    )
    here = [str(place) for place in (Path.home(), HERE.parent.parent) if len(place.parts) > 1]
    for folder in (HERE, HERE.parent.parent / "instructor_stream_ext" / "data"):
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_text(encoding="utf-8")
                for trace in ("/tmp/", "/home/", "/Users", "C:\\\\", *here):
                    assert trace not in content, path
    for interaction in interactions:
        assert interaction.url.startswith("http://127.0.0.1:")


def test_our_cassettes_were_really_streamed() -> None:
    for cassette_file in CASSETTES:
        (interaction,) = load_cassette(cassette_file).interactions
        if interaction.status == 200:
            assert len(interaction.chunks) > 8, cassette_file
            assert interaction.chunks[-1].at > interaction.chunks[0].at, cassette_file


# -- recordings of real providers ------------------------------------------------------------------------------------


class Stage:
    """Wrapped clients of one SDK that get whatever interaction is put on, through the SDK's own transport."""

    def __init__(self, provider: str, mode: Mode) -> None:
        self.interaction = Interaction()
        self._http = http = http_library(provider if provider in ("openai", "anthropic") else "google.genai")
        sync_client = http.Client(transport=http.MockTransport(lambda _: self._answer(is_async=False)))
        async_client = http.AsyncClient(transport=http.MockTransport(lambda _: self._answer(is_async=True)))
        self.clients = [wrap(made, clock=still) for made in _instructors(provider, mode, sync_client, async_client)]

    def _answer(self, *, is_async: bool) -> Any:
        return httpx_response(self._http, Performance(self.interaction, Pace(), "corpus"), is_async=is_async)


def _instructors(provider: str, mode: Mode, client: Any, async_client: Any) -> list[Any]:
    if provider == "openai":
        import openai

        options: dict[str, Any] = {"api_key": "k", "max_retries": 0}
        bare = openai.OpenAI(http_client=client, **options), openai.AsyncOpenAI(http_client=async_client, **options)
        return [instructor.from_openai(one, mode=mode) for one in bare]
    if provider == "anthropic":
        import anthropic

        options = {"api_key": "k", "max_retries": 0}
        both = (
            anthropic.Anthropic(http_client=client, **options),
            anthropic.AsyncAnthropic(http_client=async_client, **options),
        )
        return [instructor.from_anthropic(one, mode=mode) for one in both]
    from google import genai

    http = genai.types.HttpOptions(httpx_client=client, httpx_async_client=async_client)
    google = genai.Client(api_key="k", http_options=http)
    return [instructor.from_genai(google, mode=mode, use_async=is_async) for is_async in (False, True)]


CASES = [one for one in (*known.CALLS, *known.OBJECTS) if one.api != "responses" or one.calls]


@pytest.mark.parametrize("recording", CASES, ids=lambda recording: str(recording.file.rpartition(".")[0]))
async def test_a_recording_gives_what_stands_beside_it(recording: Recording) -> None:
    name = recording.calls[0][0] if recording.calls else "Answer"
    carried = recording.carried[0]
    is_whole = recording.texts[0].endswith(".json")
    value = json.loads(carried) if is_whole else {}
    is_list = isinstance(value, list)
    model: Any = list_of(kind_for("Item", list(value))) if is_list else model_for(name, value)
    body = body_of(recording, name)
    provider = CLIENTS[recording.api]
    stage = Stage(provider, mode_of(recording))
    whole = Interaction(headers=(("content-type", "text/event-stream"),), chunks=(Chunk(0.0, body),))
    for number, fault in enumerate(WAYS):
        stage.interaction = fault(whole)
        assert stage.interaction.body == body
        client = stage.clients[number % 2]
        stream = client.create_partial(model, **arguments_for(provider), max_retries=0, debounce=FinalOnly())
        final, error = await _finished(stream)
        if is_whole or recording.file in known.TWO_ANSWERS:
            assert error is None, fault
            found = [known._as_sent(item) for item in final] if is_list else known._as_sent(final)
            assert found == value, fault
        else:
            assert type(error) is OutputTruncated, fault
            assert error.text.endswith(carried), fault


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: str(recording.file.rpartition(".")[0]))
def test_what_a_recording_says_is_read_without_an_sdk(recording: Recording) -> None:
    """As `inspect`, `replay` and `check` read cassettes."""
    body = recording.body
    kind = "application/vnd.amazon.eventstream" if "converse" in recording.api or "invoke" in recording.mode else ""
    if recording.mode in ("sse-text", "generate-text") or recording.file in known.TWO_ANSWERS:
        return
    text = text_of(body, kind)
    for name, carried in zip(recording.texts, recording.carried, strict=True):
        if name.endswith(".json") and not recording.says("no arguments.delta events: arguments only in the done event"):
            assert _holds(text, json.loads(carried)), name
        elif not name.endswith(".json"):
            assert carried.strip() in text
    assert has_end_signal(body, kind) == (
        recording.finish != "-" or recording.mode == "chat-error" or b"[DONE]" in body
    )


def _holds(text: str, value: Any) -> bool:
    """Whether a value stands somewhere in the text."""
    decoder = json.JSONDecoder()
    places = [number for number, character in enumerate(text) if character in "{["]
    for place in places:
        try:
            if decoder.raw_decode(text, place)[0] == value:
                return True
        except ValueError:
            continue
    return False


def test_the_takes_of_a_stage_are_played() -> None:
    stage = Stage("openai", Mode.JSON)
    chunk = b'data: {"id":"1","choices":[{"index":0,"delta":{"content":"{}"},"finish_reason":"stop"}]}\n\n'
    stage.interaction = replace(
        stage.interaction, headers=(("content-type", "text/event-stream"),), chunks=(Chunk(0.0, chunk),)
    )
    stream = stage.clients[0].create_partial(model="m", messages="go", response_model=model_for("Any", {}))
    assert stream.get_final_response().model_dump() == {}
