"""Every kind of type a response model can be made of, and what its partials look like on the way."""

# ruff: noqa: UP007, UP045  Union and Optional are what many models are written with
from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import gc
import ipaddress
import pathlib
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypeVar,
    Union,
)
from unittest import mock

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    HttpUrl,
    Json,
    PrivateAttr,
    RootModel,
    SecretStr,
    StringConstraints,
    Tag,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.partial_types import full_model
from tests.core.records import records_of

T = TypeVar("T")


def shown(tp: Any, text: str, *, search: bool = False) -> Any:
    """The snapshot after `text`, which must not depend on how it was cut."""
    whole = PartialParser(compile_plan(tp), search=search)
    whole.feed(text)
    by_char = PartialParser(compile_plan(tp), search=search)
    for char in text:
        by_char.feed(char)
        by_char.snapshot()
    assert repr(whole.snapshot()) == repr(by_char.snapshot())
    return by_char.snapshot()


class Item(BaseModel):
    name: str
    size: int = 1


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


# ---------------------------------------------------------------------- scalars


@pytest.mark.parametrize(
    ("tp", "token", "value"),
    [
        (int, "12", 12),
        (int, "12.0", 12),
        (int, '"12"', 12),
        (float, "12", 12.0),
        (float, "1e400", float("inf")),
        (bool, "true", True),
        (Colour, '"red"', Colour.RED),
        (Level, "1", Level.LOW),
        (Literal["a", "b"], '"a"', "a"),
        (dt.date, '"2024-02-29"', dt.date(2024, 2, 29)),
        (dt.datetime, '"2024-02-29T01:02:03Z"', dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC)),
        (pydantic.PastDate, '"2999-01-01"', dt.date(2999, 1, 1)),
        (pydantic.AwareDatetime, '"2024-02-29T01:02:03"', dt.datetime(2024, 2, 29, 1, 2, 3)),  # noqa: DTZ001
        (dt.timedelta, '"PT1M"', dt.timedelta(minutes=1)),
        (uuid.UUID, f'"{uuid.UUID(int=5)}"', uuid.UUID(int=5)),
        (decimal.Decimal, '"1.10"', decimal.Decimal("1.10")),
        (decimal.Decimal, "3", decimal.Decimal(3)),
        (bytes, '"ab"', b"ab"),
        (SecretStr, '"ab"', SecretStr("ab")),
        (SecretStr, "912", SecretStr("912")),
        (Optional[SecretStr], "912", SecretStr("912")),
        (pydantic.SecretBytes, "912", pydantic.SecretBytes(b"912")),
        (pydantic.Secret[int], '"ab"', pydantic.Secret[int]("ab")),  # type: ignore[arg-type]
        (pathlib.Path, '"a/b"', pathlib.Path("a/b")),
        (HttpUrl, '"https://a.b/"', HttpUrl("https://a.b/")),
        (ipaddress.IPv4Address, '"1.2.3.4"', ipaddress.IPv4Address("1.2.3.4")),
        (Annotated[int, Field(gt=100)], "12", 12),
        (Annotated[dt.date, Field(gt=dt.date(2999, 1, 1))], '"2024-02-29"', dt.date(2024, 2, 29)),
        (Optional[int], "12", 12),
        (Union[int, float], "1.5", 1.5),
        (Union[int, float], "1", 1),
        (Union[dt.date, uuid.UUID], f'"{uuid.UUID(int=5)}"', uuid.UUID(int=5)),
        (Union[Literal["today"], dt.date], '"today"', "today"),
        (Union[Literal["today"], dt.date], '"2024-02-29"', dt.date(2024, 2, 29)),
        (Union[bool, int], "true", True),
    ],
)
def test_scalars_are_absent_until_they_are_whole_and_then_of_their_type(tp: Any, token: str, value: Any) -> None:
    for cut in range(1, len(token)):
        assert shown(list[tp], "[" + token[:cut]) == []
    partial = shown(list[tp], f"[{token},")
    assert partial == [value]
    assert type(partial[0]) is type(value)


@pytest.mark.parametrize(
    ("tp", "token", "value"),
    [(dt.date, '"soon"', "soon"), (Colour, '"green"', "green"), (int, '"x"', "x"), (bool, "7", 7), (int, "1.5", 1.5)],
)
def test_what_does_not_convert_is_shown_as_it_is(tp: Any, token: str, value: Any) -> None:
    assert shown(list[tp], f"[{token},") == [value]


