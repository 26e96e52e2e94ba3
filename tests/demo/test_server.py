"""demo/server.py, seen through the bare SDK."""

from __future__ import annotations

import math

import openai
import pytest

from instructor_stream_ext.demo.cassette import Cassette, Chunk, demo_cassette
from instructor_stream_ext.demo.model import Trip
from instructor_stream_ext.demo.server import ReplayServer


def test_the_whole_cassette_is_played() -> None:
    with ReplayServer(demo_cassette(), speed=math.inf) as server:
        bare = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with bare, bare.chat.completions.create(model="m", messages=[], stream=True) as stream:
            chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert Trip.model_validate_json(text).city == "Lisbon"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == sum(
        1 for chunk in chunks if chunk.choices and not chunk.choices[0].delta.role
    )


def test_chunks_are_sent_one_by_one() -> None:
    first, last = (chunk.data for chunk in demo_cassette().chunks[:2])
    cassette_file = Cassette(
        path="/v1/chat/completions",
        status=200,
        headers={"content-type": "text/event-stream"},
        chunks=(Chunk(0.0, first), Chunk(3600.0, last)),
        recorded={},
    )
    with ReplayServer(cassette_file) as server:
        bare = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with bare, bare.chat.completions.create(model="m", messages=[], stream=True) as stream:
            assert next(iter(stream)).choices[0].delta.role == "assistant"


def test_other_paths_are_refused() -> None:
    with ReplayServer(demo_cassette()) as server:
        bare = openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0)
        with bare, pytest.raises(openai.NotFoundError, match="plays one cassette"):
            bare.responses.create(model="m", input="x")


def test_speed_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        ReplayServer(demo_cassette(), speed=0)
