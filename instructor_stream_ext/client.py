"""`wrap` and the clients it gives: instructor's methods, with streams that stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, overload

from pydantic import BaseModel, RootModel

from instructor_stream_ext._instructor import (
    HOOK_NAMES as INSTRUCTOR_HOOK_NAMES,
)
from instructor_stream_ext._instructor import (
    AsyncInstructor,
    Instructor,
    InstructorHooks,
    InstructorSource,
    Link,
    PartialBase,
    Request,
    instructor_takes,
    reject_async_validators,
)
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.gate import ItemGate, ModelGate, TextGate
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.options import Limits, Timeouts
from instructor_stream_ext.core.partials import PartialParser
from instructor_stream_ext.core.policies import DebounceArgument, counts_transitions, policy_from
from instructor_stream_ext.hooks import HOOK_NAMES, Dispatch, Handler, HookErrors, Hooks, refuse_coroutine
from instructor_stream_ext.retries import Retries
from instructor_stream_ext.script import Script
from instructor_stream_ext.shape import Shape, item_shape, shape_of
from instructor_stream_ext.streams import (
    AsyncItemStream,
    AsyncPartialStream,
    AsyncTextStream,
    ItemStream,
    PartialStream,
    TextStream,
)

__all__ = ["AsyncStreamClient", "StreamClient", "wrap"]

T = TypeVar("T")

_ON = frozenset(f"on_{name}" for name in HOOK_NAMES)
_CACHING = ("cache", "cache_ttl", "cache_namespace")
"""instructor's answer cache holds finished answers only; a stream neither reads nor fills it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    """What `wrap` was told."""

    debounce: DebounceArgument = None
    hook_errors: Literal["warn", "raise"] = "warn"
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    usage: bool = True
    clock: Callable[[], float] | None = None


@overload
def wrap(
    client: AsyncInstructor | AsyncStreamClient,
    *,
    debounce: DebounceArgument = None,
    hooks: Hooks | InstructorHooks | None = None,
    hook_errors: Literal["warn", "raise"] = "warn",
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    usage: bool = True,
    clock: Callable[[], float] | None = None,
    **on_hooks: Any,
) -> AsyncStreamClient: ...


@overload
def wrap(
    client: Instructor | StreamClient,
    *,
    debounce: DebounceArgument = None,
    hooks: Hooks | InstructorHooks | None = None,
    hook_errors: Literal["warn", "raise"] = "warn",
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    usage: bool = True,
    clock: Callable[[], float] | None = None,
    **on_hooks: Any,
) -> StreamClient: ...


def wrap(
    client: Instructor | AsyncInstructor | StreamClient | AsyncStreamClient,
    *,
    debounce: DebounceArgument = None,
    hooks: Hooks | InstructorHooks | None = None,
    hook_errors: Literal["warn", "raise"] = "warn",
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    usage: bool = True,
    clock: Callable[[], float] | None = None,
    **on_hooks: Any,
) -> StreamClient | AsyncStreamClient:
    """Give an instructor client streams that stream, and that are never wrong in silence.

    The client given is not changed and goes on working as before.

    Args:
        client: From `instructor.from_openai(...)`, `from_anthropic`, `from_genai`, `from_litellm`, `from_provider`
            and the like, sync or async; or a wrapped client, whose settings hold where none are given here.
        debounce: Seconds between two partials, a timedelta, or an emission policy; None for a partial at each change.
        hooks: Callbacks for all calls: ours or instructor's.
        hook_errors: What a callback that raises does: "warn" logs and warns once, "raise" ends the stream.
        timeouts: Bounds in time, in seconds.
        limits: Bounds in size.
        usage: Whether to ask chat-completion providers for the token counts of a stream.
        clock: Gives seconds; `time.monotonic` if None.
        on_hooks: Callbacks by name, such as `on_partial=show`.

    Returns:
        A `StreamClient` for a sync client, an `AsyncStreamClient` for an async one.

    Raises:
        ClientNotSupported: `client` is no instructor client.
        StreamMisuse: An unknown hook, or an `async def` callback for a sync client.
        TypeError: `debounce` is neither seconds, a timedelta nor a policy.
        ValueError: A time or a size is out of range.
    """
    settings = _Settings(
        debounce=debounce, hook_errors=hook_errors, timeouts=timeouts, limits=limits, usage=usage, clock=clock
    )
    policy_from(debounce)
    ours, theirs = _split_hooks(hooks, on_hooks)
    if isinstance(client, _Client):
        settings = _inherited(settings, client._settings)
        ours, theirs = client._hooks + ours, client._own_hooks + theirs
        link = client._link
    else:
        link = Link(client)
    kind = AsyncStreamClient if link.is_async else StreamClient
    return kind(link, settings, ours, theirs)


