"""Links: the facts about one instructor client, and what differs between SDKs."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, cast

from instructor import AsyncInstructor, Instructor, Mode, Provider
from instructor.v2.core.patch import patch_v2
from instructor.v2.core.registry import mode_registry, normalize_mode
from instructor.v2.dsl.iterable import IterableBase
from pydantic import BaseModel

from instructor_stream_ext._instructor import closing
from instructor_stream_ext._instructor.haste import genai_hastened, hastened
from instructor_stream_ext._instructor.litellm_prices import LitellmPrices
from instructor_stream_ext._instructor.prices import price_list
from instructor_stream_ext._instructor.request import Live
from instructor_stream_ext.core.errors import ClientNotSupported, MissingExtra, StreamMisuse
from instructor_stream_ext.session.protocols import Meter

__all__ = ["Link", "LitellmLink", "link_to"]


class Link:
    """The facts about one instructor client, shared by its streams.

    Args:
        client: The client.
    """

    source: Callable[..., Any] | None = None
    """Makes the attempts of one stream; None means `InstructorSource`."""
    always_streams = False
    """True if `create` must stream, too, because the client's purpose depends on it (as with fallbacks)."""

    def __init__(self, client: Instructor) -> None:
        self.client = client
        self.is_async = isinstance(client, AsyncInstructor)
        self.provider = client.provider
        self.mode = normalize_mode(client.provider, client.mode)
        self.usage_refused = False

    @property
    def handlers(self) -> Any:
        """instructor's handlers for this provider's answers in this mode."""
        return mode_registry.get_handlers(self.provider, self.mode)

    def for_call(self, kwargs: dict[str, Any]) -> Link:  # noqa: ARG002
        """Return the client for a call with these arguments; this one unless there are several.

        Raises:
            StreamMisuse: The call cannot work; nothing has been sent.
        """
        return self

    def check_call(self, kwargs: dict[str, Any]) -> None:
        """Raise `StreamMisuse` if a call with these arguments cannot work."""

    @property
    def meter(self) -> Meter | None:
        """Computes what attempts cost: from genai-prices where it is installed, from litellm's list under litellm."""
        return price_list()

    def check_price(self, kwargs: dict[str, Any]) -> None:
        """Check that `max_cost` can be enforced.

        Raises:
            MissingExtra: There is no price list.
            StreamMisuse: The model is not in it.
        """
        meter = self.meter
        if meter is None:
            raise MissingExtra("Limits(max_cost=...)", "cost")
        model, provider = self.asked(kwargs)
        model = model or self._default_model
        if not meter.knows(model, provider, kwargs):
            raise StreamMisuse(
                f"max_cost cannot be enforced: the price list lacks {model!r} of {provider}; use a model "
                f"that it has, or Limits(max_output_tokens=...)"
            )

    @property
    def calls_in_parallel(self) -> bool:
        """True if an answer consists of several tool calls."""
        return self.mode in Mode.parallel_modes()

    def check_streams(self) -> None:
        """Raise `ClientNotSupported` if this mode cannot stream."""
        if self.calls_in_parallel and (self.provider in _NO_PARALLEL_STREAMS or self.function is None):
            raise ClientNotSupported(
                f"{self.provider.value} in mode {self.mode.name} cannot stream: several tools at once stream from "
                f"OpenAI, what speaks like it, and Anthropic; use Mode.TOOLS with create_iterable"
            )

    def asked(self, kwargs: dict[str, Any]) -> tuple[str | None, str | None]:
        """Return the model and the provider that a request with these arguments goes to."""
        return kwargs.get("model"), self.provider.value

    def sent_class(self, wire: type[BaseModel]) -> type[BaseModel]:
        """Return the class to give to instructor in place of `wire`, with the same schema."""
        return wire

    def said(self, messages: object) -> Any:
        """Return the conversation in the form that instructor accepts for this provider."""
        return messages

    # ------------------------------------------------------------------ the functions that send

    @functools.cached_property
    def create_fn(self) -> Callable[..., Any]:
        """The function that prepares and sends a request."""
        return self.client.create_fn

    @functools.cached_property
    def _default_model(self) -> str | None:
        model: str | None = inspect.getclosurevars(self.client.create_fn).nonlocals.get("default_model")
        return model

    @functools.cached_property
    def function(self) -> Callable[..., Any] | None:
        """The SDK's function below instructor's; None where the client has none, as with xAI."""
        return cast("Callable[..., Any] | None", getattr(self.create_fn, "__wrapped__", None))

    @functools.cached_property
    def _sdk_client(self) -> Any:
        """The SDK client behind the function; None where it cannot be found."""
        if isinstance(self.function, functools.partial):
            return self.function.keywords.get("client")
        return getattr(getattr(self.function, "__self__", None), "_client", None)

    @functools.cached_property
    def takes_usage_option(self) -> bool:
        """True if the function takes `stream_options` (chat completions of the openai SDK and of litellm)."""
        if self.mode in (Mode.RESPONSES_TOOLS, Mode.RESPONSES_TOOLS_WITH_INBUILT_TOOLS):
            return False
        return type(self._sdk_client).__module__.partition(".")[0] == "openai"

    @functools.cached_property
    def _impatient(self) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """`create_fn` and the function below it, without the SDK's own retries. They share the SDK's connections.

        While `HASTE` is set, a request's own timeout is what is left of the stream's bound.
        """
        function = self._hurried()
        return (self.create_fn, self.function) if function is None else (self._patched(function), function)

    def _hurried(self) -> Callable[..., Any] | None:
        """The SDK's function without its own retries; None if it has none."""
        client = self._sdk_client
        with_options = getattr(client, "with_options", None)
        if with_options is None:
            return None
        hurried = with_options(max_retries=0)
        if isinstance(self.function, functools.partial):
            function: Callable[..., Any] = functools.partial(
                self.function.func, *self.function.args, **{**self.function.keywords, "client": hurried}
            )
        else:
            method = cast("Any", self.function)
            function = getattr(type(method.__self__)(hurried), method.__name__)
        if not self.is_async and hasattr(client, "timeout"):
            function = hastened(function, client.timeout)
        return function

    def _patched(self, function: Callable[..., Any], mode: Mode | None = None) -> Callable[..., Any]:
        return patch_v2(function, self.provider, mode or self.mode, self._default_model)

    def functions(self, *, hurried: bool) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """Return `create_fn` and the SDK's function, with or without the SDK's own retries."""
        create_fn, function = self._impatient if hurried else (self.create_fn, self.function)
        if function is None or not self.calls_in_parallel:
            return create_fn, function
        below = _streaming(function, is_async=self.is_async)
        return self._patched(below), below

    @property
    def stream_argument(self) -> dict[str, bool]:
        """The argument that asks instructor for a stream."""
        return {} if self.calls_in_parallel else {"stream": True}

    def text_function(self, *, hurried: bool) -> Callable[..., Any]:
        """Return the function to call for plain text."""
        return self.functions(hurried=hurried)[0]


