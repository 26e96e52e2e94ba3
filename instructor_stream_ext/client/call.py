"""From a call's arguments to everything that its stream needs, for sync and async clients alike."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, get_args

from instructor_stream_ext._instructor.facts import InstructorHooks, Mode, refuse_coroutines, reject_async_validators
from instructor_stream_ext._instructor.link import Link
from instructor_stream_ext._instructor.request import Request
from instructor_stream_ext._instructor.source import InstructorSource
from instructor_stream_ext.client.checks import (
    OF_STREAMS,
    ON,
    as_messages,
    budget_from,
    check_reader,
    check_repair,
    checks_from,
    continuations_from,
    refuse_unknown,
    split_hooks,
    stream_kind,
    without_ours,
)
from instructor_stream_ext.client.gates import ParserMaker, gate_for
from instructor_stream_ext.client.plain_call import PlainCall, adapted
from instructor_stream_ext.client.response_model import Shape, calls_shape, item_shape, shape_of
from instructor_stream_ext.client.settings import Options, Settings
from instructor_stream_ext.core.document.reasoning import tags_from
from instructor_stream_ext.core.errors import ClientNotSupported, StreamMisuse
from instructor_stream_ext.core.gate import OnBadItem
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.options import Limits
from instructor_stream_ext.core.policy_argument import check_policy, counts_transitions, policy_from
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.dispatch import Dispatch, HookErrors
from instructor_stream_ext.session.hooks import Hooks
from instructor_stream_ext.session.retries import Retries
from instructor_stream_ext.session.telling import Parts

__all__ = ["CallMaker"]

T = TypeVar("T")

_CACHING = ("cache", "cache_ttl", "cache_namespace")
"""instructor's answer cache: the session consults it before it sends anything, and fills it after the gate."""


