"""Every provider and mode instructor registers: its chunks, read by us and by instructor's own extractor.

A combination that is not in the matrix fails here. To add one: put it into `MATRIX` with the script of its chunk
family (or write a script for a new family, after a recording of it), and give a new provider its `FAMILY` in
`instructor_stream_ext/providers/`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from instructor.v2.core.errors import ConfigurationError
from instructor.v2.core.mode import Mode
from instructor.v2.core.providers import Provider
from instructor.v2.core.registry import mode_registry
from instructor.v2.core.response_model import prepare_response_model
from instructor.v2.dsl.iterable import IterableBase
from instructor.v2.dsl.partial import PartialBase
from pydantic import BaseModel

from instructor_stream_ext.core.events import EndKind
from instructor_stream_ext.core.usage import Usage
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.reader import Reader
from tests.registry import combinations

ARGS = {"name": "Ada", "age": 36}
DOCUMENT = json.dumps(ARGS)
PIECES = [DOCUMENT[:5], DOCUMENT[5:12], DOCUMENT[12:]]
USAGE = Usage(7, 5, 12)
COUNTED = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def _chat_chunk(
    delta: dict[str, Any], finish: str | None = None, usage: dict[str, int] | None = None
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {
        "id": "answer-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def _call(args: str, name: str | None = None) -> dict[str, Any]:
    function = {"arguments": args, **({"name": name} if name else {})}
    head = {"id": "call-1", "type": "function"} if name else {}
    return {"tool_calls": [{"index": 0, **head, "function": function}]}


def _chat(*, tools: bool) -> list[dict[str, Any]]:
    deltas = [_call("", "Person"), *map(_call, PIECES)] if tools else [{"content": piece} for piece in PIECES]
    finish = _chat_chunk({}, "tool_calls" if tools else "stop")
    bare = {**finish, "choices": [], "usage": COUNTED}
    return [_chat_chunk({"role": "assistant", "content": ""}), *map(_chat_chunk, deltas), finish, bare]


def _openai_chat(*, tools: bool) -> list[Any]:
    from openai.types.chat import ChatCompletionChunk

    return [ChatCompletionChunk.construct(**chunk) for chunk in _chat(tools=tools)]


def _sdk_chat(module: str, name: str, *, tools: bool) -> list[Any]:
    """Chunks of an SDK made by the same generator as OpenAI's; OpenAI's own where it is not installed."""
    try:
        kind = getattr(__import__(module, fromlist=[name]), name)
    except ImportError:
        return _openai_chat(tools=tools)
    return [kind.construct(**chunk) for chunk in _chat(tools=tools)]


def _groq(*, tools: bool) -> list[Any]:
    return _sdk_chat("groq.types.chat", "ChatCompletionChunk", tools=tools)


def _cerebras(*, tools: bool) -> list[Any]:
    return _sdk_chat("cerebras.cloud.sdk.types.chat.chat_completion", "ChatChunkResponse", tools=tools)


def _writer(*, tools: bool) -> list[Any]:
    return _sdk_chat("writerai.types", "ChatCompletionChunk", tools=tools)


def _objects(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: _objects(item) for key, item in value.items()})
    return [_objects(item) for item in value] if isinstance(value, list) else value


def _mistral(*, tools: bool) -> list[Any]:
    deltas = [_call(DOCUMENT, "Person")] if tools else [{"content": piece} for piece in PIECES]
    end = _chat_chunk({"content": ""}, "tool_calls" if tools else "stop", COUNTED)
    chunks = [_chat_chunk({"role": "assistant", "content": ""}), *map(_chat_chunk, deltas), end]
    for chunk in chunks:
        chunk["choices"][0]["delta"].setdefault("tool_calls", None)
    try:
        event = import_module("mistralai.client.models").CompletionEvent
    except ImportError:
        return [_objects({"data": chunk}) for chunk in chunks]
    return [event.model_validate({"data": chunk}) for chunk in chunks]


def _responses(*, tools: bool) -> list[Any]:
    types: Any = import_module("openai.types.responses")
    assert tools
    item = {"type": "function_call", "id": "i", "call_id": "c", "name": "Person", "status": "in_progress"}
    usage = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    whole = {"id": "r", "model": "m", "object": "response", "output": [{**item, "arguments": DOCUMENT}], "usage": usage}
    place = {"item_id": "i", "output_index": 0}
    created = {"type": "response.created", "response": {**whole, "output": [], "usage": None}}
    added = {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}}
    delta = {"type": "response.function_call_arguments.delta", **place}
    done = {"type": "response.function_call_arguments.done", **place, "arguments": DOCUMENT}
    completed = {"type": "response.completed", "response": {**whole, "status": "completed"}}
    return [
        types.ResponseCreatedEvent.construct(**created),
        types.ResponseOutputItemAddedEvent.construct(**added),
        *(types.ResponseFunctionCallArgumentsDeltaEvent.construct(**delta, delta=piece) for piece in PIECES),
        types.ResponseFunctionCallArgumentsDoneEvent.construct(**done),
        types.ResponseCompletedEvent.construct(**completed),
    ]


def _anthropic(*, tools: bool) -> list[Any]:
    types = pytest.importorskip("anthropic.types")
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    tool = {"type": "tool_use", "id": "t", "name": "Person", "input": {}}
    block = tool if tools else {"type": "text", "text": ""}
    kind, key = ("input_json_delta", "partial_json") if tools else ("text_delta", "text")
    start = {**message, "usage": {"input_tokens": 7, "output_tokens": 1}}
    return [
        types.RawMessageStartEvent.construct(type="message_start", message=start),
        types.RawContentBlockStartEvent.construct(type="content_block_start", index=0, content_block=block),
        *(
            types.RawContentBlockDeltaEvent.construct(
                type="content_block_delta", index=0, delta={"type": kind, key: piece}
            )
            for piece in PIECES
        ),
        types.RawContentBlockStopEvent.construct(type="content_block_stop", index=0),
        types.RawMessageDeltaEvent.construct(
            type="message_delta",
            delta={"stop_reason": "tool_use" if tools else "end_turn"},
            usage={"output_tokens": 5},
        ),
        types.RawMessageStopEvent.construct(type="message_stop"),
    ]


def _google_answers(*, tools: bool) -> list[dict[str, Any]]:
    """Generate-content responses as plain data, the same for all three Google SDKs."""
    parts: list[dict[str, Any]] = [{"text": piece} for piece in PIECES]
    if tools:
        parts = [{"function_call": {"name": "Person", "args": ARGS}}]
    answers: list[dict[str, Any]] = [
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]} for part in parts
    ]
    answers[-1]["candidates"][0]["finish_reason"] = "STOP"
    answers[-1]["usage_metadata"] = {
        "prompt_token_count": 7,
        "candidates_token_count": 5,
        "total_token_count": 12,
    }
    return answers


def _genai(*, tools: bool) -> list[Any]:
    types = pytest.importorskip("google.genai.types")
    return [types.GenerateContentResponse.model_validate(answer) for answer in _google_answers(tools=tools)]


class _Proto:
    """Stands in for a proto-plus message: knows which fields are set, and turns into a mapping."""

    def __init__(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            setattr(self, name, self._wrapped(name, value))

    @classmethod
    def _wrapped(cls, name: str, value: Any) -> Any:
        if isinstance(value, dict) and name != "args":
            return cls(value)
        return [cls(item) for item in value] if isinstance(value, list) else value

    @staticmethod
    def to_dict(message: _Proto) -> dict[str, Any]:
        own = vars(message).items()
        return {name: _Proto.to_dict(value) if isinstance(value, _Proto) else value for name, value in own}

    def __contains__(self, name: str) -> bool:
        return name in vars(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def _gemini(*, tools: bool) -> list[Any]:
    answers = _google_answers(tools=tools)
    try:
        whole = import_module("google.generativeai.protos").GenerateContentResponse
        kind = import_module("google.generativeai.types").GenerateContentResponse
    except ImportError:
        return [_Proto(answer) for answer in answers]
    return [kind.from_response(whole(answer)) for answer in answers]


class _VertexPart(_Proto):
    """vertexai's parts turn into a mapping by themselves."""

    to_dict = _Proto.__dict__["to_dict"].__func__


