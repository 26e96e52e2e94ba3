"""Servers that speak almost as OpenAI does: what they send is played over HTTP, whole, by event and in pieces."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from instructor import Mode, from_litellm
from pydantic import BaseModel, ValidationError

from instructor_stream_ext import (
    InvalidJSON,
    NoOutput,
    OutputTruncated,
    RetriesExhausted,
    StreamRestarted,
    StreamStarted,
    wrap,
)
from tests.playing import Played, arguments_for, client_for, play, still
from tests.routing.calls import retiring
from tests.server import Request, Script, ScriptedServer, Send, Status, reply, sends
from tests.server.clients import close_litellm
from tests.server.wire_format import chat_chunk, chat_content, chat_error, chat_tools
from tests.sides import SOURCES, both_sides, settled

LISBON = '{"name": "Lisbon", "inhabitants": 545000}'
DONE = b"data: [DONE]\n\n"


class City(BaseModel):
    name: str
    inhabitants: int


class Settings(BaseModel):
    dark: bool = False
    size: int = 10


FINAL = City(name="Lisbon", inhabitants=545000)


def ways(chunks: list[bytes]) -> Iterator[Script]:
    """The same bytes whole, by event, and in pieces that end anywhere."""
    body = b"".join(chunks)
    yield [Send(body)]
    yield sends(chunks)
    yield [Send(body[at : at + 17]) for at in range(0, len(body), 17)]


async def played(
    server: ScriptedServer, side: str, chunks: list[bytes], model: Any = City, mode: Mode = Mode.TOOLS, **call: Any
) -> Played:
    """The stream of a model (of text if None), played in all ways; all of them tell the same."""
    results = []
    for script in ways(chunks):
        server.always(script)
        client: Any = client_for(server, "openai", mode, is_async=side == "async")
        arguments = {"max_retries": 0, **arguments_for("openai"), **call}
        if model is None:
            del arguments["max_retries"]
        results.append(
            await play(client.stream_text(**arguments) if model is None else client.create_partial(model, **arguments))
        )
    first, *others = results
    for other in others:
        assert other.events[:-1] == first.events[:-1] or first.error is not None
        assert type(other.error) is type(first.error)
    return first


def with_other_ids(chunks: list[bytes], **names: str) -> list[bytes]:
    """The chunks, each with an id (or whatever is named) of its own."""
    told = []
    for number, chunk in enumerate(chunks):
        if chunk == DONE:
            told.append(chunk)
            continue
        event = json.loads(chunk.removeprefix(b"data: "))
        event |= {name: f"{prefix}{number}" for name, prefix in (names or {"id": "chatcmpl-"}).items()}
        told.append(b"data: " + json.dumps(event).encode() + b"\n\n")
    return told


ANOTHER = {
    "id": {"id": "chatcmpl-"},
    "model": {"model": "vendor/"},
    "fingerprint": {"system_fingerprint": "fp_"},
    "all": {"id": "x", "model": "y", "system_fingerprint": "z"},
}
"""Groq's compound models, SGLang, LMDeploy and Foundry Local send another id each time; gateways another model."""


@pytest.mark.parametrize("names", ANOTHER.values(), ids=list(ANOTHER))
@both_sides
async def test_whatever_chunks_are_called_one_http_answer_is_one_answer(
    server: ScriptedServer, side: str, names: dict[str, str]
) -> None:
    tools = await played(server, side, with_other_ids(chat_tools(LISBON, name="City"), **names))
    content = await played(server, side, with_other_ids(chat_content(LISBON), **names), mode=Mode.JSON)
    text = await played(server, side, with_other_ids(chat_content(LISBON), **names), None)
    for one in (tools, content, text):
        assert one.final == (LISBON if one is text else FINAL)
        assert one.text == LISBON
        assert one.of(StreamRestarted) == []
        assert len(one.of(StreamStarted)) == 1


FAULTS = Path(__file__).parents[2] / "shared" / "faults"


