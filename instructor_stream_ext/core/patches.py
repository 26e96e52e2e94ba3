"""The difference between two JSON values as RFC 6902 operations, as far as growing documents need them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Change", "Place", "changes", "patch", "pointer"]

Place: TypeAlias = tuple[str | int, ...]


class Change(NamedTuple):
    """One difference between two JSON values.

    Attributes:
        kind: "add", "replace" or "remove".
        place: Where.
        value: What is there now; None for what is removed.
        before: What a replaced value was.
    """

    kind: str
    place: Place
    value: Any = None
    before: Any = None

    @property
    def grown(self) -> str | None:
        """The text that was appended; None if the change is not the growth of a text."""
        if isinstance(self.before, str) and isinstance(self.value, str) and self.value.startswith(self.before):
            return self.value[len(self.before) :]
        return None


def patch(before: object, after: object) -> list[dict[str, Any]]:
    """Return the operations that turn `before` into `after`. Source: RFC 6902, sections 4.1 to 4.3."""
    return [_operation(change) for change in changes(before, after)]


def changes(before: object, after: object, place: Place = ()) -> Iterator[Change]:
    """Yield the differences in an order in which they can be applied."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before.keys() - after.keys():
            yield Change("remove", (*place, key))
        for key, value in after.items():
            if key not in before:
                yield Change("add", (*place, key), value)
            else:
                yield from changes(before[key], value, (*place, key))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(len(before) - 1, len(after) - 1, -1):
            yield Change("remove", (*place, index))
        for index, value in enumerate(after):
            if index >= len(before):
                yield Change("add", (*place, index), value)
            else:
                yield from changes(before[index], value, (*place, index))
    elif not _is_same(before, after):
        yield Change("replace", place, after, before)


def _is_same(before: object, after: object) -> bool:
    """Return whether two values are the same JSON: True is not 1, and 1 is not 1.0."""
    return type(before) is type(after) and bool(before == after)


def _operation(change: Change) -> dict[str, Any]:
    operation: dict[str, Any] = {"op": change.kind, "path": pointer(change.place)}
    return operation if change.kind == "remove" else operation | {"value": change.value}


def pointer(place: Place) -> str:
    """Return a place as a JSON Pointer. Source: RFC 6901, section 3."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place)
