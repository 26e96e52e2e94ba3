"""Streams over a session of fakes: read once, in one way, and asked at any time."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest

from instructor_stream_ext.client.sync_streams import PartialStream
from instructor_stream_ext.core.errors import OutputTruncated, StreamMisuse, StreamStopped
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.usage import Usage
from tests.session.fakes import FakeConnection, Person, session_of

ADA = ['{"name": "A', "da", '", "age"', ": 36}"]


def stream_of(chunks: list[Any], **given: Any) -> PartialStream[Person]:
    session, _ = session_of(FakeConnection(chunks, **given))
    return PartialStream(session, [{"role": "user", "content": "who?"}])


def test_partials_and_the_final() -> None:
    stream = stream_of(ADA)
    assert [one.name for one in stream] == ["A", "Ada", "Ada", "Ada"]
    assert stream.get_final_response() == Person(name="Ada", age=36)
    assert stream.is_final
    assert stream.usage == Usage(2, 3, 5)
    assert stream.messages[-1] == {"role": "assistant", "content": "".join(ADA)}
    assert stream.completion == "the completion"


def test_what_can_be_asked_in_between() -> None:
    stream = stream_of(ADA)
    next(stream)
    assert (stream.text, stream.json_text) == (ADA[0], ADA[0])
    assert stream.partial is not None
    assert stream.partial.name == "A"
    assert stream.state("name") is FieldState.STREAMING
    assert stream.state(("age",)) is FieldState.MISSING
    assert not stream.is_final
    stream.close()


@pytest.mark.parametrize("second", ["__iter__", "events", "text_stream"])
def test_a_second_pass_is_refused(second: str) -> None:
    stream = stream_of(ADA)
    list(stream)
    with pytest.raises(StreamMisuse, match="a stream is read once: it is already read as values"):
        getattr(stream, second)()


def test_a_loop_may_go_on_where_next_stopped() -> None:
    stream = stream_of(ADA)
    first = next(stream)
    assert first.name == "A"
    assert [one.name for one in stream] == ["Ada"] * 3


def test_a_stream_that_was_closed_before_it_began() -> None:
    stream = stream_of(ADA)
    stream.close()
    with pytest.raises(StreamStopped, match="closed before it began"):
        stream.get_final_response()


def test_the_same_error_each_time() -> None:
    stream = stream_of(ADA[:2], end=None)
    with pytest.raises(OutputTruncated) as first:
        stream.get_final_response()
    with pytest.raises(OutputTruncated) as second:
        stream.get_final_response()
    assert first.value is second.value


def test_a_path_that_is_not_there() -> None:
    stream = stream_of(ADA)
    with pytest.raises(StreamMisuse, match="nobody"):
        stream.state("nobody")
    stream.close()


def test_one_that_is_never_read_warns() -> None:
    with pytest.warns(ResourceWarning, match="never read"):
        stream_of(ADA)  # dropped at once


def test_one_that_was_closed_does_not() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream_of(ADA).close()
        gc.collect()
