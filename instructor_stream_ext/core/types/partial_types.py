"""The classes of partials: one subclass per model, whose instances are made without running any user code.

A partial is an instance of its model (`isinstance(p, M)`), so whatever takes an `M` shows it; but printing, dumping,
comparing, copying and pickling it never fail, although required values may be missing.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, TypeAlias

import pydantic_core
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from instructor_stream_ext.core.types.partial_dump import dumped_by_field
from instructor_stream_ext.core.types.partial_html import as_table

__all__ = ["Restore", "Shield", "filled", "full_model", "is_partial", "model_shell"]

Restore: TypeAlias = Callable[[type, Any], Any]
"""Makes a partial from its model and pickled state; must itself be picklable."""


def full_model(cls: type) -> type:
    """Return the response model of a class of partials; any other class is returned itself."""
    return getattr(cls, "__full_model__", cls)


def is_partial(value: object) -> bool:
    """Return whether a value is, or contains, a partial: not validated, and perhaps incomplete.

    A partial is an instance of its model, so `isinstance` cannot tell it from a final. pydantic takes an instance of
    the model for valid, so `Model.model_validate(partial)` returns the partial itself.

    Args:
        value: A model, dataclass or named tuple. A list, tuple, set, frozenset or dict is partial if one of its items
            or values is. For scalars, and for containers of scalars only, ask `stream.is_final` instead: False here.
    """
    if hasattr(type(value), "__full_model__"):
        return True
    if isinstance(value, dict):
        return any(map(is_partial, value.values()))
    return isinstance(value, list | tuple | set | frozenset) and any(map(is_partial, value))


def filled(cls: type, state: Any) -> Any:
    """Return an instance of a class of partials with this state, made without running any user code."""
    shown: Any = object.__new__(cls)
    if isinstance(shown, BaseModel):
        shown.__setstate__(state)
    else:
        for name, value in state.items():
            object.__setattr__(shown, name, value)
    return shown


class Shield:
    """Comes before the model among the bases of its partials, so that what a user overrode cannot fail.

    Its `__init_subclass__` ends the chain: a model's own hook, such as a registry, does not see the partial class.
    """

    __slots__ = ()
    __restore__: ClassVar[Restore]

    def __init_subclass__(cls, **_kwargs: object) -> None:
        """Do nothing, and call no other hook."""

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except Exception:  # noqa: BLE001  a user's repr that met a missing value
            return f"{type(self).__name__}({_shown(self)})"

    def __str__(self) -> str:
        try:
            return str(super().__str__())
        except Exception:  # noqa: BLE001  user code that met a missing value
            return repr(self)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:  # model_copy(deep=True) gives none
        import copy

        return filled(type(self), copy.deepcopy(self.__reduce__()[1][1], memo))

    def _repr_html_(self) -> str:
        return as_table(self)


class _PartialModel(Shield):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, BaseModel):
            return NotImplemented
        if full_model(type(self)) is not full_model(type(other)):
            return False
        try:
            return _content(self) == _content(other)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  a value whose own comparison fails is not known to be equal
            return False

    __hash__ = None  # type: ignore[assignment]  # each class of partials has its model's

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__restore__, (full_model(type(self)), BaseModel.__getstate__(self))  # type: ignore[arg-type]

    def model_dump(self, **options: object) -> Any:
        options["warnings"] = False
        try:
            return super().model_dump(**options)  # type: ignore[misc]
        except Exception:  # noqa: BLE001  a user's serialiser met a missing value
            return dumped_by_field(self, options)

    def model_dump_json(self, *, indent: int | None = None, **options: object) -> str:
        options["warnings"] = False
        try:
            return super().model_dump_json(indent=indent, **options)  # type: ignore[misc, no-any-return]
        except Exception:  # noqa: BLE001  a user's serialiser met a missing value
            options.pop("ensure_ascii", None)
            plain = dumped_by_field(self, {**options, "mode": "json"})
            return pydantic_core.to_json(plain, indent=indent, serialize_unknown=True).decode()


def _content(model: BaseModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what makes two partials equal: fields and extras, but not cached properties."""
    fields = type(model).__pydantic_fields__
    return {k: v for k, v in model.__dict__.items() if k in fields}, model.__pydantic_extra__ or {}


