"""What a partial must be, worked out slowly and in another way: plain `json` on a prefix that was completed by hand.

Nothing here uses the package: `complete` closes a prefix textually, `json.loads` reads it, `typed` walks the
annotations. `view` brings both sides into plain tuples that can be compared.
"""

# ruff: noqa: UP007, UP045  Union and Optional are what many models are written with
from __future__ import annotations

import enum
import json
import random
import re
import types
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

Kinds = (str, int, float, bool)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Tag(BaseModel):
    label: str
    weight: float = 1.0


class Cat(BaseModel):
    kind: Literal["cat"]
    name: str
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    lives: int = 1


class Node(BaseModel):
    name: str
    children: list[Node] = []
    parent: Optional[Node] = None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: str
    more: int = 0


class Record(BaseModel):
    title: str
    count: int
    ratio: Optional[float] = None
    when: date
    colour: Colour
    level: Literal["low", "high"]
    tags: list[Tag]
    by_name: dict[str, Tag]
    matrix: list[list[int]]
    pair: tuple[int, str]
    rest: tuple[str, ...] = ("x",)
    unique: set[str]
    nick: Optional[str] = None
    camel: str = Field(default="?", alias="camelCase")
    pet: Union[Cat, Dog] = Field(discriminator="kind")
    pets: list[Annotated[Union[Cat, Dog], Field(discriminator="kind")]] = []
    anything: Any = None
    secret: SecretStr
    node: Node
    loose: Optional[Loose] = None
    scores: dict[int, float]
    money: Optional[Decimal] = None
    uid: Optional[UUID] = None
    flag: bool = False


class Open(NamedTuple):
    """A completed prefix: its JSON, the path of its open string if there is one, and of what is open around it."""

    text: str
    string: tuple[Any, ...] | None
    paths: list[tuple[Any, ...]]


_CUT_ESCAPE = re.compile(
    r"\\(u([0-9a-fA-F]{0,3}|[dD][89abAB][0-9a-fA-F]{2}(\\(u([dD]([c-fC-F][0-9a-fA-F]?)?)?)?)?)?)?\Z"
)


def complete(prefix: str) -> Open | None:  # noqa: C901, PLR0912, PLR0915  slow, plain, in one piece
    """Close a prefix of valid JSON, dropping what is not whole; None if nothing is there yet."""
    closers: list[str] = []
    keys: list[Any] = []
    safe: list[int] = []  # for each open container, where its last whole child ends
    in_string, is_key, start = False, False, 0
    expects_key = False
    token = 0  # where a number or word began, plus one
    after_value = 0
    i = 0
    while i < len(prefix):
        char = prefix[i]
        if in_string:
            if char == "\\":
                i += 2
                continue
            if char == '"':
                in_string = False
                if is_key:
                    keys[-1] = json.loads(prefix[start : i + 1], strict=False)
                    expects_key = False
                else:
                    after_value = i + 1
                    if safe:
                        safe[-1] = i + 1
            i += 1
            continue
        if char in " \t\r\n,:]}" and token:
            token = 0
            after_value = i
            if safe:
                safe[-1] = i
        if char == '"':
            in_string, start = True, i
            is_key = bool(closers) and closers[-1] == "}" and expects_key
        elif char in "{[":
            closers.append("}" if char == "{" else "]")
            keys.append(0 if char == "[" else None)
            safe.append(i + 1)
            expects_key = char == "{"
        elif char in "}]":
            closers.pop()
            keys.pop()
            safe.pop()
            after_value = i + 1
            if safe:
                safe[-1] = i + 1
        elif char == ",":
            if closers[-1] == "}":
                expects_key = True
            else:
                keys[-1] += 1
        elif char not in " \t\r\n:" and not token:
            token = i + 1
            for word in ("true", "false", "null", "NaN", "Infinity", "-Infinity"):
                if prefix.startswith(word, i):
                    i += len(word) - 1
                    token = 0
                    after_value = i + 1
                    if safe:
                        safe[-1] = i + 1
        i += 1
    paths = [tuple(keys[:depth]) for depth in range(len(keys))]
    closing = "".join(reversed(closers))
    if in_string and not is_key:
        text = prefix[: m.start()] if (m := _cut(prefix, start)) else prefix
        return Open(text + '"' + closing, tuple(keys), [*paths])
    if not closers:
        return Open(prefix[:after_value], None, []) if after_value else None
    return Open(prefix[: safe[-1]] + closing, None, paths)


def _cut(prefix: str, start: int) -> re.Match[str] | None:
    """The incomplete escape at the end of an open string, if it really begins one."""
    found = _CUT_ESCAPE.search(prefix, start + 1)
    while found is not None:
        before = prefix[start + 1 : found.start()]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return found
        found = _CUT_ESCAPE.search(prefix, found.start() + 1)
    return None


