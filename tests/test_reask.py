"""Re-asking while streaming: what the model gets back, what the listeners hear, and when it is over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import tenacity
from instructor import Mode
from instructor.core.exceptions import (
    IncompleteOutputException,
    InstructorRetryException,
    TokenBudgetExceeded,
    TokenUsageUnavailableError,
)
from pydantic import BaseModel, Field, ValidationError

from instructor_stream_ext import (
    DeltaReceived,
    InvalidJSON,
    NoOutput,
    OutputFiltered,
    OutputRefused,
    OutputTruncated,
    PartialEmitted,
    RetriesExhausted,
    StreamError,
    StreamInterrupted,
    StreamMisuse,
    StreamRestarted,
    StreamStarted,
    Usage,
)
from tests.server import Request, ScriptedServer, Status, chunks_for, reply
from tests.server.wire_format import chat_content, chat_refusal, chat_tools, responses_tools
from tests.twins import ASYNC, SYNC, Recorder, StillClock, Twin, both, settled

BAD = '{"name": "Ada", "age": -1}'
WORSE = '{"name": "Bob", "age": -2}'
GOOD = '{"name": "Ada", "age": 36}'
COMPLAINT = "greater than or equal to 0"
MESSAGES = [{"role": "user", "content": "who?"}]


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


ASK: dict[str, Any] = {"response_model": Person, "messages": MESSAGES, "model": "m"}

SOURCES: dict[str, tuple[str, Mode, dict[str, Any]]] = {
    "openai tools": ("openai", Mode.TOOLS, {}),
    "openai json": ("openai", Mode.JSON, {}),
    "openai schema": ("openai", Mode.JSON_SCHEMA, {}),
    "openai md": ("openai", Mode.MD_JSON, {}),
    "openai responses": ("openai", Mode.RESPONSES_TOOLS, {}),
    "anthropic tools": ("anthropic", Mode.TOOLS, {"max_tokens": 100}),
    "anthropic json": ("anthropic", Mode.JSON, {"max_tokens": 100}),
    "genai tools": ("genai", Mode.TOOLS, {}),
    "genai json": ("genai", Mode.JSON, {}),
}
every_source = pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))


def _holds(tree: Any, document: str) -> bool:
    """Whether a request has this document somewhere, as text or as the object it stands for."""
    if isinstance(tree, str):
        return document in tree
    if isinstance(tree, dict):
        return tree == json.loads(document) or any(_holds(child, document) for child in tree.values())
    return isinstance(tree, list) and any(_holds(child, document) for child in tree)


def _fenced(mode: Mode, text: str) -> str:
    return f"```json\n{text}\n```" if mode is Mode.MD_JSON else text


# ---------------------------------------------------------------------- what the model gets back


@every_source
@both
async def test_the_model_gets_its_bad_answer_and_the_errors(
    server: ScriptedServer, twin: Twin, source: tuple[str, Mode, dict[str, Any]]
) -> None:
    provider, mode, extra = source
    for text in (BAD, WORSE, GOOD):
        server.add(reply(_fenced(mode, text), 5))
    stream = twin.client(server, mode, provider=provider).create_partial(**ASK, **extra)
    events: list[Any] = await twin.events(stream)
    first, second, third = (request.json for request in server.requests)
    assert not _holds(first, BAD)
    assert _holds(second, BAD)
    assert COMPLAINT in json.dumps(second)
    assert not _holds(second, WORSE)
    assert _holds(third, BAD)
    assert _holds(third, WORSE)
    assert await twin.final(stream) == Person(name="Ada", age=36)
    assert [event.attempt for event in events if isinstance(event, StreamStarted)] == [1, 2, 3]
    assert [event.attempt for event in events if isinstance(event, StreamRestarted)] == [2, 3]


@every_source
async def test_the_re_ask_is_the_one_instructor_makes(
    server: ScriptedServer, source: tuple[str, Mode, dict[str, Any]]
) -> None:
    """Plain `create`, whose first answer is the same, asks again with the same words."""
    provider, mode, extra = source
    for _ in range(2):
        server.add(reply(_fenced(mode, BAD), 5)).add(reply(_fenced(mode, GOOD), 5))
    await settled(SYNC.plain(server, mode, provider=provider).create(**ASK, **extra))
    await SYNC.final(SYNC.client(server, mode, provider=provider).create_partial(**ASK, **extra))
    plain, streamed = (_conversation(server.requests[number].json) for number in (1, 3))
    assert streamed == plain


def _conversation(body: dict[str, Any]) -> Any:
    """What was said in a request, without what only says how it is to be answered."""
    kept = {key: body[key] for key in ("messages", "contents", "input", "system") if key in body}
    return _bare(kept)


def _bare(tree: Any) -> Any:
    """Without what SDK types add, and under the name that instructor gives tools on unstreamed calls to Gemini."""
    if isinstance(tree, dict):
        return {key: _bare(value) for key, value in tree.items() if value not in (None, []) and key != "index"}
    if isinstance(tree, str):
        return tree.replace("PartialPerson", "Person")
    return [_bare(child) for child in tree] if isinstance(tree, list) else tree


@both
async def test_the_callers_arguments_are_left_alone(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(GOOD))
    messages = [{"role": "user", "content": "who is {{ name }}?"}]
    metadata = {"trace": ["a"]}
    given = {"messages": messages, "context": {"name": "Ada"}, "metadata": metadata}
    before = copy.deepcopy(given)
    await twin.final(twin.client(server).create_partial(Person, model="m", **given))
    assert given == before
    assert given["messages"] is messages
    assert [request.json["messages"][0]["content"] for request in server.requests] == ["who is Ada?"] * 2
    assert [request.json["metadata"] for request in server.requests] == [metadata] * 2


@both
async def test_other_arguments_are_sent_again(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(GOOD))
    await twin.final(twin.client(server).create_partial(**ASK, temperature=0.5, extra_headers={"x-trace": "t"}, seed=3))
    first, second = server.requests
    for key in ("model", "temperature", "seed", "tools", "tool_choice", "stream", "stream_options"):
        assert first.json[key] == second.json[key]
    assert [request.headers["x-trace"] for request in (first, second)] == ["t", "t"]


# ---------------------------------------------------------------------- what the listeners hear


@both
async def test_what_was_shown_is_void_and_partials_begin_anew(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(GOOD))
    heard = Recorder(twin)
    stream = twin.client(server).create_partial(**ASK, **heard.hooks("restart", "partial", "final", "start"))
    events = await twin.events(stream)
    (restarted,) = [event for event in events if isinstance(event, StreamRestarted)]
    at = events.index(restarted)
    assert restarted.reason == "reask"
    assert isinstance(restarted.error, ValidationError)
    assert (restarted.from_model, restarted.to_model) == (None, None)
    assert {event.attempt for event in events[:at]} == {1}
    assert {event.attempt for event in events[at:]} == {2}
    partials = [event for event in events if isinstance(event, PartialEmitted)]
    assert [event.sequence for event in partials] == list(range(1, len(partials) + 1))
    again = [event.partial for event in events[at:] if isinstance(event, PartialEmitted)]
    assert again[0].model_fields_set == set()
    assert again[-1].age == 36
    deltas = [
        "".join(event.text for event in events if isinstance(event, DeltaReceived) and event.attempt == n)
        for n in (1, 2)
    ]
    assert deltas == [BAD, GOOD]
    assert heard.of("restart") == [(restarted,)]
    assert [name for name in heard.names if name != "partial"] == ["start", "restart", "start", "final"]
    assert stream.text == stream.json_text == GOOD
    assert stream.stats.attempts == stream.attempt == 2
    assert stream.stats.chars == len(BAD + GOOD)


@both
async def test_the_state_begins_anew(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(GOOD))
    seen: list[tuple[Any, ...]] = []

    def note(_: StreamRestarted) -> None:
        seen.append((stream.attempt, stream.text, stream.partial, stream.is_final, stream.state("age").value))

    stream = twin.client(server).create_partial(**ASK, on_restart=twin.hook(note))
    await twin.final(stream)
    assert seen == [(2, "", None, False, "missing")]


@every_source
@both
async def test_usage_is_summed_over_the_attempts(
    server: ScriptedServer, twin: Twin, source: tuple[str, Mode, dict[str, Any]]
) -> None:
    provider, mode, extra = source
    for text in (BAD, WORSE, GOOD):
        server.add(reply(_fenced(mode, text), 5))
    stream = twin.client(server, mode, provider=provider).create_partial(**ASK, **extra)
    await twin.final(stream)
    once = Usage(11, 7, 18)
    assert stream.usage == once + once + once


# ---------------------------------------------------------------------- used up


@both
@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 1), (1, 2), (3, 4)])
async def test_used_up(server: ScriptedServer, twin: Twin, max_retries: int, attempts: int) -> None:
    server.always(reply(BAD))
    stream = twin.client(server).create_partial(**ASK, max_retries=max_retries)
    seen: list[Any] = []
    with pytest.raises(RetriesExhausted) as caught:
        await twin.values(stream, seen)
    error = caught.value
    assert isinstance(error, InstructorRetryException)
    assert isinstance(error, StreamError)
    assert isinstance(error.__cause__, ValidationError)
    assert COMPLAINT in str(error)
    assert len(server.requests) == error.n_attempts == error.attempt == attempts
    assert [failed.attempt_number for failed in error.failed_attempts or ()] == list(range(1, attempts + 1))
    for failed in error.failed_attempts or ():
        assert isinstance(failed.exception, ValidationError)
        completion: Any = failed.completion
        assert completion.choices[0].message.tool_calls[0].function.arguments == BAD
    assert error.last_completion is (error.failed_attempts or [])[-1].completion
    assert error.create_kwargs is not None
    assert error.create_kwargs["model"] == "m"
    assert error.total_usage.total_tokens == 18 * attempts
    assert error.usage == Usage(11 * attempts, 7 * attempts, 18 * attempts)
    assert error.text == BAD
    assert error.partial.age == -1
    assert error.stats is not None
    assert error.stats.attempts == attempts
    assert not any(type(value) is Person for value in seen)
    with pytest.raises(RetriesExhausted) as again:
        await twin.final(stream)
    assert again.value is error


@both
async def test_three_retries_are_the_default(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BAD))
    with pytest.raises(RetriesExhausted):
        await twin.final(twin.client(server).create_partial(**ASK))
    assert len(server.requests) == 4


@both
async def test_the_last_error_counts(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply('{"name": "Ada"}'))
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(twin.client(server).create_partial(**ASK, max_retries=1))
    assert isinstance(caught.value.__cause__, ValidationError)
    assert caught.value.__cause__.errors()[0]["type"] == "missing"
    attempts: Any = caught.value.failed_attempts
    kinds = [failed.exception.errors()[0]["type"] for failed in attempts]
    assert kinds == ["greater_than_equal", "missing"]


# ---------------------------------------------------------------------- tenacity


@both
async def test_a_tenacity_object_says_when_to_stop_and_how_long_to_wait(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BAD))
    slept: list[float] = []
    retrying = twin.retrying(slept, stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_incrementing(7, 2))
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(twin.client(server).create_partial(**ASK, max_retries=retrying))
    assert len(server.requests) == caught.value.n_attempts == 3
    assert slept == [7, 9]
    assert isinstance(caught.value.__cause__, ValidationError)


@both
async def test_a_tenacity_object_that_reraises_raises_the_same(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BAD))
    retrying = twin.retrying([], stop=tenacity.stop_after_attempt(2), reraise=True)
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(twin.client(server).create_partial(**ASK, max_retries=retrying))
    assert isinstance(caught.value.__cause__, ValidationError)
    assert len(server.requests) == 2


@both
async def test_a_tenacity_predicate_decides(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply("no json here"))
    retrying = twin.retrying(
        [], stop=tenacity.stop_after_attempt(5), retry=tenacity.retry_if_exception_type(ValidationError)
    )
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(twin.client(server, Mode.JSON).create_partial(**ASK, max_retries=retrying))
    assert len(server.requests) == 2
    assert isinstance(caught.value.__cause__, NoOutput)


@both
async def test_one_tenacity_object_serves_many_calls(server: ScriptedServer, twin: Twin) -> None:
    client = twin.client(server)
    retrying = twin.retrying([], stop=tenacity.stop_after_attempt(2))
    for _ in range(3):
        server.add(reply(BAD)).add(reply(GOOD))
        assert (await twin.final(client.create_partial(**ASK, max_retries=retrying))).age == 36
    assert len(server.requests) == 6


@both
@pytest.mark.parametrize("given", ["3", 1.5, object(), None])
async def test_what_cannot_count_is_refused_before_anything_is_sent(
    server: ScriptedServer, twin: Twin, given: Any
) -> None:
    with pytest.raises(StreamMisuse, match="max_retries"):
        twin.client(server).create_partial(**ASK, max_retries=given)
    assert server.requests == []


def test_a_sync_stream_refuses_an_async_tenacity_object(server: ScriptedServer) -> None:
    with pytest.raises(StreamMisuse, match="Retrying"):
        SYNC.client(server).create_partial(**ASK, max_retries=ASYNC.retrying([]))


# ---------------------------------------------------------------------- the token budget


@both
async def test_the_budget_is_checked_before_a_re_ask(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(BAD))
    ends: list[Any] = []
    stream = twin.client(server).create_partial(**ASK, token_budget=30, max_retries=5, on_end=ends.append)
    with pytest.raises(TokenBudgetExceeded) as caught:
        await twin.final(stream)
    assert len(server.requests) == caught.value.n_attempts == 2
    assert caught.value.budget == 30
    assert caught.value.total_usage.total_tokens == 36
    assert [end.outcome for end in ends] == ["failed"]


@both
async def test_a_budget_is_no_matter_where_the_first_answer_is_good(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(GOOD))
    assert (await twin.final(twin.client(server).create_partial(**ASK, token_budget=1))).age == 36


@both
async def test_a_budget_without_usage_cannot_be_kept(server: ScriptedServer, twin: Twin) -> None:
    server.always(lambda _: chat_tools(BAD, name="Person"))
    with pytest.raises(TokenUsageUnavailableError) as caught:
        await twin.final(twin.client(server, usage=False).create_partial(**ASK, token_budget=1000))
    assert len(server.requests) == caught.value.n_attempts == 1


@both
@pytest.mark.parametrize(("budget", "kind"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
async def test_a_budget_is_a_positive_integer(
    server: ScriptedServer, twin: Twin, budget: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="token_budget"):
        twin.client(server).create_partial(**ASK, token_budget=budget)
    assert server.requests == []


# ---------------------------------------------------------------------- what is asked again, and what is not


@both
@pytest.mark.parametrize(
    ("mode", "text", "kind"),
    [
        (Mode.JSON, "Sorry, I have no idea.", NoOutput),
        (Mode.JSON, "", NoOutput),
        (Mode.TOOLS, '{"name": "Ada", age', InvalidJSON),
        (Mode.JSON, '{"name": "Ada", age', InvalidJSON),
        (Mode.MD_JSON, '```json\n{"name": "Ada", age\n```', InvalidJSON),
    ],
)
async def test_no_output_and_invalid_json_are_asked_again(
    server: ScriptedServer, twin: Twin, mode: Mode, text: str, kind: type[StreamError]
) -> None:
    server.add(reply(text)).add(reply(_fenced(mode, GOOD)))
    errors: list[Any] = []
    stream = twin.client(server, mode).create_partial(**ASK, on_restart=lambda event: errors.append(event.error))
    assert (await twin.final(stream)).age == 36
    assert [type(error) for error in errors] == [kind]
    assert errors[0].attempt == 1
    assert errors[0].text == text[: len(errors[0].text)]
    if text:
        assert len(errors[0].text) > 10
        assert str(errors[0])[:40] in json.dumps(server.requests[1].json).replace('\\"', '"')


@both
@pytest.mark.parametrize(("text", "kind"), [("Sorry.", NoOutput), ('{"name": "Ada", age', InvalidJSON)])
async def test_without_retries_they_are_raised_themselves(
    server: ScriptedServer, twin: Twin, text: str, kind: type[StreamError]
) -> None:
    server.always(reply(text))
    with pytest.raises(kind) as caught:
        await twin.final(twin.client(server, Mode.JSON).create_partial(**ASK, max_retries=0))
    assert len(server.requests) == 1
    assert not isinstance(caught.value, RetriesExhausted)
    assert caught.value.text.startswith(text[:10])


@both
@pytest.mark.parametrize(("text", "kind"), [("Sorry.", NoOutput), ('{"name": "Ada", age', InvalidJSON)])
async def test_with_retries_they_are_the_cause(
    server: ScriptedServer, twin: Twin, text: str, kind: type[StreamError]
) -> None:
    server.always(reply(text))
    with pytest.raises(RetriesExhausted) as caught:
        await twin.final(twin.client(server, Mode.JSON).create_partial(**ASK, max_retries=1))
    assert len(server.requests) == 2
    assert type(caught.value.__cause__) is kind


def _cut(_: Request) -> Any:
    return chat_tools(GOOD[:15], name="Person", finish="length")


def _just_stopped(_: Request) -> Any:
    return chat_tools(GOOD[:15], name="Person", finish=None, done=False)


def _filtered(_: Request) -> Any:
    return chat_tools(GOOD, name="Person", finish="content_filter")


def _refused(_: Request) -> Any:
    return chat_refusal()


def _broken(request: Request) -> Any:
    from tests.server import Cut

    return [*chunks_for(request, GOOD)[:4], Cut()]


@both
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (_cut, OutputTruncated),
        (_just_stopped, OutputTruncated),
        (_filtered, OutputFiltered),
        (_refused, OutputRefused),
        (_broken, StreamInterrupted),
    ],
)
async def test_these_are_not_asked_again(
    server: ScriptedServer, twin: Twin, script: Callable[[Request], Any], kind: type[StreamError]
) -> None:
    server.always(script)
    heard = Recorder(twin)
    with pytest.raises(kind) as caught:
        await twin.final(twin.client(server).create_partial(**ASK, max_retries=5, **heard.hooks("restart", "error")))
    assert len(server.requests) == 1
    assert heard.calls == [("error", (caught.value,))]
    assert caught.value.attempt == 1
    assert isinstance(caught.value, IncompleteOutputException) == (kind is OutputTruncated)


@both
async def test_a_truncated_second_answer_ends_it(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(_cut)
    with pytest.raises(OutputTruncated) as caught:
        await twin.final(twin.client(server).create_partial(**ASK))
    assert caught.value.attempt == len(server.requests) == 2
    assert caught.value.text == GOOD[:15]


@both
async def test_a_providers_error_on_the_second_request_keeps_its_type(server: ScriptedServer, twin: Twin) -> None:
    import openai

    server.add(reply(BAD)).add(Status(429))
    with pytest.raises(openai.RateLimitError):
        await twin.final(twin.client(server).create_partial(**ASK))
    assert len(server.requests) == 2


@both
async def test_responses_that_end_incomplete_are_not_asked_again(server: ScriptedServer, twin: Twin) -> None:
    server.always(lambda _: responses_tools(GOOD[:15], name="Person", ending="incomplete"))
    with pytest.raises(OutputTruncated):
        await twin.final(twin.client(server, Mode.RESPONSES_TOOLS).create_partial(**ASK))
    assert len(server.requests) == 1


# ---------------------------------------------------------------------- other kinds of stream


@both
async def test_items_are_asked_for_again(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(json.dumps({"tasks": [json.loads(GOOD), json.loads(BAD), json.loads(GOOD)]})))
    server.add(reply(json.dumps({"tasks": [json.loads(GOOD), json.loads(GOOD)]})))
    heard = Recorder(twin)
    stream = twin.client(server).create_iterable(**ASK, **heard.hooks("restart", "final"))
    items = await twin.values(stream)
    assert items == [Person(name="Ada", age=36)] * 3
    ((restarted,),) = heard.of("restart")
    assert isinstance(restarted.error, ValidationError)
    assert restarted.attempt == 2
    assert COMPLAINT in json.dumps(server.requests[1].json)
    assert _holds(server.requests[1].json["messages"], BAD)
    assert await twin.final(stream) == items[1:]
    assert heard.of("final") == [(items[1:],)]


@both
async def test_an_item_that_fails_ends_its_attempt_at_once(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(json.dumps({"tasks": [json.loads(BAD), *[json.loads(GOOD)] * 500]})))
    server.add(reply(json.dumps({"tasks": [json.loads(GOOD)]})))
    items = await twin.values(twin.client(server).create_iterable(**ASK))
    assert len(items) == 1
    assert len(server.exchanges) == 2
    assert not _holds(server.requests[1].json["messages"], GOOD)


@both
async def test_items_used_up(server: ScriptedServer, twin: Twin) -> None:
    server.always(reply(json.dumps({"tasks": [json.loads(GOOD), json.loads(BAD)]})))
    seen: list[Any] = []
    stream = twin.client(server).create_iterable(**ASK, max_retries=1)
    with pytest.raises(RetriesExhausted) as caught:
        await twin.values(stream, seen)
    assert seen == [Person(name="Ada", age=36)] * 2
    assert isinstance(caught.value.__cause__, ValidationError)
    assert len(server.requests) == 2


@both
async def test_create_with_a_hook_asks_again(server: ScriptedServer, twin: Twin) -> None:
    server.add(reply(BAD)).add(reply(GOOD))
    heard = Recorder(twin)
    final = await settled(twin.client(server).create(**ASK, **heard.hooks("restart")))
    assert final == Person(name="Ada", age=36)
    assert len(heard.calls) == 1
    assert [request.json["stream"] for request in server.requests] == [True, True]


@both
async def test_text_is_not_asked_for_again(server: ScriptedServer, twin: Twin) -> None:
    server.always(lambda _: chat_content(""))
    with pytest.raises(NoOutput):
        await twin.final(twin.client(server).stream_text(MESSAGES, model="m", max_retries=3))
    assert len(server.requests) == 1


async def test_both_sides_tell_the_same_story() -> None:
    """Whole event lists, attempts and all, on a clock that stands still."""
    stories: list[list[str]] = []
    for twin in (SYNC, ASYNC):
        with ScriptedServer() as server:
            for text in (BAD, '{"name": x', WORSE, GOOD):
                server.add(reply(text, 3))
            client = twin.client(server, clock=StillClock())
            events = await twin.events(client.create_partial(**ASK))
            stories.append([repr(event) for event in events])
            for close in server.closers:
                await settled(close())
    assert stories[0] == stories[1]
    assert sum("StreamRestarted" in event for event in stories[0]) == 3
