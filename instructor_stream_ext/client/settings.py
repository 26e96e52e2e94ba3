"""The arguments of wrap, and the options of one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from instructor_stream_ext._instructor.facts import InstructorHooks
from instructor_stream_ext.core.document.reasoning import ReasoningTags, Tags
from instructor_stream_ext.core.options import Limits, LitellmReader, OnTruncated, Repair, Timeouts
from instructor_stream_ext.core.policies import EmissionPolicy
from instructor_stream_ext.core.policy_argument import DebounceArgument
from instructor_stream_ext.session.hooks import Handler, Hooks, Sink

__all__ = ["Options", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of `wrap`."""

    debounce: DebounceArgument = None
    hook_errors: Literal["warn", "raise"] = "warn"
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    usage: bool = True
    clock: Callable[[], float] | None = None
    log_transitions: Sink | None = None
    reasoning_tags: ReasoningTags | None = None
    repair: Repair | None = None
    on_truncated: OnTruncated = "raise"
    max_continuations: int = 3
    litellm_reader: LitellmReader = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one call, on top of the client's settings."""

    hooks: Hooks
    instructor_hooks: InstructorHooks
    policy: EmissionPolicy | None
    timeouts: Timeouts | None
    limits: Limits
    tags: Tags
    repair: Repair | None
    continuations: int
    max_retries: Any
    strict: bool
    context: Any
    stop_when: Any
    checks: Sequence[Handler]
    token_budget: int | None
