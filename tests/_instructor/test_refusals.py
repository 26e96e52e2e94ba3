"""_instructor/refusals.py: which errors of a server are about the option for usage, or may be."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from instructor.core.exceptions import InstructorRetryException

from instructor_stream_ext._instructor.refusals import cause_of, is_opaque, names_usage

SENT = {"model": "m", "messages": [], "temperature": 1, "stream_options": {}}


def refused(status: int, body: Any) -> openai.APIStatusError:
    response: Any = httpx.Response(status, request=httpx.Request("POST", "http://127.0.0.1/v1"))
    message = body if isinstance(body, str) else str(body.get("message") or body.get("detail"))
    return openai.APIStatusError(message, response=response, body=body)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (refused(400, {"message": "property 'stream_options' is unsupported"}), True),
        (refused(422, {"message": "include_usage: extra inputs are not permitted"}), True),
        (refused(500, {"message": "stream_options"}), False),
        (refused(400, {"message": "no such model"}), False),
        (ValueError("stream_options"), False),
    ],
)
def test_errors_that_name_the_option(error: Exception, named: bool) -> None:
    assert names_usage(error) is named


@pytest.mark.parametrize(
    ("error", "opaque"),
    [
        (refused(400, {"message": "Param Incorrect"}), True),
        (refused(422, {"detail": "bad request", "code": "400"}), True),
        (refused(400, "Error code: 400 - invalid"), True),
        (refused(400, {"message": "temperature is wrong"}), False),
        (refused(400, {"message": "x", "param": "model"}), False),
        (refused(400, {"message": "x", "code": "context_length_exceeded"}), False),
        (refused(400, {"message": "the request that you have sent has too many tokens for this"}), False),
        (refused(401, {"message": "no"}), False),
    ],
)
def test_errors_that_say_nothing(error: Exception, opaque: bool) -> None:
    assert is_opaque(error, SENT) is opaque


def test_the_sdks_own_error_is_found_under_instructors() -> None:
    cause = refused(400, {"message": "no"})
    wrapper = InstructorRetryException("no", n_attempts=1, total_usage=0)
    assert cause_of(wrapper) is wrapper
    wrapper.__cause__ = cause
    assert cause_of(wrapper) is cause
    assert cause_of(cause) is cause
