"""A partial as a table, for notebooks, which ask any object for `_repr_html_`."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from typing import Any, NamedTuple

from pydantic import BaseModel

from instructor_stream_ext.core.text import visible

__all__ = ["as_table"]

_LEFT = ' style="text-align: left"'
_AHEAD = '<span style="opacity: .5">…</span>'
"""Stands for what has not come yet."""


def as_table(partial: Any) -> str:
    """Write a partial as HTML: a row for each field, and for a list of objects a table with a row for each."""
    return _html(partial)


class _Object(NamedTuple):
    members: dict[str, Any]
    arrived: Collection[str]


def _html(value: Any) -> str:
    if isinstance(value, BaseModel) and type(value).__pydantic_root_model__:
        return _html(value.__dict__.get("root"))
    found = _object(value)
    if found is not None:
        rows = (f"<tr><th{_LEFT}>{_text(name)}</th><td{_LEFT}>{_cell(found, name)}</td></tr>" for name in found.members)
        return f"<table>{''.join(rows)}</table>"
    if isinstance(value, list | tuple | set | frozenset):
        return _list(list(value))
    return _text(value)


def _list(values: list[Any]) -> str:
    objects = [found for value in values if (found := _object(value)) is not None]
    if not objects or len(objects) < len(values):
        return f"<ol>{''.join(f'<li>{_html(value)}</li>' for value in values)}</ol>"
    columns = dict.fromkeys(name for one in objects for name in one.members)
    head = "".join(f"<th{_LEFT}>{_text(name)}</th>" for name in columns)
    rows = ("".join(f"<td{_LEFT}>{_cell(one, name)}</td>" for name in columns) for one in objects)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _cell(one: _Object, name: str) -> str:
    return _html(one.members[name]) if name in one.members and name in one.arrived else _AHEAD


def _object(value: Any) -> _Object | None:
    """Return the members of an object and which of them have come; None if it is no object."""
    if isinstance(value, BaseModel):
        members = {**value.__dict__, **(value.__pydantic_extra__ or {})}
        fields = type(value).__pydantic_fields__
        return _Object(members, {name for name in members if name not in fields or name in value.model_fields_set})
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        members = {name: getattr(value, name, None) for name in value.__dataclass_fields__}
        return _Object(members, getattr(value, "__arrived__", members))
    if isinstance(value, dict):
        return _Object({str(key): member for key, member in value.items()}, [str(key) for key in value])
    return None


def _text(value: Any) -> str:
    return escape(visible(str(getattr(value, "value", value))))
