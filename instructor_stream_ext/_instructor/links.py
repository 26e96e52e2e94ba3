"""The link of a client: providers that need one of their own, and litellm."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

from instructor import Instructor, Mode, Provider
from instructor.v2.dsl.iterable import IterableBase
from pydantic import BaseModel

from instructor_stream_ext._instructor import closing
from instructor_stream_ext._instructor.haste import genai_hastened
from instructor_stream_ext._instructor.link import Link, LitellmLink
from instructor_stream_ext._instructor.request import Live
from instructor_stream_ext.core.errors import ClientNotSupported

__all__ = ["link_to"]


class _BedrockLink(Link):
    """Bedrock, whose streaming call instructor leaves out (https://github.com/567-labs/instructor/issues/1372)."""

    @functools.cached_property
    def create_fn(self) -> Callable[..., Any]:
        converse = self.client.client.converse_stream  # type: ignore[union-attr]

        def stream(*, stream: bool = True, **kwargs: object) -> Any:  # noqa: ARG001
            return converse(**kwargs)["stream"]

        async def astream(*, stream: bool = True, **kwargs: object) -> Any:  # noqa: ARG001
            return _InThread(iter((await asyncio.to_thread(converse, **kwargs))["stream"]))

        return self._patched(astream if self.is_async else stream)


class _AnthropicLink(Link):
    """Anthropic. instructor refuses plain text in one of its modes."""

    def text_function(self, *, hurried: bool) -> Callable[..., Any]:
        create_fn, function = self.functions(hurried=hurried)
        refuses = self.mode is Mode.JSON_SCHEMA and function is not None
        return self._patched(function, Mode.TOOLS) if refuses else create_fn  # type: ignore[arg-type]


class _GenAILink(Link):
    """google-genai, which sends the request when its stream is first read.

    Asked for a model's JSON, it validates each chunk that is whole JSON with the class it was given, and swallows only
    ValueErrors of that: validators would run before the end, and another error of theirs would break the stream.
    """

    def sent_class(self, wire: type[BaseModel]) -> type[BaseModel]:
        return _with(_Unread, wire)

    def said(self, messages: Any) -> Any:
        """Return the conversation with Google's name for the assistant, the only one that instructor accepts here."""
        return None if messages is None else [_googles(message) for message in messages]

    def _hurried(self) -> Callable[..., Any] | None:
        if not hasattr(getattr(self.client.client, "models", None), "_api_client"):
            return super()._hurried()
        return genai_hastened(self.client.client)


class _XAILink(Link):
    """xAI. instructor reads the stream itself and passes on text."""

    def check_streams(self) -> None:
        super().check_streams()
        if self.mode is Mode.MD_JSON:
            raise ClientNotSupported(
                "xai in mode MD_JSON cannot stream: instructor asks for the whole answer there; use Mode.JSON_SCHEMA"
            )

    def sent_class(self, wire: type[BaseModel]) -> type[BaseModel]:
        return _with(_TextSeam, wire)


def _googles(message: Any) -> Any:
    is_answer = isinstance(message, dict) and message.get("role") == "assistant"
    return {**message, "role": "model"} if is_answer else message


_LINKS = {
    Provider.ANTHROPIC: _AnthropicLink,
    Provider.BEDROCK: _BedrockLink,
    Provider.GENAI: _GenAILink,
    Provider.XAI: _XAILink,
}


def link_to(client: object) -> Link:
    """Return the link for an instructor client.

    Raises:
        ClientNotSupported: It is none of instructor's.
    """
    if not isinstance(client, Instructor):
        raise ClientNotSupported(
            f"wrap() needs an instructor client (such as instructor.from_openai(...)), not {type(client).__name__}"
        )
    link = _LINKS.get(client.provider, Link)(client)
    return LitellmLink(client) if _is_litellms(link.function) else link


def _is_litellms(function: Any) -> bool:
    """Return whether litellm answers the calls."""
    if function is None:
        return False
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    return getattr(function, "__module__", "").partition(".")[0] == "litellm" or type(
        getattr(function, "__self__", None)
    ).__module__.startswith("litellm")


class _TextSeam(IterableBase):
    """Mixed into a response model, it returns the text that instructor's xAI client reads from its stream."""

    @classmethod
    def tasks_from_chunks(cls, json_chunks: object, **_: object) -> Any:
        return Live(json_chunks)

    @classmethod
    def tasks_from_chunks_async(cls, json_chunks: object, **_: object) -> Any:
        return Live(json_chunks)


class _Unread:
    """Mixed into a response model, it keeps an SDK from validating what it reads."""

    @classmethod
    def model_validate_json(cls, *_: object, **__: object) -> Any:
        raise ValueError("only the final object is validated")


@functools.lru_cache(maxsize=1024)
def _with(mixin: type, wire: type[BaseModel]) -> type[BaseModel]:
    """Return the class to send in place of `wire`: the same schema under the same name."""
    # the mixin comes first, so that its methods win over those of the wire model
    namespace = {"__module__": wire.__module__, "__qualname__": wire.__qualname__, "__doc__": wire.__doc__}
    kind: Any = type(wire)
    return cast("type[BaseModel]", kind(wire.__name__, (mixin, wire), namespace))


class _InThread:
    """An async iterator over a blocking one: each step runs in a worker thread."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> _InThread:
        return self

    async def __anext__(self) -> Any:
        end = object()
        chunk = await asyncio.to_thread(next, self._chunks, end)
        if chunk is end:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Close the stream below."""
        closing.close(self._chunks)