class CallMaker:
    """The settings and hooks of a client; makes its streams, sync or async."""

    def __init__(self, link: Link, settings: Settings, hooks: Hooks, instructor_hooks: InstructorHooks) -> None:
        self.link = link
        self.settings = settings
        self.hooks = hooks
        self.instructor_hooks = instructor_hooks
        self._hook_errors = HookErrors(settings.hook_errors)
        self._log = Hooks() if settings.log_transitions is None else Hooks(on_event=settings.log_transitions)
        check_repair(settings.repair, is_async=link.is_async)
        continuations_from(settings.on_truncated, settings.max_continuations)
        check_reader(settings.litellm_reader)
        if not link.is_async:
            hooks.refuse_coroutines()
            refuse_coroutines(instructor_hooks)

    # ------------------------------------------------------------------ one call

    def _call_hooks(self, kwargs: dict[str, Any]) -> tuple[Hooks, InstructorHooks]:
        """The hooks of one call: the client's and its own."""
        on_hooks = {name: kwargs.pop(name) for name in list(kwargs) if name.startswith("on_") and name in ON}
        refuse_unknown(kwargs)
        ours, theirs = split_hooks(kwargs.pop("hooks", None), on_hooks)
        if not self.link.is_async:
            ours.refuse_coroutines()
            refuse_coroutines(theirs)
        return self.hooks + ours + self._log, self.link.client.hooks + self.instructor_hooks + theirs

    def _session(
        self,
        make_shape: Callable[[Link], Shape] | None,
        messages: object,
        kwargs: dict[str, Any],
        *,
        on_bad: OnBadItem = "reask",
        for_create: bool = False,
    ) -> Session:
        """Build everything that one stream needs from a call's arguments; nothing is sent yet."""
        link = self.link.for_call(kwargs)
        link.check_streams()
        shape = None if make_shape is None else make_shape(link)
        if link.calls_in_parallel and (shape is None or shape.tools is None):
            raise ClientNotSupported(
                f"{link.mode.name} gives several tool calls: ask for Iterable[A | B], or use create_iterable(A | B)"
            )
        options = self._options(link, messages, kwargs)
        dispatch = Dispatch(options.hooks, self._hook_errors)
        wire = None if shape is None else shape.wire
        request = self._request(link, wire, messages, options, kwargs, for_create=for_create)
        retries = Retries(options.max_retries, is_async=link.is_async, timeout=request.kwargs.get("timeout"))
        if for_create:
            retries.none_allowed = False  # instructor's `create` wraps the error of a lone attempt, too
        source = (link.source or InstructorSource)(link, request, options.instructor_hooks, retries.max_attempts)
        gate, items = gate_for(shape, options, on_bad=on_bad)
        # the list is read until it is full; a longer one within an item is no fault
        within = options.limits if items is None else replace(options.limits, max_items=None)
        transitions = dispatch.transitions or counts_transitions(options.policy) or items is not None
        machine = StreamMachine(
            parser=None if shape is None else ParserMaker(shape, source, within, options.tags),
            policy=options.policy,
            limits=options.limits,
            timeouts=options.timeouts,
            deltas=dispatch.deltas,
            reasoning=dispatch.reasoning,
            tags=options.tags,
            transitions=transitions and shape is not None,
        )
        parts = Parts(
            machine=machine,
            source=source,
            gate=gate,
            dispatch=dispatch,
            retries=retries,
            clock=self.settings.clock or time.monotonic,
            stop_when=options.stop_when,
            items=items,
            repair=None if shape is None or shape.tools is not None else options.repair,  # for one document
            meter=link.meter,
            max_continuations=options.continuations,
        )
        return Session(parts)

    def _options(self, link: Link, messages: object, kwargs: dict[str, Any]) -> Options:
        """Take this package's options out of a call's arguments."""
        settings = self.settings
        continuations = continuations_from(
            kwargs.pop("on_truncated", settings.on_truncated),
            kwargs.pop("max_continuations", settings.max_continuations),
            messages,
        )
        if continuations and link.calls_in_parallel:
            raise StreamMisuse("on_truncated='continue': several tool calls cannot be continued as one text")
        hooks, instructor_hooks = self._call_hooks(kwargs)
        policy = policy_from(kwargs.pop("debounce", settings.debounce))
        check_policy(policy)
        repair = kwargs.pop("repair", settings.repair)
        check_repair(repair, is_async=link.is_async)
        kwargs.pop("stream", None)
        return Options(
            hooks=hooks,
            instructor_hooks=instructor_hooks,
            policy=policy,
            timeouts=kwargs.pop("timeouts", settings.timeouts),
            limits=kwargs.pop("limits", settings.limits) or Limits(),
            tags=tags_from(kwargs.pop("reasoning_tags", settings.reasoning_tags)),
            repair=repair,
            continuations=continuations,
            max_retries=kwargs.pop("max_retries", 3),
            strict=kwargs.pop("strict", True),
            context=kwargs.pop("context", None),
            stop_when=kwargs.pop("stop_when", None),
            checks=checks_from(kwargs.pop("final_checks", ()), is_async=link.is_async),
            token_budget=budget_from(kwargs.pop("token_budget", None)),
        )

    def _request(
        self, link: Link, wire: object, messages: object, options: Options, kwargs: dict[str, Any], *, for_create: bool
    ) -> Request:
        """Build the request from the remaining arguments."""
        kwargs = link.client.handle_kwargs(kwargs)
        caching = {name: kwargs.pop(name) for name in _CACHING if name in kwargs}
        link.check_call(kwargs)
        if options.limits.max_cost is not None:
            link.check_price(kwargs)
        return Request(
            wire=wire,
            messages=messages,
            strict=options.strict,
            context=options.context,
            token_budget=options.token_budget,
            usage=self.settings.usage,
            kwargs=kwargs,
            for_create=for_create,
            caching=caching,
            through_wrapper=self.settings.litellm_reader == "wrapper",
        )

    def partial_session(
        self, response_model: object, messages: object, kwargs: dict[str, Any], *, for_create: bool = False
    ) -> tuple[Session, Any]:
        """Build a stream of partials and its conversation; `for_create` gives it the errors that `create` raises."""
        reject_async_validators(response_model)
        messages = as_messages(messages, kwargs)

        def make_shape(link: Link) -> Shape:
            is_calls = link.calls_in_parallel and stream_kind(response_model) == "items"
            return (calls_shape if is_calls else shape_of)(response_model)

        return self._session(make_shape, messages, kwargs, for_create=for_create), messages

    def item_session(self, response_model: object, messages: object, kwargs: dict[str, Any]) -> tuple[Session, Any]:
        """Build a stream of items and its conversation."""
        reject_async_validators(response_model)
        messages = as_messages(messages, kwargs)
        on_bad = kwargs.pop("on_bad_item", "reask")

        def make_shape(link: Link) -> Shape:
            return (calls_shape if link.calls_in_parallel else item_shape)(response_model)

        return self._session(make_shape, messages, kwargs, on_bad=on_bad), messages

    def text_session(self, messages: object, kwargs: dict[str, Any]) -> tuple[Session, Any]:
        """Build a stream of plain text and its conversation."""
        messages = as_messages(messages, kwargs)
        return self._session(None, messages, {**kwargs, "max_retries": 0}), messages

    def plain_call(self, response_model: object, messages: object, kwargs: dict[str, Any]) -> PlainCall:
        """Build the call to instructor's own `create`, with types that it refuses adapted."""
        reject_async_validators(response_model)
        kwargs = without_ours(kwargs)
        messages = as_messages(messages, kwargs)
        _, theirs = split_hooks(kwargs.pop("hooks", None), {})
        link = self.link.for_call(kwargs)
        if stream_kind(response_model) == "items" and link.mode not in Mode.parallel_modes():
            item: Any = get_args(response_model)[0]
            # the same request; for Iterable the async client would stream in its own way
            response_model = list.__class_getitem__(item)
        shape = adapted(response_model)
        call = PlainCall(shape, link.client.create)
        hooks = self.instructor_hooks + theirs
        hooks.on("completion:response", call.keep)
        call.kwargs = {
            "response_model": response_model if shape is None else shape.wire,
            "messages": messages,
            "hooks": hooks,
            **kwargs,
        }
        return call

    def sdk_call(self, messages: object, kwargs: dict[str, Any]) -> Callable[[], Any]:
        """Build the call for the SDK's own stream, which this package does not read.

        Raises:
            StreamMisuse: An option was given that only this package's streams support.
        """
        given = [name for name in OF_STREAMS if kwargs.get(name)]
        if isinstance(kwargs.get("hooks"), Hooks):
            given += ["hooks"] if kwargs.pop("hooks") else []
        if given:
            raise StreamMisuse(
                f"without a response model create(stream=True) gives the SDK's own stream, which knows no "
                f"{', '.join(given)}; stream_text(...) does"
            )
        kwargs = without_ours(kwargs)
        messages = as_messages(messages, kwargs)
        return functools.partial(self.link.for_call(kwargs).client.create, None, messages, **kwargs)

    def streams_create(self, kwargs: dict[str, Any]) -> bool:
        """Return whether `create` has to stream: hooks listen, or an option needs it."""
        settings = self.settings
        if self.link.always_streams or self.hooks or self._log or isinstance(kwargs.get("hooks"), Hooks):
            return True
        if (settings.timeouts, settings.limits, settings.repair, settings.on_truncated) != (None, None, None, "raise"):
            return True  # instructor's own create knows none of these
        return any(kwargs.get(name) is not None for name in OF_STREAMS)