@pytest.mark.skipif(not FAULTS.exists(), reason="the faults are not beside this checkout")
@pytest.mark.parametrize(
    ("file", "mode"),
    [
        ("chat_another_id_with_each_chunk.sse", Mode.JSON),
        ("chat_another_id_with_each_chunk.sse", None),
        ("chat_tools_another_id_with_each_chunk.sse", Mode.TOOLS),
        ("chat_tool_call_without_arguments.sse", Mode.TOOLS),
    ],
)
@both_sides
async def test_faults_that_were_found(server: ScriptedServer, side: str, file: str, mode: Mode | None) -> None:
    chunks = [event + b"\n\n" for event in (FAULTS / file).read_bytes().split(b"\n\n") if event]
    model: Any = None if mode is None else Settings if "without_arguments" in file else City
    one = await played(server, side, chunks, model, mode or Mode.JSON)
    assert one.final == {None: '{"name": "Lisbon", "inhabitants": 545000}', Settings: Settings(), City: FINAL}[model]
    assert one.of(StreamRestarted) == []


# ---------------------------------------------------------------------- what follows closed arguments


def in_calls(*arguments: str, same: bool) -> list[bytes]:
    """Whole arguments, one after another, of one call or of one each."""
    deltas: list[dict[str, Any]] = []
    for number, text in enumerate(arguments):
        head = {"id": f"call_{number}", "type": "function"} if not (same and number) else {}
        function = {"arguments": text} | ({"name": "City"} if head else {})
        deltas.append({"tool_calls": [{"index": 0 if same else number, "function": function, **head}]})
    return [*(chat_chunk(delta) for delta in deltas), chat_chunk({}, finish="tool_calls"), DONE]


@pytest.mark.parametrize("same", [True, False], ids=["one call", "two calls"])
@both_sides
async def test_an_empty_object_is_a_placeholder_for_the_arguments(
    server: ScriptedServer, side: str, *, same: bool
) -> None:
    """Gemini through gateways."""
    one = await played(server, side, in_calls("{}", LISBON, same=same))
    assert one.final == FINAL
    assert one.of(StreamRestarted) == []
    assert one.stream.json_text == LISBON
    call = one.stream.completion.choices[0].message.tool_calls[-1]
    assert json.loads(call.function.arguments) == json.loads(LISBON)


@pytest.mark.parametrize("rest", ["}", ' {"name": "Porto", "inhabitants": 1}', " That is it.", "\n```", LISBON[:9]])
@both_sides
async def test_what_else_follows_closed_arguments_is_invalid_and_asked_again(
    server: ScriptedServer, side: str, rest: str
) -> None:
    one = await played(server, side, chat_tools(LISBON + rest, name="City"))
    assert type(one.error) is InvalidJSON
    assert one.error.offset == len(LISBON) + len(rest) - len(rest.lstrip())
    server.add(sends(chat_tools(LISBON + rest, name="City")))
    server.add(reply(LISBON))
    client: Any = client_for(server, "openai", Mode.TOOLS, is_async=side == "async")
    again = await play(client.create_partial(City, max_retries=1, **arguments_for("openai")))
    assert again.final == FINAL
    (restarted,) = again.of(StreamRestarted)
    assert type(restarted.error) is InvalidJSON


@pytest.mark.parametrize("rest", [" \n", LISBON, "\n" + LISBON])
@both_sides
async def test_space_and_the_same_object_again_are_no_fault(server: ScriptedServer, side: str, rest: str) -> None:
    assert (await played(server, side, chat_tools(LISBON + rest, name="City"))).final == FINAL


@both_sides
async def test_in_text_what_follows_the_document_is_no_fault(server: ScriptedServer, side: str) -> None:
    one = await played(server, side, chat_content(LISBON + " That is it."), mode=Mode.JSON)
    assert one.final == FINAL


# ---------------------------------------------------------------------- names and arguments of calls


@pytest.mark.parametrize(
    "name",
    ["functions.City", "default_api.City", "City<|channel|>commentary", "city", "functions.City:0", "answer", None],
)
@both_sides
async def test_a_lone_call_is_the_document_however_it_is_named(
    server: ScriptedServer, side: str, name: str | None
) -> None:
    chunks = chat_tools(LISBON, name=name or "City")
    if name is None:
        chunks = [chunk.replace(b'"name": "City", ', b"").replace(b'"name":"City",', b"") for chunk in chunks]
        assert b"City" not in b"".join(chunks)
    one = await played(server, side, chunks)
    assert one.final == FINAL
    assert one.stream.completion.choices[0].message.tool_calls[0].function.name == "City"