@pytest.mark.parametrize(
    "tp",
    [
        str,
        Any,
        object,
        Optional[str],
        Union[str, int],
        Union[str, dt.date],
        Union[Literal["a"], str],  # noqa: PYI051  said twice
        Annotated[str, Field(min_length=30, pattern="^x+$")],
        Annotated[str, StringConstraints(to_upper=True)],
        Annotated[str, AfterValidator(int)],
        Annotated[str, BeforeValidator(int)],
        pydantic.StrictStr,
        NewType("Name", str),
        TypeAliasType("Alias", Annotated[str, Field(max_length=1)]),
    ],
)
def test_strings_grow_where_a_plain_string_may_stand(tp: Any) -> None:
    assert shown(list[tp], '["2024-0') == ["2024-0"]
    assert shown(list[tp], '["2024-01-01"') == ["2024-01-01"]


def test_a_number_and_null_where_a_string_may_stand() -> None:
    assert shown(list[Union[str, int, None]], '[1,"a",null') == [1, "a", None]


class Shouted(str):
    """A type with a validator of its own."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> Any:
        def refuse(_value: Any) -> Any:
            raise AssertionError("a user's validator must not run")

        return core_schema.no_info_plain_validator_function(refuse)


def test_types_with_their_own_validators_are_shown_raw_when_whole() -> None:
    assert shown(list[Shouted], '["ab') == []
    assert shown(list[Shouted], '["ab"') == ["ab"]
    assert shown(list[pydantic.ImportString], '["os.getcwd"') == ["os.getcwd"]  # type: ignore[type-arg]


ran: list[Any] = []


class Picky(int):
    """A number with a validator of its own."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> Any:
        return core_schema.no_info_plain_validator_function(ran.append)


def test_the_validator_of_a_scalar_type_does_not_run() -> None:
    assert shown(list[Picky], "[7,") == [7]
    assert ran == []


def test_json_in_json_is_shown_as_its_text() -> None:
    assert shown(list[Json[list[int]]], '["[1') == []
    assert shown(list[Json[list[int]]], '["[1]"') == ["[1]"]


# ---------------------------------------------------------------------- containers


def test_lists_and_what_is_like_them() -> None:
    for tp in (list[Item], Sequence[Item], Iterable[Item], Optional[list[Item]]):
        partial = shown(tp, '[{"name": "a"}, {"name": "b')
        assert [isinstance(item, Item) for item in partial] == [True, True]
        assert partial[1].name == "b"
    assert shown(list, '[1, {"a": "b') == [1, {"a": "b"}]
    assert shown(list[list[Item]], '[[{"name": "a"}], [{"na')[1][0].name is None


def test_sets_show_whole_items_only() -> None:
    assert shown(set[str], '["ab", "c') == {"ab"}
    assert shown(frozenset[int], "[1, 2, 2,") == frozenset({1, 2})
    assert shown(set[Item], '[{"name": "a"}') == [Item(name="a")]  # cannot be hashed


class Point(BaseModel):
    model_config = ConfigDict(frozen=True)
    x: int


def test_a_set_of_frozen_models() -> None:
    partial = shown(set[Point], '[{"x": 1}, {"x": 1}, {"x": 2}]')
    assert isinstance(partial, set)
    assert {point.x for point in partial} == {1, 2}


def test_tuples_and_deques() -> None:
    assert shown(tuple[int, str], '[1, "a') == (1, "a")
    assert shown(tuple[int, str], "[1, ") == (1,)
    assert shown(tuple[dt.date, str], '["2024-01-0') == ()
    assert shown(tuple[int, str], '[1, "a", {"b": "c"}, 3') == (1, "a")
    assert shown(tuple[int, str], '[1, "a", {"b": "c"}, 3]') == (1, "a")
    assert shown(tuple[str, ...], '["a", "b') == ("a", "b")
    assert shown(tuple[()], "[") == ()
    assert shown(tuple[()], "[1, 2") == ()
    assert shown(tuple, "[1, ") == (1,)
    assert shown(collections.deque[int], "[1, 2,") == collections.deque([1, 2])
    assert isinstance(shown(tuple[Item, int], '[{"name": "a"')[0], Item)


