"""hypothesis strategies: any cut of a text, and streams of any object of a model.

They need hypothesis, from the extra `[testing]`.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from instructor_stream_ext.core.errors import MissingExtra

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["GeneratedStream", "splits", "streams"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GeneratedStream(Generic[T]):
    """An answer that a model may give.

    Attributes:
        final: The object.
        text: Its JSON.
        pieces: The text in pieces, none of them empty.
    """

    final: T
    text: str
    pieces: tuple[str, ...]


def _strategies() -> Any:
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise MissingExtra("hypothesis strategies", "testing") from error
    return strategies


def splits(text: str, *, max_cuts: int = 40) -> SearchStrategy[tuple[str, ...]]:
    """Return a strategy for all ways to cut a text into pieces, none of them empty.

    Args:
        text: What to cut.
        max_cuts: The largest number of cuts.
    """
    st = _strategies()
    if len(text) < 2:  # noqa: PLR2004 - nothing to cut
        return st.just((text,) if text else ())  # type: ignore[no-any-return]
    places = st.sets(st.integers(1, len(text) - 1), max_size=max_cuts)

    def pieces(chosen: set[int]) -> tuple[str, ...]:
        marks = [0, *sorted(chosen), len(text)]
        return tuple(text[start:stop] for start, stop in itertools.pairwise(marks))

    return places.map(pieces)  # type: ignore[no-any-return]


def streams(model: type[T], *, indent: bool | None = None, max_cuts: int = 40) -> SearchStrategy[GeneratedStream[T]]:
    """Return a strategy for objects of a model, with their JSON cut anywhere.

    Objects that a validator of the model refuses are not given.

    Args:
        model: A model, or any other type pydantic knows.
        indent: Whether the JSON is indented; None for either.
        max_cuts: The largest number of cuts.
    """
    st = _strategies()
    adapter: TypeAdapter[T] = TypeAdapter(model)
    layouts = st.sampled_from([None, 1]) if indent is None else st.just(1 if indent else None)

    def stream(pair: tuple[T, int | None]) -> Any:
        final, layout = pair
        text = adapter.dump_json(final, by_alias=True, indent=layout).decode()
        return splits(text, max_cuts=max_cuts).map(lambda pieces: GeneratedStream(final, text, pieces))

    objects = _values(model).map(lambda value: _validated(adapter, value)).filter(lambda found: found is not _REFUSED)
    return st.tuples(objects, layouts).flatmap(stream)  # type: ignore[no-any-return]


_REFUSED: Any = object()


def _validated(adapter: TypeAdapter[Any], value: object) -> Any:
    try:
        found = adapter.validate_python(value)
        # what does not come back from its own JSON cannot be streamed
        return found if adapter.validate_json(adapter.dump_json(found, by_alias=True)) == found else _REFUSED
    except (ValidationError, ValueError):
        return _REFUSED


def _values(kind: object, seen: tuple[Any, ...] = ()) -> Any:  # noqa: PLR0911 - a table of types
    """Return a strategy for values of a type, in a form that pydantic accepts."""
    st = _strategies()
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _annotated(arguments[0], arguments[1:], seen)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _model(kind, seen)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in seen:
        return st.deferred(lambda: st.from_type(kind))
    if origin is Union or type(kind).__name__ == "UnionType":
        options = [one for one in arguments if one not in seen] or [type(None)]
        return st.one_of([_values(one, seen) for one in sorted(options, key=lambda one: one is not type(None))])
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind is str:
        return _texts()
    made = _container(origin, arguments, seen) if arguments else None
    return st.from_type(kind) if made is None else made


def _container(origin: object, arguments: tuple[Any, ...], seen: tuple[Any, ...]) -> Any:
    """Return a strategy for a container's values; None for another type."""
    st = _strategies()
    if origin in (list, set, frozenset):
        if any(part in seen for part in _parts(arguments[0])):
            return st.just(origin())
        return st.lists(_values(arguments[0], seen), max_size=4)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*(_values(one, seen) for one in arguments))
    if origin is dict:
        return st.dictionaries(_values(arguments[0], seen), _values(arguments[1], seen), max_size=3)
    return None


def _texts(**bounds: object) -> Any:
    st = _strategies()
    return st.text(st.characters(exclude_categories=("Cs",)), **bounds)


def _parts(kind: object) -> list[Any]:
    return [kind, *(part for one in get_args(kind) for part in _parts(one))]


def _model(model: type[BaseModel], seen: tuple[Any, ...]) -> Any:
    st = _strategies()
    seen = (*seen, model)
    if issubclass(model, RootModel):
        return _field(model.model_fields["root"], seen)
    required, optional = {}, {}
    for name, info in model.model_fields.items():
        key = info.validation_alias if isinstance(info.validation_alias, str) else info.alias or name
        if info.is_required():
            required[key] = _field(info, seen)
        elif not any(part in seen for part in _parts(info.annotation)):
            optional[key] = _field(info, seen)
    return st.fixed_dictionaries(required, optional=optional)


def _field(info: FieldInfo, seen: tuple[Any, ...]) -> Any:
    return _annotated(info.annotation, info.metadata, seen)


def _annotated(kind: Any, metadata: Any, seen: tuple[Any, ...]) -> Any:  # noqa: C901, PLR0911 - a table of types
    """Return a strategy for values within a field's bounds."""
    st = _strategies()
    bounds: dict[str, Any] = {}
    for item in metadata:
        inner = item.metadata if isinstance(item, FieldInfo) else [item]
        for one in inner:
            for name in ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern", "multiple_of"):
                if getattr(one, name, None) is not None:
                    bounds[name] = getattr(one, name)
    if not bounds:
        return _values(kind, seen)
    if kind is str:
        if "pattern" in bounds:
            return st.from_regex(bounds["pattern"], alphabet=st.characters(exclude_categories=("Cs",)))
        return _texts(min_size=bounds.get("min_length", 0), max_size=bounds.get("max_length"))
    if kind is int:
        step = bounds.get("multiple_of", 1)
        least = bounds.get("ge", bounds["gt"] + 1 if "gt" in bounds else None)
        most = bounds.get("le", bounds["lt"] - 1 if "lt" in bounds else None)
        down = None if least is None else -(-int(least) // step)
        up = None if most is None else int(most) // step
        return st.integers(down, up).map(lambda number: number * step)
    if kind is float:
        return st.floats(
            bounds.get("ge", bounds.get("gt")),
            bounds.get("le", bounds.get("lt")),
            exclude_min="gt" in bounds and "ge" not in bounds,
            exclude_max="lt" in bounds and "le" not in bounds,
            allow_nan=False,
            allow_infinity=False,
        )
    if get_origin(kind) is list:
        return st.lists(
            _values(get_args(kind)[0], seen),
            min_size=bounds.get("min_length", 0),
            max_size=bounds.get("max_length", bounds.get("min_length", 0) + 4),
        )
    return _values(kind, seen)  # what lies out of bounds is refused by the validator