@both_sides
async def test_a_name_comes_in_pieces(server: ScriptedServer, side: str) -> None:
    head = [
        chat_chunk({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "Ci"}}]}),
        chat_chunk({"tool_calls": [{"index": 0, "function": {"name": "ty", "arguments": ""}}]}),
    ]
    one = await played(server, side, [*head, *chat_tools(LISBON, name="City")[2:]])
    assert one.final == FINAL
    assert len(one.partials) > 1


@pytest.mark.parametrize("arguments", [None, "", {}], ids=["null", "empty", "object"])
@both_sides
async def test_a_call_without_arguments_is_the_empty_object(server: ScriptedServer, side: str, arguments: Any) -> None:
    """Foundry Local and older vLLM."""
    called = {"index": 0, "id": "1", "type": "function", "function": {"name": "Settings", "arguments": arguments}}
    chunks = [chat_chunk({"tool_calls": [called]}), chat_chunk({}, finish="tool_calls"), DONE]
    assert (await played(server, side, chunks, Settings)).final == Settings()
    failed = await played(server, side, [chunk.replace(b"Settings", b"City") for chunk in chunks])
    assert type(failed.error) is RetriesExhausted
    assert isinstance(failed.error.__cause__, ValidationError)
    cut = await played(server, side, [chunks[0]], Settings)
    assert type(cut.error) in (NoOutput, OutputTruncated)


@pytest.mark.parametrize("indices", [[1] * 99, list(range(99))], ids=["1", "counting tokens"])
@both_sides
async def test_a_lone_choice_is_the_choice(server: ScriptedServer, side: str, indices: list[int]) -> None:
    def moved(chunks: list[bytes]) -> list[bytes]:
        events = [json.loads(chunk.removeprefix(b"data: ")) for chunk in chunks if chunk != DONE]
        for event, index in zip(events, indices, strict=False):
            event["choices"][0]["index"] = index
        return [*(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events), DONE]

    assert (await played(server, side, moved(chat_tools(LISBON, name="City")))).final == FINAL
    assert (await played(server, side, moved(chat_content(LISBON)), mode=Mode.JSON)).final == FINAL
    assert (await played(server, side, moved(chat_content(LISBON)), None)).final == LISBON


@both_sides
async def test_where_no_call_fits_the_error_names_what_was_called_and_what_was_offered(
    server: ScriptedServer, side: str
) -> None:
    calls = [
        {"index": at, "id": f"{at}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        for at, name in enumerate(("search", "fetch"))
    ]
    for said in ("", "Let me look."):
        chunks = [chat_chunk({"content": said, "tool_calls": calls}), chat_chunk({}, finish="tool_calls"), DONE]
        one = await played(server, side, chunks)
        assert type(one.error) is NoOutput
        assert "it called 'search', 'fetch', which the request does not offer; it offers 'City'" in str(one.error)
        assert said in str(one.error)


# ---------------------------------------------------------------------- a 400 that says nothing

OPAQUE = {"error": {"code": "400", "message": "Param Incorrect", "param": "", "type": ""}}
"""Xiaomi's MiMo, of `stream_options`."""
OPENAI = SOURCES["openai-tools"]
ASK = OPENAI.ask


def refuses(when: Callable[[Request], bool], answer: Any) -> Callable[[Request], Any]:
    def script(request: Request) -> Any:
        return answer if when(request) else reply(LISBON)(request)

    return script


def _options(server: ScriptedServer) -> list[bool]:
    return ["stream_options" in request.json for request in server.requests]


@both_sides
async def test_after_an_opaque_400_the_request_is_repeated_once_without_stream_options(
    server: ScriptedServer, side: str
) -> None:
    server.always(refuses(lambda request: "stream_options" in request.json, Status(400, OPAQUE)))
    client = OPENAI.client(server, side)
    assert await settled(client.create_partial(City, **ASK).get_final_response()) == FINAL
    assert await settled(client.create_partial(City, **ASK).get_final_response()) == FINAL
    assert _options(server) == [True, False, False]


@both_sides
async def test_if_the_repetition_fails_too_the_first_error_is_raised_and_nothing_remembered(
    server: ScriptedServer, side: str
) -> None:
    first, second = Status(400, OPAQUE), Status(429, {"error": {"message": "slow down"}})
    answers = iter([first, second])
    server.always(lambda request: next(answers, None) or reply(LISBON)(request))
    client = OPENAI.plain(server, side)
    wrapped = wrap(client)
    with pytest.raises(openai.BadRequestError, match="Param Incorrect"):
        await settled(wrapped.create_partial(City, max_retries=0, **ASK).get_final_response())
    assert await settled(wrapped.create_partial(City, **ASK).get_final_response()) == FINAL
    assert _options(server) == [True, False, True]


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Invalid value for temperature", "param": "temperature"},
        {"message": "too long", "code": "context_length_exceeded"},
        {"message": "messages: at least one is required"},
        {"message": "Automatic parser generation failed: JSON schema error at #: unrecognized type", "code": "400"},
    ],
    ids=["parameter", "code", "argument", "in words, as llama.cpp"],
)
@both_sides
async def test_a_400_that_says_what_is_wrong_is_not_repeated(
    server: ScriptedServer, side: str, error: dict[str, str]
) -> None:
    server.always(Status(400, {"error": error}))
    with pytest.raises(openai.BadRequestError):
        await settled(OPENAI.client(server, side).create_partial(City, **ASK).get_final_response())
    assert _options(server) == [True]