def test_a_long_tuple_loses_nothing_at_its_end() -> None:
    text = "[" + ",".join(map(str, range(5000))) + "]"
    parser = PartialParser(compile_plan(tuple[int, ...]))
    sizes = []
    for at in range(0, len(text), 50):
        parser.feed(text[at : at + 50])
        sizes.append(len(parser.snapshot()))
    assert sizes == sorted(sizes)
    assert parser.snapshot() == tuple(range(5000))


def test_dicts() -> None:
    assert shown(dict[str, Item], '{"a": {"name": "b')["a"].name == "b"
    assert shown(dict[int, float], '{"1": 2, "3": 4') == {1: 2.0}
    assert shown(dict[Colour, str], '{"red": "a", "green": "b') == {Colour.RED: "a", "green": "b"}
    assert shown(Mapping[str, int], '{"a": 1,') == {"a": 1}
    assert shown(dict, '{"a": ["b') == {"a": ["b"]}
    ordered = shown(collections.OrderedDict[str, int], '{"a": 1,')
    assert type(ordered) is collections.OrderedDict
    assert shown(collections.defaultdict[str, list[int]], '{"a": [1,') == {"a": [1]}
    assert shown(collections.Counter[str], '{"a": 1,') == {"a": 1}


# ---------------------------------------------------------------------- models


class Everything(BaseModel):
    text: str
    number: int
    when: Optional[dt.date]
    items: list[Item]
    by_name: dict[str, Item]
    names: set[str]
    pair: tuple[int, int]
    item: Item
    maybe: Optional[Item] = None
    with_default: str = "d"
    fresh: list[int] = [1, 2]
    default_item: Item = Item(name="d")


def test_what_stands_for_what_is_missing() -> None:
    partial = shown(Everything, "{")
    assert partial.__dict__ == {
        "text": None,
        "number": None,
        "when": None,
        "items": [],
        "by_name": {},
        "names": set(),
        "pair": (),
        "item": Item.model_construct(_fields_set=set(), name=None),
        "maybe": None,
        "with_default": "d",
        "fresh": [1, 2],
        "default_item": Item(name="d"),
    }
    assert partial.model_fields_set == set()
    assert partial.item.model_fields_set == set()
    assert partial.fresh is not Everything.model_fields["fresh"].default


def test_the_class_of_partials_is_made_once_and_is_a_subclass() -> None:
    one, other = shown(Everything, '{"item": {'), shown(list[Everything], '[{"item": {')[0]
    assert isinstance(one, Everything)
    assert type(one) is type(other)
    assert type(one) is not Everything
    assert type(one.item) is type(other.item) is compile_plan(Item).partial_type
    assert type(one).__name__ == "PartialEverything"
    assert full_model(type(one)) is Everything
    assert full_model(Everything) is Everything


@pytest.mark.usefixtures("few_to_collect")
def test_no_class_is_made_per_parser() -> None:
    compile_plan(Everything)
    gc.collect()
    before = len(Item.__subclasses__()), len(Everything.__subclasses__()), len(gc.get_objects())
    for _ in range(300):
        parser = PartialParser(compile_plan(Everything))
        parser.feed('{"items": [{"name": "a"}], "item": {"name": "b"}')
        parser.snapshot()
        assert compile_plan(list[Everything]) is compile_plan(list[Everything])
    del parser
    gc.collect()
    assert (len(Item.__subclasses__()), len(Everything.__subclasses__())) == before[:2]
    assert len(gc.get_objects()) < before[2] + 300


def test_plans_of_classes_that_come_and_go_are_not_kept_for_good() -> None:
    from instructor_stream_ext.core.types import compile as kept

    first = compile_plan(pydantic.create_model("Passing", x=(int, 1)))
    for _ in range(kept._KEPT + 20):
        kept._plans[object()] = first
        compile_plan(Item)
    assert len(kept._plans) <= kept._KEPT + 20
    compile_plan(pydantic.create_model("Passing", x=(int, 1)))
    assert len(kept._plans) <= kept._KEPT


