"""Values without what must not be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from instructor_stream_ext.core.markers import Streamed

__all__ = ["HIDDEN", "redacted"]

HIDDEN = "**********"
"""What stands in place of a value that is not told, as in pydantic."""


def redacted(value: object, names: Collection[str] = ()) -> Any:
    """Return a value as plain data, with secrets hidden.

    Args:
        value: A model, a container, or anything else, which is returned itself.
        names: Fields whose values are hidden as well, wherever they stand.
    """
    if isinstance(value, (SecretStr, SecretBytes)):
        return HIDDEN
    if isinstance(value, Streamed):
        return redacted(value.value, names)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redacted(member, names) for member in value]
    held = _held(value)
    if held is None:
        return value
    return {str(name): HIDDEN if name in names else redacted(member, names) for name, member in held.items()}


def _held(value: object) -> Mapping[Any, Any] | None:
    """Return the members of an object by name; None for a plain value."""
    if isinstance(value, BaseModel):
        return {**value.__dict__, **(value.__pydantic_extra__ or {})}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    return value if isinstance(value, Mapping) else None
