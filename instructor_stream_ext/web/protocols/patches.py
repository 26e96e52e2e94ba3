"""The way from one JSON value to the next, as RFC 6902 has it: only what a growing document needs, in one walk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Place", "patch", "pointer"]

Place = tuple[str | int, ...]


def patch(before: Any, after: Any) -> list[dict[str, Any]]:
    """The operations that make `after` of `before`: `add`, `replace` and `remove`.

    Source: RFC 6902, sections 4.1 to 4.3.
    """
    return [_operation(*change) for change in changes(before, after, ())]


def changes(before: Any, after: Any, place: Place) -> Iterator[tuple[str, Place, Any]]:
    """What differs, from the outside in, in an order in which it can be applied."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() - after.keys():
            yield "remove", (*place, key), None
        for key, value in after.items():
            if key not in before:
                yield "add", (*place, key), value
            else:
                yield from changes(before[key], value, (*place, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(len(before) - 1, len(after) - 1, -1):
            yield "remove", (*place, index), None
        for index, value in enumerate(after):
            if index >= len(before):
                yield "add", (*place, index), value
            else:
                yield from changes(before[index], value, (*place, index))
    elif not _is_same(before, after):
        yield "replace", place, after


def _is_same(before: Any, after: Any) -> bool:
    """Whether two values are the same JSON: True is not 1, and 1 is not 1.0."""
    return type(before) is type(after) and bool(before == after)


def _operation(name: str, place: Place, value: Any) -> dict[str, Any]:
    path = pointer(place)
    return {"op": name, "path": path} if name == "remove" else {"op": name, "path": path, "value": value}


def pointer(place: Place) -> str:
    """A place as a JSON Pointer. Source: RFC 6901, section 3."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place)
