"""The fields of an object, whatever kind of class declares them."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pydantic
import typing_extensions
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from instructor_stream_ext.core.types.plan import Cache, Maker

__all__ = [
    "Declared",
    "complete",
    "dataclass_fields",
    "extra_annotation",
    "field_metadata",
    "model_field",
    "named_tuple_fields",
    "typed_dict_fields",
]


class Declared(NamedTuple):
    """One field of an object, wherever it is declared."""

    name: str
    annotation: Any
    metadata: tuple[Any, ...]
    keys: tuple[str, ...]
    required: bool
    default: Maker | None
    value: Any


def model_field(name: str, info: FieldInfo, config: Mapping[str, Any]) -> Declared:
    """Return a field of a model."""
    maker, value = _default(info)
    return Declared(
        name, info.annotation, field_metadata(info), _keys(name, info, config), info.is_required(), maker, value
    )


def field_metadata(info: FieldInfo) -> tuple[Any, ...]:
    """Return a field's metadata, and the discriminator, which pydantic keeps separately."""
    if info.discriminator is None:
        return tuple(info.metadata)
    return (*info.metadata, info)


def _keys(name: str, info: FieldInfo, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the JSON keys under which a field is known."""
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    if alias is None:
        return (name,)
    keys: list[str] = []
    if config.get("validate_by_alias", True) is not False:
        choices = alias.choices if isinstance(alias, pydantic.AliasChoices) else [alias]
        keys = [choice for choice in choices if isinstance(choice, str)]
    if config.get("populate_by_name") or config.get("validate_by_name"):
        keys.append(name)
    return tuple(dict.fromkeys(keys))


_IMMUTABLE = (str, int, float, bool, bytes, type(None), enum.Enum, frozenset)


def _default(info: FieldInfo) -> tuple[Maker | None, Any]:
    """Return the default of a field: a factory where each object needs its own, else the value."""
    if info.default_factory is not None:
        return _factory(info.default_factory, takes_data=info.default_factory_takes_validated_data or False), None
    default = info.default
    if default is PydanticUndefined or default is ...:
        return None, None
    if isinstance(default, _IMMUTABLE) or default == ():
        return None, default
    return lambda _cache: info.get_default(call_default_factory=False), None


def _factory(factory: Callable[..., Any], *, takes_data: bool) -> Maker | None:
    if takes_data:
        return None

    def make(_cache: Cache) -> Any:
        try:
            return factory()
        except Exception:  # noqa: BLE001  a user's factory that fails: the field is missing
            return None

    return make


def dataclass_fields(cls: Any, config: Mapping[str, Any]) -> list[Declared]:
    """Return the fields of a dataclass, from the standard library or pydantic."""
    infos = getattr(cls, "__pydantic_fields__", None)
    hints = _hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        info = (infos or {}).get(field.name)
        if info is None and isinstance(field.default, FieldInfo):
            info = field.default
        annotation = hints.get(field.name, field.type)
        if info is not None:
            made = model_field(field.name, info, config)
            fields.append(made._replace(annotation=annotation, keys=made.keys if field.init else ()))
            continue
        info = next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, FieldInfo)), None)
        keys = _keys(field.name, info, config) if info is not None else (field.name,)
        maker, value, required = _plain_default(field)
        fields.append(Declared(field.name, annotation, (), keys if field.init else (), required, maker, value))
    return fields


def _plain_default(field: dataclasses.Field[Any]) -> tuple[Maker | None, Any, bool]:
    if field.default_factory is not dataclasses.MISSING:
        return _factory(field.default_factory, takes_data=False), None, False
    if field.default is not dataclasses.MISSING:
        return None, field.default, False
    return None, None, field.init


def typed_dict_fields(cls: Any, config: Mapping[str, Any]) -> list[Declared]:
    """Return the keys of a TypedDict."""
    fields = []
    for name, annotation in _hints(cls).items():
        info = next((m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, FieldInfo)), None)
        keys = _keys(name, info, config) if info is not None else (name,)
        fields.append(Declared(name, annotation, (), keys, name in cls.__required_keys__, None, None))
    return fields


def named_tuple_fields(cls: Any) -> list[Declared]:
    """Return the fields of a NamedTuple, in order."""
    hints, defaults = _hints(cls), cls._field_defaults
    return [
        Declared(name, hints.get(name, Any), (), (name,), name not in defaults, None, defaults.get(name))
        for name in cls._fields
    ]


def _hints(cls: Any) -> dict[str, Any]:
    """Return the annotations of a class, as far as their names can be resolved."""
    try:
        return typing_extensions.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001  a name defined in a function: what pydantic found out, or the bare names
        infos = getattr(cls, "__pydantic_fields__", {})
        return {
            name: infos[name].annotation if name in infos else annotation
            for base in reversed(cls.__mro__)
            for name, annotation in getattr(base, "__annotations__", {}).items()
        }


def extra_annotation(cls: type[BaseModel]) -> Any:
    """Return the type of extra values, from an annotation of `__pydantic_extra__`."""
    for base in cls.__mro__:
        if base is BaseModel:
            return None
        annotation = inspect.get_annotations(base).get("__pydantic_extra__")
        if annotation is None:
            continue
        if isinstance(annotation, str):
            annotation = _hints(cls).get("__pydantic_extra__")
        args = get_args(annotation)
        return args[1] if len(args) == 2 else None  # noqa: PLR2004
    return None


def complete(cls: type[BaseModel]) -> None:
    """Let pydantic resolve forward references, as it would at the first validation."""
    if not cls.__pydantic_complete__:
        cls.model_rebuild(raise_errors=False, _parent_namespace_depth=0)