class Watched(BaseModel):
    """A model in which everything of a user's fails."""

    seen: list[type] = Field(default_factory=list, exclude=True)
    name: str
    total: int = 0
    _private: list[int] = PrivateAttr(default_factory=lambda: [7])
    _plain: str = "p"

    def __init_subclass__(cls, **_: Any) -> None:
        raise AssertionError("a hook of the model must not run")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        raise AssertionError("a hook of the model must not run")

    def model_post_init(self, _context: Any, /) -> None:
        raise AssertionError("must not run on a partial")

    @field_validator("name")
    @classmethod
    def _check(cls, _value: str) -> str:
        raise AssertionError("must not run on a partial")

    @model_validator(mode="before")
    @classmethod
    def _check_all(cls, _value: Any) -> Any:
        raise AssertionError("must not run on a partial")


def test_nothing_of_the_users_runs() -> None:
    partial = shown(Watched, '{"name": "a", "total": 3')
    assert partial.name == "a"
    assert partial._private == [7]
    assert partial._plain == "p"


calls: list[str] = []


def counted(name: str) -> str:
    calls.append(name)
    return f"{name}{len(calls)}"


class Stamped(BaseModel):
    id: str = Field(default_factory=lambda: counted("id"))
    text: str = ""


class Stamps(BaseModel):
    items: list[Stamped]
    missing: Stamped
    failing: str = Field(default_factory=lambda: str(1 // 0))
    dependent: str = Field(default_factory=lambda data: data["nothing"])


def test_default_factories_run_once_per_object() -> None:
    calls.clear()
    parser = PartialParser(compile_plan(Stamps))
    ids = []
    for char in '{"items": [{"text": "abc"}, {"text": "def"}, {"id": "given"}], "other": 1':
        parser.feed(char)
        partial = parser.snapshot()
        if len(partial.items) == 3:
            ids.append((partial.missing.id, *(item.id for item in partial.items[:2])))
    assert len(calls) == 4
    assert len(set(ids)) == 1
    assert partial.failing is None
    assert partial.dependent is None


class Node(BaseModel):
    name: str
    children: list[Node] = []
    parent: Optional[Node] = None
    by_name: dict[str, Node] = {}


class Endless(BaseModel):
    name: str
    next: Endless


class One(BaseModel):
    other: Two


class Two(BaseModel):
    one: One


def test_recursion() -> None:
    partial = shown(Node, '{"children": [{"name": "a", "parent": {"name": "b", "by_name": {"c": {"name": "d')
    deepest = partial.children[0].parent.by_name["c"]
    assert type(deepest) is type(partial)
    assert deepest.name == "d"


def test_required_recursion_does_not_run_on() -> None:
    assert shown(Endless, "{").next.next is None
    assert shown(Endless, '{"next": {"next": {"name": "x').next.next.name == "x"
    assert shown(One, "{").other.one.other is None


class Box(BaseModel, Generic[T]):
    content: T
    all: list[T] = []


def test_generic_models() -> None:
    partial = shown(Box[Item], '{"content": {"name": "a"}, "all": [{"name": "b')
    assert isinstance(partial, Box)
    assert isinstance(partial, Box[Item])  # type: ignore[misc]
    assert isinstance(partial.content, Item)
    assert partial.all[0].name == "b"
    assert shown(Box[int], '{"content": "12", ').content == 12
    assert shown(Box, '{"content": "a').content == "a"


class Aliased(BaseModel):
    first: str = Field(alias="First")
    second: Item = Field(validation_alias="Second", serialization_alias="2nd")
    third: list[Item] = Field(default=[], validation_alias=AliasChoices("c", "d", AliasPath("e", 0)))


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True, alias_generator=lambda name: name.upper())
    a_name: str


class OnlyName(BaseModel):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=False)
    a_name: str = Field(alias="alias")


def test_aliases() -> None:
    partial = shown(Aliased, '{"First": "a", "Second": {"name": "b"}, "d": [{"name": "c')
    assert (partial.first, partial.second.name, partial.third[0].name) == ("a", "b", "c")
    assert partial.model_fields_set == {"first", "second", "third"}
    assert shown(Aliased, '{"first": "a').first is None
    assert shown(ByName, '{"A_NAME": "a').a_name == "a"
    assert shown(ByName, '{"a_name": "a').a_name == "a"
    assert shown(OnlyName, '{"a_name": "a').a_name == "a"
    assert shown(OnlyName, '{"alias": "a').a_name is None


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: str


