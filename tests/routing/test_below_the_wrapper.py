"""_instructor/litellm_chunks.py: below litellm's wrapper, callers, callbacks and litellm itself see the same."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litellm.integrations.custom_logger import CustomLogger

from instructor_stream_ext import StreamInterrupted, StreamMisuse
from instructor_stream_ext.core.options import LitellmReader
from tests.playing import Played, play, still
from tests.recordings import INDEX
from tests.routing.calls import (
    DOCUMENT,
    FINAL,
    PROVIDERS,
    QUIET,
    Person,
    Provider,
    every_provider,
    litellm,
    retiring,
    single,
)
from tests.routing.test_recordings import OF_LITELLM, READ
from tests.routing.test_recordings import _body as body_of
from tests.server import Answer, Cut, Request, Reset, ScriptedServer, Status, reply, sends
from tests.server.clients import close_litellm
from tests.server.wire_format import chat_content, chat_error
from tests.sides import both_sides, everything

pytestmark = [QUIET, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

LONG = json.dumps({"name": "Ann of " + ", ".join(f"Fen {n}" for n in range(90)), "age": 47})
READERS: tuple[LitellmReader, LitellmReader] = ("wrapper", "auto")
GPT = PROVIDERS["openai"]
SELDOM = 20
"""More chunks than litellm's wrapper sees of a long answer that is read below it."""


