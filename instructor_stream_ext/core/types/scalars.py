"""Complete scalar values, converted to the bare type of their field: without user validators, and without errors."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import functools
import pathlib
import re
import uuid
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_origin

import pydantic
from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Convert", "converter", "is_scalar", "to_float", "to_int"]

Convert: TypeAlias = "Callable[[Any], Any]"

# Types that only add a constraint to a bare one: the constraint is the gate's business.
_BARE: dict[Any, Any] = {
    pydantic.PastDate: dt.date,
    pydantic.FutureDate: dt.date,
    pydantic.AwareDatetime: dt.datetime,
    pydantic.NaiveDatetime: dt.datetime,
    pydantic.PastDatetime: dt.datetime,
    pydantic.FutureDatetime: dt.datetime,
}

_STANDARD = (
    int,
    float,
    complex,
    bytes,
    bytearray,
    decimal.Decimal,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    enum.Enum,
    pathlib.PurePath,
    re.Pattern,
)

# Modules whose own types are converted; a class of any other module that brings its own schema is a user's validator.
_TRUSTED = frozenset({"pydantic", "datetime", "decimal", "uuid", "pathlib", "ipaddress", "fractions", "re", "zoneinfo"})


def is_scalar(tp: object) -> bool:
    """Return whether values of `tp` are shown when complete, and converted."""
    if get_origin(tp) is Literal:
        return True
    cls = get_origin(tp) or tp
    if not isinstance(cls, type):
        return False
    if hasattr(cls, "__get_pydantic_core_schema__") and not _trusted(cls):
        return False
    return issubclass(cls, _STANDARD) or _trusted(cls)


def _trusted(cls: type) -> bool:
    return cls.__module__.partition(".")[0] in _TRUSTED and cls is not pydantic.ImportString


def to_int(value: object) -> Any:
    """Return an int as it is, and what looks like another type as the int that it stands for."""
    return value if type(value) is int else _lax(int)(value)


def to_float(value: Any) -> Any:
    """Return a float, also for a number written without a point."""
    kind = type(value)
    if kind is float:
        return value
    if kind is int:
        try:
            return float(value)
        except OverflowError:
            return value
    return _lax(float)(value)


def converter(tp: object) -> Convert:
    """Return the conversion of a JSON scalar to the bare type `tp`. What does not convert stays as it is, or secret."""
    if tp is int:
        return to_int
    if tp is float:
        return to_float
    try:
        return _lax(_BARE.get(tp, tp))
    except TypeError:  # a Literal of something unhashable
        return _make(tp)


@functools.lru_cache(maxsize=1024)
def _lax(tp: object) -> Convert:
    return _make(tp)


def _make(tp: Any) -> Convert:
    try:
        validate = TypeAdapter(tp).validator.validate_python
    except Exception:  # noqa: BLE001  a type pydantic cannot build is shown as the text has it
        return _as_it_is

    hide = _hiding(get_origin(tp) or tp)

    def convert(value: object) -> Any:
        try:
            return validate(value)
        except Exception:  # noqa: BLE001  whatever a type's constructor raises, the gate will say it better
            return hide(value)

    return convert


def _hiding(tp: object) -> Convert:
    """Keep a value that does not convert as it is, unless it is a secret."""
    if not isinstance(tp, type):
        return _as_it_is
    if issubclass(tp, pydantic.SecretStr):
        return lambda value: value if value is None else tp(str(value))
    if issubclass(tp, pydantic.SecretBytes):
        return lambda value: value if value is None else tp(str(value).encode())
    if issubclass(tp, pydantic.Secret):
        return lambda value: value if value is None else tp(value)
    return _as_it_is


def _as_it_is(value: object) -> Any:
    return value
