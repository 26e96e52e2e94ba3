"""The seam to instructor: the only module that imports it (its exceptions are also in `core/errors.py`).

instructor prepares a request (schema, messages, templating, default model, hooks), sends it, and tells a
`completion:response` hook before it looks at the answer. A hook of ours, given to the client's own `create_fn` with
`stream=True, max_retries=0`, takes the live stream from there; that is the whole seam, and nothing is patched. A re-ask
goes to the function below `create_fn`, with the request as instructor's re-ask handler made it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple, cast, get_args

from instructor import AsyncInstructor, Instructor, Mode, Provider, from_litellm
from instructor.cache import BaseCache, load_cached_response, store_cached_response
from instructor.core.exceptions import (
    FailedAttempt,
    InstructorRetryException,
    ResponseParsingError,
    TokenBudgetExceeded,
    TokenUsageUnavailableError,
)
from instructor.v2.core.function_calls import ResponseSchema
from instructor.v2.core.hooks import HookName
from instructor.v2.core.hooks import Hooks as InstructorHooks
from instructor.v2.core.messages import extract_messages
from instructor.v2.core.patch import patch_v2
from instructor.v2.core.registry import mode_registry, normalize_mode
from instructor.v2.core.response_model import prepare_response_model as _prepare
from instructor.v2.core.retry import _initialize_usage
from instructor.v2.core.usage import has_compatible_usage, update_total_usage
from instructor.v2.dsl.iterable import IterableBase
from instructor.v2.dsl.partial import Partial, PartialBase
from instructor.v2.dsl.response_list import ListResponse
from instructor.v2.dsl.simple_type import AdapterBase
from instructor.v2.validation.async_validators import reject_async_validators
from pydantic import BaseModel, RootModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema

from instructor_stream_ext._instructor import closing
from instructor_stream_ext._instructor.sockets import OwnSocket
from instructor_stream_ext.core.errors import ClientNotSupported, InvalidJSON, NoOutput, StreamMisuse
from instructor_stream_ext.core.events import Cost
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.openai_chat import OpenAIChatReader
from instructor_stream_ext.providers.raw import read_as_json
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.providers.router import RouterWatch
from instructor_stream_ext.providers.tools import tool_names
from instructor_stream_ext.session.effects import Call
from instructor_stream_ext.session.hooks import refuse_coroutine
from instructor_stream_ext.session.protocols import Recovery

__all__ = [
    "HOOK_NAMES",
    "AdapterBase",
    "AsyncInstructor",
    "Instructor",
    "InstructorConnection",
    "InstructorHooks",
    "InstructorSource",
    "Link",
    "Mode",
    "Partial",
    "PartialBase",
    "Request",
    "ResponseSchema",
    "as_created",
    "instructor_over",
    "instructor_takes",
    "over_litellm",
    "prepare_response_model",
    "refuse_coroutines",
    "reject_async_validators",
]

log = logging.getLogger("instructor_stream_ext")

HOOK_NAMES = frozenset(name.value for name in HookName)
"""instructor's own hooks."""


def prepare_response_model(response_model: Any) -> Any:
    """The class instructor would send for a response model."""
    return _prepare(response_model)


def instructor_over(function: Callable[..., Any], mode: Mode) -> Instructor:
    """instructor's client over a function that answers as OpenAI's chat completions do; async if the function is.

    Args:
        function: Takes a request's arguments and gives a completion, or a stream of its chunks.
        mode: How a structured answer is asked for.
    """
    kind = AsyncInstructor if inspect.iscoroutinefunction(function) else Instructor
    return kind(None, patch_v2(function, Provider.OPENAI, mode), mode=mode, provider=Provider.OPENAI)


def over_litellm(function: Callable[..., Any], mode: Mode, *, is_async: bool, **defaults: Any) -> Instructor:
    """instructor's client over a completion function of litellm's.

    Args:
        function: Such as `litellm.completion`.
        mode: instructor's.
        is_async: Whether the function is a coroutine function.
        defaults: For each call.
    """
    make: Any = from_litellm
    return cast("Instructor", make(function, mode=mode, async_client=is_async, **defaults))


def instructor_takes(response_model: Any) -> bool:
    """Whether instructor's own `create` takes this type."""
    try:
        _prepare(response_model)
    except TypeError:
        return False
    return True


class _Live(NamedTuple):
    """The provider's live stream."""

    completion: Any


class _Caught(BaseException):
    """Thrown from instructor's `completion:response` hook, it carries the live stream out of instructor.

    Its handlers would read the stream to the end; some take none in some modes; some note once per class that one is
    due and lose that with two requests at a time; and looking for the usage of a stream, which has none, makes it
    import other SDKs. It is no `Exception`, as those are caught on the way.
    """

    def __init__(self, live: _Live) -> None:
        super().__init__()
        self.live = live


class _TextSeam(IterableBase):
    """Mixed into a response model, it hands on the text that instructor's xAI client reads from its stream itself."""

    @classmethod
    def tasks_from_chunks(cls, json_chunks: Any, **_: Any) -> Any:
        return _Live(json_chunks)

    @classmethod
    def tasks_from_chunks_async(cls, json_chunks: Any, **_: Any) -> Any:
        return _Live(json_chunks)


