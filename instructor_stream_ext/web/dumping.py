"""Events as JSON-ready ones, and as the bytes that a relay keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

__all__ = ["jsonable"]


def jsonable(value: Any) -> Any:
    """A partial, an item or a result as JSON-ready data; never raises for what a partial lacks."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and value != value:  # noqa: PLR0124  NaN, which JSON has not
        return None
    made = to_jsonable_python(value, fallback=str, inf_nan_mode="null")
    return json.loads(json.dumps(made)) if isinstance(made, Mapping | list) else made
