"""What `route` needs from litellm's Router and its versions, oldest to newest, do in different ways."""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from typing import Any

from instructor_stream_ext._instructor.litellm_lookup import litellm_module

__all__ = ["deployments_of", "failed_deployment", "made_router", "router_arguments"]

_FAILED = "failed_deployment_id"
"""Where an error that the Router raised holds its deployment's id. Later versions use the name themselves."""


def made_router(model_list: list[dict[str, Any]], settings: dict[str, Any]) -> Any:
    """Make a Router that returns each stream as it is, even where it breaks.

    Args:
        model_list: Its deployments.
        settings: Its other arguments.
    """
    # From 1.104 on it does so by itself, and its stream shows its connection from the start. From 1.108 on its wrapper
    # brings the first chunk, which would be lost without it; from 1.110 on it cannot be subclassed.
    router_class = litellm_module().Router if _version() >= (1, 104) else _plain_router()
    return router_class(model_list=model_list, **settings)


def router_arguments() -> set[str]:
    """Return the names of the Router's own arguments."""
    return set(inspect.signature(litellm_module().Router).parameters)


def deployments_of(router: Any, name: str) -> dict[str, dict[str, Any]]:
    """Return litellm's arguments of each deployment of a model, by id."""
    # 1.109 warns of `get_model_list`
    listed = router.registry().deployments(name) if _version() >= (1, 109) else router.get_model_list(name)
    return {each["model_info"]["id"]: each["litellm_params"] for each in listed}


def failed_deployment(error: Exception) -> str | None:
    """Return the id of the deployment that one of the Router's errors came from, if known."""
    return getattr(error, _FAILED, None)


def _version() -> tuple[int, int]:
    major, minor, *_ = importlib.metadata.version("litellm").split(".")
    return int(major), int(minor)


@functools.cache
def _plain_router() -> Any:
    """Return the Router of litellm before 1.104 without its own wrapper around streams.

    That catches what breaks a stream and asks again, with the text so far as a text to continue, and what then comes is
    handed out as if it were the same answer (1.83). Where it no longer does (1.100), a stream of sync code is still
    behind a generator, through which nobody who keeps the time sees the connection before the first chunk.
    """
    Router = litellm_module().Router  # noqa: N806

    class PlainRouter(Router):  # type: ignore[misc, valid-type]
        def completion(self, model: str, messages: object, **kwargs: object) -> Any:
            if kwargs.get("num_retries", self.num_retries):
                return super().completion(model, messages, **kwargs)
            # without retries there is nothing to be done in the event loop that it would run, within a running one in
            # another thread, where nobody who keeps the time could reach the connection
            kwargs.pop("disable_fallbacks", None)
            self._update_kwargs_before_fallbacks(model=model, kwargs=kwargs)
            return self._completion(model=model, messages=messages, **kwargs)

        def _completion_streaming_iterator(self, model_response: object, *_: object, **__: object) -> Any:
            return model_response

        async def _acompletion_streaming_iterator(
            self, model_response: Any, *_: Any, deployment_slot: Any = None, **__: Any
        ) -> Any:
            if deployment_slot is not None:
                # from 1.101 on: what counts towards `max_parallel_requests`, until now given back at this point
                await deployment_slot.aclose()
            return model_response

        def _set_deployment_num_retries_on_exception(self, exception: Exception, deployment: Any) -> None:
            # called for each error of a deployment; no number of retries is wanted from it
            setattr(exception, _FAILED, deployment["model_info"]["id"])

    return PlainRouter
