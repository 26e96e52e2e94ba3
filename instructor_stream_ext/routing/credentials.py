"""Credentials of a model, checked before anything is sent."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext._instructor.litellm_lookup import litellm_module
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.routing.modes import provider_of

__all__ = ["check_credentials"]

_BY_KEY_ALONE = frozenset({"anthropic", "deepseek", "gemini", "groq", "mistral", "openai", "xai"})
"""Providers whose only credential is a key under a name that litellm checks. Others may use a login, a role, a metadata
server or further names; their calls report what is missing.

The others may have theirs from a login, a role, a metadata server or under further names; their calls say so
themselves.
"""
_OTHER_WAYS = ("api_key", "client", "extra_headers", "headers", "litellm_credential_name", "mock_response")


def check_credentials(model: str, arguments: dict[str, Any]) -> None:
    """Check that litellm will find a key for a model, where that can be known.

    Args:
        model: As litellm has it.
        arguments: What the call will be made with.

    Raises:
        StreamMisuse: There is no key, or litellm does not know the provider.
    """
    litellm = litellm_module()
    _, provider = provider_of(model, **arguments)
    if provider not in _BY_KEY_ALONE or any(arguments.get(name) for name in _OTHER_WAYS):
        return
    if litellm.api_key or getattr(litellm, f"{provider}_key", None) or litellm.secret_manager_client:
        return
    missing = litellm.validate_environment(model, api_key=None)["missing_keys"]
    if missing:
        raise StreamMisuse(
            f"{model} has no credentials: litellm does not find {' or '.join(missing)} in the environment, "
            f"and no api_key was given"
        )
