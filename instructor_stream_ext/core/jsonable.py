"""Partials, items and results as data that every JSON reader takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

__all__ = ["jsonable"]


def jsonable(value: object) -> Any:
    """Return a partial, an item or a result as JSON-ready data.

    Infinities and NaN become None: JSON has no word for them (RFC 8259, section 6), and a browser's parser stops at
    Python's. pydantic writes null for them in JSON text, but leaves them in the data of `model_dump(mode="json")`. A
    model with `ser_json_inf_nan="strings"` keeps its strings.

    Args:
        value: A model, a container of models, or plain data. What JSON cannot say becomes its `str`.
    """
    if isinstance(value, BaseModel):
        return _finite(_dumped(value))
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return _finite(to_jsonable_python(value, fallback=str))


def _dumped(model: BaseModel) -> Any:
    if model.model_config.get("ser_json_inf_nan") == "strings":
        return json.loads(model.model_dump_json())
    try:
        return model.model_dump(mode="json")
    except PydanticSerializationError:  # a value of a type that pydantic does not know, in a field of type Any
        return to_jsonable_python(model, fallback=str)


def _finite(data: Any) -> Any:
    """Return the data without infinities and NaN; containers are changed in place."""
    kind = type(data)
    if kind is dict:
        for key, member in data.items():
            if type(member) in _UNSURE:
                data[key] = _finite(member)
    elif kind is list:
        for place, member in enumerate(data):
            if type(member) in _UNSURE:
                data[place] = _finite(member)
    elif kind is float and not isfinite(data):
        return None
    return data


_UNSURE = frozenset({dict, list, float})