def _inherited(new: _Settings, old: _Settings) -> _Settings:
    """New settings over old ones; a default counts as not given."""
    default = _Settings()
    given = {
        name: getattr(new, name) for name in _Settings.__slots__ if getattr(new, name) != getattr(default, name)
    }
    return replace(old, **given)


def _split_hooks(hooks: Any, on_hooks: dict[str, Any]) -> tuple[Hooks, InstructorHooks]:
    ours, theirs = Hooks(), InstructorHooks()
    if isinstance(hooks, Hooks):
        ours = ours + hooks
    elif isinstance(hooks, InstructorHooks):
        theirs = theirs + hooks
    elif hooks is not None:
        raise StreamMisuse(f"hooks must be Hooks of this package or of instructor, not {type(hooks).__name__}")
    return ours + Hooks(**on_hooks), theirs


def _as_messages(messages: Any, kwargs: dict[str, Any]) -> Any:
    """The conversation: `messages`, or `input=` for it; text counts as one user message."""
    given = kwargs.pop("input", None)
    if messages is not None and given is not None:
        raise TypeError("pass only one of 'messages' and 'input'")
    messages = given if messages is None else messages
    if messages is None and not kwargs.keys() & {"contents", "chat_history", "message"}:
        raise TypeError("either 'messages' or 'input' must be given")
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


