"""What real servers send besides the formats' own words: ends, envelopes, empty events, items that are told twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import NoOutput, OutputTruncated, StreamInterrupted
from tests.playing import Played, arguments_for, client_for, play
from tests.providers.chunks import raw
from tests.recordings import INDEX, recordings
from tests.server import Answer, ScriptedServer, Send, sends
from tests.server.wire_format import (
    anthropic_tools,
    chat_chunk,
    chat_content,
    chat_tools,
    responses_text,
)
from tests.sides import both_sides

LISBON = '{"name": "Lisbon", "inhabitants": 545000}'
DONE = b"data: [DONE]\n\n"


class City(BaseModel):
    name: str
    inhabitants: int


class Settings(BaseModel):
    dark: bool = False
    size: int = 10


FINAL = City(name="Lisbon", inhabitants=545000)


def event(data: Any, name: str = "") -> bytes:
    said = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {said}\n\n".encode()


async def played(
    server: ScriptedServer, side: str, chunks: list[bytes], model: Any = City, *, sdk: str = "openai", mode: Mode
) -> list[Played]:
    """The stream of a model (of text if None): whole, by event, and in pieces that end anywhere."""
    body = b"".join(chunks)
    runs = []
    for script in ([Send(body)], sends(chunks), [Send(body[at : at + 17]) for at in range(0, len(body), 17)]):
        server.always(script)
        client: Any = client_for(server, sdk, mode, is_async=side == "async")
        arguments = arguments_for(sdk)
        stream = client.stream_text(**arguments) if model is None else client.create_partial(model, **arguments)
        runs.append(await play(stream))
    return runs


# ---------------------------------------------------------------------- an empty input in a start event


def _after_block_start(given: dict[str, Any]) -> list[bytes]:
    whole = anthropic_tools("{}", name="Settings")
    start = next(number for number, one in enumerate(whole) if b"content_block_start" in one)
    return [*whole[:start], whole[start].replace(b'"input": {}', b'"input": ' + json.dumps(given).encode())]


@both_sides
@pytest.mark.parametrize("given", [{}, {"dark": True}])
async def test_an_anthropic_stream_that_ends_behind_the_start_of_the_block_is_cut_off(
    server: ScriptedServer, side: str, given: dict[str, Any]
) -> None:
    """Of 490 random cuts of real Anthropic recordings 59 gave the model's defaults as a validated final."""
    for one in await played(server, side, _after_block_start(given), Settings, sdk="anthropic", mode=Mode.TOOLS):
        assert type(one.error) is OutputTruncated
        assert "just stopped" in str(one.error)


@both_sides
async def test_a_chat_stream_that_ends_behind_the_name_of_the_call_is_cut_off(
    server: ScriptedServer, side: str
) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "Settings", "arguments": ""}}
    for one in await played(server, side, [chat_chunk({"tool_calls": [call]})], Settings, mode=Mode.TOOLS):
        assert type(one.error) is OutputTruncated


@both_sides
async def test_a_responses_item_that_was_only_added_is_cut_off(server: ScriptedServer, side: str) -> None:
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "Settings", "arguments": "{}"}
    added = {"type": "response.output_item.added", "output_index": 0, "item": item}
    created = {"type": "response.created", "response": {"id": "r", "model": "m", "output": []}}
    chunks = [event(created, created["type"]), event(added, added["type"])]  # type: ignore[arg-type]
    for one in await played(server, side, chunks, Settings, mode=Mode.RESPONSES_TOOLS):
        assert type(one.error) is OutputTruncated
    finished = {
        "type": "response.completed",
        "response": {"id": "r", "model": "m", "output": [], "status": "completed"},
    }
    whole = [*chunks, event(finished, "response.completed")]
    for one in await played(server, side, whole, Settings, mode=Mode.RESPONSES_TOOLS):
        assert one.final == Settings()


