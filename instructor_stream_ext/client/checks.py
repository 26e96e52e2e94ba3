"""Arguments of a call, looked over before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

from instructor_stream_ext._instructor.facts import InstructorHooks, PartialBase
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.options import LitellmReader, OnTruncated
from instructor_stream_ext.core.policies import policy_from
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
"""Options of streams for which alone `create` does not stream underneath."""


def split_hooks(hooks: Any, on_hooks: dict[str, Any]) -> tuple[Hooks, InstructorHooks]:
    """Our hooks and instructor's, from a `hooks=` and the `on_...=` arguments.

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


def as_messages(messages: Any, kwargs: dict[str, Any]) -> Any:
    """The conversation: `messages`, or `input=` for it; text counts as one user message."""
    given = kwargs.pop("input", None)
    if messages is not None and given is not None:
        raise TypeError("pass only one of 'messages' and 'input'")
    messages = given if messages is None else messages
    if messages is None and not kwargs.keys() & {"contents", "chat_history", "message"}:
        raise TypeError("either 'messages' or 'input' must be given")
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def without_ours(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments that are instructor's or the SDK's."""
    refuse_unknown({name: value for name, value in kwargs.items() if name not in OF_STREAMS})
    policy_from(kwargs.get("debounce"))
    return {name: value for name, value in kwargs.items() if name not in OF_STREAMS and name not in QUIET_OPTIONS}


def refuse_unknown(kwargs: dict[str, Any]) -> None:
    """Hooks that do not exist; no SDK's argument is called so."""
    for name in kwargs:
        if name.startswith("on_"):
            Hooks(**{name: None})


def checks_from(checks: Any, *, is_async: bool) -> Sequence[Handler]:
    """The checks of `final_checks=`, one callable or several; anything else is a `StreamMisuse`."""
    given: list[Handler] = [checks] if callable(checks) else list(checks or ())
    for check in given:
        if not callable(check):
            raise StreamMisuse(f"final_checks must be callables, not {check!r}")
        if not is_async:
            refuse_coroutine("final_checks", check)
    return given


def check_repair(repair: Any, *, is_async: bool) -> None:
    """Raise `StreamMisuse` unless `repair=` can be called, by a sync client without await."""
    if repair is None:
        return
    if not callable(repair):
        raise StreamMisuse(f"repair must be a callable of a text and an error, not {repair!r}")
    if not is_async:
        refuse_coroutine("repair", repair)


def check_reader(litellm_reader: Any) -> None:
    """Raise `StreamMisuse` for a word that says nothing of how litellm's streams are read."""
    if litellm_reader not in (known := get_args(LitellmReader)):
        raise StreamMisuse(f"litellm_reader must be one of {', '.join(known)}, not {litellm_reader!r}")


def continuations_from(on_truncated: Any, most: Any, messages: Any = ()) -> int:
    """How often the model may be asked for the rest of an answer that met its token limit.

    Args:
        on_truncated: Of the call.
        most: Its `max_continuations`.
        messages: Its conversation, None where the call has it in the provider's own words.

    Raises:
        StreamMisuse: One of them cannot be, or nobody can say what the model was asked.
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


def budget_from(token_budget: Any) -> int | None:
    """The tokens of `token_budget=`, refused in the words of instructor."""
    if token_budget is None:
        return None
    if isinstance(token_budget, bool) or not isinstance(token_budget, int):
        raise TypeError("token_budget must be a positive integer or None")
    if token_budget <= 0:
        raise ValueError("token_budget must be greater than zero")
    return token_budget


def model_of(response_model: TypeForm[T] | None) -> TypeForm[T]:
    """The response model of a call in which it may be left out by mistake.

    Raises:
        StreamMisuse: It was left out.
    """
    if response_model is None:
        raise StreamMisuse("no response_model: name it, as in client.responses.stream(messages, response_model=Report)")
    return response_model


def stream_kind(response_model: Any) -> str:
    """Return the method that `create(..., stream=True)` stands for, by its response model, as in instructor."""
    if response_model is None:
        return "sdk"
    if isinstance(response_model, type) and not get_args(response_model) and issubclass(response_model, PartialBase):
        return "partial"
    return "items" if get_origin(response_model) is Iterable else "final"
