"""The model that instructor asks for, and the way from it to the type that the caller asked for.

instructor sends every response model as one object schema: a scalar, union or list travels inside a `content` or
`tasks` field. What the caller asked for is the document within it.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, PydanticUserError, RootModel, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError

from instructor_stream_ext._instructor.facts import (
    AdapterBase,
    PartialBase,
    ResponseSchema,
    prepare_response_model,
    tool_name,
)
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.response import Plan, enveloped

__all__ = ["Shape", "UnsupportedResponseModel", "calls_shape", "item_shape", "shape_of"]


class UnsupportedResponseModel(StreamMisuse, TypeError):
    """A response model that cannot work."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A response model's way to the model and back.

    Attributes:
        wire: The model class whose schema instructor sends.
        adapter: What the document is validated as.
        plan: How its partials are built.
        item: What an item is validated as, for item streams; None otherwise.
        tools: Of each tool's calls, what their arguments are validated as and how their partials are built, for streams
            of several tool calls; None otherwise.
    """

    wire: Any
    adapter: TypeAdapter[Any]
    plan: Plan
    item: TypeAdapter[Any] | None = None
    tools: dict[str, tuple[TypeAdapter[Any], Plan]] | None = None


def shape_of(response_model: object) -> Shape:
    """Return the shape of a response model, computed once per type.

    Args:
        response_model: All that `create` takes, and dataclasses, unions and containers, which it does not.

    Raises:
        UnsupportedResponseModel: It cannot work; the message names the type.
    """
    return _guarded(_shape_cached, _shape, response_model)


def item_shape(item: object) -> Shape:
    """Return the shape of a list whose items are validated one by one.

    Args:
        item: The type of one item; `Iterable[X]` counts as `X`.

    Raises:
        UnsupportedResponseModel: It cannot work; the message names the type.
    """
    return _guarded(_items_cached, _item_shape, item)


def calls_shape(item: object) -> Shape:
    """Return the shape of several tool calls at once, each validated on its own.

    Args:
        item: The model of one tool, or the union of those of all; `Iterable[X]` counts as `X`.

    Raises:
        UnsupportedResponseModel: It cannot work; the message names the type.
    """
    return _guarded(_calls_cached, _calls_shape, item)


def _guarded(cached: Callable[[Any], Shape], plain: Callable[[Any], Shape], response_model: object) -> Shape:
    try:
        hash(response_model)
    except TypeError:  # an Annotated with metadata that cannot be hashed
        cached = plain
    try:
        return cached(response_model)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, ValueError, AssertionError) as error:
        if isinstance(error, StreamMisuse):
            raise
        name = getattr(response_model, "__name__", None) or repr(response_model)
        raise UnsupportedResponseModel(f"{name} cannot be a response model: {error}") from error


@functools.lru_cache(maxsize=1024)
def _shape_cached(response_model: object) -> Shape:
    return _sendable(_shape(response_model))


@functools.lru_cache(maxsize=1024)
def _items_cached(item: object) -> Shape:
    return _sendable(_item_shape(item))


@functools.lru_cache(maxsize=1024)
def _calls_cached(item: object) -> Shape:
    return _calls_shape(item)


def _sendable(shape: Shape) -> Shape:
    """Return the shape if its type has a JSON schema; raise pydantic's error otherwise, before anything is sent."""
    shape.wire.model_json_schema()
    return shape


def _shape(response_model: object) -> Shape:
    if isinstance(response_model, type) and not get_args(response_model):
        if issubclass(response_model, PartialBase):
            response_model = _complete(response_model)
        if issubclass(response_model, BaseModel):
            return Shape(
                wire=prepare_response_model(response_model),
                adapter=TypeAdapter(response_model),
                plan=compile_plan(response_model),
            )
        if dataclasses.is_dataclass(response_model):
            return _dataclass_shape(cast("type[Any]", response_model))
    return _wrapped(_wire(response_model))


def _complete(partial: type[Any]) -> type[BaseModel]:
    """Return the model inside instructor's `Partial[Model]`."""
    for base in partial.__mro__:
        if issubclass(base, BaseModel) and not issubclass(base, PartialBase):
            return base
    raise UnsupportedResponseModel(f"{partial.__name__} is not a Partial of a model")


