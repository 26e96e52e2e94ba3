"""`create` with hooks, `create` without, and plain instructor's give the same for the same answers of a provider.

Each answer is served streamed where it is asked for so, and put together where it is not. Where plain instructor's
`create` differs from the contract, the tables say what is right, and why.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import tenacity
from instructor import Mode
from instructor.core.exceptions import IncompleteOutputException, InstructorRetryException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.recordings import CLIENTS, CORPUS, Recording, model_for
from tests.server import Answer, Script, ScriptedServer, sends
from tests.server.server import Request
from tests.server.wire_format import (
    anthropic_text,
    anthropic_tools,
    chat_calls,
    chat_content,
    chat_refusal,
    chat_tools,
    gemini_text,
    responses_refusal,
    responses_tools,
)
from tests.test_recordings import CALLS, OBJECTS, TWO_ANSWERS
from tests.twins import Recorder, Twin, both, settled

FAULTS = CORPUS.parent / "faults"
ADA = '{"name": "Ada", "age": 36}'
BAD = '{"name": "Ada", "age": -1}'


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


class City(BaseModel):
    name: str
    inhabitants: int


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Settings(BaseModel):
    dark: bool = False
    size: int = 10


# -- an answer, streamed and put together ----------------------------------------------------------------------------


def payloads(body: bytes) -> list[Any]:
    """The JSON of server-sent events."""
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line not in (b"", b"[DONE]")]


def whole_chat(events: list[Any]) -> dict[str, Any]:
    """A chat completion of its chunks."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[Any, dict[str, Any]] = {}
    finish = usage = None
    for event in events:
        usage = event.get("usage") or usage
        for choice in event.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            for key in ("content", "refusal"):
                if delta.get(key) is not None:
                    message[key] = (message.get(key) or "") + delta[key]
            for part in delta.get("tool_calls") or ():
                place = part.get("index", len(calls))
                call = calls.setdefault(
                    place, {"id": part.get("id"), "type": "function", "function": {"arguments": ""}}
                )
                given = part.get("function") or {}
                call["function"]["name"] = call["function"].get("name") or given.get("name")
                call["function"]["arguments"] += given.get("arguments") or ""
    if calls:
        message["tool_calls"] = list(calls.values())
    head = {key: next((event[key] for event in events if event.get(key)), "") for key in ("id", "created", "model")}
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}


def whole_message(events: list[Any]) -> dict[str, Any]:
    """An Anthropic message of its events."""
    (message,) = [event["message"] for event in events if event["type"] == "message_start"]
    inputs: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            message["content"].append(event["content_block"])
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][event["index"]], event["delta"]
            if delta["type"] == "input_json_delta":
                inputs[event["index"]] = inputs.get(event["index"], "") + delta["partial_json"]
            for key in ("text", "thinking"):
                if key in delta:
                    block[key] += delta[key]
        elif event["type"] == "message_delta":
            message.update(event["delta"])
            message["usage"].update(event["usage"])
    for index, text in inputs.items():
        message["content"][index]["input"] = json.loads(text or "{}")
    return dict(message)


def whole_response(events: list[Any]) -> dict[str, Any]:
    """The response that the last event carries; items that it leaves out as they were when they were done."""
    response: dict[str, Any] = [event["response"] for event in events if event.get("response")][-1]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    return {**response, "output": response.get("output") or done}


def whole_gemini(events: list[Any]) -> dict[str, Any]:
    """Gemini's answer of its chunks, with neighbouring texts joined."""
    parts: list[dict[str, Any]] = []
    for event in events:
        for candidate in event.get("candidates") or ():
            for part in (candidate.get("content") or {}).get("parts") or ():
                if "text" in part and parts and set(parts[-1]) == {"text"} == set(part):
                    parts[-1]["text"] += part["text"]
                else:
                    parts.append(dict(part))
    candidate = {**events[-1]["candidates"][0], "content": {"role": "model", "parts": parts}}
    return {**events[-1], "candidates": [candidate]}


