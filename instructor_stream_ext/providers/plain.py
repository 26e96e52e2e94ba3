"""SDK objects as plain data, and the message of an error among the events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

__all__ = ["error_in", "insides", "message_of", "namespace", "object_of", "plain", "with_extra"]


def object_of(text: str) -> Any:
    """Return arguments as an object: cut ones lose their unfinished end, broken ones give {}."""
    from pydantic_core import from_json

    try:
        return from_json(text or "{}", allow_partial="trailing-strings")
    except ValueError:
        return {}


def insides(thing: object) -> dict[str, Any]:
    """Return the attributes of an SDK object; a mapping is returned itself."""
    return thing if thing.__class__ is dict else thing.__dict__


def with_extra(thing: object) -> dict[str, Any]:
    """Return the attributes of an SDK object, including those that its type does not know."""
    extra = getattr(thing, "__pydantic_extra__", None)
    return {**thing.__dict__, **extra} if extra else insides(thing)


def namespace(value: object) -> Any:
    """Convert mappings to objects with attributes, recursively."""
    if isinstance(value, dict):
        return SimpleNamespace(**{str(key): namespace(item) for key, item in value.items()})
    if isinstance(value, list):
        return [namespace(item) for item in value]
    return value


def plain(value: object) -> Any:
    """Convert an SDK object to plain data, recursively."""
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True, warnings=False)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, SimpleNamespace):
        return plain(vars(value))
    return value


def error_in(fields: dict[str, Any]) -> str | None:
    """Return the message of an event that is an error and nothing else, in any envelope; None for others.

    Servers put it under `error`, as OpenAI does; send the error itself (`{"object": "error", "message": ...}`, vLLM and
    FastChat); or what their web framework makes of an exception (`{"detail": ...}`, FastAPI).
    """
    if error := fields.get("error"):
        return message_of(error)
    if "error" in (fields.get("object"), fields.get("type")):
        return message_of(fields)
    message = fields.get("message")  # Anthropic's events have an object under this name
    said = fields.get("detail") or fields.get("errors") or (message if isinstance(message, str) else None)
    return message_of(said) if said else None


def message_of(error: object) -> str:
    """Return the message of a provider's error object."""
    said = plain(error)
    if isinstance(said, dict):
        return str(said.get("message") or said.get("code") or said)
    return str(said)
