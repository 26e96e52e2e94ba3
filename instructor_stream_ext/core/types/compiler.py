"""From a type to its plan: one method for each kind of type."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import types
import typing
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

import pydantic
import typing_extensions
from pydantic import BaseModel, RootModel

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import FieldState
from instructor_stream_ext.core.markers import Done, NotNull, Streamed, WithState
from instructor_stream_ext.core.types import partial_dataclasses, partial_types
from instructor_stream_ext.core.types import scalars as convert
from instructor_stream_ext.core.types.annotations import (
    bind,
    discriminator_of,
    is_alias,
    is_named_tuple,
    is_typed_dict,
    name_of,
    parameters,
    strip,
    tag_of,
)
from instructor_stream_ext.core.types.fields import (
    Declared,
    complete,
    dataclass_fields,
    extra_annotation,
    field_metadata,
    model_field,
    named_tuple_fields,
    typed_dict_fields,
)
from instructor_stream_ext.core.types.plan import ANYTHING, ATOMIC, ObjectPlan, SequencePlan, ValuePlan
from instructor_stream_ext.core.types.root_models import both, wrap_object, wrap_sequence
from instructor_stream_ext.core.types.scalar_plans import scalar_plan
from instructor_stream_ext.core.types.unions import fit_later, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from instructor_stream_ext.core.types.plan import Cache, Maker

__all__ = ["Compiler"]

_LISTS = {
    list,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.Reversible,
}
_SETS = {set, collections.abc.Set, collections.abc.MutableSet}
_DICTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}
_FINISHED_DICTS: dict[Any, Callable[[dict[Any, Any]], Any]] = {
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: lambda data: collections.defaultdict(None, data),
    collections.Counter: dict,
}
_STRINGS = {str, typing_extensions.LiteralString, getattr(typing, "LiteralString", str)}
_UNION_ORIGINS = {Union, types.UnionType}


def _new_list(_cache: Cache) -> Any:
    return []


def _new_dict(_cache: Cache) -> Any:
    return {}


class Compiler:
    """Compiles types. It keeps what it made per class, so that a model has a single class of partials.

    Args:
        kept: How many classes are remembered.
        restore: Makes a partial out of a pickle.
    """

    def __init__(self, kept: int, restore: partial_types.Restore) -> None:
        self._kept = kept
        self._restore = restore
        self._classes: collections.OrderedDict[Any, ValuePlan] = collections.OrderedDict()
        self.shells: dict[Any, Any] = {}
        self._new: list[Any] = []
        self._open: list[ValuePlan] = []
        self._last: list[Callable[[], None]] = []
        self._aliases: dict[Any, ValuePlan] = {}

    def compile(self, tp: object) -> ValuePlan:
        """Return the plan of a root type, complete with everything that it refers to."""
        self._new, self._open, self._last, self._aliases = [], [], [], {}
        try:
            root = self.value(tp)
            for plan in self._open:
                plan.settle()
            for finish in self._last:
                finish()
        except BaseException:
            for cls in self._new:
                self._classes.pop(cls, None)
                self.shells.pop(cls, None)
            raise
        while len(self._classes) > self._kept + len(self._new):
            cls, _ = self._classes.popitem(last=False)
            self.shells.pop(cls, None)
        return root

    # ------------------------------------------------------------------ what is wrapped around a type

    def value(self, tp: object, metadata: Iterable[Any] = (), scope: Mapping[Any, Any] | None = None) -> ValuePlan:
        """Return the plan of `tp` with the metadata of its place; `scope` binds type variables."""
        tp, metadata = strip(tp, tuple(metadata), scope)
        plan = self._alias(tp, scope) if is_alias(tp) else self._bare(tp, metadata, scope)
        if any(m is pydantic.Json or isinstance(m, pydantic.Json) for m in metadata):
            plan = _twin(ATOMIC)
        marks = {type(m) if not isinstance(m, type) else m for m in metadata} & {Done, NotNull, WithState}
        if marks:
            plan = self._marked(plan, marks)
        return plan

    def _marked(self, plain: ValuePlan, marks: set[Any]) -> ValuePlan:
        plan = ValuePlan()

        def fill() -> None:
            plain.settle()
            plan.become(plain)

        plan.later = fill
        self._open.append(plan)
        plan.done, plan.not_null, plan.with_state = Done in marks, NotNull in marks, WithState in marks
        plan.sig = (plain.sig, frozenset(marks))
        return plan

    def _alias(self, tp: Any, scope: Mapping[Any, Any] | None) -> ValuePlan:
        """Compile a `type X = ...`, which may refer to itself."""
        origin = get_origin(tp) or tp
        arguments = tuple(bind(a, scope) for a in get_args(tp))
        key = (origin, arguments)
        if key in self._aliases:
            return self._aliases[key]
        plan = self._aliases[key] = ValuePlan(sig=tp)
        inner = self.value(origin.__value__, (), dict(zip(origin.__type_params__, arguments, strict=False)))

        def fill() -> None:
            if inner is not plan:
                inner.settle()
                plan.become(inner)

        plan.later = fill
        self._open.append(plan)
        return plan

    # ------------------------------------------------------------------ types

    def _bare(  # noqa: C901, PLR0911  one case per kind of type
        self, tp: object, metadata: tuple[Any, ...], scope: Mapping[Any, Any] | None
    ) -> ValuePlan:
        origin, args = get_origin(tp), get_args(tp)
        if tp in (Any, object) or isinstance(tp, (str, typing.ForwardRef)):
            return _twin(ANYTHING)
        if tp in _STRINGS:
            return ValuePlan(streams=True, kinds=["string"], sig=str)
        if tp is None or tp is type(None):
            return ValuePlan(kinds=["literal"], sig=None)
        if origin in _UNION_ORIGINS:
            return self._union(tp, args, metadata, scope)
        container = self._container(origin or tp, tp, args, scope)
        if container is not None:
            return container
        if isinstance(tp, type) and origin is None:
            made = self._class(tp)
            if made is not None:
                return made
        elif tp in self._classes:
            return self._classes[tp]
        elif isinstance(origin, type) and (dataclasses.is_dataclass(origin) or is_typed_dict(origin)):
            return self._record(tp, origin, parameters(origin, args, scope))
        elif isinstance(origin, type) and is_named_tuple(origin):
            return self._named_tuple(tp, origin, parameters(origin, args, scope))
        if convert.is_scalar(tp):
            return scalar_plan(tp)
        # A class that brings its own schema may run a user's code: shown as the text has it, when whole.
        return _twin(ATOMIC)

    def _container(  # noqa: PLR0911  one case per kind of container
        self, base: object, tp: object, args: tuple[Any, ...], scope: object
    ) -> ValuePlan | None:
        try:
            hash(base)
        except TypeError:
            return None
        if base in _LISTS:
            return self._sequence(tp, args, scope, None, _new_list)
        if base in _SETS:
            return self._sequence(tp, args, scope, _finish_set, lambda _cache: set())
        if base is frozenset:
            return self._sequence(tp, args, scope, _finish_frozenset, lambda _cache: frozenset())
        if base is collections.deque:
            return self._sequence(tp, args, scope, collections.deque, lambda _cache: collections.deque())
        if base is tuple:
            return self._tuple(tp, args, scope)
        if base in _DICTS:
            return self._mapping(tp, args, scope, None)
        if base in _FINISHED_DICTS:
            if base is collections.Counter:
                args = (*args[:1], int) if args else (Any, int)
            return self._mapping(tp, args, scope, _FINISHED_DICTS[base])
        return None

    def _sequence(
        self,
        tp: Any,
        args: tuple[Any, ...],
        scope: Any,
        finish: Callable[[list[Any]], Any] | None,
        missing: Maker,
    ) -> ValuePlan:
        item = self.value(args[0], (), scope) if args else _twin(ANYTHING)
        if finish in (_finish_set, _finish_frozenset):
            # A growing item would be one item after the other: the items of a set appear when they are whole.
            item = self._marked(item, {Done})
        self._refuse_not_null(item, "an item of a list")
        return ValuePlan(seq=SequencePlan(item, None, finish, name_of(tp)), kinds=["array"], missing=missing, sig=tp)

    def _tuple(self, tp: Any, args: tuple[Any, ...], scope: Any) -> ValuePlan:
        missing: Maker = lambda _cache: ()  # noqa: E731
        if not args and get_origin(tp) is None:
            return self._sequence(tp, (Any,), scope, tuple, missing)
        if len(args) == 2 and args[1] is Ellipsis:  # noqa: PLR2004
            return self._sequence(tp, args[:1], scope, tuple, missing)
        items = tuple(self.value(arg, (), scope) for arg in args if arg != ())
        for item in items:
            self._refuse_not_null(item, "an item of a tuple")
        seq = SequencePlan(ANYTHING, items, tuple, name_of(tp))
        return ValuePlan(seq=seq, kinds=["array"], missing=missing, sig=tp)

    def _mapping(
        self, tp: Any, args: tuple[Any, ...], scope: Any, finish: Callable[[dict[Any, Any]], Any] | None
    ) -> ValuePlan:
        key, item = (self.value(args[0], (), scope), self.value(args[1], (), scope)) if len(args) > 1 else (None, None)
        self._refuse_not_null(item, "a value of a dict")
        obj = ObjectPlan(name_of(tp), item or _twin(ANYTHING))
        if key is not None:
            self._last.append(lambda: setattr(obj, "keys", key.string))
        missing = _new_dict
        if finish is not None:
            make = finish
            obj.make = lambda data, _set, _extra, _private: make(data)
            missing = lambda _cache: make({})  # noqa: E731
        return ValuePlan(obj=obj, kinds=["object"], missing=missing, sig=tp)

    def _refuse_not_null(self, plan: ValuePlan | None, where: str) -> None:
        def check() -> None:
            if plan is not None and plan.not_null:
                raise StreamMisuse(f"NotNull() marks a field of an object; it means nothing on {where}")

        self._last.append(check)

    def _union(self, tp: Any, args: tuple[Any, ...], metadata: tuple[Any, ...], scope: Any) -> ValuePlan:
        plan = ValuePlan(sig=tp)
        members = [(tag_of(arg), self.value(arg, (), scope)) for arg in args if arg not in (None, type(None))]
        optional = any(arg in (None, type(None)) for arg in args)

        def fill() -> None:
            for _, member in members:
                member.settle()
            merge(plan, members, discriminator_of(metadata), optional=optional)

        plan.later = fill
        self._open.append(plan)
        self._last.append(lambda: fit_later(plan))
        return plan

    # ------------------------------------------------------------------ classes

    def _class(self, cls: Any) -> ValuePlan | None:
        known = self._classes.get(cls)
        if known is not None:
            self._classes.move_to_end(cls)
            return known
        if issubclass(cls, RootModel):
            return self._root_model(cls)
        if issubclass(cls, BaseModel):
            return self._model(cls)
        if dataclasses.is_dataclass(cls) or is_typed_dict(cls):
            return self._record(cls, cls, {})
        if is_named_tuple(cls):
            return self._named_tuple(cls, cls, {})
        return None

    def _remember(self, cls: object, plan: ValuePlan) -> None:
        self._classes[cls] = plan
        self._new.append(cls)

    def _model(self, cls: type[BaseModel]) -> ValuePlan:
        complete(cls)
        obj = ObjectPlan(cls.__name__)
        plan = ValuePlan(obj=obj, kinds=["object"], missing=obj.empty, sig=cls)
        self._remember(cls, plan)
        shell = self.shells[cls] = partial_types.model_shell(cls, self._restore)
        config = cls.model_config
        obj.typed = True
        obj.extra = config.get("extra") == "allow"
        obj.make = partial_types.model_maker(shell)
        obj.private = partial_types.private_maker(cls)
        if obj.extra:
            annotation = extra_annotation(cls)
            obj.other = self.value(annotation) if annotation is not None else _twin(ANYTHING)
        self._fields(obj, [model_field(name, info, config) for name, info in cls.__pydantic_fields__.items()], {})
        return plan

    def _root_model(self, cls: type[RootModel[Any]]) -> ValuePlan:
        complete(cls)
        plan = ValuePlan(sig=cls)
        self._remember(cls, plan)
        shell = self.shells[cls] = partial_types.model_shell(cls, self._restore)
        make, private = partial_types.model_maker(shell), partial_types.private_maker(cls)
        info = cls.__pydantic_fields__["root"]
        field = model_field("root", info, cls.model_config)
        inner = self.value(info.annotation, field_metadata(info))

        def wrap(value: object) -> Any:
            return make({"root": value}, {"root"}, None, None if private is None else private())

        def missing(cache: Cache) -> Any:
            value = field.value
            if field.default is not None:
                value = field.default(cache)
            elif field.required and inner.missing is not None:
                value = inner.missing(cache)
            return make({"root": value}, set(), None, None if private is None else private())

        def fill() -> None:
            inner.settle()
            plan.become(inner)
            plan.obj, plan.seq = ObjectPlan(cls.__name__), SequencePlan(ANYTHING)
            self._last.append(lambda: wrap_object(plan.obj, inner.obj, wrap))
            self._last.append(lambda: wrap_sequence(plan.seq, inner.seq, wrap))
            plan.wrap = wrap if inner.wrap is None else both(inner.wrap, wrap)
            plan.missing = missing

        plan.later = fill
        self._open.append(plan)
        return plan

    def _record(self, tp: Any, cls: Any, scope: Mapping[Any, Any]) -> ValuePlan:
        """Compile a dataclass or a typed dict."""
        obj = ObjectPlan(cls.__name__)
        typed_dict = is_typed_dict(cls)
        plan = ValuePlan(obj=obj, kinds=["object"], missing=_new_dict if typed_dict else obj.empty, sig=tp)
        self._remember(tp, plan)
        config = getattr(cls, "__pydantic_config__", {}) or {}
        if typed_dict:
            self._fields(obj, typed_dict_fields(cls, config), scope, shown=False)
            if config.get("extra") == "allow":
                obj.other = _twin(ANYTHING)
            return plan
        if cls not in self.shells:
            self.shells[cls] = partial_dataclasses.dataclass_shell(cls, self._restore)
        obj.typed = True
        obj.make = partial_dataclasses.dataclass_maker(self.shells[cls])
        self._fields(obj, dataclass_fields(cls, config), scope)
        return plan

    def _named_tuple(self, tp: Any, cls: Any, scope: Mapping[Any, Any]) -> ValuePlan:
        seq = SequencePlan(ANYTHING, (), None, cls.__name__)
        obj = ObjectPlan(cls.__name__)
        plan = ValuePlan(obj=obj, seq=seq, kinds=["array", "object"], sig=tp)
        self._remember(tp, plan)
        if cls not in self.shells:
            self.shells[cls] = partial_dataclasses.named_tuple_shell(cls)
        shell = self.shells[cls]
        fields = named_tuple_fields(cls)
        self._fields(obj, fields, scope)
        seq.items = tuple(obj.names[field.name] for field in fields)
        obj.make = lambda data, _set, _extra, _private: tuple.__new__(shell, data.values())

        def finish(items: list[Any]) -> Any:
            return tuple.__new__(shell, [*items, *list(obj.new_data({}).values())[len(items) :]])

        seq.finish = finish
        plan.missing = lambda cache: tuple.__new__(shell, obj.new_data(cache).values())
        return plan

    def _fields(self, obj: ObjectPlan, fields: list[Declared], scope: Mapping[Any, Any], *, shown: bool = True) -> None:
        """Compile an object's fields; stand-ins for missing ones are decided at the end."""
        for field in fields:
            plan = self.value(field.annotation, field.metadata, scope)
            obj.names[field.name] = plan
            for key in field.keys:
                obj.fields[key] = (field.name, plan)
        obj.required = frozenset(field.name for field in fields if field.required)
        self._last.append(lambda: _template(obj, fields if shown else []))


