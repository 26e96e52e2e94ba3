"""The instructor names that this package relies on, and the few questions to it that concern no stream."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, cast

from instructor import AsyncInstructor, Instructor, Mode, Provider, from_litellm
from instructor.v2.core.function_calls import ResponseSchema
from instructor.v2.core.hooks import HookName
from instructor.v2.core.hooks import Hooks as InstructorHooks
from instructor.v2.core.patch import patch_v2
from instructor.v2.core.response_model import prepare_response_model as _prepare
from instructor.v2.dsl.parallel import handle_parallel_model
from instructor.v2.dsl.partial import Partial, PartialBase
from instructor.v2.dsl.simple_type import AdapterBase
from instructor.v2.validation.async_validators import reject_async_validators

from instructor_stream_ext.session.hooks import refuse_coroutine

__all__ = [
    "HOOK_NAMES",
    "AdapterBase",
    "AsyncInstructor",
    "Instructor",
    "InstructorHooks",
    "Mode",
    "Partial",
    "PartialBase",
    "ResponseSchema",
    "fitting",
    "handlers_of",
    "instructor_over",
    "instructor_takes",
    "over_litellm",
    "prepare_response_model",
    "refuse_coroutines",
    "reject_async_validators",
    "tool_name",
]

HOOK_NAMES = frozenset(name.value for name in HookName)
"""The names of instructor's own hooks."""


def prepare_response_model(response_model: Any) -> Any:
    """Return the class that instructor would send for a response model."""
    return _prepare(response_model)


def tool_name(model: object) -> str:
    """Return the name under which a model is offered as one of several tools."""
    of_calls: Any = Iterable
    (tool,) = handle_parallel_model(of_calls[model])
    name: str = tool["function"]["name"]
    return name


def instructor_over(function: Callable[..., Any], mode: Mode) -> Instructor:
    """Return an instructor client over a function that answers as OpenAI's chat completions do.

    Args:
        function: Takes a request's arguments and returns a completion or a stream of chunks. If it is async, so is the
            client.
        mode: How a structured answer is asked for.
    """
    kind = AsyncInstructor if inspect.iscoroutinefunction(function) else Instructor
    return kind(None, patch_v2(function, Provider.OPENAI, mode), mode=mode, provider=Provider.OPENAI)


def over_litellm(function: Callable[..., Any], mode: Mode, *, is_async: bool, **defaults: object) -> Instructor:
    """Return an instructor client over one of litellm's completion functions.

    Args:
        function: Such as `litellm.completion`.
        mode: instructor's.
        is_async: Whether the function is a coroutine function.
        defaults: For each call.
    """
    make: Any = from_litellm
    return cast("Instructor", make(function, mode=mode, async_client=is_async, **defaults))


def instructor_takes(response_model: Any) -> bool:
    """Return whether instructor's own `create` accepts this type."""
    try:
        _prepare(response_model)
    except TypeError:
        return False
    return True


def refuse_coroutines(hooks: InstructorHooks) -> None:
    """Raise `StreamMisuse` if one of instructor's hooks is an `async def`, which a sync stream cannot await."""
    for name in HOOK_NAMES:
        for handler in handlers_of(hooks, name):
            refuse_coroutine(name, handler)


def handlers_of(hooks: InstructorHooks, name: str) -> list[Callable[..., Any]]:
    # instructor's Hooks has no public way to read its handlers, and its own emit cannot await
    return list(hooks._handlers.get(HookName(name), ()))  # noqa: SLF001


def fitting(handler: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments if the handler accepts them all, as instructor does."""
    if not kwargs:
        return kwargs
    try:
        inspect.signature(handler).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    return kwargs