_LONE = re.compile("[\ud800-\udfff]")


def expected(tp: Any, prefix: str) -> Any:
    """The view of the partial of `tp` that a prefix of valid JSON must give; None before it has begun."""
    done = complete(prefix)
    if done is None:
        return None
    raw = json.loads(done.text, strict=False)
    return typed(tp, raw, (), done)


ABSENT = object()


def typed(tp: Any, raw: Any, path: tuple[Any, ...], done: Open) -> Any:
    """The view of one value; ABSENT for an unfinished string that is not to be seen yet."""
    while get_origin(tp) is Annotated:
        tp = get_args(tp)[0]
    options = [arg for arg in get_args(tp) if arg is not type(None)] if _is_union(tp) else [tp]
    if raw is None:
        return ("NoneType", None)
    if isinstance(raw, str):
        return _string(options, raw, is_open=done.string == path)
    if isinstance(raw, dict):
        return _object(options, raw, path, done)
    if isinstance(raw, list):
        return _array(options, raw, path, done)
    if tp is Any:
        return plain(raw)
    return plain(_convert(tp, raw))


def _is_union(tp: Any) -> bool:
    return get_origin(tp) in (Union, types.UnionType)


def _string(options: list[Any], raw: str, *, is_open: bool) -> Any:
    raw = _LONE.sub("\ufffd", raw)
    if str in options or Any in options:
        return ("str", raw)
    return ABSENT if is_open else plain(_convert(Union[tuple(options)], raw))


def _convert(tp: Any, raw: Any) -> Any:
    try:
        return TypeAdapter(tp).validate_python(raw)
    except ValueError:
        return raw


def _object(options: list[Any], raw: dict[str, Any], path: tuple[Any, ...], done: Open) -> Any:
    models = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
    if len(models) > 1:
        tag = None if done.string == (*path, "kind") else raw.get("kind")
        models = [m for m in models if get_args(m.model_fields["kind"].annotation)[0] == tag]
        if not models:
            known = {key: typed(Any, value, (*path, key), done) for key, value in raw.items() if key != "unknown"}
            if done.string == (*path, "kind"):
                known.pop("kind", None)
            return ("dict", known)
    if models:
        return _model(models[0], raw, path, done)
    for option in options:
        if get_origin(option) is dict:
            key_type, item = get_args(option)
            values = {_convert(key_type, key): typed(item, value, (*path, key), done) for key, value in raw.items()}
            return ("dict", {key: value for key, value in values.items() if value is not ABSENT})
    return ("dict", {key: typed(Any, value, (*path, key), done) for key, value in raw.items()})


def _model(model: type[BaseModel], raw: dict[str, Any], path: tuple[Any, ...], done: Open) -> Any:
    values: dict[str, Any] = {}
    arrived: set[str] = set()
    for name, field in model.model_fields.items():
        key = field.alias or name
        value = typed(field.annotation, raw[key], (*path, key), done) if key in raw else ABSENT
        if value is ABSENT:
            values[name] = missing(field)
        else:
            values[name] = value
            arrived.add(name)
    if model.model_config.get("extra") == "allow":
        for key, value in raw.items():
            if key not in model.model_fields:
                values[key] = typed(Any, value, (*path, key), done)
                arrived.add(key)
    return (model.__name__, values, frozenset(arrived))


def missing(field: Any) -> Any:
    """What stands for a field that has not arrived."""
    if not field.is_required():
        return plain(field.get_default(call_default_factory=True))
    tp = field.annotation
    origin = get_origin(tp) or tp
    if origin in (list, dict, set, tuple):
        return plain(origin())
    if isinstance(tp, type) and issubclass(tp, BaseModel):
        return (tp.__name__, {name: missing(f) for name, f in tp.model_fields.items()}, frozenset())
    return ("NoneType", None)


def _array(options: list[Any], raw: list[Any], path: tuple[Any, ...], done: Open) -> Any:
    for option in options:
        origin, args = get_origin(option), get_args(option)
        if origin in (list, set, tuple):
            fixed = origin is tuple and args[-1] is not Ellipsis
            items = []
            for index, item in enumerate(raw[: len(args)] if fixed else raw):
                here = (*path, index)
                if origin is set and (done.string == here or here in done.paths):
                    continue
                tp = args[index] if fixed else args[0]
                items.append(typed(tp, item, here, done))
            shown = [item for item in items if item is not ABSENT]
            if origin is set:
                return ("set", frozenset(shown))
            return (origin.__name__, tuple(shown))
    return ("list", tuple(typed(Any, item, (*path, index), done) for index, item in enumerate(raw)))