class Ear(CustomLogger):
    """Notes what litellm tells when an answer has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, Any]] = []
        self.done = threading.Event()

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("success", kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("async success", kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("failure", kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("async failure", kwargs, response_obj, start_time, end_time)

    def _note(self, what: str, kwargs: Any, response: Any, start_time: Any, end_time: Any) -> None:
        began = kwargs.get("completion_start_time")
        self.told.append(
            {
                "what": what,
                "model": kwargs["model"],
                "error": type(kwargs.get("exception")).__name__,
                "cost": kwargs.get("response_cost") or 0.0,  # litellm 1.83 says None or 0 as its threads happen to run
                "response": _plain(response),
                "is_timed": began is None or start_time <= began <= end_time,
            }
        )
        self.done.set()

    async def heard(self) -> list[dict[str, Any]]:
        """What was told, when at least one thing was and the threads of litellm have had their turn."""
        assert await asyncio.to_thread(self.done.wait, 10)
        await asyncio.sleep(0)
        await asyncio.to_thread(litellm.litellm_core_utils.thread_pool_executor.executor.submit(int).result)
        return self.told


class ChunkEar(Ear):
    def __init__(self) -> None:
        super().__init__()
        self.chunks = 0

    def log_stream_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        del kwargs, response_obj, start_time, end_time
        self.chunks += 1


class Changer(CustomLogger):
    async def async_post_call_streaming_deployment_hook(
        self, request_data: Any, response_chunk: Any, call_type: Any
    ) -> Any:
        del request_data, call_type
        return response_chunk


def _plain(response: Any) -> Any:
    """An assembled answer without what is made up anew for each."""
    if response is None:
        return None
    made = response.model_dump(exclude_none=True)
    for name in ("id", "created"):
        made.pop(name, None)
    for choice in made["choices"]:
        for call in choice.get("message", {}).get("tool_calls") or ():
            call.pop("id", None)
    return made


@pytest.fixture
def ear(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = getattr(request, "param", Ear)()
    litellm.callbacks.append(made)
    yield made
    forget(made)


def forget(callback: Any) -> None:
    for name in (
        "callbacks", "success_callback", "failure_callback", "_async_success_callback", "_async_failure_callback",
        "input_callback", "_async_input_callback",
    ):  # fmt: skip
        found = getattr(litellm, name)
        found[:] = [one for one in found if one is not callback]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The chunks that litellm's wrapper makes anew."""
    seen: list[Any] = []
    made = litellm.CustomStreamWrapper.chunk_creator

    def chunk_creator(self: Any, chunk: Any) -> Any:
        seen.append(chunk)
        return made(self, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(litellm.CustomStreamWrapper, "chunk_creator", chunk_creator)
        yield seen


def _is_about_a_model(request: Request) -> bool:
    return request.path.endswith("/api/show")


@pytest.fixture(autouse=True)
def knows_nothing_of_models(server: ScriptedServer) -> None:
    for _ in range(8):
        server.add(Status(404), match=_is_about_a_model)


def seen(played: Played) -> dict[str, Any]:
    """What a caller sees of a stream, but for the times and what is made up anew."""
    stream = played.stream
    is_well = played.error is None
    return {
        "final": played.final if is_well else None,
        "error": (type(played.error), str(played.error)),
        "text": played.text,
        "usage": stream.usage,
        "end": stream.stats.end_signal,
        "cost": stream.stats.cost,
        "completion": _plain(stream.completion),
        "kind": type(stream.completion),
    }


@both_sides
@every_provider
async def test_the_wrapper_sees_few_chunks_and_everybody_the_same(
    server: ScriptedServer, provider: Provider, side: str, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers, callbacks, chunks = [], [], []
    for reader in READERS:
        server.add(reply(LONG))
        client = single(server, provider, is_async=side == "async", clock=still, litellm_reader=reader)
        with counted(monkeypatch) as through:
            played = await play(client.create_partial(Person, "go"))
            callers.append(seen(played))
            callbacks.append(list(await ear.heard()))
        chunks.append(len(through))
        ear.told.clear()
        ear.done.clear()
    assert callers[1] == callers[0]
    assert callbacks[1] == callbacks[0]
    assert all(told["is_timed"] for told in callbacks[1])
    assert chunks[1] < SELDOM < chunks[0]
    assert callers[1]["text"] == LONG


@pytest.mark.skipif(not INDEX.exists(), reason="the collection of recordings is not beside this checkout")
@both_sides
@pytest.mark.parametrize("recording", READ, ids=[one.file.rpartition(".")[0] for one in READ])
async def test_a_recording_is_the_same(
    server: ScriptedServer, recording: Any, side: str, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recording.file in OF_LITELLM
    provider = PROVIDERS["ollama_chat" if recording.provider == "ollama" else recording.provider]
    callers, callbacks = [], []
    for reader in READERS:
        server.add(body_of(recording))
        client = single(server, provider, is_async=side == "async", clock=still, litellm_reader=reader)
        with counted(monkeypatch):
            callers.append(seen(await play(client.stream_text("go", max_retries=0))))
            callbacks.append(list(await ear.heard()))
        ear.told.clear()
        ear.done.clear()
    assert callers[1] == callers[0]
    assert callbacks[1] == callbacks[0]


BREAKS = {
    "cut": [*sends(chat_content(DOCUMENT)[:9]), Cut()],
    "reset": [*sends(chat_content(DOCUMENT)[:9]), Reset()],
    "no end": sends(chat_content(DOCUMENT)[:9]),
    "an error among the events": sends([*chat_content(DOCUMENT)[:9], chat_error("overloaded")]),
    "length": sends(chat_content(DOCUMENT[:20], finish="length")),
    "filtered": sends(chat_content(DOCUMENT[:20], finish="content_filter")),
    "nothing": sends(chat_content("")),
    "rate limit": Status(429),
    "no JSON": sends([*chat_content(DOCUMENT)[:9], b"data: {oops\n\n"]),
}


@both_sides
@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
async def test_what_breaks_is_the_same_error(server: ScriptedServer, script: Any, side: str, ear: Ear) -> None:
    callers, callbacks = [], []
    for reader in READERS:
        server.add(script)
        client = single(server, GPT, is_async=side == "async", clock=still, litellm_reader=reader)
        callers.append(seen(await play(client.stream_text("go", max_retries=0))))
        callbacks.append([{**told, "is_timed": True} for told in await ear.heard()])
        ear.told.clear()
        ear.done.clear()
    assert callers[1] == callers[0]
    assert callbacks[1] == callbacks[0]


@both_sides
async def test_a_model_that_hangs_is_stopped_as_by_litellm(server: ScriptedServer, side: str) -> None:
    said = []
    for reader in READERS:
        server.add(sends([chat_content("abc", size=3)[1]] * 300))
        client = single(server, GPT, is_async=side == "async", clock=still, litellm_reader=reader)
        played = await play(client.stream_text("go", max_retries=0))
        assert type(played.error) is StreamInterrupted
        said.append((str(played.error).rpartition(":")[2], type(played.error.__cause__)))
    assert said[1] == said[0]
    assert "repeating the same chunk" in said[1][0]


@pytest.mark.parametrize("ear", [ChunkEar], indirect=True)
async def test_a_callback_that_sees_chunks_sees_them_all(
    server: ScriptedServer, ear: ChunkEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(reply(LONG))
    client = single(server, GPT, is_async=False, clock=still)
    with counted(monkeypatch) as through:
        await play(client.create_partial(Person, "go"))
        await ear.heard()
    assert len(through) > SELDOM
    assert ear.chunks > SELDOM


@pytest.mark.parametrize("ear", [Changer], indirect=True)
async def test_a_callback_that_may_change_a_chunk_does(
    server: ScriptedServer, ear: Changer, monkeypatch: pytest.MonkeyPatch
) -> None:
    del ear
    server.add(reply(LONG))
    with counted(monkeypatch) as through:
        await play(single(server, GPT, is_async=True).create_partial(Person, "go"))
    assert len(through) > SELDOM


@both_sides
async def test_a_function_among_the_callbacks(
    server: ScriptedServer, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """litellm calls a function for each chunk of `completion`, and once for `acompletion`."""
    told: list[Any] = []
    done = threading.Event()

    def function(kwargs: Any, response: Any, start: Any, end: Any) -> None:
        del kwargs, start, end
        told.append(response)
        done.set()

    async def afunction(kwargs: Any, response: Any, start: Any, end: Any) -> None:
        function(kwargs, response, start, end)

    given = afunction if side == "async" else function
    litellm.success_callback.append(given)
    try:
        server.add(reply(LONG))
        with counted(monkeypatch) as through:
            await play(single(server, GPT, is_async=side == "async").create_partial(Person, "go"))
            # litellm 1.83 calls none for `completion` before it has called one for `acompletion`
            assert side == "sync" or await asyncio.to_thread(done.wait, 10)
    finally:
        forget(given)
    assert (len(through) > SELDOM) == (side == "sync")


@both_sides
async def test_rules_see_every_chunk(server: ScriptedServer, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_of_it: list[str] = []

    def rule(text: str) -> bool:
        seen_of_it.append(text)
        return True

    monkeypatch.setattr(litellm, "post_call_rules", [rule])
    server.add(reply(LONG))
    played = await play(single(server, GPT, is_async=side == "async").stream_text("go"))
    assert played.final == LONG
    assert len(seen_of_it) > SELDOM


@both_sides
async def test_a_router_goes_on_as_before(server: ScriptedServer, side: str) -> None:
    """Its counts and its cooldowns hang on callbacks and on a wrapper of its own."""
    import instructor

    from instructor_stream_ext import wrap

    server.closers.append(close_litellm)
    counts = []
    for reader in READERS:
        deployment = {"model_name": "any", "litellm_params": {"model": GPT.model, **GPT.at(server)}}
        router = litellm.Router(model_list=[deployment])
        server.closers.append(retiring(router))
        made: Any = instructor.from_litellm(router.acompletion if side == "async" else router.completion)
        client: Any = wrap(made, litellm_reader=reader)
        server.add(reply(DOCUMENT))
        stream = client.create_partial(Person, "go", model="any")
        assert (await everything(stream))[-1] == FINAL
        counts.append(len(server.exchanges))
    assert counts == [1, 2]


def said(text: str, finish: str = "") -> dict[str, Any]:
    """What litellm asks of a provider that somebody has written himself."""
    return {
        "text": text,
        "is_finished": bool(finish),
        "finish_reason": finish,
        "usage": None,
        "index": 0,
        "tool_use": None,
    }


class Written(litellm.CustomLLM):  # type: ignore[misc]
    """A provider whose chunks are of a kind that only the wrapper knows, with one that says nothing in their midst."""

    pieces = (said(DOCUMENT[:9]), said(""), said(DOCUMENT[9:]), said("", "stop"))

    def streaming(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield from self.pieces

    async def astreaming(self, *_: Any, **__: Any) -> Any:
        for piece in self.pieces:
            yield piece


@both_sides
@pytest.mark.parametrize("reader", READERS)
async def test_a_provider_that_somebody_has_written(
    server: ScriptedServer, side: str, reader: LitellmReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    import instructor

    from instructor_stream_ext import wrap

    server.closers.append(close_litellm)
    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "mine", "custom_handler": Written()}])
    called = litellm.acompletion if side == "async" else litellm.completion
    made: Any = instructor.from_litellm(called, mode=instructor.Mode.MD_JSON)
    client: Any = wrap(made, litellm_reader=reader, clock=still)
    played = await play(client.create_partial(Person, "go", model="mine/m"))
    assert played.final == FINAL
    assert played.text == DOCUMENT
    assert played.stream.stats.end_signal == "stop"


@both_sides
@pytest.mark.parametrize("reader", READERS)
async def test_an_answer_in_one_chunk(server: ScriptedServer, side: str, reader: LitellmReader) -> None:
    server.add(sends(chat_content(DOCUMENT, size=1000)))
    client = single(server, GPT, is_async=side == "async", clock=still, litellm_reader=reader)
    assert (await play(client.stream_text("go"))).final == DOCUMENT


def test_only_known_words_say_how_to_read(server: ScriptedServer) -> None:
    with pytest.raises(StreamMisuse, match="litellm_reader must be one of auto, wrapper, not 'raw'"):
        single(server, GPT, is_async=False, litellm_reader="raw")


def test_an_answer_in_one_piece(server: ScriptedServer) -> None:
    server.add(Answer(json.dumps({"error": {"message": "no stream here"}}).encode()))
    stream = single(server, GPT, is_async=False).stream_text("go", max_retries=0)
    with pytest.raises(Exception, match="no"):
        stream.get_final_response()