@pytest.mark.skipif(not INDEX.exists(), reason="the collection of recordings is not here")
@pytest.mark.parametrize(
    "recording",
    [one for one in (recordings() if INDEX.exists() else []) if one.provider in ("vertex", "anthropic") and one.calls],
    ids=lambda one: str(one.file),
)
async def test_no_clean_cut_of_a_recording_is_a_success_out_of_defaults(server: ScriptedServer, recording: Any) -> None:
    body: bytes = recording.sse
    stop = body.rfind(b"content_block_stop")
    places = [at for at in range(len(body)) if body.startswith(b"\n\n", at) and at < stop]
    client: Any = client_for(server, "anthropic", Mode.TOOLS, is_async=False)
    defaults = type("Defaults", (BaseModel,), {"__annotations__": {}})
    defaults.__name__ = recording.calls[0][0]
    for at in places[:: max(1, len(places) // 40)]:
        server.always([Send(body[: at + 2])])
        one = await play(client.create_partial(defaults, **arguments_for("anthropic"), max_retries=0))
        # JSON that is closed is an answer, also without any word of its end; the defaults of the model are none
        assert one.error is not None or len(one.stream.json_text) > len("{}")


# ---------------------------------------------------------------------- doubled text


@both_sides
async def test_text_that_came_as_deltas_is_not_taken_again_from_its_item(server: ScriptedServer, side: str) -> None:
    """Bedrock's Responses server counts `content_index` on from the reasoning item."""
    chunks = [one.replace(b'"content_index": 0', b'"content_index": 1') for one in responses_text("1, 2, 3")]
    assert any(b'"content_index": 1' in one for one in chunks)
    part = {"type": "output_text", "text": "1, 2, 3", "annotations": []}
    item = {"id": "msg", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    done = event({"type": "response.output_item.done", "output_index": 0, "item": item}, "response.output_item.done")
    for one in await played(server, side, [*chunks[:-1], done, chunks[-1]], None, mode=Mode.RESPONSES_TOOLS):
        assert one.error is None
        assert one.final == "1, 2, 3"


# ---------------------------------------------------------------------- ends


@both_sides
@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("abort", StreamInterrupted),  # vLLM, SGLang
        ("error", StreamInterrupted),
        ("insufficient_system_resource", StreamInterrupted),  # DeepSeek
        ("repetition", OutputTruncated),
        ("max_tokens_reached", OutputTruncated),
    ],
)
async def test_a_bad_word_at_the_end_is_its_error(
    server: ScriptedServer, side: str, word: str, error: type[Exception]
) -> None:
    for chunks, model in ((chat_content(LISBON, finish=word), City), (chat_content("Hello", finish=word), None)):
        for one in await played(server, side, chunks, model, mode=Mode.JSON):
            assert type(one.error) is error
            assert one.stream.stats.end_signal == word


@both_sides
async def test_an_unknown_word_completes_closed_json_and_truncates_text(server: ScriptedServer, side: str) -> None:
    for one in await played(server, side, chat_content(LISBON, finish="gibbous"), mode=Mode.JSON):
        assert one.final == FINAL
        assert one.stream.stats.end_signal == "gibbous"
    for chunks, model in (
        (chat_content("Hello", finish="gibbous"), None),
        (chat_content(LISBON[:-9], finish="gibbous"), City),
        (chat_content("No idea.", finish="gibbous"), City),
    ):
        for one in await played(server, side, chunks, model, mode=Mode.JSON):
            assert type(one.error) is OutputTruncated


@both_sides
@pytest.mark.parametrize("word", ["stop", "eos", "end_turn", "STOP", "stop_sequence", "COMPLETE"])
async def test_a_good_word_completes_text(server: ScriptedServer, side: str, word: str) -> None:
    for one in await played(server, side, chat_content("Hello", finish=word), None, mode=Mode.JSON):
        assert one.final == "Hello"


# ---------------------------------------------------------------------- envelopes and control frames


ENVELOPES = {
    "vLLM": event({"object": "error", "message": "out of pages", "type": "ServerError", "code": 500}),
    "FastAPI": event({"detail": "out of pages"}),
    "list": event({"detail": [{"loc": ["body"], "msg": "out of pages"}]}),
    "named": event({"message": "out of pages", "code": 500}, "error"),
    "plain error": event({"error": "out of pages"}),
}


@both_sides
@pytest.mark.parametrize("envelope", list(ENVELOPES))
@pytest.mark.parametrize("before", [0, 4])
async def test_an_error_in_any_envelope_is_the_providers_word(
    server: ScriptedServer, side: str, envelope: str, before: int
) -> None:
    chunks = [*chat_tools(LISBON, name="City")[:before], ENVELOPES[envelope], DONE]
    for one in await played(server, side, chunks, mode=Mode.TOOLS):
        assert isinstance(one.error, StreamInterrupted)
        assert "out of pages" in str(one.error)
        assert one.stream.attempt == 1
    assert len(server.requests) == 3


@both_sides
async def test_null_in_place_of_a_chunk_is_told(server: ScriptedServer, side: str) -> None:
    for one in await played(server, side, [*chat_tools(LISBON, name="City")[:4], event("null")], mode=Mode.TOOLS):
        assert isinstance(one.error, StreamInterrupted)
        assert "null" in str(one.error)


@both_sides
@pytest.mark.parametrize("frame", ["retry: 3000", "id: 7", "data:", "event: ping", ": hello", "id: 7\nretry: 1"])
async def test_frames_without_data_are_passed_over(server: ScriptedServer, side: str, frame: str) -> None:
    """openai's SDK parses the empty data of such a frame as JSON."""
    extra = f"{frame}\n\n".encode()
    chunks = [extra, *(part for one in chat_tools(LISBON, name="City") for part in (one, extra, b"\n"))]
    for one in await played(server, side, chunks, mode=Mode.TOOLS):
        assert one.final == FINAL
    for sdk in ("anthropic",):
        whole = [part for one in anthropic_tools(LISBON, name="City") for part in (one, extra)]
        for one in await played(server, side, whole, sdk=sdk, mode=Mode.TOOLS):
            assert one.final == FINAL


# ---------------------------------------------------------------------- answers that are no event stream


ERRORS = {
    "OpenAI": {"error": {"message": "out of pages", "code": 429}},
    "FastAPI": {"detail": "out of pages"},
    "vLLM": {"object": "error", "message": "out of pages"},
}
CLIENTS = ["openai", "anthropic", "litellm", "litellm's wrapper"]


async def answered(server: ScriptedServer, side: str, body: bytes, kind: str, client_name: str) -> Played:
    server.always(Answer(body, headers={"content-type": kind}))
    sdk = client_name.removesuffix("'s wrapper")
    reader: Any = {} if sdk == client_name else {"litellm_reader": "wrapper"}
    client: Any = client_for(server, sdk, Mode.TOOLS, is_async=side == "async", **reader)
    return await play(client.create_partial(City, **arguments_for(sdk), max_retries=0))


@both_sides
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("indent", [None, 2])
async def test_an_error_in_place_of_the_stream_is_the_providers_word(
    server: ScriptedServer, side: str, client: str, indent: int | None
) -> None:
    """A gateway answers 200 and JSON; the SDKs find no event in it, and say nothing."""
    for body in ERRORS.values():
        one = await answered(server, side, json.dumps(body, indent=indent).encode(), "application/json", client)
        assert type(one.error) is StreamInterrupted
        assert "out of pages" in str(one.error)


@both_sides
@pytest.mark.parametrize("client", CLIENTS)
async def test_what_came_in_place_of_events_is_shown(server: ScriptedServer, side: str, client: str) -> None:
    page = b"<html>\n<h1>Bad gateway\x1b</h1>\n" + b"<p>x</p>\n" * 10_000 + b"</html>"
    one = await answered(server, side, page, "text/html", client)
    assert type(one.error) is NoOutput
    assert "the answer was text/html, not an event stream: <html>" in str(one.error)
    assert "Bad gateway" in str(one.error)
    assert "\x1b" not in str(one.error)
    assert len(str(one.error)) < 400
    one = await answered(server, side, b"too many requests", "text/event-stream", client)
    assert type(one.error) is NoOutput
    assert "lines came that are no events: too many requests" in str(one.error)
    one = await answered(server, side, b"", "text/event-stream", client)
    assert str(one.error) == "the model sent no text"


@both_sides
async def test_a_line_of_an_unknown_field_changes_nothing(server: ScriptedServer, side: str) -> None:
    chunks = [part for one in chat_tools(LISBON, name="City") for part in (b'x-trace: {"error": 1}\n', one)]
    for one in await played(server, side, chunks, mode=Mode.TOOLS):
        assert one.final == FINAL


@both_sides
async def test_an_error_of_llama_cpps_is_raised(server: ScriptedServer, side: str) -> None:
    error = b'error: {"code": 500, "message": "the context is full"}\n\n'
    for one in await played(server, side, [*chat_tools(LISBON, name="City")[:4], error, DONE], mode=Mode.TOOLS):
        assert type(one.error) is StreamInterrupted
        assert "the context is full" in str(one.error)


@both_sides
async def test_anthropics_api_of_a_gateway_may_end_with_done(server: ScriptedServer, side: str) -> None:
    chunks = [*anthropic_tools(LISBON, name="City"), b"event: data\n" + DONE]
    for one in await played(server, side, chunks, sdk="anthropic", mode=Mode.TOOLS):
        assert one.final == FINAL


# ---------------------------------------------------------------------- what goes back, and what is kept


@both_sides
@pytest.mark.parametrize("client", ["openai", "litellm", "litellm's wrapper"])
async def test_what_belongs_to_a_call_goes_back_with_the_re_ask(server: ScriptedServer, side: str, client: str) -> None:
    """Gemini 3 refuses a call of its own that comes back without its signature (ai.google.dev: Thought signatures)."""
    signature = {"google": {"thought_signature": "c2ln"}}
    for answer in ("{}", LISBON):
        call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "City", "arguments": answer}}
        said = {"role": "assistant", "tool_calls": [{**call, "extra_content": signature}]}
        server.add(sends([event(raw(said)), event(raw({}, "tool_calls")), DONE]))
    sdk = client.removesuffix("'s wrapper")
    reader: Any = {} if sdk == client else {"litellm_reader": "wrapper"}
    asking: Any = client_for(server, sdk, Mode.TOOLS, is_async=side == "async", **reader)
    one = await play(asking.create_partial(City, **arguments_for(sdk)))
    assert one.final == FINAL
    ((back,),) = [message["tool_calls"] for message in server.requests[1].json["messages"] if "tool_calls" in message]
    assert back["extra_content"] == signature


@both_sides
async def test_a_hook_takes_nothing_from_the_completion(server: ScriptedServer, side: str) -> None:
    """`create` streams where a hook listens; its completion has what that of a plain `create` has."""
    tokens = [LISBON[:9], LISBON[9:]]
    chunks = [
        raw({"content": token}, logprobs={"content": [{"token": token, "logprob": -0.5, "top_logprobs": []}]})
        for token in tokens
    ]
    end = raw({}, "stop", citations=["https://a.example"], system_fingerprint="fp")
    for one in await played(server, side, [*map(event, [*chunks, end]), DONE], mode=Mode.JSON_SCHEMA):
        assert one.final == FINAL
        completion: Any = one.stream.completion
        assert [one.token for one in completion.choices[0].logprobs.content] == tokens
        assert (completion.citations, completion.system_fingerprint) == (["https://a.example"], "fp")
