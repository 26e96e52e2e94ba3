"""Recordings of real providers, from the wire through litellm to the validated object."""

from __future__ import annotations

import json
from typing import Any

import pytest
from instructor import Mode
from pydantic import BaseModel, ConfigDict, RootModel, create_model

from instructor_stream_ext import OutputTruncated, StreamInterrupted
from tests.playing import play
from tests.recordings import INDEX, Recording, recordings
from tests.routing.calls import PROVIDERS, QUIET, single
from tests.server import Answer, Request, ScriptedServer, Status

pytestmark = [
    QUIET,
    # clients that litellm makes for one request are closed by the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not INDEX.exists(), reason="the collection of recordings is not beside this checkout"),
]

TRUNCATED = {"length", "max_tokens"}
OF_LITELLM = {
    "anthropic__tools__longest-output-tool-741.yaml",
    "anthropic__tools__sdk-max-tokens-partial-json.sse",
    "anthropic__tools__text-then-two-tools.yaml",
    "anthropic__json__opus46-schema-467.yaml",
    "anthropic__json__sonnet45-schema-few-large-chunks.yaml",
    "bedrock__converse-tools__cities-114.yaml",
    "deepseek__chat-tools__truncated-reasoner-336.yaml",
    "gemini__json__complex-object-4-chunks.yaml",
    "groq__chat-error__tool-use-failed-mid-stream.yaml",
    "mistral__chat-tools__no-index-single-chunk.yaml",
    "ollama__native-tools__same-tool-four-times.yaml",
    "openai__chat-json__sdk-unicode-pretty-608.sse",
    "openai__chat-tools__final-result-longest.yaml",
    "openai__chat-tools__instructor-partial-userinfo.yaml",
    "openai__chat-tools__truncated-length-124.yaml",
    "openai__chat-tools__two-calls-empty-args.yaml",
}
"""All of the providers that the loopback tests play, but what only their own SDKs read: whole arguments of Gemini's
under instructor's other name for the tool, its bodies that are one array, and Bedrock's older interface."""

READ = [one for one in recordings() if one.file in OF_LITELLM]
KINDS = {"ollama": "ollama_chat"}
JSON_LINES = {"content-type": "application/x-ndjson"}
FRAMES = {"content-type": "application/vnd.amazon.eventstream"}
EVENTS = {"content-type": "text/event-stream"}


def _body(recording: Recording) -> Answer:
    if recording.provider == "ollama":
        return Answer(recording.body, headers=JSON_LINES)
    if recording.provider == "bedrock":
        return Answer(recording.body, headers=FRAMES)
    return Answer(recording.sse, headers=EVENTS)


def _model(recording: Recording) -> type[BaseModel]:
    """Takes whatever the recording carries, under the name that its call has."""
    if recording.texts and json.loads(recording.carried[0] if _is_whole(recording) else "{}").__class__ is list:
        return RootModel[list[Any]]
    name = recording.calls[0][0] if recording.calls else "Answer"
    return create_model(name, __config__=ConfigDict(extra="allow"))


def _is_whole(recording: Recording) -> bool:
    return bool(recording.texts) and recording.texts[0].endswith(".json")


def _is_another_matter(request: Request) -> bool:
    return request.path.endswith("/api/show")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("recording", READ, ids=[one.file.rpartition(".")[0] for one in READ])
async def test_a_recording_through_litellm(server: ScriptedServer, recording: Recording, *, is_async: bool) -> None:
    for _ in range(4):
        server.add(Status(404), match=_is_another_matter)
    server.add(_body(recording))
    tools = bool(recording.calls) or recording.mode == "chat-error"
    provider = PROVIDERS[KINDS.get(recording.provider, recording.provider)]
    client = single(server, provider, is_async=is_async, mode=Mode.TOOLS if tools else Mode.MD_JSON)
    model = _model(recording)
    played = await play(client.create_partial(model, "go", max_retries=0))
    if recording.mode == "chat-error":
        assert type(played.error) is StreamInterrupted
        assert "tool_use_failed" in str(played.error)  # all that litellm leaves of it
    elif recording.finish in TRUNCATED:
        assert type(played.error) is OutputTruncated
        assert played.error.text.endswith(recording.carried[0])
        assert played.stream.stats.end_signal == "length"
    else:
        assert played.final.model_dump() == json.loads(recording.carried[0])
        fragments = recording.calls[0][1] if recording.calls else 0
        assert len(played.partials) > 1 or fragments <= 3
    assert played.stream.usage is not None or not recording.says("usage")


def test_all_are_there() -> None:
    assert {one.file for one in READ} == OF_LITELLM