_VertexPart.__module__ = "vertexai.stand_in"


def _vertexai(*, tools: bool) -> list[Any]:
    answers = _google_answers(tools=tools)
    try:
        kind = import_module("vertexai.generative_models").GenerationResponse
    except ImportError:
        return [_VertexPart(answer) for answer in answers]
    return [kind.from_dict(answer) for answer in answers]


def _cohere(*, tools: bool) -> list[Any]:
    del tools  # instructor asks for text in Cohere's tool mode, too
    deltas = [{"message": {"content": {"text": piece}}} for piece in PIECES]
    usage = {"tokens": {"input_tokens": 7.0, "output_tokens": 5.0}}
    events: list[Any] = _objects(
        [
            {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
            {"type": "content-start", "index": 0},
            *({"type": "content-delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content-end", "index": 0},
            {"type": "message-end", "id": "m", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
        ]
    )
    return events


def _bedrock(*, tools: bool) -> list[Any]:
    start = [
        {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "Person"}}, "contentBlockIndex": 0}}
    ]
    deltas = [{"toolUse": {"input": piece}} if tools else {"text": piece} for piece in PIECES]
    return [
        {"messageStart": {"role": "assistant"}},
        *(start if tools else []),
        *({"contentBlockDelta": {"delta": delta, "contentBlockIndex": 0}} for delta in deltas),
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "tool_use" if tools else "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}}},
    ]