def _template(obj: ObjectPlan, fields: list[Declared]) -> None:
    """Return what an object shows for fields that have not arrived, and which of them it waits for."""
    obj.waits = frozenset(name for name, plan in obj.names.items() if plan.not_null)
    template: dict[str, Any] = {}
    fresh: list[tuple[str, Maker]] = []
    for field in fields:
        plan = obj.names[field.name]
        maker = field.default
        if field.required:
            maker = plan.missing
        template[field.name] = field.value
        if plan.with_state:
            maker = _with_state(maker, field.value)
        if maker is not None:
            fresh.append((field.name, maker))
    obj.template = template
    obj.fresh = tuple(fresh)


def _with_state(maker: Maker | None, value: object) -> Maker:
    if maker is None:
        nothing: Streamed[Any] = Streamed(value, FieldState.MISSING)
        return lambda _cache: nothing
    return lambda cache: Streamed(maker(cache), FieldState.MISSING)


def _twin(plan: ValuePlan) -> ValuePlan:
    twin = ValuePlan()
    twin.become(plan)
    twin.sig = Any
    return twin


def _finish_set(items: list[Any]) -> Any:
    try:
        return set(items)
    except TypeError:  # a partial that cannot be hashed
        return list(items)


def _finish_frozenset(items: list[Any]) -> Any:
    try:
        return frozenset(items)
    except TypeError:
        return list(items)
