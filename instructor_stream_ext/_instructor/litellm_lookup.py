"""litellm, imported on first use, and its lookup of the provider behind a model string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from instructor_stream_ext.core.errors import MissingExtra

__all__ = ["litellm_module", "looked_up"]


def litellm_module() -> Any:
    """Import litellm, which takes seconds.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import litellm
    except ImportError as error:
        raise MissingExtra("instructor_stream_ext.routing", "litellm") from error
    return litellm


def looked_up(model: str, arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Return the model's name without its prefix, and litellm's name of the provider; raises what litellm raises."""
    asked = {name: arguments.get(name) for name in ("custom_llm_provider", "api_base", "api_key")}
    name, provider, _, _ = litellm_module().get_llm_provider(model, **asked)
    return name, provider