Script = Callable[..., list[Any]]
TOOLS, JSON, SCHEMA, MD, RESPONSES = (
    Mode.TOOLS,
    Mode.JSON,
    Mode.JSON_SCHEMA,
    Mode.MD_JSON,
    Mode.RESPONSES_TOOLS,
)
MATRIX: dict[tuple[Provider, Mode], Script] = {
    **{(Provider.OPENAI, mode): _openai_chat for mode in (TOOLS, JSON, SCHEMA, MD)},
    (Provider.OPENAI, RESPONSES): _responses,
    **{
        (provider, mode): _openai_chat
        for provider in (Provider.ANYSCALE, Provider.TOGETHER, Provider.DATABRICKS, Provider.DEEPSEEK)
        for mode in (TOOLS, JSON, SCHEMA, MD)
    },
    **{(Provider.OPENROUTER, mode): _openai_chat for mode in (TOOLS, JSON, SCHEMA, MD)},
    **{(Provider.FIREWORKS, mode): _openai_chat for mode in (TOOLS, JSON, SCHEMA, MD)},
    **{(Provider.GROQ, mode): _groq for mode in (TOOLS, JSON, SCHEMA, MD)},
    **{(Provider.CEREBRAS, mode): _cerebras for mode in (TOOLS, JSON, SCHEMA, MD)},
    **{(Provider.WRITER, mode): _writer for mode in (TOOLS, SCHEMA, MD)},
    **{(Provider.MISTRAL, mode): _mistral for mode in (TOOLS, SCHEMA, MD)},
    (Provider.PERPLEXITY, MD): _openai_chat,
    **{(Provider.ANTHROPIC, mode): _anthropic for mode in (TOOLS, JSON, SCHEMA)},
    **{(Provider.GENAI, mode): _genai for mode in (TOOLS, JSON)},
    **{(Provider.GEMINI, mode): _gemini for mode in (TOOLS, MD)},
    **{(Provider.VERTEXAI, mode): _vertexai for mode in (TOOLS, MD)},
    **{(Provider.COHERE, mode): _cohere for mode in (TOOLS, SCHEMA, MD)},
    **{(Provider.BEDROCK, mode): _bedrock for mode in (TOOLS, Mode.TOOLS_STRICT, SCHEMA, MD)},
}
# instructor reads xAI's stream itself, so its text is all there is; see test_xai.py for the SDK's own chunks.
TEXT_ONLY = {(Provider.XAI, mode) for mode in (TOOLS, SCHEMA, MD)}
# instructor refuses to stream these before it sends anything.
REFUSED = {(provider, mode) for provider, mode in combinations() if mode is Mode.PARALLEL_TOOLS}
# instructor's response parser refuses to stream these.
UNPARSED = {
    (Provider.COHERE, SCHEMA),
    (Provider.COHERE, MD),
    *((Provider.BEDROCK, mode) for mode in (TOOLS, Mode.TOOLS_STRICT, SCHEMA, MD)),
}
READ_BY_SDK_TYPES = {_gemini: "google.generativeai", _vertexai: "vertexai"}

entries = pytest.mark.parametrize(
    ("provider", "mode"), list(MATRIX), ids=[f"{provider.value}-{mode.value}" for provider, mode in MATRIX]
)


def test_every_combination_instructor_knows_is_in_the_matrix() -> None:
    known = MATRIX.keys() | TEXT_ONLY | REFUSED
    registered = combinations()
    missing = sorted(f"{provider.value}/{mode.value}" for provider, mode in registered - known)
    assert not missing, f"add to MATRIX in {__file__} (its docstring says how): {missing}"
    gone = known - registered
    assert not gone, f"instructor has these no more: {gone}"