class LitellmLink(Link):
    """A client over one of litellm's completion functions."""

    @property
    def meter(self) -> Meter:
        return LitellmPrices()

    def asked(self, kwargs: dict[str, Any]) -> tuple[str | None, str | None]:
        model: str | None = kwargs.get("model")
        return model, model.partition("/")[0] if model and "/" in model else "litellm"

    def check_call(self, kwargs: dict[str, Any]) -> None:
        """Raise `StreamMisuse` if no model was named: instructor's `from_provider` drops it."""
        if kwargs.get("model") or self._default_model:
            return
        bound = self.function.keywords if isinstance(self.function, functools.partial) else {}
        if not bound.get("model"):
            raise StreamMisuse(
                "no model: instructor.from_provider('litellm/...') does not keep it; name it in the call as "
                "model='provider/name', or use instructor_stream_ext.routing.from_litellm"
            )

    @functools.cached_property
    def takes_usage_option(self) -> bool:
        return self.mode not in (Mode.RESPONSES_TOOLS, Mode.RESPONSES_TOOLS_WITH_INBUILT_TOOLS)

    def _hurried(self) -> Callable[..., Any] | None:
        if self.function is None:
            return None
        bound = getattr(self.function, "keywords", {}).get("timeout")
        function = functools.partial(self.function, max_retries=0, num_retries=0)
        return hastened(function, _LITELLM_PATIENCE if bound is None else bound)


_LITELLM_PATIENCE = 600.0
"""Seconds that litellm waits by default."""


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
    """google-genai, which sends the request when its stream is first read."""

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
        return _with_text_seam(wire)


def _googles(message: Any) -> Any:
    is_answer = isinstance(message, dict) and message.get("role") == "assistant"
    return {**message, "role": "model"} if is_answer else message


def _streaming(function: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
    """Return the function with `stream=True`, which instructor refuses to pass on in parallel tool modes."""
    if not is_async:
        return functools.partial(function, stream=True)

    async def streaming(**kwargs: object) -> Any:
        return await function(**kwargs, stream=True)

    return streaming


_NO_PARALLEL_STREAMS = frozenset({Provider.XAI, Provider.VERTEXAI})
"""Providers whose chunks do not tell several calls apart."""

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


@functools.cache
def _with_text_seam(wire: type[BaseModel]) -> type[BaseModel]:
    """Return the class to send in place of `wire`: the same schema under the same name."""
    # the seam comes first, so that its methods win over those of a wire model that is itself an IterableBase
    namespace = {"__module__": wire.__module__, "__qualname__": wire.__qualname__, "__doc__": wire.__doc__}
    kind: Any = type(wire)
    return cast("type[BaseModel]", kind(wire.__name__, (_TextSeam, wire), namespace))


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