WHOLE = {"chat": whole_chat, "messages": whole_message, "responses": whole_response, "generateContent": whole_gemini}
JSON_HEADERS = {"content-type": "application/json"}


def is_streamed(request: Request) -> bool:
    return "streamGenerateContent" in request.path or bool(request.json.get("stream"))


def tool_of(request: Request) -> str:
    """The name of the tool that is offered; instructor gives lists and scalars one of its own."""
    for tool in request.json.get("tools") or ():
        return str(tool.get("name") or tool.get("function", {}).get("name", ""))
    return ""


def answers(api: str, chunks: list[bytes]) -> Callable[[Request], Script]:
    """The answer in the way in which it is asked for."""

    def script(request: Request) -> Script:
        name = tool_of(request)
        named = [chunk.replace(b'"Person"', f'"{name}"'.encode()) for chunk in chunks] if name else chunks
        if is_streamed(request):
            return sends(named)
        body = b"".join(named)
        return Answer(json.dumps(WHOLE[api](payloads(body))).encode(), headers=JSON_HEADERS)

    return script


# -- one way of asking, and what came of it --------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a caller sees of one `create`.

    Attributes:
        final: The answer as plain data.
        error: The kinds of error by which a caller of instructor's catches it.
        cause: The kind of its cause.
        attempts: How many the error tells of, and how many of them failed.
        requests: How many were sent.
        raw: The parts of the provider's own answer.
        asked: What the re-asks say beside the request.
    """

    final: Any = None
    error: str = ""
    cause: str = ""
    attempts: tuple[int, int] = (0, 0)
    requests: int = 0
    raw: dict[str, Any] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)


def raw_of(completion: Any) -> dict[str, Any]:
    """What callers read of a provider's answer."""
    if completion is None:
        return {}
    dumped = completion.model_dump(warnings=False)
    seen: dict[str, Any] = {"type": type(completion).__name__.removeprefix("Parsed").partition("[")[0]}
    if "choices" in dumped:
        (choice,) = dumped["choices"]
        calls = choice["message"].get("tool_calls") or []
        seen |= {"content": choice["message"]["content"] or None, "refusal": choice["message"].get("refusal")}
        seen |= {"calls": [(call["function"]["name"], call["function"]["arguments"]) for call in calls]}
        seen |= {"finish": choice["finish_reason"]}
    elif "content" in dumped:
        keys = ("type", "text", "name", "input", "id")
        seen |= {"content": [{key: block.get(key) for key in keys} for block in dumped["content"]]}
        seen |= {"finish": dumped["stop_reason"]}
    elif "output" in dumped:
        keys = ("type", "name", "arguments", "content", "call_id")
        seen |= {"output": [{key: item.get(key) for key in keys} for item in dumped["output"]]}
        seen |= {"finish": dumped["status"], "text": completion.output_text}
    else:
        # instructor names a tool of Gemini's otherwise when it streams
        called = [(call.name.removeprefix("Partial"), call.args) for call in completion.function_calls or ()]
        seen |= {
            "text": None if called else completion.text,
            "calls": called,
            "finish": str(dumped["candidates"][0]["finish_reason"]),
        }
    return seen | {"id": dumped.get("id"), "model": dumped.get("model") or dumped.get("model_version")}


def kind_of(error: BaseException) -> str:
    """As a caller of instructor's would catch it."""
    kinds = [kind for kind in (IncompleteOutputException, InstructorRetryException) if isinstance(error, kind)]
    return kinds[0].__name__ if kinds else type(error).__name__


def plainly(model: BaseModel) -> dict[str, Any]:
    """What came, under the names under which it came."""
    return model.model_dump(by_alias=True, exclude_unset=True)


async def alone(create: Callable[..., Any], **ask: Any) -> tuple[Any, Any]:
    """As `create_with_completion`, of a `create` whose answer has none beside it."""
    answer = await settled(create(**ask))
    return (answer, None) if isinstance(answer, int) else (None, answer)