@functools.cache
def _with_text_seam(wire: type[BaseModel]) -> type[BaseModel]:
    """The class to send in place of `wire`: the same schema under the same name."""
    # the seam comes first, so that its methods win over those of a wire model that is itself an IterableBase
    namespace = {"__module__": wire.__module__, "__qualname__": wire.__qualname__, "__doc__": wire.__doc__}
    kind: Any = type(wire)
    return cast("type[BaseModel]", kind(wire.__name__, (_TextSeam, wire), namespace))


class Link:
    """What is known of one instructor client, shared by its streams.

    Args:
        client: The client.

    Raises:
        ClientNotSupported: It is none of instructor's.
    """

    def __init__(self, client: object) -> None:
        if not isinstance(client, Instructor):
            raise ClientNotSupported(
                f"wrap() needs an instructor client (such as instructor.from_openai(...)), not {type(client).__name__}"
            )
        self.client = client
        self.is_async = isinstance(client, AsyncInstructor)
        self.provider = client.provider
        self.mode = normalize_mode(client.provider, client.mode)
        self.usage_refused = False

    always_streams = False
    """Whether `create` has to stream too, as what happens in a stream is the point of the client."""

    def for_call(self, kwargs: dict[str, Any]) -> Link:  # noqa: ARG002
        """The client that a call with these arguments goes to; this one, where there is one only.

        Raises:
            StreamMisuse: The call cannot work; nothing has been sent.
        """
        return self

    def check_call(self, kwargs: dict[str, Any]) -> None:
        """Raise `StreamMisuse` if litellm was told no model: instructor's `from_provider` forgets it."""
        if not self.is_litellm or kwargs.get("model") or self._default_model:
            return
        bound = self.function.keywords if isinstance(self.function, functools.partial) else {}
        if not bound.get("model"):
            raise StreamMisuse(
                "no model: instructor.from_provider('litellm/...') does not keep it; name it in the call as "
                "model='provider/name', or use instructor_stream_ext.routing.from_litellm"
            )

    def source(self, request: Request, hooks: InstructorHooks, max_attempts: int | None) -> InstructorSource:
        """Where the attempts of one stream come from."""
        return InstructorSource(self, request, hooks, max_attempts)

    @property
    def meter(self) -> Callable[[Any], Cost | None] | None:
        """Says what an attempt has cost so far; None where nobody knows."""
        return None

    def check_streams(self) -> None:
        """Raise `ClientNotSupported` if this mode cannot stream."""
        if self.mode in Mode.parallel_modes():
            raise ClientNotSupported(
                f"{self.provider.value} in mode {self.mode.name} cannot stream: instructor refuses parallel tools on "
                f"streams; use Mode.TOOLS with create_iterable"
            )
        if self.provider is Provider.XAI and self.mode is Mode.MD_JSON:
            raise ClientNotSupported(
                "xai in mode MD_JSON cannot stream: instructor asks for the whole answer there; use Mode.JSON_SCHEMA"
            )

    @functools.cached_property
    def create_fn(self) -> Callable[..., Any]:
        """What prepares and sends: instructor's own; for Bedrock one like it, over the streaming call it leaves out."""
        if self.provider is not Provider.BEDROCK:
            return self.client.create_fn
        converse = self.client.client.converse_stream  # type: ignore[union-attr]

        def stream(*, stream: bool = True, **kwargs: Any) -> Any:  # noqa: ARG001
            return converse(**kwargs)["stream"]

        async def astream(*, stream: bool = True, **kwargs: Any) -> Any:  # noqa: ARG001
            return _InThread(iter((await asyncio.to_thread(converse, **kwargs))["stream"]))

        return patch_v2(astream if self.is_async else stream, self.provider, self.mode, self._default_model)

    @functools.cached_property
    def _default_model(self) -> str | None:
        model: str | None = inspect.getclosurevars(self.client.create_fn).nonlocals.get("default_model")
        return model

    @functools.cached_property
    def function(self) -> Callable[..., Any] | None:
        """The SDK's function under instructor's; None where the client has none, as xAI's."""
        return cast("Callable[..., Any] | None", getattr(self.create_fn, "__wrapped__", None))

    @functools.cached_property
    def _sdk_client(self) -> Any:
        """The SDK client behind the function; None where it cannot be told."""
        if isinstance(self.function, functools.partial):
            return self.function.keywords.get("client")
        return getattr(getattr(self.function, "__self__", None), "_client", None)

    @functools.cached_property
    def is_litellm(self) -> bool:
        """Whether litellm answers."""
        function: Any = self.function
        if function is None:
            return False
        while isinstance(function, functools.partial):
            function = function.func
        function = inspect.unwrap(function)
        return getattr(function, "__module__", "").partition(".")[0] == "litellm" or type(
            getattr(function, "__self__", None)
        ).__module__.startswith("litellm")

    @functools.cached_property
    def takes_usage_option(self) -> bool:
        """Whether the function takes `stream_options` (chat completions of the openai SDK and of litellm)."""
        if self.mode in (Mode.RESPONSES_TOOLS, Mode.RESPONSES_TOOLS_WITH_INBUILT_TOOLS):
            return False
        return self.is_litellm or type(self._sdk_client).__module__.partition(".")[0] == "openai"

    @functools.cached_property
    def _impatient(self) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """`create_fn` and the function below it, with the SDK's own retries off; shares the SDK's connections.

        While `_HASTE` is set, a request's own timeout is what is left of the stream's bound.
        """
        client = self._sdk_client
        with_options = getattr(client, "with_options", None)
        if self.is_litellm and self.function is not None:
            bound = getattr(self.function, "keywords", {}).get("timeout")
            default = _LITELLM_PATIENCE if bound is None else bound
            function = _hastened(functools.partial(self.function, max_retries=0, num_retries=0), default)
            return patch_v2(function, self.provider, self.mode, self._default_model), function
        if self.provider is Provider.GENAI and hasattr(getattr(self.client.client, "models", None), "_api_client"):
            function = _genai_hastened(self.client.client)
            return patch_v2(function, self.provider, self.mode, self._default_model), function
        if with_options is None:
            return self.create_fn, self.function
        hurried = with_options(max_retries=0)
        if isinstance(self.function, functools.partial):
            function = functools.partial(
                self.function.func, *self.function.args, **{**self.function.keywords, "client": hurried}
            )
        else:
            method = cast("Any", self.function)
            function = getattr(type(method.__self__)(hurried), method.__name__)
        if not self.is_async and hasattr(client, "timeout"):
            function = _hastened(function, client.timeout)
        return patch_v2(function, self.provider, self.mode, self._default_model), function

    def functions(self, *, hurried: bool) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
        """`create_fn` and the SDK's function, for a request that may take its time or one that may not."""
        return self._impatient if hurried else (self.create_fn, self.function)


