"""Dumping a partial of which something cannot be dumped: field by field, leaving that out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import pydantic_core
from pydantic import BaseModel, PlainSerializer, WrapSerializer

__all__ = ["dumped_by_field"]


def dumped_by_field(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Dump field by field, leaving out what fails."""
    cls = type(model)
    chosen, left_out = options.get("include"), options.get("exclude")
    names = [*model.__dict__, *(model.__pydantic_extra__ or {}), *cls.__pydantic_computed_fields__]
    dumped: dict[str, Any] = {}
    for name in names:
        wanted, unwanted = _said(chosen, name), _said(left_out, name)
        if (chosen is not None and wanted is None) or unwanted is True:
            continue
        below = dict(options, include={name: True if wanted is None else wanted}, exclude=unwanted and {name: unwanted})
        try:
            dumped.update(cls.__pydantic_serializer__.to_python(model, **_serializer_options(below)))
        except Exception:  # noqa: BLE001  try the value on its own
            _dump_value(model, name, below, dumped)
    return dumped


def _serializer_options(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k not in {"exclude_computed_fields", "polymorphic_serialization"}}


def _said(spec: Any, *places: Any) -> Any:
    """Return what `include` or `exclude` says of a value: True for all, None for nothing, or about its parts."""
    said: Any = None
    for place in places:
        if spec is None or place not in spec:
            continue
        below = spec[place] if isinstance(spec, dict) else True
        if below is True or below is ...:
            return True
        if below is not False:
            said = below if said is None else {**_as_dict(said), **_as_dict(below)}
    return said


def _as_dict(spec: Any) -> dict[Any, Any]:
    return spec if isinstance(spec, dict) else dict.fromkeys(spec, True)


def _dump_value(model: Any, name: str, options: dict[str, Any], dumped: dict[str, Any]) -> None:
    """Dump a value whose field failed: nested partials field by field, or nothing."""
    if name in model.__dict__:
        value = model.__dict__[name]
    elif name in (model.__pydantic_extra__ or {}):
        value = model.__pydantic_extra__[name]
    else:
        return  # a computed field
    below = dict(options, **{spec: _said(options[spec], name) for spec in ("include", "exclude")})
    field = type(model).__pydantic_fields__.get(name)
    if field is not None and (field.exclude or _has_serialiser(type(model), name, field)):
        return
    key = name
    if options.get("by_alias") and field is not None and field.serialization_alias:
        key = field.serialization_alias
    try:
        dumped[key] = _plain(value, below)
    except Exception:  # noqa: BLE001  a value that cannot be dumped is left out
        return


def _has_serialiser(cls: Any, name: str, field: Any) -> bool:
    """Return whether it was a user's serialiser of this very field that failed."""
    written = cls.__pydantic_decorators__.field_serializers.values()
    return any(name in one.info.fields or "*" in one.info.fields for one in written) or any(
        isinstance(item, (PlainSerializer, WrapSerializer)) for item in field.metadata
    )


def _plain(value: object, options: dict[str, Any]) -> Any:
    """Dump a value that may contain partials, as `include` and `exclude` say."""
    is_json = options.get("mode") == "json"
    if isinstance(value, BaseModel):
        whole = {spec: None for spec in ("include", "exclude") if options[spec] is True}
        return value.model_dump(**{**options, **whole})
    if isinstance(value, dict):
        made = _named(value, options)
        return {next(iter(pydantic_core.to_jsonable_python({k: 0}))): v for k, v in made.items()} if is_json else made
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return _named({name: getattr(value, name) for name in names if hasattr(value, name)}, options)
    if isinstance(value, (list, tuple, set, frozenset)):
        size = len(value)
        items = [_plain(v, below) for _, v, below in _parts((((i, i - size), v) for i, v in enumerate(value)), options)]
        return tuple(items) if isinstance(value, tuple) and not is_json else items
    return pydantic_core.to_jsonable_python(value) if is_json else value


def _named(members: dict[Any, Any], options: dict[str, Any]) -> dict[Any, Any]:
    return {key: _plain(value, below) for key, value, below in _parts((((k,), v) for k, v in members.items()), options)}


def _parts(
    parts: Iterable[tuple[tuple[Any, ...], Any]], options: dict[str, Any]
) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Return the parts of a value to dump, each with what `include` and `exclude` say about it."""
    include, exclude = options["include"], options["exclude"]
    for places, value in parts:
        wanted = True if include is None or include is True else _said(include, "__all__", *places)
        unwanted = _said(exclude, "__all__", *places)
        if wanted is not None and unwanted is not True:
            yield places[0], value, dict(options, include=wanted, exclude=unwanted)