async def outcome(server: ScriptedServer, create: Callable[[], Any]) -> Outcome:
    """Ask, and note what comes of it."""
    before = len(server.requests)
    seen = Outcome()
    try:
        final, completion = await settled(create())
        seen.final = [plainly(one) for one in final] if isinstance(final, list) else final
        seen.final = plainly(final) if isinstance(final, BaseModel) else seen.final
        seen.raw = raw_of(completion)
        if isinstance(final, BaseModel) and "_raw_response" in (final.__pydantic_private__ or vars(final)):
            assert final._raw_response is completion  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001  whatever it is, it is looked at
        seen.error, seen.cause = kind_of(error), type(error.__cause__).__name__
        seen.raw = raw_of(getattr(error, "last_completion", None))
        if isinstance(error.__cause__, tenacity.RetryError):  # the contract has the last error as the cause, always
            seen.cause = type(error.__cause__.last_attempt.exception()).__name__
        if isinstance(error, InstructorRetryException):
            seen.attempts = (error.n_attempts, len(error.failed_attempts or ()))
    requests = server.requests[before:]
    seen.requests = len(requests)
    turns = [
        next(value for key in ("messages", "input", "contents") if (value := one.json.get(key))) for one in requests
    ]
    seen.asked = [turn[len(turns[0]) :] for turn in turns[1:]]
    return seen


@dataclass
class Case:
    """One thing to ask, and what is answered.

    Attributes:
        provider: As in `tests.twins`.
        mode: instructor's.
        scripts: The answers, one after another; the last is repeated.
        model: The response model.
        ask: More arguments of the call.
    """

    provider: str
    mode: Mode
    scripts: list[Callable[[Request], Script]]
    model: Any = Person
    ask: dict[str, Any] = field(default_factory=dict)

    def _in_turn(self) -> Callable[[Request], Script]:
        turns = itertools.chain(self.scripts, itertools.repeat(self.scripts[-1]))

        def script(request: Request) -> Script:
            return next(turns)(request)

        return script

    async def outcomes(self, server: ScriptedServer, twin: Twin) -> tuple[Outcome, Outcome, Outcome]:
        """Of plain instructor, of the wrapped client without hooks, and with hooks."""
        recorder = Recorder(twin)
        plain, client = (make(server, self.mode, provider=self.provider) for make in (twin.plain, twin.client))
        ask: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_retries": 1}
        ask |= ({"max_tokens": 100} if self.provider == "anthropic" else {}) | self.ask
        if callable(ask["max_retries"]):
            made: Callable[[Twin], Any] = ask.pop("max_retries")
            asks = [{**ask, "max_retries": made(twin)} for _ in range(3)]
        else:
            asks = [ask] * 3
        seen = []
        for client_of, more, hooks in zip(
            (plain, client, client), asks, ({}, {}, recorder.hooks("partial", "final")), strict=True
        ):
            server.always(self._in_turn())
            create = client_of.create_with_completion
            if self.model in (int, None):  # of which instructor's own has no completion beside
                create = functools.partial(alone, client_of.create)
            create = functools.partial(create, response_model=self.model)
            seen.append(await outcome(server, functools.partial(create, **more, **hooks)))
        assert len(recorder.of("final")) == (not seen[2].error)
        return seen[0], seen[1], seen[2]


# -- answers made up -------------------------------------------------------------------------------------------------

GOOD, TWO = f'{{"tasks": [{ADA}]}}', f'{{"tasks": [{ADA}, {ADA}]}}'


