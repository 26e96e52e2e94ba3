"""The members of containers of any kind, for code that displays them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from instructor_stream_ext.core.markers import Streamed

__all__ = ["members_of", "unwrapped"]


def unwrapped(value: object) -> Any:
    """Return the value within a `Streamed` or a root model, or the value itself."""
    if isinstance(value, Streamed):
        return unwrapped(value.value)
    if isinstance(value, BaseModel) and type(value).__pydantic_root_model__:
        return unwrapped(value.__dict__.get("root"))
    return value


def members_of(value: object) -> list[tuple[Any, Any]] | None:
    """Return the members of a container by name, key or index; None if it is not a container."""
    value = unwrapped(value)
    if isinstance(value, BaseModel):
        return [*value.__dict__.items(), *(value.__pydantic_extra__ or {}).items()]
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return [(name, getattr(value, name, None)) for name in value.__dataclass_fields__]
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(enumerate(value))
    return None
