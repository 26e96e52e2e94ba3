"""`wrap`: from an instructor client to one whose streams stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from instructor_stream_ext.core.document.reasoning import ReasoningTags, tags_from
from instructor_stream_ext.core.options import Limits, LitellmReader, OnTruncated, Repair, Timeouts
from instructor_stream_ext.core.policy_argument import DebounceArgument, policy_from

if TYPE_CHECKING:
    from instructor_stream_ext._instructor.facts import AsyncInstructor, Instructor, InstructorHooks
    from instructor_stream_ext.client.aio import AsyncStreamClient
    from instructor_stream_ext.client.settings import Settings
    from instructor_stream_ext.client.sync import StreamClient
    from instructor_stream_ext.session.hooks import HookArguments, Hooks
    from instructor_stream_ext.sinks.log import TransitionLog

__all__ = ["wrap"]


@overload
def wrap(  # type: ignore[overload-overlap]  # instructor's AsyncInstructor is an Instructor, and this one comes first
    client: AsyncInstructor | AsyncStreamClient,
    *,
    debounce: DebounceArgument = None,
    hooks: Hooks | InstructorHooks | None = None,
    hook_errors: Literal["warn", "raise"] = "warn",
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    usage: bool = True,
    clock: Callable[[], float] | None = None,
    log_transitions: bool | TransitionLog = False,
    reasoning_tags: ReasoningTags | None = None,
    repair: Repair | None = None,
    on_truncated: OnTruncated = "raise",
    max_continuations: int = 3,
    litellm_reader: LitellmReader = "auto",
    **on_hooks: Unpack[HookArguments[Any]],
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
    log_transitions: bool | TransitionLog = False,
    reasoning_tags: ReasoningTags | None = None,
    repair: Repair | None = None,
    on_truncated: OnTruncated = "raise",
    max_continuations: int = 3,
    litellm_reader: LitellmReader = "auto",
    **on_hooks: Unpack[HookArguments[Any]],
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
    log_transitions: bool | TransitionLog = False,
    reasoning_tags: ReasoningTags | None = None,
    repair: Repair | None = None,
    on_truncated: OnTruncated = "raise",
    max_continuations: int = 3,
    litellm_reader: LitellmReader = "auto",
    **on_hooks: Unpack[HookArguments[Any]],
) -> StreamClient | AsyncStreamClient:
    """Return an instructor client with streams that stream and are never wrong in silence.

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
        log_transitions: Whether to log what happens in each stream: True, or a `TransitionLog` with its settings.
        reasoning_tags: What ends reasoning in an answer's text, beside the tags of the known model families: closing
            tags, as in `["</plan>"]`, or pairs, as in `[("<plan>", "</plan>")]`. What stands before one is no answer.
        repair: Called with an answer that is no JSON and the error that says why; gives the JSON it should be, or None.
            Tried once for each attempt, before the model is asked again, and not for an answer that was cut off.
        on_truncated: What an answer does that met its token limit: "raise" ends it with `OutputTruncated`, "continue"
            shows the model its own text and asks for the rest, which is joined to it.
        max_continuations: How often that may happen in one attempt.
        litellm_reader: "wrapper" has streams of litellm's read chunk by chunk through litellm's own wrapper; "auto"
            reads below it, at a fraction of the cost, where nothing has to see every chunk.
        on_hooks: Callbacks by name, such as `on_partial=show`.

    Returns:
        A `StreamClient` for a sync client, an `AsyncStreamClient` for an async one.

    Raises:
        ClientNotSupported: `client` is no instructor client.
        StreamMisuse: An unknown hook, or an `async def` callback for a sync client.
        TypeError: `debounce` is neither seconds, a timedelta nor a policy.
        ValueError: A time or a size is out of range.

    Example:
        ```python
        client = wrap(instructor.from_openai(openai.OpenAI()), debounce=0.1, on_final=save)
        ```
    """
    # here and not above: these load most of instructor, which loads itself only when it is used
    from instructor_stream_ext._instructor.link import Link
    from instructor_stream_ext._instructor.links import link_to
    from instructor_stream_ext.client.aio import AsyncStreamClient
    from instructor_stream_ext.client.call import CallMaker
    from instructor_stream_ext.client.checks import split_hooks
    from instructor_stream_ext.client.client import Client
    from instructor_stream_ext.client.settings import Settings
    from instructor_stream_ext.client.sync import StreamClient
    from instructor_stream_ext.sinks.log import TransitionLog

    tags_from(reasoning_tags)
    settings = Settings(
        reasoning_tags=None if reasoning_tags is None else tuple(reasoning_tags),
        repair=repair,
        on_truncated=on_truncated,
        max_continuations=max_continuations,
        litellm_reader=litellm_reader,
        debounce=debounce,
        hook_errors=hook_errors,
        timeouts=timeouts,
        limits=limits,
        usage=usage,
        clock=clock,
        log_transitions=TransitionLog() if log_transitions is True else log_transitions or None,
    )
    policy_from(debounce)
    ours, theirs = split_hooks(hooks, {**on_hooks})
    if isinstance(client, Client):
        inner = client._calls  # noqa: SLF001  users are to see a client's methods only
        settings = _inherited(settings, inner.settings)
        ours, theirs = inner.hooks + ours, inner.instructor_hooks + theirs
        link = inner.link
    else:
        made: object = client  # a routing client brings a link of its own
        link = made if isinstance(made, Link) else link_to(made)
    kind = AsyncStreamClient if link.is_async else StreamClient
    return kind(CallMaker(link, settings, ours, theirs))


def _inherited(new: Settings, old: Settings) -> Settings:
    """Merge new settings over old ones; a default counts as not given."""
    default = type(old)()
    given = {name: getattr(new, name) for name in old.__slots__ if getattr(new, name) != getattr(default, name)}
    return replace(old, **given)