class _Client:
    """What the sync and the async client share: settings, hooks, and the making of a stream."""

    def __init__(self, link: Link, settings: _Settings, hooks: Hooks, instructor_hooks: InstructorHooks) -> None:
        self._link = link
        self._settings = settings
        self._hooks = hooks
        self._own_hooks = instructor_hooks
        self._hook_errors = HookErrors(settings.hook_errors)
        if not link.is_async:
            hooks.refuse_coroutines()

    @property
    def wrapped(self) -> Instructor:
        """The instructor client inside."""
        return self._link.client

    @property
    def chat(self) -> Self:
        """This client, so that `client.chat.completions.create(...)` works."""
        return self

    @property
    def completions(self) -> Self:
        """This client."""
        return self

    @property
    def messages(self) -> Self:
        """This client."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._link.provider.value}, {self._link.mode.name})"

    def on(self, name: str, handler: Handler) -> None:
        """Register a callback.

        Args:
            name: One of ours, as in "partial", or of instructor's, as in "completion:kwargs".
            handler: The callback; an `async def` only on async clients.

        Raises:
            StreamMisuse: The name is unknown, or a sync client was given an `async def`.
        """
        name = getattr(name, "value", name)
        if not self._link.is_async:
            refuse_coroutine(name, handler)
        if name in INSTRUCTOR_HOOK_NAMES:
            self._own_hooks.on(name, handler)  # type: ignore[arg-type]
        else:
            self._hooks.on(name, handler)

    def off(self, name: str, handler: Handler) -> None:
        """Remove a callback that was registered here.

        Raises:
            StreamMisuse: The name is unknown.
        """
        name = getattr(name, "value", name)
        if name in INSTRUCTOR_HOOK_NAMES:
            self._own_hooks.off(name, handler)  # type: ignore[arg-type]
        else:
            self._hooks.off(name, handler)

    def clear(self, name: str | None = None) -> None:
        """Remove all callbacks of a name that were registered here, or all there are.

        Raises:
            StreamMisuse: The name is unknown.
        """
        name = getattr(name, "value", name)
        if name is None or name in INSTRUCTOR_HOOK_NAMES:
            self._own_hooks.clear(name)  # type: ignore[arg-type]
        if name is None or name not in INSTRUCTOR_HOOK_NAMES:
            self._hooks.clear(name)

    # ------------------------------------------------------------------ one call

    def _call_hooks(self, kwargs: dict[str, Any]) -> tuple[Hooks, InstructorHooks]:
        """The hooks of one call: the client's and its own."""
        on_hooks = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("on_") and name in _ON}
        unknown = [name for name in kwargs if name.startswith("on_")]
        if unknown:
            Hooks(**{unknown[0]: None})
            raise StreamMisuse(f"unknown hook {unknown[0]!r}; the hooks are {', '.join(sorted(_ON))}")
        ours, theirs = _split_hooks(kwargs.pop("hooks", None), on_hooks)
        if not self._link.is_async:
            ours.refuse_coroutines()
        return self._hooks + ours, self.wrapped.hooks + self._own_hooks + theirs

    def _script(
        self,
        shape: Shape | None,
        messages: Any,
        kwargs: dict[str, Any],
    ) -> Script:
        """Everything one stream needs, from a call's arguments; nothing is sent yet."""
        self._link.check_streams()
        settings, link = self._settings, self._link
        max_retries = kwargs.pop("max_retries", 3)
        context, strict = kwargs.pop("context", None), kwargs.pop("strict", True)
        hooks, instructor_hooks = self._call_hooks(kwargs)
        policy = policy_from(kwargs.pop("debounce", settings.debounce))
        timeouts = kwargs.pop("timeouts", settings.timeouts)
        limits = kwargs.pop("limits", settings.limits) or Limits()
        stop_when = kwargs.pop("stop_when", None)
        checks = _checks(kwargs.pop("final_checks", ()), is_async=link.is_async)
        token_budget = _budget(kwargs.pop("token_budget", None))
        kwargs.pop("stream", None)
        for name in _CACHING:
            kwargs.pop(name, None)
        kwargs = link.client.handle_kwargs(kwargs)
        dispatch = Dispatch(hooks, self._hook_errors)
        retries = Retries(max_retries, is_async=link.is_async)
        gate, items = _gate(shape, checks, strict=strict, context=context)
        transitions = dispatch.transitions or counts_transitions(policy) or items is not None
        machine = StreamMachine(
            parser=None if shape is None else _ParserMaker(shape, link.mode.value, limits),
            view=None if shape is None else shape.view,
            policy=policy,
            limits=limits,
            timeouts=timeouts,
            deltas=dispatch.deltas,
            transitions=transitions and shape is not None,
        )
        request = Request(
            wire=None if shape is None else shape.wire,
            messages=messages,
            strict=strict,
            context=context,
            token_budget=token_budget,
            usage=settings.usage,
            kwargs=kwargs,
        )
        return Script(
            machine=machine,
            source=InstructorSource(link, request, instructor_hooks, retries.max_attempts),
            gate=gate,
            dispatch=dispatch,
            retries=retries,
            clock=settings.clock or time.monotonic,
            stop_when=stop_when,
            items=items,
        )

    def _partial(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Script, Any]:
        reject_async_validators(response_model)
        messages = _as_messages(messages, kwargs)
        return self._script(shape_of(response_model), messages, kwargs), messages

    def _items(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Script, Any]:
        reject_async_validators(response_model)
        messages = _as_messages(messages, kwargs)
        return self._script(item_shape(response_model), messages, kwargs), messages

    def _text(self, messages: Any, kwargs: dict[str, Any]) -> tuple[Script, Any]:
        messages = _as_messages(messages, kwargs)
        return self._script(None, messages, {**kwargs, "max_retries": 0}), messages

    def _plain(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> _PlainCall:
        """The call for instructor's own `create`, with the types it refuses adapted."""
        reject_async_validators(response_model)
        kwargs = {name: value for name, value in kwargs.items() if name not in _ON}
        messages = _as_messages(messages, kwargs)
        _, theirs = _split_hooks(kwargs.pop("hooks", None), {})
        shape = _adapted(response_model)
        call = _PlainCall(shape)
        hooks = self._own_hooks + theirs
        hooks.on("completion:response", call.keep)
        call.kwargs = {
            "response_model": response_model if shape is None else shape.wire,
            "messages": messages,
            "hooks": hooks,
            **kwargs,
        }
        return call

    def _streams_create(self, kwargs: dict[str, Any]) -> bool:
        """Whether `create` has to stream underneath, because somebody listens or it was asked for a stream's option."""
        if self._hooks or isinstance(kwargs.get("hooks"), Hooks):
            return True
        return any(kwargs.get(name) is not None for name in (*_ON, "final_checks", "stop_when", "timeouts", "limits"))


class _PlainCall:
    """One call of instructor's own `create`."""

    def __init__(self, shape: Shape | None) -> None:
        self._shape = shape
        self.kwargs: dict[str, Any] = {}
        self.completion: Any = None

    def keep(self, completion: Any) -> None:
        """Note the provider's answer."""
        self.completion = completion

    def result(self, answer: Any) -> Any:
        """What the caller asked for, from what instructor gave."""
        return answer.root if self._shape is not None and isinstance(answer, RootModel) else answer


def _adapted(response_model: Any) -> Shape | None:
    """The shape of a type that instructor's `create` refuses; None if it takes it."""
    if response_model is None or instructor_takes(response_model):
        return None
    return shape_of(response_model)


def _checks(checks: Any, *, is_async: bool) -> Sequence[Handler]:
    checks = [checks] if callable(checks) else list(checks or ())
    for check in checks:
        if not callable(check):
            raise StreamMisuse(f"final_checks must be callables, not {check!r}")
        if not is_async:
            refuse_coroutine("final_checks", check)
    return checks


def _budget(token_budget: Any) -> int | None:
    if token_budget is None:
        return None
    if isinstance(token_budget, bool) or not isinstance(token_budget, int):
        raise TypeError("token_budget must be a positive integer or None")
    if token_budget <= 0:
        raise ValueError("token_budget must be greater than zero")
    return token_budget


def _gate(
    shape: Shape | None, checks: Sequence[Handler], *, strict: bool, context: Any
) -> tuple[Any, ItemGate | None]:
    if shape is None:
        return TextGate(checks), None
    if shape.items is not None and shape.item is not None:
        items = ItemGate(shape.item, shape.items, checks=checks, strict=strict, context=context)
        return items, items
    gate = ModelGate(
        shape.adapter, unwrap=shape.unwrap, checks=checks, kind=shape.plan.kind, strict=strict, context=context
    )
    return gate, None


class _ParserMaker:
    """Makes the parser of one attempt; tool arguments are never searched for a document, prose is."""

    __slots__ = ("_limits", "_plan", "_search")

    def __init__(self, shape: Shape, mode: str, limits: Limits) -> None:
        self._plan = shape.plan
        self._limits = limits
        self._search = "tool" not in mode

    def __call__(self) -> PartialParser:
        return PartialParser(
            self._plan, search=self._search, max_depth=self._limits.max_depth, max_items=self._limits.max_items
        )


def _stream_kind(response_model: Any) -> str:
    """What `create(..., stream=True)` means, by its response model, as instructor has it."""
    if response_model is None:
        return "sdk"
    if isinstance(response_model, type) and not get_args(response_model) and issubclass(response_model, PartialBase):
        return "partial"
    return "items" if get_origin(response_model) is Iterable else "final"


class StreamClient(_Client):
    """instructor's sync client with streams that stream. Made by `wrap`."""

    @property
    def responses(self) -> Responses:
        """The same methods with `messages` first, as instructor has them there."""
        return Responses(self)

    @overload
    def create_partial(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[T]: ...

    @overload
    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[Any]: ...

    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> PartialStream[Any]:
        """Stream partials of a response model and, last, the validated object.

        Args:
            response_model: What the answer is to be.
            messages: The conversation, or text for one user message; `input=` is taken for it.
            max_retries: Attempts after the first, or a tenacity `Retrying`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: For this call: `debounce`, `on_...`, `hooks`, `timeouts`, `limits`, `stop_when`, `final_checks`,
                `token_budget`; all others go to the provider's SDK.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return PartialStream(*self._partial(response_model, messages, kwargs))

    stream = create_partial

    @overload
    def create_iterable(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> ItemStream[T]: ...

    @overload
    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> ItemStream[Any]: ...

    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> ItemStream[Any]:
        """Stream a list of items, each validated once, as soon as it is closed.

        Args:
            response_model: What one item is.
            messages: As in `create_partial`; so are all others.
            max_retries: When an item does not validate, all items begin anew.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return ItemStream(*self._items(response_model, messages, kwargs))

    def stream_text(self, messages: Any = None, **kwargs: Any) -> TextStream:
        """Stream a plain text answer, with the same hooks.

        Args:
            messages: As in `create_partial`.
            kwargs: As in `create_partial`.
        """
        return TextStream(*self._text(messages, kwargs))

    @overload
    def create(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> T: ...

    @overload
    def create(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any: ...

    def create(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """The validated object; streams underneath when somebody listens, else it is instructor's own `create`.

        Args:
            response_model: What the answer is to be; None for the SDK's own answer.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`. With `stream=True`, `Partial[M]` gives a `PartialStream`, `Iterable[M]` an
                `ItemStream`, None the SDK's stream.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return (self._create(response_model, messages, kwargs))[0]

    def create_with_completion(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """As `create`, with the provider's answer beside the object."""
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return self._create(response_model, messages, kwargs)

    def _create(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if kwargs.get("stream"):
            kind = _stream_kind(response_model)
            if kind == "sdk":
                return self.wrapped.create(None, _as_messages(messages, kwargs), **kwargs), None
            if kind == "items":
                return self.create_iterable(*get_args(response_model), messages, **kwargs), None
            stream = self.create_partial(response_model, messages, **kwargs)
            return (stream, None) if kind == "partial" else (stream.get_final_response(), stream.completion)
        if not self._streams_create(kwargs):
            call = self._plain(response_model, messages, kwargs)
            answer = call.result(self.wrapped.create(**call.kwargs))
            return answer, answer if response_model is None else call.completion
        if response_model is None:
            text = self.stream_text(messages, **kwargs)
            text.get_final_response()
            return text.completion, text.completion
        stream = self.create_partial(response_model, messages, **kwargs)
        final = stream.get_final_response()
        completion = stream.completion
        if isinstance(final, BaseModel):
            final._raw_response = completion  # type: ignore[attr-defined]  # where instructor's users look for it
        return final, completion


class Responses:
    """A client's methods with `messages` first, as `client.responses` of instructor has them."""

    def __init__(self, client: StreamClient) -> None:
        self._client = client

    @overload
    def create_partial(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[T]: ...

    @overload
    def create_partial(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[Any]: ...

    def create_partial(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> PartialStream[Any]:
        """As the client's `create_partial`."""
        return self._client.create_partial(response_model, messages, max_retries, **kwargs)

    stream = create_partial

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[T]: ...

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[Any]: ...

    def create_iterable(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> ItemStream[Any]:
        """As the client's `create_iterable`."""
        return self._client.create_iterable(response_model, messages, max_retries, **kwargs)

    def stream_text(self, messages: Any = None, **kwargs: Any) -> TextStream:
        """As the client's `stream_text`."""
        return self._client.stream_text(messages, **kwargs)

    @overload
    def create(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> T: ...

    @overload
    def create(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> Any: ...

    def create(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> Any:
        """As the client's `create`."""
        return self._client.create(response_model, messages, max_retries, **kwargs)

    def create_with_completion(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> tuple[Any, Any]:
        """As the client's `create_with_completion`."""
        return self._client.create_with_completion(response_model, messages, max_retries, **kwargs)


class AsyncStreamClient(_Client):
    """instructor's async client with streams that stream. Made by `wrap`."""

    @property
    def responses(self) -> AsyncResponses:
        """The same methods with `messages` first, as instructor has them there."""
        return AsyncResponses(self)

    @overload
    def create_partial(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[T]: ...

    @overload
    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[Any]: ...

    def create_partial(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncPartialStream[Any]:
        """Stream partials of a response model and, last, the validated object.

        Args:
            response_model: What the answer is to be.
            messages: The conversation, or text for one user message; `input=` is taken for it.
            max_retries: Attempts after the first, or a tenacity `AsyncRetrying`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: For this call: `debounce`, `on_...`, `hooks`, `timeouts`, `limits`, `stop_when`, `final_checks`,
                `token_budget`; all others go to the provider's SDK.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return AsyncPartialStream(*self._partial(response_model, messages, kwargs))

    stream = create_partial

    @overload
    def create_iterable(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[T]: ...

    @overload
    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[Any]: ...

    def create_iterable(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> AsyncItemStream[Any]:
        """Stream a list of items, each validated once, as soon as it is closed.

        Args:
            response_model: What one item is.
            messages: As in `create_partial`; so are all others.
            max_retries: When an item does not validate, all items begin anew.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`.

        Raises:
            StreamMisuse: The response model or a hook cannot work; nothing has been sent.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return AsyncItemStream(*self._items(response_model, messages, kwargs))

    def stream_text(self, messages: Any = None, **kwargs: Any) -> AsyncTextStream:
        """Stream a plain text answer, with the same hooks.

        Args:
            messages: As in `create_partial`.
            kwargs: As in `create_partial`.
        """
        return AsyncTextStream(*self._text(messages, kwargs))

    @overload
    async def create(
        self,
        response_model: type[T],
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> T: ...

    @overload
    async def create(
        self,
        response_model: Any,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any: ...

    async def create(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> Any:
        """The validated object; streams underneath when somebody listens, else it is instructor's own `create`.

        Args:
            response_model: What the answer is to be; None for the SDK's own answer.
            messages: As in `create_partial`; so are all others.
            max_retries: As in `create_partial`.
            context: For validators and templating.
            strict: As in pydantic.
            kwargs: As in `create_partial`. With `stream=True`, `Partial[M]` gives a `AsyncPartialStream`, `Iterable[M]` an
                `AsyncItemStream`, None the SDK's stream.
        """
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return (await self._create(response_model, messages, kwargs))[0]

    async def create_with_completion(
        self,
        response_model: Any = None,
        messages: Any = None,
        max_retries: Any = 3,
        context: dict[str, Any] | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> tuple[Any, Any]:
        """As `create`, with the provider's answer beside the object."""
        kwargs.update(max_retries=max_retries, context=context, strict=strict)
        return await self._create(response_model, messages, kwargs)

    async def _create(self, response_model: Any, messages: Any, kwargs: dict[str, Any]) -> tuple[Any, Any]:
        if kwargs.get("stream"):
            kind = _stream_kind(response_model)
            if kind == "sdk":
                return await self.wrapped.create(None, _as_messages(messages, kwargs), **kwargs), None
            if kind == "items":
                return self.create_iterable(*get_args(response_model), messages, **kwargs), None
            stream = self.create_partial(response_model, messages, **kwargs)
            return (stream, None) if kind == "partial" else (await stream.get_final_response(), stream.completion)
        if not self._streams_create(kwargs):
            call = self._plain(response_model, messages, kwargs)
            answer = call.result(await self.wrapped.create(**call.kwargs))
            return answer, answer if response_model is None else call.completion
        if response_model is None:
            text = self.stream_text(messages, **kwargs)
            await text.get_final_response()
            return text.completion, text.completion
        stream = self.create_partial(response_model, messages, **kwargs)
        final = await stream.get_final_response()
        completion = stream.completion
        if isinstance(final, BaseModel):
            final._raw_response = completion  # type: ignore[attr-defined]  # where instructor's users look for it
        return final, completion


class AsyncResponses:
    """A client's methods with `messages` first, as `client.responses` of instructor has them."""

    def __init__(self, client: AsyncStreamClient) -> None:
        self._client = client

    @overload
    def create_partial(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[T]: ...

    @overload
    def create_partial(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[Any]: ...

    def create_partial(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> AsyncPartialStream[Any]:
        """As the client's `create_partial`."""
        return self._client.create_partial(response_model, messages, max_retries, **kwargs)

    stream = create_partial

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[T]: ...

    @overload
    def create_iterable(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[Any]: ...

    def create_iterable(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> AsyncItemStream[Any]:
        """As the client's `create_iterable`."""
        return self._client.create_iterable(response_model, messages, max_retries, **kwargs)

    def stream_text(self, messages: Any = None, **kwargs: Any) -> AsyncTextStream:
        """As the client's `stream_text`."""
        return self._client.stream_text(messages, **kwargs)

    @overload
    async def create(
        self, messages: Any = None, response_model: type[T] = ..., max_retries: Any = 3, **kwargs: Any
    ) -> T: ...

    @overload
    async def create(
        self, messages: Any = None, response_model: Any = ..., max_retries: Any = 3, **kwargs: Any
    ) -> Any: ...

    async def create(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> Any:
        """As the client's `create`."""
        return await self._client.create(response_model, messages, max_retries, **kwargs)

    async def create_with_completion(
        self, messages: Any = None, response_model: Any = None, max_retries: Any = 3, **kwargs: Any
    ) -> tuple[Any, Any]:
        """As the client's `create_with_completion`."""
        return await self._client.create_with_completion(response_model, messages, max_retries, **kwargs)
