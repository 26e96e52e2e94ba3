"""`from_litellm`: a wrapped client for a model string."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Literal, cast, overload

from instructor_stream_ext._instructor.facts import Mode, over_litellm
from instructor_stream_ext._instructor.link import Link, LitellmLink
from instructor_stream_ext._instructor.litellm_lookup import litellm_module
from instructor_stream_ext.client.aio import AsyncStreamClient
from instructor_stream_ext.client.sync import StreamClient
from instructor_stream_ext.client.wrap import wrap
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.routing.credentials import check_credentials
from instructor_stream_ext.routing.modes import mode_for, provider_of

__all__ = ["ModelLink", "from_litellm", "split_arguments", "wrap_link"]

RETRIES = ("max_retries", "num_retries")
"""litellm's own retries: in the SDK below it, and around the call. Off unless asked for, so that attempts stay visible.
"""


@overload
def from_litellm(
    model: str, *, mode: Mode | None = None, async_client: Literal[True], **wrap_arguments: object
) -> AsyncStreamClient: ...


@overload
def from_litellm(
    model: str,
    *,
    mode: Mode | None = None,
    async_client: Literal[False] = False,
    **wrap_arguments: object,
) -> StreamClient: ...


@overload
def from_litellm(
    model: str, *, mode: Mode | None = None, async_client: bool = False, **wrap_arguments: object
) -> StreamClient | AsyncStreamClient: ...


def from_litellm(
    model: str, *, mode: Mode | None = None, async_client: bool = False, **wrap_arguments: object
) -> StreamClient | AsyncStreamClient:
    """Return a wrapped client for one of litellm's model strings.

    A call may name another model; where `mode` is None, each model gets the mode in which it streams.

    Args:
        model: Such as "anthropic/claude-3-5-haiku-latest".
        mode: instructor's; None for the one in which the model streams (`mode_for` says which, and why).
        async_client: Whether the client is async.
        wrap_arguments: Those of `wrap`; all others are litellm's and go with each call: `api_key`, `api_base`,
            `timeout`, `num_retries` and so on.

    Raises:
        StreamMisuse: litellm does not know whose model it is.
        MissingExtra: litellm is not installed.
    """
    ours, theirs = split_arguments(wrap_arguments)
    return wrap_link(ModelLink(model, mode, theirs, is_async=async_client), ours)


def wrap_link(link: Link, ours: dict[str, Any]) -> StreamClient | AsyncStreamClient:
    """Wrap a link that is already made."""
    client: StreamClient | AsyncStreamClient = wrap(cast("Any", link), **ours)
    return client


def split_arguments(arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the arguments of `wrap` from all others."""
    own = {
        name
        for name, parameter in inspect.signature(wrap).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    ours = {name: value for name, value in arguments.items() if name in own or name.startswith("on_")}
    return ours, {name: value for name, value in arguments.items() if name not in ours}


class ModelLink(LitellmLink):
    """One model string, and those that calls name instead.

    Args:
        model: The model, where a call names none.
        mode: For all models; None for the one in which each streams.
        arguments: litellm's, for each call.
        is_async: Whether calls are awaited.
    """

    def __init__(self, model: str, mode: Mode | None, arguments: dict[str, Any], *, is_async: bool) -> None:
        litellm = litellm_module()
        for name in ("messages", "response_model", "stream"):
            if name in arguments:
                raise StreamMisuse(f"{name} is an argument of a call, not of from_litellm")
        self._model = model
        self._given_mode = mode
        self._arguments = arguments
        _, self._provider = provider_of(model, **arguments)
        defaults = dict(arguments)
        retries = {name: defaults.pop(name, 0) for name in RETRIES}
        self._function = functools.partial(litellm.acompletion if is_async else litellm.completion, **retries)
        self._defaults = {"model": model, **defaults}
        chosen = mode or mode_for(model, **arguments).mode
        super().__init__(over_litellm(self._function, chosen, is_async=is_async, **self._defaults))
        self._by_mode: dict[Mode, Link] = {chosen: self}

    def for_call(self, kwargs: dict[str, Any]) -> Link:
        """Return the link in the mode of the model that the call names.

        Raises:
            StreamMisuse: litellm does not know whose model it is, or finds no credentials for it.
        """
        model = kwargs.get("model") or self._model
        if model != self._model:
            self._keep_the_key(model, kwargs)
        arguments = {**self._arguments, **kwargs}
        check_credentials(model, arguments)
        mode = self._given_mode or mode_for(model, **arguments).mode
        if mode not in self._by_mode:
            client = over_litellm(self._function, mode, is_async=self.is_async, **self._defaults)
            self._by_mode[mode] = LitellmLink(client)
        return self._by_mode[mode]

    def _keep_the_key(self, model: str, kwargs: dict[str, Any]) -> None:
        """Do not send a key for one provider to another; with an `api_base` it belongs to that server."""
        is_elsewhere = not (self._arguments.get("api_base") or self._arguments.get("base_url"))
        if is_elsewhere and provider_of(model, **kwargs)[1] != self._provider:
            kwargs.setdefault("api_key", None)
