"""demo/cassette.py and the cassette itself, seen through the bare SDK."""

from __future__ import annotations

import itertools

import openai
import pytest

from instructor_stream_ext.demo.cassette import demo_interaction
from instructor_stream_ext.demo.model import Trip
from instructor_stream_ext.testing.server import ReplayServer


def test_the_cassette_is_a_real_stream() -> None:
    recorded = demo_interaction()
    assert recorded.status == 200
    assert 150 <= len(recorded.chunks) <= 500
    assert 3 <= recorded.ended_at <= 8
    assert recorded.chunks[-1].data == b"data: [DONE]\n\n"
    assert all(before.at <= after.at for before, after in itertools.pairwise(recorded.chunks))


def test_the_whole_cassette_is_played() -> None:
    with ReplayServer([demo_interaction()], speed=0) as server:
        bare = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with bare, bare.chat.completions.create(model="m", messages=[], stream=True) as stream:
            chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert Trip.model_validate_json(text).city == "Lisbon"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == sum(
        1 for chunk in chunks if chunk.choices and not chunk.choices[0].delta.role
    )


def test_other_paths_are_refused() -> None:
    with ReplayServer([demo_interaction()], speed=0) as server:
        bare = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with bare, pytest.raises(openai.NotFoundError, match="plays one cassette"):
            bare.responses.create(model="m", input="x")