def _is_tool_mode(provider: Provider, mode: Mode) -> bool:
    return mode in {TOOLS, Mode.TOOLS_STRICT, RESPONSES} and provider is not Provider.COHERE


def _read(provider: Provider, mode: Mode) -> tuple[Reader, str]:
    tools = _is_tool_mode(provider, mode)
    reader = reader_for(provider.value, mode.value, tools=frozenset({"Person"}) if tools else None)
    text = "".join(map(reader.read, MATRIX[provider, mode](tools=tools)))
    return reader, text + reader.finish()


@entries
def test_the_document_its_end_and_its_usage_are_read(provider: Provider, mode: Mode) -> None:
    reader, text = _read(provider, mode)
    assert json.loads(text) == ARGS
    assert "36.0" not in text
    assert reader.end is not None
    assert reader.end.kind is EndKind.COMPLETE
    assert reader.usage == USAGE
    assert reader.aside == []
    assert reader.switched is None
    assert reader.error is None


@entries
def test_instructors_own_extractor_finds_the_same_text(provider: Provider, mode: Mode) -> None:
    extractor = mode_registry.get_handlers(provider, mode).stream_extractor
    if extractor is None or mode is MD:
        assert (provider, mode) in UNPARSED or mode is MD
        return
    chunks = MATRIX[provider, mode](tools=_is_tool_mode(provider, mode))
    joined = "".join(piece for piece in extractor(chunks) if piece)
    assert json.loads(joined) == json.loads(_read(provider, mode)[1])


@entries
def test_instructors_reask_takes_the_assembled_answer(provider: Provider, mode: Mode) -> None:
    needed = READ_BY_SDK_TYPES.get(MATRIX[provider, mode])
    if needed is not None:
        pytest.importorskip(needed)
    answer = _read(provider, mode)[0].completion()
    request: dict[str, Any] = {"messages": [], "contents": []}
    again = mode_registry.get_handlers(provider, mode).reask_handler(
        kwargs=request, response=answer, exception=ValueError("too old")
    )
    said = repr(again)
    assert "too old" in said
    assert "Ada" in said


class _Person(BaseModel):
    """A person."""

    name: str
    age: int


def _seam() -> Any:
    """A response model that hands back the live stream."""

    def same(_cls: type, completion: Any, *_args: Any, **_kwargs: Any) -> Any:
        return completion

    body = {
        "__module__": __name__,
        "from_streaming_response": classmethod(same),
        "from_streaming_response_async": classmethod(same),
    }
    return prepare_response_model(type("Person", (_Person, IterableBase, PartialBase), body))


class _Live:
    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration


class _AsyncLive:
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration


NEEDED = {
    Provider.GEMINI: ("google.generativeai", "jsonref"),
    Provider.GENAI: ("google.genai", "jsonref"),
    Provider.VERTEXAI: ("vertexai", "jsonref"),
    Provider.MISTRAL: ("mistralai",),
}


def _handed_on(provider: Provider, mode: Mode, live: Any, *, is_async: bool) -> bool:
    for module in NEEDED.get(provider, ()):
        pytest.importorskip(module)
    handlers = mode_registry.get_handlers(provider, mode)
    request = {"messages": [{"role": "user", "content": "x"}], "stream": True}
    if provider is not Provider.GEMINI:
        request["model"] = "m"
    model: Any
    model, _ = handlers.request_handler(response_model=_seam(), kwargs=request)
    parsed = handlers.response_parser(
        response=live, response_model=model, validation_context=None, strict=True, stream=True, is_async=is_async
    )
    return parsed is live


@pytest.mark.filterwarnings("ignore:Anthropic client does not support:UserWarning")
@pytest.mark.parametrize(("live", "is_async"), [(_Live(), False), (_AsyncLive(), True)], ids=["sync", "async"])
@entries
def test_a_response_model_can_take_the_live_stream(provider: Provider, mode: Mode, live: Any, is_async: bool) -> None:
    if (provider, mode) in UNPARSED:
        with pytest.raises(ConfigurationError, match="not supported"):
            _handed_on(provider, mode, live, is_async=is_async)
        return
    assert _handed_on(provider, mode, live, is_async=is_async)


@pytest.mark.parametrize(("provider", "mode"), sorted(TEXT_ONLY, key=str))
def test_bare_text_is_the_document(provider: Provider, mode: Mode) -> None:
    reader = reader_for(provider.value, mode.value, tools=frozenset({"Person"}))
    assert "".join(map(reader.read, PIECES)) == DOCUMENT
    assert reader.end is None
    assert reader.completion() is None
