"""A partial as an HTML table, for notebooks, which call `_repr_html_` on any object."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from typing import Any

from pydantic import BaseModel

from instructor_stream_ext.core.members import members_of, unwrapped
from instructor_stream_ext.core.text import visible

__all__ = ["as_table"]

_LEFT = ' style="text-align: left"'
_AHEAD = '<span style="opacity: .5">…</span>'
"""Stands for what has not arrived yet."""


def as_table(value: object) -> str:
    """Render a partial as HTML: a row per field, and for a list of objects a table with a row per object."""
    value = unwrapped(value)
    members = members_of(value)
    if members is None:
        return _text(value)
    if isinstance(value, list | tuple | set | frozenset):
        return _list([unwrapped(member) for _, member in members])
    cells = _cells(value)
    rows = (f"<tr><th{_LEFT}>{_text(name)}</th><td{_LEFT}>{cells[name]}</td></tr>" for name in cells)
    return f"<table>{''.join(rows)}</table>"


def _list(values: list[Any]) -> str:
    rows = [_cells(value) for value in values if _is_object(value)]
    if not rows or len(rows) < len(values):
        return f"<ol>{''.join(f'<li>{as_table(value)}</li>' for value in values)}</ol>"
    columns = dict.fromkeys(name for row in rows for name in row)
    head = "".join(f"<th{_LEFT}>{_text(name)}</th>" for name in columns)
    body = ("".join(f"<td{_LEFT}>{row.get(name, _AHEAD)}</td>" for name in columns) for row in rows)
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


def _is_object(value: object) -> bool:
    return members_of(value) is not None and not isinstance(value, list | tuple | set | frozenset)


def _cells(value: object) -> dict[str, str]:
    """Return the members of an object as HTML, by name."""
    ahead = _ahead(value)
    members = members_of(value) or ()
    return {str(name): _AHEAD if name in ahead else as_table(member) for name, member in members}


def _ahead(value: Any) -> Collection[str]:
    """Return the fields of a partial that have not arrived."""
    if isinstance(value, BaseModel):
        return type(value).__pydantic_fields__.keys() - value.model_fields_set
    if hasattr(value, "__arrived__"):
        return [name for name in value.__dataclass_fields__ if name not in value.__arrived__]
    return ()


def _text(value: object) -> str:
    return escape(visible(str(getattr(value, "value", value))))