@both_sides
async def test_a_callers_own_stream_options_are_never_left_out(server: ScriptedServer, side: str) -> None:
    server.always(Status(400, OPAQUE))
    stream = OPENAI.client(server, side).create_partial(City, stream_options={"include_usage": True}, **ASK)
    with pytest.raises(openai.BadRequestError):
        await settled(stream.get_final_response())
    assert _options(server) == [True]


# ---------------------------------------------------------------------- litellm's Router


def over_router(server: ScriptedServer, side: str) -> Any:
    """A client over a Router of the caller's own, which may go on with another model in mid-stream."""
    litellm = pytest.importorskip("litellm")
    server.closers.append(close_litellm)
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/test-model", "api_key": "key", "api_base": f"{server.url}/v1"},
        }
        for name in ("first", "second")
    ]
    router = litellm.Router(model_list=models, fallbacks=[{"first": ["second"]}], num_retries=0)
    server.closers.append(retiring(router))
    function = router.acompletion if side == "async" else router.completion
    make: Any = from_litellm
    return wrap(make(function, mode=Mode.TOOLS, async_client=side == "async"), clock=still)


@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
@both_sides
async def test_another_answer_that_the_router_puts_into_the_stream_is_a_restart(
    server: ScriptedServer, side: str
) -> None:
    """litellm 1.83; both answers have the same id and model, so that only the Router's own marker tells."""
    litellm = pytest.importorskip("litellm")
    if not hasattr(litellm.Router, "_acompletion_streaming_iterator"):
        pytest.skip("this litellm's Router has no other model go on with tool arguments")
    begun = [*chat_tools('{"name": "Po', name="City", finish=None, done=False), chat_error()]
    server.add(sends(begun))
    server.always(reply(LISBON))
    one = await play(over_router(server, side).create_partial(City, model="first", messages="go", max_retries=0))
    assert one.final == FINAL
    (restarted,) = one.of(StreamRestarted)
    assert restarted.reason == "fallback"
    assert one.stream.text == LISBON


@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
@both_sides
async def test_another_id_with_each_chunk_is_no_other_answer_under_the_router(
    server: ScriptedServer, side: str
) -> None:
    for script in ways(with_other_ids(chat_tools(LISBON, name="City"), id="x", model="y", system_fingerprint="z")):
        server.always(script)
        one = await play(over_router(server, side).create_partial(City, model="first", messages="go", max_retries=0))
        assert one.final == FINAL
        assert one.of(StreamRestarted) == []


@both_sides
@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON, Mode.MD_JSON])
async def test_an_answer_of_reasoning_alone_is_named(server: ScriptedServer, mode: Mode, side: str) -> None:
    """DeepSeek's and vLLM's `reasoning_content`, where the token budget went into it."""
    server.add(sends(chat_content("", reasoning="Which city may it be? Lisbon, or")))
    client: Any = client_for(server, "openai", mode, is_async=side == "async")
    played = await play(client.create_partial(City, "go", model="m", max_retries=0))
    assert isinstance(played.error, NoOutput)
    assert str(played.error) == "the model sent no text: only reasoning came"