class _Haste:
    """One sync request that has to have its headers by an instant.

    Args:
        within: Seconds from now.
    """

    def __init__(self, within: float) -> None:
        self._until = time.monotonic() + within
        self.own = OwnSocket()
        self._patience: Any = None

    @property
    def left(self) -> float:
        """Seconds; never 0, which some take for none at all."""
        return max(self._until - time.monotonic(), 0.001)

    def shorten(self, timeout: Any) -> Any:
        """An SDK's timeout, None, a number or httpx's, that ends no later than this."""
        fields = [getattr(timeout, name, timeout) for name in ("connect", "read", "write", "pool")]
        self._patience = fields[1]
        connect, read, write, pool = (self.left if given is None else min(given, self.left) for given in fields)
        if isinstance(timeout, int | float | None):
            return read
        return type(timeout)(connect=connect, read=read, write=write, pool=pool)

    def lift(self, responses: Iterable[Any]) -> None:
        """The headers have come: the caller's own timeout holds for the rest.

        httpx has no public way to set another timeout for a body; its transports (httpcore 1, httpcore2) look into the
        request's `timeout` extension when they begin to read it, which they have not yet.
        """
        for response in responses:
            timeouts = getattr(getattr(response, "request", None), "extensions", {}).get("timeout")
            if isinstance(timeouts, dict):
                timeouts["read"] = self._patience


_HASTE: ContextVar[_Haste | None] = ContextVar("haste", default=None)
"""Of the request that is being sent; instructor and the SDK are between us and the function that sends it."""

_LITELLM_PATIENCE = 600.0
"""Seconds that litellm waits where nobody says otherwise."""


