"""The models of a route: which is asked next, when one fails, and where its answer comes from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from instructor_stream_ext._instructor.connection import InstructorConnection
from instructor_stream_ext._instructor.facts import InstructorHooks, Mode, over_litellm
from instructor_stream_ext._instructor.link import Link, LitellmLink
from instructor_stream_ext._instructor.litellm_lookup import litellm_module
from instructor_stream_ext._instructor.request import Request
from instructor_stream_ext._instructor.source import InstructorSource
from instructor_stream_ext.core.errors import (
    InvalidJSON,
    NoOutput,
    OutputTruncated,
    RetriesExhausted,
    StreamInterrupted,
    StreamMisuse,
    StreamTimeout,
)
from instructor_stream_ext.providers.reader import Reader
from instructor_stream_ext.routing.credentials import check_credentials
from instructor_stream_ext.routing.modes import mode_for
from instructor_stream_ext.routing.router import deployments_of, failed_deployment, made_router, router_arguments
from instructor_stream_ext.session.protocols import Recovery

__all__ = ["FallbackOn", "Policy", "RouteLink", "Station", "all_cool_down", "entries_of"]

FallbackOn: TypeAlias = type[Exception] | Callable[[Exception], bool]
"""A class of errors, or a function that decides for an error whether another model is asked."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When to ask another model."""

    kinds: tuple[FallbackOn, ...]
    most: int | None

    def wants(self, error: Exception) -> bool:
        """Return whether to ask another model after this error."""
        if isinstance(error, StreamTimeout) and error.kind == "total":
            return False
        if isinstance(error, (NoOutput, InvalidJSON)) and RetriesExhausted in self.kinds:
            return True  # what stands for it with max_retries=0
        return any(isinstance(error, kind) if isinstance(kind, type) else kind(error) for kind in self.kinds)


class Entry(NamedTuple):
    """One deployment, as `models` has it."""

    name: str
    params: dict[str, Any]
    info: dict[str, Any]


def entries_of(models: Sequence[str | Mapping[str, Any]]) -> list[Entry]:
    """Return the deployments of `models`; raise `StreamMisuse` for what names none."""
    if isinstance(models, (str, Mapping)) or not models:
        raise StreamMisuse(f"route() needs a list of at least one model, not {models!r}")
    entries = []
    for given in models:
        if not isinstance(given, (str, Mapping)):
            raise StreamMisuse(f"a model of a route is text or a mapping of litellm's arguments, not {given!r}")
        params: dict[str, Any] = {"model": given} if isinstance(given, str) else dict(given)
        name, info = params.pop("model_name", None), params.pop("model_info", {})
        params = dict(params.get("litellm_params", params))
        if not params.get("model"):
            raise StreamMisuse(f"a model of a route has no 'model': {sorted(params)}")
        entries.append(Entry(name or params["model"], params, dict(info)))
    return entries


class Station(NamedTuple):
    """One model of a route.

    Attributes:
        name: The model's name in the Router.
        link: instructor's client in this model's mode.
        params: litellm's arguments of each of its deployments, by the Router's id.
    """

    name: str
    link: Link
    params: dict[str, dict[str, Any]]


class RouteLink(LitellmLink):
    """The models of a route over one litellm Router.

    Args:
        router: The Router.
        stations: The models in order of preference.
        policy: When to go on to the next.
    """

    always_streams = True

    @property
    def source(self) -> Any:  # type: ignore[override]
        """Makes attempts that go from model to model."""
        return RouteSource

    def __init__(self, router: Any, stations: list[Station], policy: Policy) -> None:
        super().__init__(stations[0].link.client)
        self.router = router
        self.stations = stations
        self.policy = policy

    @classmethod
    def made(
        cls, entries: list[Entry], policy: Policy, mode: Mode | None, arguments: dict[str, Any], *, is_async: bool
    ) -> RouteLink:
        """Build the route for these models. `arguments` are the Router's and, for all models, litellm's."""
        routers = router_arguments() - {"timeout"}
        for name in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks"):
            if name in arguments:
                raise StreamMisuse(f"{name}: the models of a route are its fallbacks, in their order")
        for name in ("model", "model_list", "model_name"):
            if name in arguments:
                raise StreamMisuse(f"{name}: the models of a route are its first argument")
        for name in ("messages", "response_model", "stream"):
            if name in arguments:
                raise StreamMisuse(f"{name} is an argument of a call, not of route")
        settings = {"num_retries": 0} | {name: value for name, value in arguments.items() if name in routers}
        common = {name: value for name, value in arguments.items() if name not in routers}
        modes: dict[str, Mode] = {}
        listed = []
        for entry in entries:
            # a `num_retries` of a deployment would stand above that of the Router
            params = {"max_retries": 0} | common | entry.params
            modes.setdefault(entry.name, mode or mode_for(params["model"], **params).mode)
            listed.append({"model_name": entry.name, "litellm_params": params, "model_info": entry.info})
        router = made_router(listed, settings)
        function = functools.partial(router.acompletion if is_async else router.completion, disable_fallbacks=True)
        links = {
            # the model is named for calls that pass the stream by: `create(None, stream=True)` gives litellm's own
            name: LitellmLink(over_litellm(function, each, is_async=is_async, model=name))
            for name, each in modes.items()
        }
        stations = [Station(name, link, deployments_of(router, name)) for name, link in links.items()]
        return cls(router, stations, policy)

    def for_call(self, kwargs: dict[str, Any]) -> Link:
        """Return this route; a model that the call names comes first.

        Raises:
            StreamMisuse: The route has no such model, or litellm finds no credentials for one of its models.
        """
        for station in self.stations:
            for params in station.params.values():
                check_credentials(params["model"], {**params, **kwargs})
        named = kwargs.pop("model", None)
        if named is None:
            return self
        first = [station for station in self.stations if station.name == named]
        if not first:
            names = ", ".join(station.name for station in self.stations)
            raise StreamMisuse(f"the route has no model {named!r}; it has {names}")
        rest = [station for station in self.stations if station.name != named]
        return RouteLink(self.router, first + rest, self.policy)

    def check_call(self, kwargs: dict[str, Any]) -> None:
        """Do nothing: the route's models have names."""

    def check_price(self, kwargs: dict[str, Any]) -> None:
        """Check that `max_cost` can be enforced for each deployment of the first model."""
        for params in self.stations[0].params.values():
            asked = {**params, **kwargs}
            model = asked.get("base_model") or params["model"]
            if not self.meter.knows(model, None, asked):
                raise StreamMisuse(
                    f"max_cost cannot be enforced: litellm's price list has no {model!r}; register its price, or "
                    f"use Limits(max_output_tokens=...)"
                )


