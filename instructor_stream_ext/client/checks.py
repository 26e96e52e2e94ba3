"""Checks of a call's arguments before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from instructor_stream_ext._instructor.facts import InstructorHooks, PartialBase
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.options import LitellmReader, OnTruncated
from instructor_stream_ext.core.policy_argument import policy_from
from instructor_stream_ext.session.hooks import HOOK_NAMES, Handler, Hooks, refuse_coroutine

if TYPE_CHECKING:
    from typing_extensions import TypeForm

__all__ = [
    "OF_STREAMS",
    "ON",
    "as_messages",
    "budget_from",
    "check_reader",
    "check_repair",
    "checks_from",
    "continuations_from",
    "model_of",
    "refuse_unknown",
    "split_hooks",
    "stream_kind",
    "without_ours",
]

T = TypeVar("T")

ON = frozenset(f"on_{name}" for name in HOOK_NAMES)
OF_STREAMS = (*sorted(ON), "final_checks", "repair", "stop_when", "timeouts", "limits", "on_truncated")
QUIET_OPTIONS = ("debounce", "reasoning_tags", "max_continuations")
"""Options that do not make `create` stream underneath."""


def split_hooks(hooks: object, on_hooks: dict[str, Any]) -> tuple[Hooks, InstructorHooks]:
    """Split `hooks=` and the `on_...=` arguments into this package's hooks and instructor's.

    Raises:
        StreamMisuse: `hooks` is neither, or a name does not exist.
    """
    ours, theirs = Hooks(), InstructorHooks()
    if isinstance(hooks, Hooks):
        ours = ours + hooks
    elif isinstance(hooks, InstructorHooks):
        theirs = theirs + hooks
    elif hooks is not None:
        raise StreamMisuse(f"hooks must be Hooks of this package or of instructor, not {type(hooks).__name__}")
    return ours + Hooks(**on_hooks), theirs


def as_messages(messages: object, kwargs: dict[str, Any]) -> Any:
    """Return the conversation from `messages` or `input=`; a string is one user message."""
    given = kwargs.pop("input", None)
    if messages is not None and given is not None:
        raise TypeError("pass only one of 'messages' and 'input'")
    messages = given if messages is None else messages
    if messages is None and not kwargs.keys() & {"contents", "chat_history", "message"}:
        raise TypeError("either 'messages' or 'input' must be given")
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def without_ours(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that belong to instructor or the SDK."""
    refuse_unknown({name: value for name, value in kwargs.items() if name not in OF_STREAMS})
    policy_from(kwargs.get("debounce"))
    return {name: value for name, value in kwargs.items() if name not in OF_STREAMS and name not in QUIET_OPTIONS}


def refuse_unknown(kwargs: dict[str, Any]) -> None:
    """Raise for hooks that do not exist; no SDK has an argument of such a name."""
    for name in kwargs:
        if name.startswith("on_"):
            Hooks(**{name: None})


def checks_from(checks: Any, *, is_async: bool) -> Sequence[Handler]:
    """Return the checks of `final_checks=`, one callable or several; raise `StreamMisuse` for anything else."""
    given: list[Handler] = [checks] if callable(checks) else list(checks or ())
    for check in given:
        if not callable(check):
            raise StreamMisuse(f"final_checks must be callables, not {check!r}")
        if not is_async:
            refuse_coroutine("final_checks", check)
    return given


def check_repair(repair: object, *, is_async: bool) -> None:
    """Raise `StreamMisuse` unless `repair=` can be called, without `await` by a sync client."""
    if repair is None:
        return
    if not callable(repair):
        raise StreamMisuse(f"repair must be a callable of a text and an error, not {repair!r}")
    if not is_async:
        refuse_coroutine("repair", repair)


def check_reader(litellm_reader: object) -> None:
    """Raise `StreamMisuse` unless this names a way to read litellm's streams."""
    if litellm_reader not in (known := get_args(LitellmReader)):
        raise StreamMisuse(f"litellm_reader must be one of {', '.join(known)}, not {litellm_reader!r}")


def continuations_from(on_truncated: object, most: object, messages: object = ()) -> int:
    """Return how often the model may be asked for the rest of an answer that hit its token limit.

    Args:
        on_truncated: The call's option.
        most: Its `max_continuations`.
        messages: The call's conversation; None if it is in the provider's own format.

    Raises:
        StreamMisuse: An option is invalid, or the question is not known.
    """
    if on_truncated not in get_args(OnTruncated):
        raise StreamMisuse(f"on_truncated must be one of {', '.join(get_args(OnTruncated))}, not {on_truncated!r}")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise StreamMisuse(f"max_continuations={most!r}: must be a number, at least 1")
    if on_truncated == "raise":
        return 0
    if messages is None:
        raise StreamMisuse("on_truncated='continue' needs the conversation as messages=, so that it can go on")
    return most


def budget_from(token_budget: object) -> int | None:
    """Return the tokens of `token_budget=`; an invalid value raises instructor's own error."""
    if token_budget is None:
        return None
    if isinstance(token_budget, bool) or not isinstance(token_budget, int):
        raise TypeError("token_budget must be a positive integer or None")
    if token_budget <= 0:
        raise ValueError("token_budget must be greater than zero")
    return token_budget


def model_of(response_model: TypeForm[T] | None) -> TypeForm[T]:
    """Return the response model of a call, which may have been left out by mistake.

    Raises:
        StreamMisuse: It was left out.
    """
    if response_model is None:
        raise StreamMisuse("no response_model: name it, as in client.responses.stream(messages, response_model=Report)")
    return response_model


def stream_kind(response_model: object) -> str:
    """Return the method that `create(..., stream=True)` stands for, from its response model, as instructor does."""
    if response_model is None:
        return "sdk"
    if isinstance(response_model, type) and not get_args(response_model) and issubclass(response_model, PartialBase):
        return "partial"
    return "items" if get_origin(response_model) is Iterable else "final"
