"""Whether something has to see every chunk of litellm's wrapper: a callback, a rule, or the wrapper itself."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["is_watched"]

_PER_CHUNK = ("log_stream_event", "async_log_stream_event", "logging_hook", "async_logging_hook")
_CACHE = "cache"
"""litellm's own cache callback, which takes whole answers; the first request to Gemini registers it."""
_CHANGES = "async_post_call_streaming_deployment_hook"
_REWRITTEN = ("cached_response", "sagemaker")
"""litellm's names of providers whose text the wrapper changes or makes up."""


def is_watched(litellm: Any, wrapper: Any, *, is_async: bool) -> bool:
    """Return whether the wrapper or a callback acts on every chunk."""
    constants = sys.modules.get("litellm.constants")
    return bool(
        wrapper.custom_llm_provider in _REWRITTEN
        or getattr(wrapper, "merge_reasoning_content_in_choices", False)
        or litellm.post_call_rules
        or getattr(constants, "LITELLM_MAX_STREAMING_DURATION_SECONDS", None) is not None
        or any(_sees_chunks(litellm, callback, is_async=is_async) for callback in _callbacks(litellm, wrapper))
    )


def _callbacks(litellm: Any, wrapper: Any) -> list[Any]:
    """Return everything that litellm may call when this answer succeeds."""
    log = wrapper.logging_obj
    own = [getattr(log, f"dynamic_{name}", None) or () for name in ("success_callbacks", "async_success_callbacks")]
    everybodys = litellm.callbacks, litellm.success_callback, litellm._async_success_callback  # noqa: SLF001
    return [callback for some in (*everybodys, *own) for callback in some]


def _sees_chunks(litellm: Any, callback: Any, *, is_async: bool) -> bool:
    """Return whether a callback sees or changes chunks; True for one whose code is not known."""
    logger = _custom_logger(litellm)
    if logger is not None and isinstance(callback, logger):
        names = (_CHANGES,) if is_async else _PER_CHUNK
        return any(getattr(type(callback), name, None) is not getattr(logger, name, None) for name in names)
    # with `acompletion`, litellm calls functions and its own integrations at the end only
    return not is_async and callback != _CACHE


def _custom_logger(litellm: Any) -> Any:
    module = sys.modules.get(f"{litellm.__name__}.integrations.custom_logger")
    return getattr(module, "CustomLogger", None)