def _hastened(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
    """An SDK's function with the request's own timeout shortened to what is left."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if (haste := _HASTE.get()) is not None:
            given = kwargs.get("timeout")
            is_given = isinstance(given, int | float) or hasattr(given, "read")
            kwargs["timeout"] = haste.shorten(given if is_given else default)
        return function(*args, **kwargs)

    return call


def _genai_hastened(client: Any) -> Callable[..., Any]:
    """google-genai's streaming function, which sends the request when it is first read.

    Its own option for a timeout (google-genai 3) is told to the server as well, which would then end the whole answer,
    and it holds for the body; so the request is shortened where it is sent, in a copy of the SDK's client.
    """

    def call(*_: Any, model: str = "", stream: bool = True, **kwargs: Any) -> Any:
        models, haste = client.models, _HASTE.get()
        if stream and haste is not None and getattr(models._api_client, "_httpx_client", None) is not None:  # noqa: SLF001
            api = _copied_api(models._api_client)  # noqa: SLF001
            api._httpx_client = _HastySender(api._httpx_client, haste)  # noqa: SLF001
            models = type(models)(api)
        return (models.generate_content_stream if stream else models.generate_content)(model=model, **kwargs)

    return call


def _copied_api(api: Any) -> Any:
    kind = type(api)
    # the SDK's own `__del__` closes the HTTP client, which the copy only borrows
    copied: Any = object.__new__(type(kind.__name__, (kind,), {"__del__": lambda _: None}))
    vars(copied).update(vars(api))
    return copied


class _HastySender:
    """httpx's client, for one request."""

    def __init__(self, client: Any, haste: _Haste) -> None:
        self._client = client
        self._haste = haste

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send(self, request: Any, **kwargs: Any) -> Any:
        """As httpx's, with a timeout for the headers alone."""
        timeouts = request.extensions.get("timeout") or {}
        left = self._haste.left
        self._haste._patience = timeouts.get("read")  # noqa: SLF001
        hasty = {name: left if (given := timeouts.get(name)) is None else min(given, left) for name in _PHASES}
        request.extensions["timeout"] = hasty
        response = self._client.send(request, **kwargs)
        self._haste.lift([response])
        self._haste.own.take(response)
        return response


_PHASES = ("connect", "read", "write", "pool")


class _InThread:
    """A blocking iterator for an event loop: each step is taken in a worker thread."""

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


class Request(NamedTuple):
    """One call as the caller made it.

    Attributes:
        wire: The class whose schema is sent; None for plain text.
        messages: The conversation.
        strict: As in `create`.
        context: As in `create`.
        token_budget: As in `create`.
        usage: Whether to ask for the usage chunk.
        kwargs: For the SDK.
        caching: instructor's `cache`, `cache_ttl` and `cache_namespace`, as far as given.
        for_create: Whether `create` asked, whose errors are those of instructor's own.
    """

    wire: type[BaseModel] | None
    messages: Any
    strict: bool
    context: Any
    token_budget: int | None
    usage: bool
    kwargs: dict[str, Any]
    for_create: bool = False
    caching: dict[str, Any] = {}  # noqa: RUF012  never written to


_LITELLM_UNFINISHED = "Stream ended before a finish_reason was received"
_LITELLM_HEARD = ("received_finish_reason", "intermittent_finish_reason")
"""Where litellm's stream keeps the provider's finish reason; both are None as long as there was none.

The second may be there without one, after some chunks of Gemini's.
"""


class _NothingSent(BaseException):
    """Thrown when instructor is about to send a request of which only its key was wanted."""


def _send_nothing(*_: Any, **__: Any) -> None:
    raise _NothingSent


class _CacheEntry(BaseCache):
    """Stands before the caller's cache while instructor works out the key, and notes the key and what is there.

    So the key is plain instructor's, whatever goes into it; instructor is told that nothing is there, since the gate
    is what validates here.
    """

    def __init__(self, cache: BaseCache) -> None:
        self.cache = cache
        self.key: str | None = None
        self._found: Any = None

    def get(self, key: str) -> None:
        self.key, self._found = key, self.cache.get(key)

    def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Nothing: no request is sent while this is in place."""

    def document(self) -> str | None:
        """The JSON of the answer; an entry that is none of instructor's own is the JSON itself, as it reads it."""
        if self._found is None:
            return None
        try:
            return str(json.loads(self._found)["model"])
        except (ValueError, TypeError, LookupError):
            return self._found if isinstance(self._found, str) else None

    def completion(self) -> Any:
        """The provider's answer, in whatever form instructor restores it."""
        stored = _Stored(self._found)
        restored = load_cached_response(stored, "", RootModel[Any])
        return getattr(restored, "_raw_response", None)


class _Stored(BaseCache):
    """One value, whatever the key."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, key: str) -> Any:  # noqa: ARG002
        return self._value

    def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Nothing."""


class _Kept:
    """A final beside the provider's answer, as instructor's cache wants them; the final itself stays as it is."""

    def __init__(self, model: BaseModel, completion: Any) -> None:
        self.model_dump_json = model.model_dump_json
        self._raw_response = completion


def as_created(final: Any, completion: Any, usage: Any) -> Any:
    """A final as instructor's `create` gives it: with the provider's answer and the usage where it puts them."""
    if isinstance(final, list) and not isinstance(final, ListResponse):
        return ListResponse.from_list(final, raw_response=completion, total_usage=usage)
    if isinstance(final, BaseModel):
        private: Any = final
        private._raw_response = completion  # noqa: SLF001
        if usage is not None:
            private._total_usage = usage  # noqa: SLF001
    return final


class InstructorConnection:
    """One attempt's open stream, as `script.Connection` describes it.

    Attributes:
        sent: The request.
    """

    def __init__(self, link: Link, live: _Live, kwargs: dict[str, Any], *, is_text: bool) -> None:
        self._link = link
        self._stream = live.completion
        self.chunks: Iterator[Any] | AsyncIterator[Any] = live.completion
        self.model, self.provider = _asked(link, kwargs)
        handlers = mode_registry.get_handlers(link.provider, link.mode)
        self.reader: Reader = reader_for(
            link.provider.value,
            link.mode.value,
            tools=None if is_text else tool_names(kwargs),
            extractor=handlers.stream_extractor,
        )
        self.sent = kwargs
        self._responses = closing.responses_under(live.completion) if link.is_litellm else []
        self._heard = live.completion
        if not link.is_litellm:
            read_as_json(live.completion)
        if isinstance(self.reader, OpenAIChatReader):
            self.reader.several = (kwargs.get("n") or 1) != 1
            self.reader.begins_another = RouterWatch().begins_another if link.is_litellm else None
        self._generators: list[Any] = []
        self._is_at_end = False
        self.own = OwnSocket()
        if not link.is_async:
            closing.own_socket(live.completion, self.own)

    def flows(self) -> None:
        if self._link.is_litellm:  # its Router reads through a generator, which shows nothing before it has begun
            self._responses = closing.responses_under(self._stream)
            self._heard = closing.innermost(self._stream, _LITELLM_HEARD[0])
        if self._link.is_async:
            self._generators = closing.generators_under(self._stream)
        elif not self.own.is_known:  # an SDK that connects only when it is read shows its connection now
            closing.own_socket(self._stream, self.own)

    def hasten(self, haste: _Haste) -> None:
        """Take over from the request's own timeout, which the headers were in time for."""
        haste.lift(closing.responses_under(self._stream))
        if not self.own.is_known:
            self.own = haste.own  # an SDK that connects only when it is read notes its connection there

    def close(self) -> Any:
        if self._link.is_async:
            return closing.aclose(self._stream, [*self._responses, *self._generators], is_left=not self._is_at_end)
        return closing.close(self._stream)

    def wake(self) -> bool:
        return self.own.shut_down()

    def detail(self) -> str:
        response = getattr(self._stream, "response", None)
        headers = getattr(response, "headers", None)
        kind = headers.get("content-type", "") if headers is not None else ""
        if kind and "event-stream" not in kind:
            return f"the answer was {kind}, not an event stream"
        if strays := self.reader.strays:
            offered = ", ".join(map(repr, sorted(tool_names(self.sent) or ())))
            return f"it called {', '.join(map(repr, strays))}, which is no tool of the request, which offers {offered}"
        return "only reasoning came" if self.reader.reasoned else ""

    def just_stopped(self, error: Exception) -> bool:
        # litellm 1.110 raises where the provider's stream ends without a finish reason; whether the connection broke
        # or the server just said no more is for `ended` to find out
        return self._link.is_litellm and _LITELLM_UNFINISHED in str(error)

    def ended(self) -> Exception | None:
        self._is_at_end = True
        # litellm says "stop" where the provider said nothing, and its async transport hides that a connection broke
        if not self._link.is_litellm:
            return None
        for_sure, maybe = (getattr(self._heard, name, "") for name in _LITELLM_HEARD)
        if for_sure is not None:
            return None
        error = closing.error_under(self._responses)
        if error is not None or maybe is None:
            self.reader.disbelieve_end()
        return error if isinstance(error, Exception) else None


_KINDS_OF_ERROR = frozenset(get_args(core_schema.ErrorType))


def _in_wrapper(error: ValidationError, wire: type[BaseModel]) -> ValidationError:
    """The error of a list or a scalar, as that of the object that instructor asks the model to put around it."""
    (name,) = wire.model_fields
    faults: list[InitErrorDetails] = []
    for one in error.errors(include_url=False):
        kind: Any = one["type"]
        if kind not in _KINDS_OF_ERROR:
            kind = PydanticCustomError(kind, one["msg"])
        fault = InitErrorDetails(type=kind, loc=(name, *one["loc"]), input=one["input"])
        if "ctx" in one and isinstance(kind, str):
            fault["ctx"] = one["ctx"]
        faults.append(fault)
    told = ValidationError.from_exception_data(wire.__name__, faults)
    told.__cause__ = error
    return told


class InstructorSource:
    """The attempts of one stream, through one instructor client; `script.Source` describes it.

    Args:
        link: The client.
        request: The call.
        hooks: instructor's own hooks.
        max_attempts: For the hooks' metadata; None if unknown.
    """

    def __init__(self, link: Link, request: Request, hooks: InstructorHooks, max_attempts: int | None) -> None:
        self._link = link
        self._request = request
        self._hooks = hooks
        self._max_attempts = max_attempts
        self.for_create = request.for_create
        self._sent: dict[str, Any] | None = None
        self._leaves_usage_out = False
        self._reasked = False
        self._reminders: list[Any] = []
        self._owed: list[Call] = []
        self._raised: Exception | None = None
        self._entry: _CacheEntry | None = None
        self.recalled_completion: Any = None
        self.usage_total: Any = None
        self._usage_known = True
        self._counted: Reader | None = None
        self.failed_attempts: list[Any] = []

    # ------------------------------------------------------------------ the request

    @property
    def mode(self) -> Mode:
        """instructor's mode of the running attempt."""
        return self._link.mode

    @property
    def asks_in_words(self) -> bool:
        """Whether only the prompt asks for JSON, so that instructor's `create` looks for it in the text, too."""
        return self.mode is Mode.MD_JSON or (self._link.provider is Provider.ANTHROPIC and self.mode is Mode.JSON)

    @property
    def create_kwargs(self) -> dict[str, Any]:
        """The request as last sent."""
        return self._sent or {}

    @property
    def messages(self) -> Any:
        """The conversation as last sent."""
        return extract_messages(self.create_kwargs)

    @property
    def asked(self) -> tuple[str | None, str | None]:
        """The model and the provider that the request goes to, as far as known."""
        return _asked(self._link, self._sent or self._request.kwargs)

    def connect(self, within: float = math.inf, *, hurried: bool) -> Any:
        """Send the request; a coroutine if the client is async.

        Args:
            within: Seconds in which a sync call has to have the headers; `math.inf` for no bound of ours.
            hurried: There is a bound in time, so the SDK must not try again by itself.
        """
        return self._aconnect() if self._link.is_async else self._connect(within, hurried=hurried)

    def _connect(self, within: float, *, hurried: bool, refusal: Exception | None = None) -> InstructorConnection:
        haste = _Haste(within) if within < math.inf else None
        token = _HASTE.set(haste)
        try:
            answer = self._send(hurried=hurried)()
        except _Caught as caught:
            answer = caught.live
        except Exception as error:
            left = within if haste is None else haste.left
            return self._connect(left, hurried=hurried, refusal=self._refusal_of_usage(error, refusal))
        finally:
            _HASTE.reset(token)
        connection = self._connected(answer)
        if haste is not None:
            connection.hasten(haste)
        return connection

    async def _aconnect(self, refusal: Exception | None = None) -> InstructorConnection:
        try:
            answer = await self._send(hurried=False)()
        except _Caught as caught:
            answer = caught.live
        except Exception as error:
            return await self._aconnect(self._refusal_of_usage(error, refusal))
        return self._connected(answer)

    def _api_error(self, error: Exception) -> Exception:
        """The SDK's own exception, noted as one that came from the API."""
        cause = _cause(error)
        # a re-ask goes to the SDK's function itself; before that instructor wraps whatever that function raises
        self._raised = cause if cause is not error or self._reasked or self._request.wire is None else None
        return cause

    def came_from_api(self, error: Exception) -> bool:
        """Whether the SDK raised it: instructor's own preparation of a request is no matter for retry rules."""
        return error is self._raised

    def unanswered(self, error: Exception, attempt: int) -> Exception:
        """The SDK's own error; for `create`, what instructor's own raises in its place."""
        if not self._request.for_create or self._request.wire is None:
            return error
        return InstructorRetryException(
            str(error),
            last_completion=self.failed_attempts[-1].completion if self.failed_attempts else None,
            n_attempts=attempt,
            total_usage=_initialize_usage(self._link.provider) if self.usage_total is None else self.usage_total,
            messages=self.messages,
            create_kwargs=self.create_kwargs,
            failed_attempts=self.failed_attempts,
        )

    # ------------------------------------------------------------------ instructor's cache

    def recall(self) -> Any:
        """The document that the caller's cache has for this request; a coroutine if the client is async."""
        request, link = self._request, self._link
        cache = request.caching.get("cache")
        # instructor keeps models only: of a list or a scalar it would read its own wrapper back as the answer
        if not isinstance(cache, BaseCache) or request.wire is None or link.function is None:
            return None
        if issubclass(request.wire, AdapterBase | IterableBase):
            return None
        entry = self._entry = _CacheEntry(cache)
        hooks = InstructorHooks()
        hooks.on("completion:kwargs", _send_nothing)
        look_up = functools.partial(
            link.client.create_fn,
            response_model=request.wire,
            messages=[dict(each) if isinstance(each, dict) else each for each in request.messages or ()],
            max_retries=0,
            context=request.context,
            strict=request.strict,
            hooks=hooks,
            **{**request.kwargs, **request.caching, "cache": entry},
        )
        return self._alook_up(look_up) if link.is_async else self._look_up(look_up)

    def _look_up(self, look_up: Callable[[], Any]) -> str | None:
        with contextlib.suppress(_NothingSent):
            look_up()
        return self._recalled()

    async def _alook_up(self, look_up: Callable[[], Any]) -> str | None:
        with contextlib.suppress(_NothingSent):
            await look_up()
        return self._recalled()

    def _recalled(self) -> str | None:
        entry = self._entry
        document = None if entry is None else entry.document()
        if entry is not None and document is not None:
            self.recalled_completion = entry.completion()
        return document

    def keep(self, result: Any, reader: Reader) -> None:
        """Fill the cache with what plain instructor would have put there."""
        entry, wire = self._entry, self._request.wire
        if entry is None or entry.key is None or wire is None:
            return
        made: Any = result
        if not isinstance(result, BaseModel):  # a dataclass, which travels as a root model
            made = cast("Any", wire).model_construct(result)
        ttl = self._request.caching.get("cache_ttl")
        store_cached_response(
            entry.cache, entry.key, cast("Any", _Kept(made, reader.completion())), ttl if isinstance(ttl, int) else None
        )

    @property
    def _wants_usage(self) -> bool:
        link = self._link
        is_ours = self._request.usage and link.takes_usage_option and "stream_options" not in self._request.kwargs
        return is_ours and not (link.usage_refused or self._leaves_usage_out)

    def _refusal_of_usage(self, error: Exception, refusal: Exception | None) -> Exception:
        """The error after which the request is repeated once without `stream_options`; all others are raised.

        A server may name the option or, as Xiaomi's MiMo does, say only that something is wrong. Whether that was it
        only the repetition tells, so it is remembered for the client when an answer has come (`_connected`).

        Args:
            error: From the request.
            refusal: The error that had it repeated, None if this was the first.

        Raises:
            Exception: It was not the option; the first error if the repetition has failed, too.
        """
        cause = self._api_error(error)
        if refusal is not None:
            self._leaves_usage_out = False
            told = cause if _names_usage(refusal) else refusal
            self._raised = self._raised and told
            raise told from told.__cause__
        if not self._wants_usage or not (_names_usage(cause) or _is_opaque(cause, self.create_kwargs)):
            raise cause from cause.__cause__
        self._leaves_usage_out = True
        self._link.usage_refused = _names_usage(cause)
        return cause

    def _send(self, *, hurried: bool) -> Callable[[], Any]:
        """The call that sends the request: through instructor the first time, below it for a re-ask."""
        link, request = self._link, self._request
        create_fn, function = link.functions(hurried=hurried)
        options = {"stream_options": {"include_usage": True}} if self._wants_usage else {}
        if self._reasked and function is not None:
            assert self._sent is not None  # noqa: S101
            kwargs = dict(self._sent)
            if (link.usage_refused or self._leaves_usage_out) and "stream_options" not in request.kwargs:
                kwargs.pop("stream_options", None)
            self._opening_hooks().emit_completion_arguments(**kwargs)
            return functools.partial(function, **kwargs)
        kwargs = {**options, **request.kwargs}
        if request.wire is None:
            return functools.partial(
                create_fn,
                None,
                messages=request.messages,
                stream=True,
                max_retries=0,
                hooks=self._opening_hooks(),
                **kwargs,
            )
        return functools.partial(
            create_fn,
            response_model=_with_text_seam(request.wire) if link.provider is Provider.XAI else request.wire,
            messages=[*request.messages, *self._reminders] if self._reminders else request.messages,
            max_retries=0,
            context=request.context,
            strict=request.strict,
            hooks=self._opening_hooks(),
            stream=True,
            **kwargs,
        )

    def _opening_hooks(self) -> InstructorHooks:
        """Hooks for instructor's part: they note the request and pass it on; all others are told by the script."""
        hooks = InstructorHooks()
        hooks.on("completion:kwargs", self._note_request)
        hooks.on("completion:response", self._catch_stream)
        for handler in _handlers(self._hooks, "completion:kwargs"):
            hooks.on("completion:kwargs", functools.partial(self._tell_request, handler))
        return hooks

    def _note_request(self, *_: Any, **kwargs: Any) -> None:
        self._sent = kwargs

    @staticmethod
    def _catch_stream(stream: Any) -> None:
        raise _Caught(_Live(stream))

    def _tell_request(self, handler: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        told: Any
        try:
            told = handler(*args, **_fitting(handler, args, kwargs))
        except Exception as error:
            told = error
        if isinstance(told, Exception) or inspect.isawaitable(told):
            self._owed.append(Call(_settling(handler, told)))

    def _connected(self, answer: Any) -> InstructorConnection:
        is_text = self._request.wire is None
        self._link.usage_refused = self._link.usage_refused or self._leaves_usage_out
        if self._sent is None:
            self._sent = {**self._request.kwargs, "messages": self._request.messages}
        if not (is_text or self._reasked or isinstance(answer, _Live)):
            raise ClientNotSupported(
                f"{self._link.provider.value} in mode {self._link.mode.name} gave no stream but {type(answer).__name__}"
            )
        live = answer if isinstance(answer, _Live) else _Live(answer)
        return InstructorConnection(self._link, live, self._sent, is_text=is_text)

    # ------------------------------------------------------------------ what instructor's hooks are told

    def owed(self) -> Iterable[Call]:
        """What the listeners of the request have left to be awaited, and their errors."""
        owed, self._owed = self._owed, []
        return owed

    def answered(self, reader: Reader) -> Iterable[Call]:
        """The assembled completion and the usage so far."""
        wants_usage = _handlers(self._hooks, "completion:usage")
        wants_response = _handlers(self._hooks, "completion:response")
        if not (wants_usage or wants_response or self._request.token_budget or self._request.for_create):
            return ()
        completion = reader.completion()
        told = self._wishes("completion:response", completion)
        self._add_usage(reader, completion)
        if self._usage_known and self.usage_total is not None:
            told += self._wishes(
                "completion:usage", _copied(self.usage_total), attempt_number=len(self.failed_attempts) + 1
            )
        return told

    def as_created(self, error: Exception, reader: Reader) -> Exception:
        """What instructor's `create` raises for an answer that the gate refused with this error, which is its cause.

        An answer without JSON, of which no validator is told, is given to instructor's own parser; where that finds
        some, as in a draft, it is what instructor says of text that is no JSON. Of a list or a scalar the model is told
        with the places of the object that it was asked to put around it.
        """
        link, request = self._link, self._request
        wire = request.wire
        if wire is not None and isinstance(error, ValidationError) and issubclass(wire, AdapterBase | IterableBase):
            return _in_wrapper(error, wire)
        if wire is None or not isinstance(error, NoOutput | InvalidJSON):
            return error
        handlers = mode_registry.get_handlers(link.provider, link.mode)
        try:
            handlers.response_parser(
                response=reader.completion(),
                response_model=wire,
                validation_context=request.context,
                strict=request.strict,
                stream=False,
                is_async=link.is_async,
            )
        except (ValidationError, ResponseParsingError, json.JSONDecodeError) as raised:
            raised.__cause__ = error
            return raised
        except Exception as raised:
            log.debug("instructor's parser of %s raised", link.mode.value, exc_info=raised)
        fault = InitErrorDetails(type="json_invalid", input=error.text, ctx={"error": str(error)})
        told = ValidationError.from_exception_data(wire.__name__, [fault])
        told.__cause__ = error
        return told

    def rejected(self, reader: Reader, error: Exception, attempt: int) -> Iterable[Call]:
        """A failed attempt, noted for the errors and told to `parse:error`."""
        completion = reader.completion()
        self._add_usage(reader, completion)
        self.failed_attempts.append(FailedAttempt(attempt, error, completion))
        return self._wishes("parse:error", error, **self._metadata(attempt))

    def errored(self, error: Exception, attempt: int) -> Iterable[Call]:
        """The provider failed."""
        return self._wishes(
            "completion:error",
            error,
            attempt_number=attempt,
            max_attempts=self._max_attempts,
            is_last_attempt=True,
        )

    def given_up(self, error: Exception, attempt: int) -> Iterable[Call]:
        """No further attempt."""
        return self._wishes("completion:last_attempt", error, **{**self._metadata(attempt), "is_last_attempt": True})

    def _metadata(self, attempt: int) -> dict[str, Any]:
        return {
            "attempt_number": attempt,
            "max_attempts": self._max_attempts,
            "is_last_attempt": self._max_attempts == attempt,
        }

    def _wishes(self, name: str, *args: Any, **kwargs: Any) -> list[Call]:
        return [Call(handler, args, _fitting(handler, args, kwargs)) for handler in _handlers(self._hooks, name)]

    def _add_usage(self, reader: Reader, completion: Any) -> None:
        if self._counted is reader:
            return
        self._counted = reader
        if self.usage_total is None:
            self.usage_total = _initialize_usage(self._link.provider)
        self._usage_known = self._usage_known and has_compatible_usage(completion, self.usage_total)
        update_total_usage(_copied(completion), self.usage_total)

    # ------------------------------------------------------------------ the next request

    def reask(self, error: Exception, text: str) -> None:
        """Make the next request from the failed one, with the model's own bad answer in it."""
        last = self.failed_attempts[-1].completion
        self._check_budget(last)
        if self._link.function is None:
            self._reminders += [
                {"role": "assistant", "content": text},
                {"role": "user", "content": f"That answer is not valid:\n{error}\nAnswer again and mend these errors."},
            ]
            return
        handlers = mode_registry.get_handlers(self._link.provider, self._link.mode)
        kwargs = dict(self.create_kwargs)
        for key in ("messages", "contents", "chat_history"):
            if isinstance(kwargs.get(key), list):
                kwargs[key] = list(kwargs[key])
        self._sent = handlers.reask_handler(kwargs=kwargs, response=last, exception=error)
        self._reasked = True

    def recover(self, error: Exception) -> Recovery | None:  # noqa: ARG002
        """One model alone has nobody to fall back on."""
        return None

    def _begin_anew(self, link: Link, request: Request) -> None:
        """Have another client make the next attempt, which knows nothing of those before."""
        self._link, self._request = link, request
        self._entry = None  # the key is that of a request to the model before
        self._sent = None
        self._leaves_usage_out = False
        self.failed_attempts = list(self.failed_attempts)  # an error may hold the list as it is now
        self._reasked = False
        self._reminders = []

    def _check_budget(self, last: Any) -> None:
        budget = self._request.token_budget
        if budget is None:
            return
        known = self._usage_known and self.usage_total is not None
        used = _total_tokens(self.usage_total) if known else None
        details: dict[str, Any] = {
            "budget": budget,
            "last_completion": last,
            "messages": self.messages,
            "n_attempts": len(self.failed_attempts),
            "total_usage": _copied(self.usage_total),
            "create_kwargs": self.create_kwargs,
            "failed_attempts": self.failed_attempts,
        }
        if used is None:
            raise TokenUsageUnavailableError(
                "the token budget cannot be enforced: the provider sent no usage on the stream", **details
            )
        if used >= budget:
            raise TokenBudgetExceeded(f"the token budget of {budget} is used up: {used} tokens so far", **details)


def _asked(link: Link, kwargs: dict[str, Any]) -> tuple[str | None, str | None]:
    """The model and the provider that a request with these arguments goes to."""
    model: str | None = kwargs.get("model")
    if not link.is_litellm:
        return model, link.provider.value
    return model, model.partition("/")[0] if model and "/" in model else "litellm"


def _cause(error: Exception) -> Exception:
    """The SDK's own exception under instructor's wrapper."""
    if type(error) is InstructorRetryException and isinstance(error.__cause__, Exception):
        return error.__cause__
    return error


def _names_usage(error: Exception) -> bool:
    """Whether a server says that it does not know `stream_options`."""
    is_bad_request = getattr(error, "status_code", None) in _BAD_REQUEST
    return is_bad_request and ("stream_options" in str(error) or "include_usage" in str(error))


def _is_opaque(error: Exception, sent: Mapping[str, Any]) -> bool:
    """Whether a server refuses a request without saying what in it is wrong: in a few words that name nothing.

    Args:
        error: What the SDK made of it.
        sent: The request; an error that names one of its arguments is about that.
    """
    if getattr(error, "status_code", None) not in _BAD_REQUEST or getattr(error, "param", None):
        return False
    code, body = getattr(error, "code", None), getattr(error, "body", None)
    # litellm, which hands on no body, puts its own words before the server's
    said = body.get("message") or body.get("detail") if isinstance(body, dict) else str(error).rpartition(" - ")[2]
    words = re.findall(r"\w+", str(said or ""))
    return (not code or str(code).isdigit()) and len(words) <= _FEW_WORDS and set(words).isdisjoint(sent)


_BAD_REQUEST = (400, 422)
_FEW_WORDS = 6
"""An error of no more words, such as MiMo's "Param Incorrect", says nothing of what is wrong."""


def _settling(handler: Callable[..., Any], told: Any) -> Callable[[], Any]:
    """The rest of a call that was begun: gives what is to be awaited, or raises what it raised."""

    @functools.wraps(handler)
    def settle() -> Any:
        if isinstance(told, Exception):
            raise told
        return told

    return settle


def refuse_coroutines(hooks: InstructorHooks) -> None:
    """Raise `StreamMisuse` if one of instructor's hooks is an `async def`, which a sync stream cannot await."""
    for name in HOOK_NAMES:
        for handler in _handlers(hooks, name):
            refuse_coroutine(name, handler)


def _handlers(hooks: InstructorHooks, name: str) -> list[Callable[..., Any]]:
    # instructor's Hooks has no public way to read its handlers, and its own emit cannot await
    return list(hooks._handlers.get(HookName(name), ()))  # noqa: SLF001


def _fitting(handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments, if the handler takes them all; as instructor does it."""
    if not kwargs:
        return kwargs
    try:
        inspect.signature(handler).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    return kwargs


def _copied(value: Any) -> Any:
    return value.model_copy(deep=True) if isinstance(value, BaseModel) else value


def _total_tokens(usage: Any) -> int | None:
    total = getattr(usage, "total_tokens", None)
    if isinstance(total, int):
        return total
    names = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    found = [value for name in names if isinstance(value := getattr(usage, name, None), int)]
    return sum(found) if found else None
