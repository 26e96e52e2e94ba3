"""Links: the facts about one instructor client, and what differs between SDKs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

from instructor import AsyncInstructor, Instructor, Mode, Provider
from instructor.v2.core.patch import patch_v2
from instructor.v2.core.registry import mode_registry, normalize_mode
from pydantic import BaseModel

from instructor_stream_ext._instructor.haste import hastened
from instructor_stream_ext._instructor.litellm_prices import LitellmPrices
from instructor_stream_ext._instructor.prices import price_list
from instructor_stream_ext.core.errors import ClientNotSupported, MissingExtra, StreamMisuse
from instructor_stream_ext.session.protocols import Meter

__all__ = ["Link", "LitellmLink"]


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


def _streaming(function: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
    """Return the function with `stream=True`, which instructor refuses to pass on in parallel tool modes."""
    if not is_async:
        return functools.partial(function, stream=True)

    async def streaming(**kwargs: object) -> Any:
        return await function(**kwargs, stream=True)

    return streaming


_NO_PARALLEL_STREAMS = frozenset({Provider.XAI, Provider.VERTEXAI})
"""Providers whose chunks do not tell several calls apart."""
