"""Annotations: what surrounds a bare type, and what kind of type it is."""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic
import typing_extensions
from pydantic.fields import FieldInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "bind",
    "discriminator_of",
    "is_alias",
    "is_named_tuple",
    "is_typed_dict",
    "name_of",
    "parameters",
    "strip",
    "tag_of",
]

_SKIPPED = tuple(
    form
    for name in ("Required", "NotRequired", "ReadOnly", "Final", "ClassVar")
    for module in (typing, typing_extensions)
    if (form := getattr(module, name, None)) is not None
)
_ALIAS_TYPES = tuple(
    {alias for module in (typing, typing_extensions) if (alias := getattr(module, "TypeAliasType", None)) is not None}
)


def strip(tp: Any, metadata: tuple[Any, ...], scope: Mapping[Any, Any] | None) -> tuple[Any, tuple[Any, ...]]:
    """Remove what does not change the bare type, and collect the metadata."""
    while True:
        tp = bind(tp, scope)
        origin = get_origin(tp)
        if origin is Annotated:
            metadata = (*tp.__metadata__, *metadata)
            tp = tp.__origin__
        elif origin in _SKIPPED:
            tp = get_args(tp)[0]
        elif isinstance(tp, (typing.NewType, typing_extensions.NewType)):
            tp = tp.__supertype__
        elif isinstance(tp, TypeVar):
            tp = _of_variable(tp)
        elif isinstance(tp, dataclasses.InitVar):
            tp = tp.type
        else:
            return tp, metadata


def _of_variable(variable: Any) -> Any:
    """Return the type that an unbound type variable stands for."""
    default = getattr(variable, "__default__", None)
    no_default = (None, getattr(typing, "NoDefault", None), typing_extensions.NoDefault)
    if not any(default is none for none in no_default):
        return default
    if variable.__constraints__:
        return Union[variable.__constraints__]  # noqa: UP007  of a tuple
    return variable.__bound__ if variable.__bound__ is not None else Any


def bind(tp: Any, scope: Mapping[Any, Any] | None) -> Any:
    """Substitute the arguments of a generic."""
    if not scope:
        return tp
    if isinstance(tp, TypeVar):
        return scope.get(tp, tp)
    parameters = getattr(tp, "__parameters__", ())
    if parameters and get_origin(tp) is not None and not isinstance(tp, type):
        bound = tuple(scope.get(p, p) for p in parameters)
        if bound != tuple(parameters):
            return tp[bound if len(bound) > 1 else bound[0]]
    return tp


def parameters(origin: object, args: tuple[Any, ...], scope: Mapping[Any, Any] | None) -> dict[Any, Any]:
    """Return the types that the type variables of a generic stand for."""
    return dict(zip(getattr(origin, "__parameters__", ()), (bind(a, scope) for a in args), strict=False))


def is_alias(tp: object) -> bool:
    """Return whether it is a `type X = ...`, plain or with arguments."""
    return isinstance(tp, _ALIAS_TYPES) or isinstance(get_origin(tp), _ALIAS_TYPES)


def is_typed_dict(cls: object) -> bool:
    """Return whether it is a TypedDict from typing or typing_extensions."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def is_named_tuple(cls: object) -> bool:
    """Return whether it is a NamedTuple."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def name_of(tp: object) -> str:
    """Return a type's name for messages."""
    return getattr(tp, "__name__", None) or str(tp)


def tag_of(tp: object) -> Any:
    """Return the tag that a union's member is annotated with."""
    return next((m.tag for m in getattr(tp, "__metadata__", ()) if isinstance(m, pydantic.Tag)), None)


def discriminator_of(metadata: tuple[Any, ...]) -> Any:
    """Return the key or function that decides a union; None if there is none."""
    for item in metadata:
        if isinstance(item, pydantic.Discriminator):
            return item.discriminator
        if isinstance(item, FieldInfo) and item.discriminator is not None:
            found = item.discriminator
            return found.discriminator if isinstance(found, pydantic.Discriminator) else found
    return None
