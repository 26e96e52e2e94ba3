"""From a model string to instructor's mode: the one in which the provider's answer arrives piece by piece.

In tool mode the document is the arguments of a tool call. Some providers send those as they are written, others only
when they are whole; there the document has to be the answer's text, as JSON mode has it.
"""

from __future__ import annotations

from typing import NamedTuple

from instructor_stream_ext._instructor.facts import Mode
from instructor_stream_ext._instructor.litellm_lookup import litellm_module, looked_up
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.providers import LITELLM_MODES

__all__ = ["MODES", "Choice", "mode_for", "provider_of"]


class Choice(NamedTuple):
    """A mode, and the reason for it."""

    mode: Mode
    reason: str


MODES = {start: Choice(Mode[name], reason) for start, (name, reason) in sorted(LITELLM_MODES.items())}
"""litellm's provider, with the start of the model's name where that matters. The longest match counts."""


def mode_for(model: str, /, **arguments: object) -> Choice:
    """Return the mode in which a model streams.

    What the table does not know is asked of litellm. Text streams everywhere and tool arguments may not, so the order
    is: a JSON schema, JSON, tools, JSON asked for in words.

    Args:
        model: As litellm has it, such as "groq/llama-3.3-70b-versatile".
        arguments: litellm's, of which `custom_llm_provider`, `api_base` and `api_key` may tell the provider.

    Raises:
        StreamMisuse: litellm does not know the provider.
        MissingExtra: litellm is not installed.
    """
    name, provider = provider_of(model, **arguments)
    whole = f"{provider}/{name}"
    fitting = [start for start in MODES if whole.startswith(start if "/" in start else start + "/")]
    if fitting:
        return MODES[max(fitting, key=len)]
    return _asked(name, provider)


def _asked(name: str, provider: str) -> Choice:
    """Return the mode for a provider that is not in the table."""
    litellm = litellm_module()
    known = litellm.get_supported_openai_params(model=name, custom_llm_provider=provider) or []
    if "response_format" in known:
        if litellm.supports_response_schema(model=name, custom_llm_provider=provider):
            return Choice(Mode.JSON_SCHEMA, "litellm says that it follows a JSON schema")
        return Choice(Mode.JSON, "litellm says that it takes a response_format")
    if "tools" in known:
        return Choice(Mode.TOOLS, "litellm says that it takes tools, but no response_format")
    return Choice(Mode.MD_JSON, "litellm says that it takes neither a response_format nor tools")


def provider_of(model: str, /, **arguments: object) -> tuple[str, str]:
    """Return the model's name without its prefix, and litellm's name of its provider.

    Args:
        model: As litellm has it.
        arguments: As in `mode_for`.

    Raises:
        StreamMisuse: litellm does not know the provider.
        MissingExtra: litellm is not installed.
    """
    litellm = litellm_module()
    if not isinstance(model, str) or not model.strip():  # type: ignore[redundant-expr]
        raise StreamMisuse(f"a model is text such as 'openai/gpt-4o-mini', not {model!r}")
    try:
        return looked_up(model, arguments)
    except litellm.BadRequestError as error:
        raise StreamMisuse(f"litellm does not know whose model {model!r} is: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Return litellm's reason on one line."""
    return " ".join(str(error).split())