def _shown(partial: object) -> str:
    """Return what a partial holds where its own repr fails; of a dataclass nothing is said."""
    if not isinstance(partial, BaseModel):
        return "..."
    parts = []
    fields = type(partial).__pydantic_fields__
    for name, value in {**partial.__dict__, **(partial.__pydantic_extra__ or {})}.items():
        field = fields.get(name)
        if field is not None and not field.repr:
            continue
        with suppress(Exception):  # a value that cannot be printed is left out
            parts.append(f"{name}={value!r}")
    return ", ".join(parts)


def model_shell(model: type[BaseModel], restore: Restore) -> type[BaseModel]:
    """Make the class of a model's partials: no schema is built, and no hook of the model runs.

    Args:
        model: The model.
        restore: Makes a partial out of a pickle.
    """
    namespace: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": f"Partial{model.__qualname__.rpartition('.')[2]}",
        "__doc__": model.__doc__,
        "__full_model__": model,
        "__restore__": staticmethod(restore),
        "__hash__": model.__hash__,
        "__slots__": (),
    }
    if not _may_hold_more(model):
        namespace |= {"__pydantic_extra__": _ALWAYS_NONE, "__pydantic_private__": _ALWAYS_NONE}
    # Not through pydantic's metaclass, which would build a schema and tell the model's hooks; the abstract base class
    # part is needed, since without it isinstance() would spoil the model's own cache of subclasses.
    return ABCMeta.__new__(type(model), f"Partial{model.__name__}", (_PartialModel, model), namespace)


_ALWAYS_NONE = property(lambda _: None, lambda _, value: None)  # noqa: ARG005
"""Replaces two of pydantic's slots that partials never fill, so that they need not be set each time."""


def _may_hold_more(model: type[BaseModel]) -> bool:
    """Return whether objects of a model have extra fields or private attributes."""
    return model.model_config.get("extra") == "allow" or bool(model.__private_attributes__)


def _setter(cls: type, name: str) -> Callable[[Any, Any], None]:
    """Return how to set one of pydantic's slots: by its descriptor, or as pydantic does where the class hides that."""
    found = next(base.__dict__[name] for base in cls.__mro__ if name in base.__dict__)
    setter = getattr(found, "__set__", None)
    if setter is not None:
        return setter  # type: ignore[no-any-return]

    def set_it(instance: object, value: object) -> None:
        object.__setattr__(instance, name, value)

    return set_it


def model_maker(cls: type[BaseModel]) -> Callable[[Any, Any, Any, Any], Any]:
    """Return a function that builds partials of `cls` around their fields, in a third of `model_construct`'s time."""
    new = object.__new__
    set_dict, set_fields_set = _setter(cls, "__dict__"), _setter(cls, "__pydantic_fields_set__")
    set_extra, set_private = _setter(cls, "__pydantic_extra__"), _setter(cls, "__pydantic_private__")

    def make_plain(fields: object, fields_set: object, _extra: object, _private: object) -> Any:
        made = new(cls)
        set_dict(made, fields)
        set_fields_set(made, fields_set)
        return made

    if cls.__dict__.get("__pydantic_extra__") is _ALWAYS_NONE:
        return make_plain

    def make(fields: object, fields_set: object, extra: object, private: object) -> Any:
        made = new(cls)
        set_dict(made, fields)
        set_fields_set(made, fields_set)
        set_extra(made, extra)
        set_private(made, private)
        return made

    return make


def private_maker(model: type[BaseModel]) -> Callable[[], dict[str, Any]] | None:
    """Return a function that makes an object's private attributes; None if the model has none."""
    attributes = model.__private_attributes__
    if not attributes:
        return None

    def make() -> dict[str, Any]:
        private = {}
        for name, attribute in attributes.items():
            factory: Any = attribute.default_factory
            value: Any = PydanticUndefined
            with suppress(Exception):  # a user's factory
                value = attribute.get_default() if factory is None else factory()
            if value is not PydanticUndefined:
                private[name] = value
        return private

    return make