class TypedLoose(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Item] = Field(init=False)


class Tight(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    known: str


def test_unknown_keys_as_the_model_wants_them() -> None:
    partial = shown(Loose, '{"x": {"y": [1, "z"]}, "known": "k", "more": "m')
    assert partial.model_extra == {"x": {"y": [1, "z"]}, "more": "m"}
    assert partial.more == "m"
    assert partial.model_fields_set == {"x", "known", "more"}
    assert shown(TypedLoose, '{"a": {"name": "n').a.name == "n"
    for model in (Tight, Item):
        partial = shown(model, '{"x": {"known": "y", "name": [1, "z"]}, "known": "k", "name": "n')
        assert partial.__pydantic_extra__ is None
        assert "x" not in partial.__dict__


def test_the_last_of_two_equal_keys_wins() -> None:
    assert shown(Item, '{"name": "a", "name": "b').name == "b"
    assert shown(Item, '{"name": "a", "name": ').name == "a"
    assert shown(dict[str, int], '{"a": 1, "a": 2,') == {"a": 2}


# ---------------------------------------------------------------------- root models


class Names(RootModel[list[str]]):
    pass


class Items(RootModel[dict[str, Item]]):
    root: dict[str, Item] = {}


class Word(RootModel[str]):
    pass


class Count(RootModel[int]):
    pass


class Tree(RootModel[Union[str, list["Tree"], dict[str, "Tree"]]]):
    pass


class RootOfModel(RootModel[Item]):
    pass


class Rooted(BaseModel):
    names: Names
    items: Items
    word: Word
    count: Optional[Count] = None
    inner: RootOfModel


def test_root_models() -> None:
    assert shown(Names, '["a", "b') == Names.model_construct(["a", "b"])
    assert isinstance(shown(Names, "["), Names)
    assert shown(Items, '{"a": {"name": "b').root["a"].name == "b"
    partial = shown(Rooted, '{"count": 3, "names": ["x"], "inner": {"name": "i"}, "word": "w')
    assert (partial.count.root, partial.names.root, partial.inner.root.name, partial.word.root) == (3, ["x"], "i", "w")
    empty = shown(Rooted, "{")
    assert (empty.names.root, empty.items.root, empty.word.root, empty.inner.root.name) == ([], {}, None, None)
    tree = shown(Tree, '{"a": ["b", {"c": "d')
    assert isinstance(tree, Tree)
    inner: Any = tree.root["a"]  # type: ignore[call-overload, index]
    assert isinstance(inner.root[1].root["c"], Tree)
    assert inner.root[1].root["c"].root == "d"
    assert tree.model_dump() == {"a": ["b", {"c": "d"}]}


# ---------------------------------------------------------------------- records


@dataclasses.dataclass
class Plain:
    name: str
    items: list[Item]
    size: int = 3
    tags: list[str] = dataclasses.field(default_factory=lambda: ["t"])
    inner: Optional[Plain] = None

    def __post_init__(self) -> None:
        raise AssertionError("must not run on a partial")


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    name: str
    size: int = 3


@pydantic_dataclass
class Checked:
    name: str = Field(alias="Name", min_length=50)
    slotted: Optional[Slotted] = None


@dataclasses.dataclass
class Pair(Generic[T]):
    left: T
    right: Optional[Pair[T]] = None


def test_dataclasses() -> None:
    partial = shown(Plain, '{"name": "a", "items": [{"name": "b"}], "inner": {"name": "c')
    assert isinstance(partial, Plain)
    assert isinstance(partial.inner, Plain)
    assert (partial.name, partial.items[0].name, partial.size, partial.tags) == ("a", "b", 3, ["t"])
    assert (partial.inner.name, partial.inner.items) == ("c", [])
    slotted = shown(Slotted, '{"name": "a')
    assert isinstance(slotted, Slotted)
    assert dataclasses.asdict(slotted) == {"name": "a", "size": 3}
    checked = shown(Checked, '{"Name": "a", "slotted": {"name": "s')
    assert isinstance(checked, Checked)
    assert checked.slotted
    assert (checked.name, checked.slotted.name) == ("a", "s")
    pair = shown(Pair[Item], '{"left": {"name": "a"}, "right": {"left": {"name": "b')
    assert (type(pair.left), pair.right.left.name) == (compile_plan(Item).partial_type, "b")


def test_a_partial_dataclass_is_compared_by_what_it_shows() -> None:
    text = '{"name": "a", "items": [{"name": "b"}], "inner": {"name": "c'
    partial = shown(Plain, text)
    assert partial == shown(Plain, text)
    assert partial != shown(Plain, text + "d")
    assert partial != shown(Slotted, '{"name": "a')
    assert partial == mock.ANY  # what is no partial of this class decides itself


class Movie(TypedDict):
    title: str
    cast: NotRequired[list[Item]]
    when: Annotated[dt.date, Field(alias="date")]


class Holder(BaseModel):
    movie: Movie
    point: Coordinates


class Coordinates(NamedTuple):
    x: int
    label: str
    item: Optional[Item] = None


def test_typed_dicts_show_the_keys_there_are() -> None:
    assert shown(Movie, "{") == {}
    partial = shown(Movie, '{"title": "a", "x": 1, "date": "2024-01-01", "cast": [{"name": "b')
    assert partial == {"title": "a", "when": dt.date(2024, 1, 1), "cast": [partial["cast"][0]]}
    assert isinstance(partial["cast"][0], Item)
    assert shown(Holder, "{").movie == {}


def test_named_tuples() -> None:
    partial = shown(Coordinates, '[1, "a')
    assert isinstance(partial, Coordinates)
    assert (partial.x, partial.label, partial.item) == (1, "a", None)
    assert shown(Coordinates, '{"label": "b", "x": 2,') == Coordinates(2, "b")
    assert repr(shown(Coordinates, '[1, "a", null, 4, 5')) == "PartialCoordinates(x=1, label='a', item=None)"
    assert shown(Holder, "{").point == (None, None, None)
    assert isinstance(shown(Coordinates, '[1, "a", {"name": "n').item, Item)


# ---------------------------------------------------------------------- unions


class Cat(BaseModel):
    kind: Literal["cat"]
    name: str
    when: Optional[dt.date] = None
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str
    when: Optional[dt.date] = None
    toys: list[Item] = []


class Bird(BaseModel):
    song: str
    name: str


class Fish(BaseModel):
    name: str
    depth: float


class ColourCat(BaseModel):
    colour: Literal[Colour.RED]
    name: str


class Grey(enum.Enum):
    GREY = "grey"


class GreyCat(BaseModel):
    colour: Grey
    name: str


ByKind = Annotated[Union[Cat, Dog], Field(discriminator="kind")]


@pytest.mark.parametrize("tp", [ByKind, Union[Cat, Dog]])
def test_a_union_is_decided_by_its_tag_as_soon_as_it_is_known(tp: Any) -> None:
    assert shown(list[tp], '[{"kind": "do') == [{}]
    assert isinstance(shown(list[tp], '[{"kind": "dog"')[0], Dog)
    assert isinstance(shown(list[tp], '[{"kind": "cat", "name": "T')[0], Cat)


def test_a_union_decided_late_is_built_anew_once() -> None:
    text = '{"name": "Tom", "when": "2024-01-01", "kind": "cat", "lives": 3}'
    parser = PartialParser(compile_plan(ByKind))
    seen: list[Any] = []
    for char in text:
        parser.feed(char)
        partial = parser.snapshot()
        if not seen or type(seen[-1]) is not type(partial):
            seen.append(partial)
    assert [full_model(type(partial)) for partial in seen] == [dict, Cat]
    assert seen[1].__dict__ == {"kind": "cat", "name": "Tom", "when": dt.date(2024, 1, 1), "lives": 9}
    assert seen[1].model_fields_set == {"kind", "name", "when"}
    assert partial.lives == 3


class Dated(BaseModel):
    tag: Literal["dated"]
    value: dt.date
    inner: Item


class Named(BaseModel):
    tag: Literal["named"]
    value: str
    inner: dict[str, Any]


def test_what_the_members_read_differently_is_built_anew() -> None:
    text = '{"value": "2024-01-01", "inner": {"name": "a"}, "tag": '
    dated, named = shown(Union[Dated, Named], text + '"dated"'), shown(Union[Dated, Named], text + '"named"')
    assert (dated.value, type(dated.inner)) == (dt.date(2024, 1, 1), compile_plan(Item).partial_type)
    assert (named.value, named.inner) == ("2024-01-01", {"name": "a"})
    assert shown(Union[Dated, Named], '{"value": "2024-0') == {"value": "2024-0"}


class Dates(BaseModel):
    tag: Literal["dates"]
    all: list[dt.date]
    pair: tuple[dt.date, int]
    some: set[dt.date]
    by_name: dict[str, dt.date]


class Words(BaseModel):
    tag: Literal["words"]
    all: list[str]
    pair: tuple[str, str]
    some: set[str]
    by_name: dict[str, str]


def test_containers_that_the_members_read_differently_are_built_anew() -> None:
    day, when = '"2024-01-01"', dt.date(2024, 1, 1)
    text = f'{{"all": [{day}], "pair": [{day}, 3, 4], "some": [{day}], "by_name": {{"x": {day}}}, "tag": "dates"'
    dates = shown(Union[Dates, Words], text)
    assert (dates.all, dates.pair, dates.some, dates.by_name) == ([when], (when, 3), {when}, {"x": when})


def test_a_union_is_decided_by_its_keys() -> None:
    tp = Union[Bird, Fish]
    assert shown(tp, '{"name": "n"') == {"name": "n"}
    assert isinstance(shown(tp, '{"name": "n", "depth":'), Fish)
    assert isinstance(shown(tp, '{"song": "la'), Bird)
    assert isinstance(shown(Union[Cat, Dog], '{"name": "n", "toys": [{"name": "t'), Dog)
    assert shown(Union[Cat, Dog], '{"name": "n", "toys": [{"name": "t').toys[0].name == "t"


class Small(BaseModel):
    name: str


class Large(BaseModel):
    name: str
    size: int
    note: str = ""


def test_a_union_not_decided_is_decided_at_the_end() -> None:
    assert isinstance(shown(Union[Large, Small], '{"name": "n"}'), Small)
    assert shown(Union[Bird, Fish], '{"name": "n"}') == {"name": "n"}
    assert shown(Union[Bird, Fish], '{"zzz": 1}') == {}
    assert shown(ByKind, '{"kind": "cow", "name": "n"}') == {"kind": "cow", "name": "n"}


def test_enum_tags_and_tags_that_cannot_be_hashed() -> None:
    tp = Union[ColourCat, GreyCat]
    assert isinstance(shown(tp, '{"colour": "grey", '), GreyCat)
    assert isinstance(shown(tp, '{"name": "a", "colour": "red"'), ColourCat)
    assert shown(tp, '{"colour": ["x"], "name": "a') == {"colour": ["x"], "name": "a"}


def which(raw: Any) -> str:
    return "fish" if isinstance(raw, dict) and raw.get("name", "").startswith("f") else "other"


Called = Annotated[
    Union[Annotated[Small, Tag("fish")], Annotated[Large, Tag("other")]],
    Discriminator(which),
]


def test_a_callable_discriminator_decides_at_the_end() -> None:
    assert shown(Called, '{"name": "f') == {"name": "f"}
    assert isinstance(shown(Called, '{"name": "f"}'), Small)
    assert isinstance(shown(Called, '{"name": "g"}'), Large)
    assert isinstance(shown(Called, '{"name": "f", "size": 1'), Large)


class Pets(BaseModel):
    pet: Union[Cat, Dog] = Field(discriminator="kind")
    any_pet: Union[Annotated[Union[Cat, Dog], Field(discriminator="kind")], Bird, None] = None
    mixed: Union[list[Item], dict[str, Item], Item, str, int, None] = None
    lists: Union[list[int], list[Item]] = []


def test_unions_of_different_kinds() -> None:
    assert shown(Pets, "{").pet is None
    assert isinstance(shown(Pets, '{"any_pet": {"song": "a').any_pet, Bird)
    assert isinstance(shown(Pets, '{"any_pet": {"kind": "dog"').any_pet, Dog)
    assert shown(Pets, '{"mixed": "a').mixed == "a"
    assert shown(Pets, '{"mixed": 3,').mixed == 3
    assert shown(Pets, '{"mixed": [{"name": "x').mixed[0].name == "x"
    assert shown(Pets, '{"mixed": {"name": "x"').mixed == {"name": "x"}
    assert isinstance(shown(Pets, '{"mixed": {"name": "x"}').mixed, Item)
    assert shown(Pets, '{"lists": [1, {"name": "x').lists[1].name == "x"


def test_an_atomic_member_is_not_shown_growing_before_the_union_is_decided() -> None:
    assert shown(ByKind, '{"name": "n", "when": "2024-') == {"name": "n"}
    assert shown(ByKind, '{"when": "2024-01-01"') == {"when": dt.date(2024, 1, 1)}


def test_state_and_paths_of_an_undecided_union() -> None:
    class A(BaseModel):
        tag: Literal["a"]
        text: str = Field(alias="Text")

    class B(BaseModel):
        tag: Literal["b"]
        text: str = Field(alias="Text")

    parser = PartialParser(compile_plan(Union[A, B]), transitions=True)
    parser.feed('{"Text": "x')
    assert parser.snapshot() == {"Text": "x"}
    assert parser.state(("text",)).value == "streaming"
    parser.feed('", "tag": "b"')
    assert isinstance(parser.snapshot(), B)
    assert parser.state(("text",)).value == "complete"
    assert [record.path for record in records_of(parser)] == [(), ("text",), ("text",), ("tag",), ("tag",)]


# ---------------------------------------------------------------------- aliases and names

Json_ = TypeAliasType("Json_", "Union[dict[str, Json_], list[Json_], str, int, None]")
V = TypeVar("V")
Listed = TypeAliasType("Listed", list[V], type_params=(V,))
ItemId = NewType("ItemId", int)


class UsesAliases(BaseModel):
    json_: Json_
    listed: Listed[Item]
    id: ItemId


def test_type_aliases_and_new_types() -> None:
    partial = shown(UsesAliases, '{"id": 3, "listed": [{"name": "x"}], "json_": {"a": [1, "b')
    assert partial.id == 3
    assert isinstance(partial.listed[0], Item)
    assert partial.json_ == {"a": [1, "b"]}
    assert shown(list[ForwardRef("Nowhere")], '["a') == ["a"]  # type: ignore[misc]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the type statement")
def test_the_type_statement() -> None:
    names: dict[str, Any] = {"Item": Item}
    exec("type Many = list[Item]\ntype Tree = dict[str, Tree] | str", names)
    assert shown(names["Many"], '[{"name": "x')[0].name == "x"
    assert shown(names["Tree"], '{"a": {"b": "c') == {"a": {"b": "c"}}


# ---------------------------------------------------------------------- the plan itself


@pytest.mark.parametrize(
    ("tp", "kind", "openers"),
    [
        (Item, "object", "{"),
        (Plain, "object", "{"),
        (Movie, "object", "{"),
        (dict[str, int], "object", "{"),
        (ByKind, "object", "{"),
        (list[Item], "array", "["),
        (tuple[int, int], "array", "["),
        (Names, "array", "["),
        (Items, "object", "{"),
        (Union[Item, list[Item]], "any", "{["),
        (Union[Item, str], "any", '{"'),
        (int, "any", "-0123456789"),
        (Any, "any", '{["-0123456789'),
        (bool, "any", "{["),
    ],
)
def test_the_kind_of_document(tp: Any, kind: str, openers: str) -> None:
    plan = compile_plan(tp)
    assert (plan.kind, plan.openers) == (kind, openers)


def test_types_that_are_equal_to_python_but_not_to_us() -> None:
    assert shown(list[Literal[1]], "[1,") == [1]
    assert compile_plan(Literal[1]).type == Literal[1]
    assert repr(compile_plan(Literal[True]).type) == repr(Literal[True])


def test_a_type_with_unhashable_metadata() -> None:
    assert shown(Annotated[list[str], ["unhashable"]], '["a') == ["a"]


class Counted(BaseModel):
    items: list[int]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        return sum(self.items)


def test_computed_fields_work_when_they_can() -> None:
    partial = shown(Counted, '{"items": [1, 2, 3')
    assert partial.total == 3
    assert partial.model_dump() == {"items": [1, 2], "total": 3}