def tools(text: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("chat", chat_tools(text, name="Person", **rest))


def content(text: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("chat", chat_content(text, **rest))


def claude(given: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("messages", anthropic_tools(given, name="Person", **rest))


def claude_says(text: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("messages", anthropic_text(text, **rest))


def response(text: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("responses", responses_tools(text, name="Person", **rest))


def gemini(text: str, **rest: Any) -> Callable[[Request], Script]:
    return answers("generateContent", gemini_text(text, **rest))


def beside(prose: str, arguments: str) -> Callable[[Request], Script]:
    said = [chunk for chunk in chat_content(prose, finish=None, done=False) if b'"content": "' in chunk]
    return answers("chat", [*said, *chat_tools(arguments, name="Person")])


TEXT = {"json": Mode.JSON, "schema": Mode.JSON_SCHEMA, "md": Mode.MD_JSON}
MADE: dict[str, Case] = {
    "tools": Case("openai", Mode.TOOLS, [tools(ADA)]),
    "tools, another end": Case("openai", Mode.TOOLS, [tools(ADA, finish="stop")]),
    "tools, bad then good": Case("openai", Mode.TOOLS, [tools(BAD), tools(ADA)]),
    "tools, bad": Case("openai", Mode.TOOLS, [tools(BAD)]),
    "tools, no JSON then good": Case("openai", Mode.TOOLS, [tools("{oops}"), tools(ADA)]),
    "tools, no JSON": Case("openai", Mode.TOOLS, [tools("{oops}")]),
    "tools, prose then good": Case("openai", Mode.TOOLS, [content("Which Ada?"), tools(ADA)]),
    "tools, prose": Case("openai", Mode.TOOLS, [content("Which Ada?")]),
    "tools, nothing": Case("openai", Mode.TOOLS, [content("")]),
    "tools, length": Case("openai", Mode.TOOLS, [tools(ADA[:9], finish="length")]),
    "tools, length after the end": Case("openai", Mode.TOOLS, [tools(ADA, finish="length")]),
    "tools, no retry": Case("openai", Mode.TOOLS, [tools(BAD)], ask={"max_retries": 0}),
    "tools, two calls": Case("openai", Mode.TOOLS, [answers("chat", chat_calls([("Person", ADA), ("Person", BAD)]))]),
    "a list": Case("openai", Mode.TOOLS, [tools(TWO)], list[Person]),
    "a bad list then good": Case("openai", Mode.TOOLS, [tools(f'{{"tasks": [{BAD}]}}'), tools(GOOD)], list[Person]),
    "a number": Case("openai", Mode.TOOLS, [tools('{"content": 7}')], int),
    "a bad number then good": Case("openai", Mode.TOOLS, [tools('{"content": "x"}'), tools('{"content": 7}')], int),
    "tools, prose beside": Case("openai", Mode.TOOLS, [beside("Here:", ADA)]),
    "tools, something follows, no JSON": Case("openai", Mode.TOOLS, [tools(f"{ADA} so"), tools(ADA)]),
    "responses": Case("openai", Mode.RESPONSES_TOOLS, [response(ADA)]),
    "responses, bad then good": Case("openai", Mode.RESPONSES_TOOLS, [response(BAD), response(ADA)]),
    "responses, bad": Case("openai", Mode.RESPONSES_TOOLS, [response(BAD)]),
    "responses, no JSON": Case("openai", Mode.RESPONSES_TOOLS, [response("{oops}")]),
    "anthropic tools": Case("anthropic", Mode.TOOLS, [claude(ADA)]),
    "anthropic tools, prose beside": Case("anthropic", Mode.TOOLS, [claude(ADA, text="Here:")]),
    "anthropic tools, bad then good": Case("anthropic", Mode.TOOLS, [claude(BAD), claude(ADA)]),
    "anthropic tools, bad": Case("anthropic", Mode.TOOLS, [claude(BAD)]),
    "anthropic tools, prose then good": Case("anthropic", Mode.TOOLS, [claude_says("Which Ada?"), claude(ADA)]),
    "anthropic tools, max_tokens": Case("anthropic", Mode.TOOLS, [claude('{"name": "Ada"}', stop="max_tokens")]),
    "anthropic json": Case("anthropic", Mode.JSON, [claude_says(f"Here:\n```json\n{ADA}\n```")]),
    "anthropic json, bad then good": Case("anthropic", Mode.JSON, [claude_says(BAD), claude_says(ADA)]),
    "anthropic json, prose then good": Case("anthropic", Mode.JSON, [claude_says("Which Ada?"), claude_says(ADA)]),
    "anthropic json, max_tokens": Case("anthropic", Mode.JSON, [claude_says(ADA[:9], stop="max_tokens")]),
    "gemini json": Case("genai", Mode.JSON, [gemini(ADA)]),
    "gemini json, bad then good": Case("genai", Mode.JSON, [gemini(BAD), gemini(ADA)]),
    "gemini json, bad": Case("genai", Mode.JSON, [gemini(BAD)]),
    "gemini json, a schema that its SDK refuses": Case("genai", Mode.JSON, [gemini(ADA)], Anything),
    "gemini json, prose then good": Case("genai", Mode.JSON, [gemini("Which Ada?"), gemini(ADA)]),
}
for name, mode in TEXT.items():
    MADE |= {
        name: Case("openai", mode, [content(ADA)]),
        f"{name}, bad then good": Case("openai", mode, [content(BAD), content(ADA)]),
        f"{name}, bad": Case("openai", mode, [content(BAD)]),
        f"{name}, prose then good": Case("openai", mode, [content("Which Ada?"), content(ADA)]),
        f"{name}, prose": Case("openai", mode, [content("Which Ada?")]),
        f"{name}, no JSON then good": Case("openai", mode, [content("{oops}"), content(ADA)]),
        f"{name}, nothing": Case("openai", mode, [content("")]),
        f"{name}, length": Case("openai", mode, [content(ADA[:9], finish="length")]),
        f"{name}, reasoning beside": Case("openai", mode, [content(ADA, reasoning="Hm.")]),
        f"{name}, a list": Case("openai", mode, [content(TWO)], list[Person]),
    }


def rules(*kinds: type[Exception], **more: Any) -> Callable[[Twin], Any]:
    """A tenacity object of three attempts that are made after these errors."""
    retry = {"retry": tenacity.retry_if_exception_type(kinds)} if kinds else {}
    return lambda twin: twin.retrying([], stop=tenacity.stop_after_attempt(3), **retry, **more)


RULES = {
    "any": rules(),
    "validation": rules(ValidationError),
    "value": rules(ValueError, reraise=True),
    "other": rules(KeyError),
}
for name, rule in RULES.items():
    asked = {"max_retries": rule}
    MADE |= {
        f"rule {name}: bad then good": Case("openai", Mode.TOOLS, [tools(BAD), tools(ADA)], ask=asked),
        f"rule {name}: bad": Case("openai", Mode.TOOLS, [tools(BAD)], ask=asked),
        f"rule {name}: no JSON then good": Case("openai", Mode.TOOLS, [tools("{oops}"), tools(ADA)], ask=asked),
        f"rule {name}: no call": Case("openai", Mode.TOOLS, [content("Which?"), tools(ADA)], ask=asked),
        f"rule {name}: prose": Case("openai", Mode.JSON, [content("Which?"), content(ADA)], ask=asked),
        f"rule {name}: md": Case("openai", Mode.MD_JSON, [content("{oops}"), content(ADA)], ask=asked),
        f"rule {name}: anthropic": Case("anthropic", Mode.TOOLS, [claude_says("Which?"), claude(ADA)], ask=asked),
        f"rule {name}: gemini": Case("genai", Mode.JSON, [gemini("Which?"), gemini(ADA)], ask=asked),
    }


def told_at_once(name: str) -> bool:
    """Whether an answer is broken JSON, which a stream does not read to its end (contract, section 8)."""
    return "no JSON" in name and MADE[name].mode is not Mode.MD_JSON


@both
@pytest.mark.parametrize("name", MADE)
async def test_made_answers(server: ScriptedServer, twin: Twin, name: str) -> None:
    plain, without, hooked = await MADE[name].outcomes(server, twin)
    assert without == plain
    if told_at_once(name):
        assert [len(turn) for turn in hooked.asked] == [len(turn) for turn in plain.asked]
        hooked = replace(hooked, asked=plain.asked, raw=plain.raw)
    assert hooked == plain


# -- where plain instructor differs from the contract ----------------------------------------------------------------

REFUSED = answers("chat", chat_refusal())
CUT = '{"name": "Ada", "age'
OTHERWISE: dict[str, tuple[Case, tuple[str, int], tuple[str, int]]] = {
    # section 7: a refusal is OutputRefused and not asked again; plain has an AssertionError, or asks again
    "refusal, tools": (Case("openai", Mode.TOOLS, [REFUSED]), ("AssertionError", 1), ("OutputRefused", 1)),
    "refusal, json": (Case("openai", Mode.JSON, [REFUSED]), ("ValidationError", 2), ("OutputRefused", 1)),
    "refusal, responses": (
        Case("openai", Mode.RESPONSES_TOOLS, [answers("responses", responses_refusal())]),
        ("ResponseParsingError", 2),
        ("OutputRefused", 1),
    ),
    # section 7: so is what a filter stopped; plain asks again, or takes it in silence (FACTS 3)
    "filter, whole": (
        Case("openai", Mode.TOOLS, [tools(ADA, finish="content_filter")]),
        ("", 1),
        ("OutputFiltered", 1),
    ),
    "filter, cut": (
        Case("openai", Mode.JSON, [content(CUT, finish="content_filter")]),
        ("ValidationError", 2),
        ("OutputFiltered", 1),
    ),
    # sections 6 and 7: JSON that is not closed is cut off, whatever the provider says, and not asked again (FACTS 3)
    "open, tools": (
        Case("openai", Mode.TOOLS, [tools(CUT)]),
        ("ValidationError", 2),
        ("IncompleteOutputException", 1),
    ),
    "open, responses": (
        Case("openai", Mode.RESPONSES_TOOLS, [response(CUT, ending="incomplete")]),
        ("ValidationError", 2),
        ("IncompleteOutputException", 1),
    ),
    "open, gemini": (
        Case("genai", Mode.JSON, [gemini(CUT, finish="MAX_TOKENS")]),
        ("ValidationError", 2),
        ("IncompleteOutputException", 1),
    ),
    "incomplete, whole": (
        Case("openai", Mode.RESPONSES_TOOLS, [response(ADA, ending="incomplete")]),
        ("", 1),
        ("IncompleteOutputException", 1),
    ),
    # section 7: no rule of the caller's has a cut answer asked again
    "rule any: length": (
        Case("openai", Mode.TOOLS, [tools(CUT, finish="length")], ask={"max_retries": rules()}),
        ("IncompleteOutputException", 3),
        ("IncompleteOutputException", 1),
    ),
    # section 6: text around the JSON is ignored; plain asks again in JSON mode (FACTS 16), and takes what comes last
    "a fence in json": (Case("openai", Mode.JSON, [content(f"```json\n{ADA}\n```")]), ("ValidationError", 2), ("", 1)),
    "a citation in md": (Case("openai", Mode.MD_JSON, [content(f"{ADA} [1]")]), ("ValidationError", 2), ("", 1)),
    # issue 9.5: an empty object before the real one is a placeholder; the same object once more says nothing new
    "a placeholder": (Case("openai", Mode.TOOLS, [tools("{}" + ADA)]), ("ValidationError", 2), ("", 1)),
    "twice": (Case("openai", Mode.TOOLS, [tools(ADA + ADA)]), ("ValidationError", 2), ("", 1)),
    # the tool's name is told as the request has it, so that the next turn names one that there is
    "another name": (
        Case("openai", Mode.TOOLS, [answers("chat", chat_tools(ADA, name="functions.Person"))]),
        ("", 1),
        ("", 1),
    ),
    # section 1: types that plain refuses are adapted, on both ways
    "either": (Case("openai", Mode.TOOLS, [tools(f'{{"content": {ADA}}}')], Person | None), ("TypeError", 0), ("", 1)),
}
"""A case, and by which error and after how many requests plain and ours end; "" for the answer."""


@both
@pytest.mark.parametrize("name", OTHERWISE)
async def test_the_contract_has_it_otherwise(server: ScriptedServer, twin: Twin, name: str) -> None:
    case, of_plain, of_ours = OTHERWISE[name]
    plain, without, hooked = await case.outcomes(server, twin)
    assert ended(plain) == of_plain
    assert without == (hooked if name == "either" else plain)
    assert ended(hooked) == of_ours
    assert hooked.final == (None if of_ours[0] else {"name": "Ada", "age": 36})


def ended(seen: Outcome) -> tuple[str, int]:
    """The error, or the cause of the last attempt's, and the number of requests."""
    return (seen.cause if seen.error == "InstructorRetryException" else seen.error), seen.requests


# -- faults and recordings -------------------------------------------------------------------------------------------

FAULT: dict[str, tuple[str, str, Mode, Any, Outcome | None]] = {
    "chat_another_id_with_each_chunk": ("openai", "chat", Mode.JSON, City, None),
    "chat_tools_another_id_with_each_chunk": ("openai", "chat", Mode.TOOLS, City, None),
    "responses_content_index_beyond_the_item": ("openai", "responses", Mode.RESPONSES_TOOLS, None, None),
    # plain finds no JSON in an empty string and asks again; a call without arguments has the empty object (issue 9.9)
    "chat_tool_call_without_arguments": (
        "openai",
        "chat",
        Mode.TOOLS,
        Settings,
        Outcome(final={}, requests=1),
    ),
    # plain takes the empty input of a block that never stopped for the answer, in silence (issue 9.3)
    "anthropic_cut_after_block_start": (
        "anthropic",
        "messages",
        Mode.TOOLS,
        Settings,
        Outcome(error="IncompleteOutputException", requests=1),
    ),
}


@both
@pytest.mark.skipif(not FAULTS.exists(), reason="the faults are not beside this checkout")
@pytest.mark.parametrize("name", FAULT)
async def test_faults(server: ScriptedServer, twin: Twin, name: str) -> None:
    provider, api, mode, model, right = FAULT[name]
    chunks = [event + b"\n\n" for event in (FAULTS / f"{name}.sse").read_bytes().split(b"\n\n") if event.strip()]
    plain, without, hooked = await Case(provider, mode, [answers(api, chunks)], model).outcomes(server, twin)
    assert without == plain
    if right is None:
        assert without_id(hooked) == without_id(plain)
        assert not plain.error
    else:
        assert ended(hooked) == ended(right) != ended(plain) or right.final != plain.final
        assert hooked.final == right.final


@pytest.mark.skipif(not FAULTS.exists(), reason="the faults are not beside this checkout")
def test_every_fault_is_asked_for() -> None:
    assert {path.stem for path in FAULTS.glob("*.sse")} == set(FAULT)


RECORDED = [
    one
    for one in (*CALLS, *OBJECTS)
    if one.texts[0].endswith(".json")
    and one.file not in TWO_ANSWERS
    and (one.calls or one.api != "responses")
    and one.carried[0].lstrip().startswith("{")
]


SEVERAL = {"anthropic__tools__text-then-two-tools.yaml"}
"""Anthropic's answers with two calls, which plain refuses and asks again; the first of the tool is the answer."""


def without_id(seen: Outcome) -> Outcome:
    """Where each chunk has another id, none is the answer's."""
    return replace(seen, raw={key: value for key, value in seen.raw.items() if key != "id"})


def recorded(one: Recording) -> Case:
    """The recording's first call, or its object, asked of whom answered it."""
    model = model_for(one.calls[0][0] if one.calls else "Answer", json.loads(one.carried[0]))
    mode = Mode.RESPONSES_TOOLS if one.api == "responses" else Mode.TOOLS if one.calls else Mode.JSON
    events = [event + b"\n\n" for event in one.sse.replace(b"\r\n", b"\n").split(b"\n\n") if event.strip()]
    return Case(CLIENTS[one.api], mode, [answers(one.api, events)], model)


@both
@pytest.mark.parametrize("one", RECORDED, ids=lambda one: str(one.file))
async def test_recordings(server: ScriptedServer, twin: Twin, one: Recording) -> None:
    plain, without, hooked = await recorded(one).outcomes(server, twin)
    assert without == plain
    if one.file in SEVERAL:
        assert (plain.error, plain.requests) == ("InstructorRetryException", 2)
    else:
        assert without_id(hooked) == without_id(plain)
    assert hooked.final == json.loads(one.carried[0])