def plain(value: Any) -> Any:
    """The view of a finished Python value."""
    if isinstance(value, dict):
        return ("dict", {key: plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, tuple(plain(item) for item in value))
    if isinstance(value, (set, frozenset)):
        return (type(value).__name__, frozenset(plain(item) for item in value))
    if isinstance(value, float) and value != value:  # noqa: PLR0124  NaN
        return ("float", "NaN")
    return (type(value).__name__, value)


def view(value: Any) -> Any:
    """The view of a partial: like `plain`, models by the name of the response model."""
    if isinstance(value, BaseModel):
        model = getattr(type(value), "__full_model__", type(value))
        values = {name: view(item) for name, item in value.__dict__.items()}
        values.update({key: view(item) for key, item in (value.__pydantic_extra__ or {}).items()})
        return (model.__name__, values, frozenset(value.model_fields_set))
    if isinstance(value, dict):
        return ("dict", {key: view(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, tuple(view(item) for item in value))
    return plain(value)


# ---------------------------------------------------------------------- documents

_ALPHABET = 'abc "\\/\n\t\u00e9\u4e2d\U0001f600\x7f\u2028{}[]:,'


def document(rng: random.Random, chance: float = 0.85) -> str:
    """A `Record` as a model might write it: any order, keys missing or unknown, odd spaces and escapes."""
    return dumps(_value(Record, rng, 0, chance), rng)


def _value(tp: Any, rng: random.Random, depth: int, chance: float) -> Any:  # noqa: C901, PLR0911, PLR0912  one case per type
    while get_origin(tp) is Annotated:
        tp = get_args(tp)[0]
    if _is_union(tp):
        options = get_args(tp)
        return _value(rng.choice(options), rng, depth, chance)
    origin, args = get_origin(tp), get_args(tp)
    many = range(rng.randrange(3 if depth < 2 else 2))
    if tp is type(None):
        return None
    if tp in (str, SecretStr):
        return "".join(rng.choice(_ALPHABET) for _ in range(rng.randrange(7)))
    if tp is int:
        return rng.choice([0, -1, 7, 123456])
    if tp in (float, Decimal):
        return rng.choice([0, 1.5, -2e10, 3])
    if tp is bool:
        return rng.random() < 0.5
    if tp is date:
        return rng.choice(["2024-02-29", "soon"])
    if tp is UUID:
        return str(UUID(int=rng.getrandbits(128)))
    if tp is Any:
        return rng.choice([1, "any", [1, "x", [None]], {"a": {"b": [True, "s"]}}, None])
    if origin is Literal:
        return rng.choice(args)
    if origin in (list, set) or (origin is tuple and args[-1] is Ellipsis):
        return [_value(args[0], rng, depth + 1, chance) for _ in many]
    if origin is tuple:
        return [_value(arg, rng, depth + 1, chance) for arg in args] + ["beyond"] * (rng.random() < 0.2)
    if origin is dict:
        keys = [rng.choice(["a", "b c", "\u00e9", "1"]) if args[0] is str else str(rng.randrange(9)) for _ in many]
        return {key: _value(args[1], rng, depth + 1, chance) for key in keys}
    if issubclass(tp, enum.Enum):
        return rng.choice([member.value for member in tp])
    made = {}
    fields = list(tp.model_fields.items())
    rng.shuffle(fields)
    for name, field in fields:
        too_deep = depth > 2 and tp is Node and name != "name"
        if rng.random() < chance and not too_deep:
            made[field.alias or name] = _value(field.annotation, rng, depth + 1, chance)
        if rng.random() < 0.03 and tp not in (Cat, Dog):
            made["unknown"] = rng.choice(["skip", [1, {"x": "y"}], {"z": [None]}, 12])
    return made


def dumps(value: Any, rng: random.Random) -> str:
    """Write JSON with random spaces and escapes."""

    def space() -> str:
        return rng.choice(["", "", "", " ", "\n  ", "\t"])

    if isinstance(value, str):
        written = json.dumps(value, ensure_ascii=rng.random() < 0.5)
        return written.replace("/", "\\/") if rng.random() < 0.3 else written
    if isinstance(value, dict):
        inner = f",{space()}".join(
            f"{space()}{dumps(key, rng)}{space()}:{space()}{dumps(item, rng)}{space()}" for key, item in value.items()
        )
        return "{" + (inner or space()) + "}"
    if isinstance(value, list):
        return "[" + (",".join(space() + dumps(item, rng) + space() for item in value) or space()) + "]"
    return json.dumps(value)