def _dataclass_shape(cls: type[Any]) -> Shape:
    root: Any = RootModel.__class_getitem__(cls)

    def inlined(_: type[Any], core_schema: Any, handler: Any) -> Any:
        """Return a schema with the fields at the root: providers want an object there, not a reference."""
        return handler.resolve_ref_schema(handler(core_schema))

    says_nothing = (cls.__doc__ or "").startswith(f"{cls.__name__}(")  # the dataclass decorator's own words
    namespace = {
        "__doc__": None if says_nothing else cls.__doc__,
        "__module__": cls.__module__,
        "__get_pydantic_json_schema__": classmethod(inlined),
    }
    wire = type(cls.__name__, (root,), namespace)
    return Shape(wire=prepare_response_model(wire), adapter=TypeAdapter(cls), plan=compile_plan(cls))


def _wire(response_model: Any) -> type[BaseModel]:
    """Return the class that instructor would send; it puts a `content` field around types it does not know."""
    origin = get_origin(response_model)
    if origin is types.UnionType:
        response_model = Union[get_args(response_model)]  # noqa: UP007  instructor knows only typing.Union
    if origin is Iterable or response_model is list or response_model is Iterable:
        return cast("type[BaseModel]", prepare_response_model(response_model))
    known = (origin in (list, Union)) or isinstance(response_model, type) or origin is not None
    if known:
        try:
            prepared: Any = prepare_response_model(response_model)
        except TypeError:
            pass
        else:
            if isinstance(prepared, type) and issubclass(prepared, BaseModel):
                return prepared
    if not known and not hasattr(response_model, "__value__") and not hasattr(response_model, "__supertype__"):
        raise UnsupportedResponseModel(f"{response_model!r} cannot be a response model: it is not a type")
    return create_model(
        "Response",
        __base__=(AdapterBase, ResponseSchema),
        __doc__="Correctly Formatted and Extracted Response.",
        content=(response_model, ...),
    )


def _wrapped(wire: type[BaseModel]) -> Shape:
    """Return the shape of a class that instructor made: of its only field, or of itself."""
    name = "content" if issubclass(wire, AdapterBase) else "tasks" if hasattr(wire, "task_type") else None
    if name is None:
        return Shape(wire=wire, adapter=TypeAdapter(wire), plan=compile_plan(wire))
    field = wire.model_fields[name]
    inner: Any = field.annotation
    if field.metadata or field.discriminator:
        inner = Annotated[inner, field]
    return Shape(wire=wire, adapter=TypeAdapter(inner), plan=enveloped(compile_plan(wire), name))


def _item_of(response_model: object) -> Any:
    """Return the type of one item, unwrapping `Iterable[X]`."""
    return get_args(response_model)[0] if get_origin(response_model) is Iterable else response_model


def _item_shape(item: object) -> Shape:
    item = _item_of(item)
    element = Union[get_args(item)] if get_origin(item) is types.UnionType else item  # noqa: UP007
    of_elements: Any = Iterable
    wire = prepare_response_model(of_elements[element])
    return replace(_wrapped(wire), item=TypeAdapter(wire.task_type))


def _calls_shape(item: object) -> Shape:
    item = _item_of(item)
    members = get_args(item) if get_origin(item) in (types.UnionType, Union) else (item,)
    tools: dict[str, tuple[TypeAdapter[Any], Plan]] = {}
    for model in members:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise UnsupportedResponseModel(f"{model!r} cannot be a tool: parallel tools must be models")
        name = tool_name(model)
        if name in tools:
            raise UnsupportedResponseModel(f"two tools are called {name!r}: the model could not tell them apart")
        tools[name] = (TypeAdapter(model), compile_plan(model))
    either: Any = Union[members]  # noqa: UP007
    of_calls: Any = Iterable
    return Shape(
        wire=of_calls[either],
        adapter=TypeAdapter(list[either]),
        plan=compile_plan(list[either]),
        item=TypeAdapter(either),
        tools=tools,
    )
