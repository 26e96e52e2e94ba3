"""A tenacity object's rules hold for what the API raises, with and without hooks, as in plain instructor."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import tenacity
from instructor.core.exceptions import InstructorRetryException
from pydantic import BaseModel

from instructor_stream_ext.session.retries import Retries
from tests.server import Answer, ScriptedServer, reply
from tests.twins import SYNC, Recorder, Twin, both, settled

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
ADA = '{"name": "Ada", "age": 36}'


class Person(BaseModel):
    name: str
    age: int


def refused(status: int) -> Answer:
    """What OpenAI answers to too many requests, and in trouble."""
    return Answer(b'{"error": {"message": "not now", "type": "error"}}', status=status)


@both
@pytest.mark.parametrize(("status", "kind"), [(429, openai.RateLimitError), (503, openai.InternalServerError)])
async def test_a_rule_for_the_apis_errors(
    server: ScriptedServer, twin: Twin, status: int, kind: type[Exception]
) -> None:
    client, recorder = twin.client(server), Recorder(twin)
    slept: list[float] = []
    rules = {
        "stop": tenacity.stop_after_attempt(3),
        "wait": tenacity.wait_fixed(7),
        "retry": tenacity.retry_if_exception_type(kind),
    }
    for hooks in ({}, recorder.hooks("restart", "final")):
        server.add(refused(status))
        server.add(reply(ADA))
        made = client.create(Person, max_retries=twin.retrying(slept, **rules), **ASK, **hooks)
        assert (await settled(made)).age == 36
    server.add(refused(status))
    server.add(reply(ADA))
    stream = client.create_partial(Person, max_retries=twin.retrying(slept, **rules), **ASK)
    assert (await twin.final(stream)).age == 36
    assert stream.attempt == stream.stats.attempts == 2
    assert slept == [7, 7, 7]
    assert len(server.requests) == 6
    ((restarted,),) = recorder.of("restart")
    assert isinstance(restarted.error, kind)


@both
async def test_no_attempt_is_left(server: ScriptedServer, twin: Twin) -> None:
    server.always(refused(429))
    client = twin.client(server)
    slept: list[float] = []

    def twice() -> Any:
        return twin.retrying(slept, stop=tenacity.stop_after_attempt(2))

    for hooks in ({}, {"on_delta": twin.hook(str)}):
        with pytest.raises(InstructorRetryException) as caught:
            await settled(client.create(Person, max_retries=twice(), **ASK, **hooks))
        assert caught.value.n_attempts == 2
    assert isinstance(caught.value.__cause__, openai.RateLimitError)
    with pytest.raises(openai.RateLimitError):
        await twin.final(client.create_partial(Person, max_retries=twice(), **ASK))
    assert len(server.requests) == 6


@both
async def test_a_number_leaves_the_apis_errors_alone(server: ScriptedServer, twin: Twin) -> None:
    server.always(refused(429))
    client = twin.client(server)
    for number, hooks in enumerate(({}, {"on_delta": twin.hook(str)}), 1):
        with pytest.raises(InstructorRetryException) as caught:
            await settled(client.create(Person, max_retries=3, **ASK, **hooks))
        assert isinstance(caught.value.__cause__, openai.RateLimitError)
        assert len(server.requests) == number


@both
async def test_a_rule_for_other_errors(server: ScriptedServer, twin: Twin) -> None:
    server.always(refused(429))
    rule = tenacity.retry_if_exception_type(ConnectionError)
    stream = twin.client(server).create_partial(Person, max_retries=twin.retrying([], retry=rule), **ASK)
    with pytest.raises(openai.RateLimitError):
        await twin.final(stream)
    assert len(server.requests) == 1


def test_no_attempt_begins_after_the_calls_timeout() -> None:
    retries = Retries(3, is_async=SYNC.is_async, timeout=0)
    ticket = retries.next()
    retries.failed(ticket, ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        retries.next()