class RouteSource(InstructorSource):
    """The attempts of one stream, from model to model.

    Args:
        route: The models.
        request: The call.
        hooks: instructor's own hooks.
        max_attempts: For the hooks' metadata; None if unknown.
    """

    def __init__(self, route: RouteLink, request: Request, hooks: InstructorHooks, max_attempts: int | None) -> None:
        self._route = route
        self._ahead = list(route.stations)
        self._station = self._ahead.pop(0)
        self._tried: list[str] = []
        self._deployment: str | None = None
        self._reader: Reader | None = None
        self._fallbacks = 0
        self._failures: list[str] = []
        super().__init__(self._station.link, _to(request, self._station.name), hooks, max_attempts)

    def _connected(self, answer: Any) -> InstructorConnection:
        connection = super()._connected(answer)
        self._reader = connection.reader
        params = self._station.params
        told = getattr(connection.chunks, "_hidden_params", {}).get("model_id")
        self._deployment = told if told in params else next(iter(params)) if len(params) == 1 else None
        used = params.get(self._deployment or "", next(iter(params.values())))
        connection.sent = {**connection.sent, **used}
        connection.model = self._station.name
        connection.provider = used["model"].partition("/")[0]
        return connection

    def recover(self, error: Exception) -> Recovery | None:
        """Move on to the next deployment or model, if the policy allows it and there is one."""
        policy = self._route.policy
        failed = self._station.name
        self._tell_router(error)
        may = policy.wants(error) and (policy.most is None or self._fallbacks < policy.most)
        address = self._next_address(error) if may else None
        if address is None:
            for note in self._failures:
                error.add_note(note)
            return None
        self._fallbacks += 1
        self._failures.append(f"before that, {failed} failed: {type(error).__name__}: {error}")
        self._begin_anew(self._station.link, _to(self._request, address))
        self._deployment = self._reader = None
        return Recovery(failed, self._station.name)

    def _next_address(self, error: Exception) -> str | None:
        """Choose what to ask the Router for next: another deployment of the same model, or the next model."""
        self._tried.append(self._deployment or failed_deployment(error) or "")
        if len(self._tried) < len(self._station.params) and not all_cool_down(error):
            other = self._other_deployment()
            if other is not None:
                return other
        if not self._ahead:
            return None
        self._station = self._ahead.pop(0)
        self._tried = []
        return self._station.name

    def _other_deployment(self) -> str | None:
        """Return an untried deployment, by the Router's choice if a few draws find one; None if there is none."""
        untried = [each for each in self._station.params if each not in self._tried]
        for _ in range(2 * len(self._station.params)):
            try:
                drawn = self._route.router.get_available_deployment(self._station.name, request_kwargs={})
            except ValueError:  # all cool down
                return None
            if drawn["model_info"]["id"] in untried:
                return str(drawn["model_info"]["id"])
        return untried[0]

    def _tell_router(self, error: Exception) -> None:
        """Make the Router count a failure that litellm took for a normal end, or never saw."""
        just_stopped = isinstance(error, OutputTruncated) and self._reader is not None and self._reader.end is None
        if self._deployment is None or not (just_stopped or isinstance(error, (StreamInterrupted, StreamTimeout))):
            return
        cause = error.__cause__
        if hasattr(cause, "status_code") and "APIConnectionError" not in str(cause):
            return  # litellm has told the Router, which counts all but broken connections
        litellm = litellm_module()
        model = self._station.params[self._deployment]["model"]
        # said in our words: an error whose text names an APIConnectionError is one that the Router does not count
        seen = litellm.ServiceUnavailableError(type(error).__name__, llm_provider=model.partition("/")[0], model=model)
        about = {"exception": seen, "litellm_params": {"model_info": {"id": self._deployment}}}
        self._route.router.deployment_callback_on_failure(about, None, None, None)


def _to(request: Request, address: str) -> Request:
    return request._replace(kwargs={**request.kwargs, "model": address})


def all_cool_down(error: Exception) -> bool:
    """Return whether the Router currently avoids all deployments of a model."""
    return type(error).__name__ in ("RouterRateLimitError", "RouterRateLimitErrorBasic")
