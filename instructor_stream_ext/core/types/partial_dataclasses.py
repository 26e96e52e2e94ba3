"""Partials of dataclasses and named tuples."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from typing import Any

from instructor_stream_ext.core.types.partial_types import Restore, Shield, full_model

__all__ = ["dataclass_maker", "dataclass_shell", "named_tuple_shell"]


class _PartialDataclass(Shield):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if full_model(type(self)) is not full_model(type(other)):
            return NotImplemented
        try:
            return all(_same(self, other, name) for name in type(self).__dataclass_fields__)  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001  a value whose own comparison fails is not known to be equal
            return False

    __hash__ = None  # type: ignore[assignment]  # each class of partials has its model's

    def __reduce__(self) -> tuple[Any, ...]:
        names = (*type(self).__dataclass_fields__, "__arrived__")  # type: ignore[attr-defined]
        return type(self).__restore__, (
            full_model(type(self)),
            {n: getattr(self, n) for n in names if hasattr(self, n)},
        )


def _same(one: object, other: object, name: str) -> bool:
    missing = object()
    return bool(getattr(one, name, missing) == getattr(other, name, missing))


def dataclass_shell(model: type, restore: Restore) -> type:
    """Make the class of a dataclass's partials. Its instances note in `__arrived__` which fields have arrived."""
    namespace = {
        "__module__": model.__module__,
        "__qualname__": f"Partial{model.__qualname__.rpartition('.')[2]}",
        "__doc__": model.__doc__,
        "__full_model__": model,
        "__restore__": staticmethod(restore),
        "__hash__": model.__hash__,
        "__slots__": ("__arrived__",),
    }
    meta = type(model)
    make = ABCMeta.__new__ if issubclass(meta, ABCMeta) else type.__new__
    return make(meta, f"Partial{model.__name__}", (_PartialDataclass, model), namespace)


def dataclass_maker(cls: type) -> Callable[[Any, Any, Any, Any], Any]:
    """Return a function that builds partials of a dataclass, with or without slots, frozen or not."""
    new, put = object.__new__, object.__setattr__

    def make(fields: Any, fields_set: Any, _extra: Any, _private: Any) -> Any:
        made: Any = new(cls)
        for name, value in fields.items():
            put(made, name, value)
        put(made, "__arrived__", fields_set)
        return made

    return make


def named_tuple_shell(model: type) -> type:
    """Make the class of a named tuple's partials."""
    namespace = {"__module__": model.__module__, "__slots__": (), "__full_model__": model, "__doc__": model.__doc__}
    return type.__new__(type(model), f"Partial{model.__name__}", (model,), namespace)
