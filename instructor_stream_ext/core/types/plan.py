"""Plans: what the JSON at each place of a response type becomes.

A `ValuePlan` says what each kind of JSON value builds at one place. Objects and arrays have plans of their own, which
a model shares between all the places where it is used; recursion is a reference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from instructor_stream_ext.core.types.scalars import Convert

__all__ = [
    "ANYTHING",
    "ATOMIC",
    "RAW_ARRAY",
    "RAW_OBJECT",
    "Cache",
    "Maker",
    "ObjectPlan",
    "SequencePlan",
    "ValuePlan",
]

Cache: TypeAlias = "dict[Any, Any]"
"""The stand-ins for missing nested values, made once per stream."""

Maker: TypeAlias = "Callable[[Cache], Any]"


class ValuePlan:
    """The plan of the JSON value at one place.

    Attributes:
        obj: What an object builds here.
        seq: What an array builds here.
        streams: Whether an unfinished string is shown.
        string: Conversion of a whole string, None to keep it.
        scalar: Conversion of a number or boolean, None to keep it.
        wrap: Around every value, open strings included (a RootModel), else None.
        missing: Makes the stand-in for a missing value, None for None.
        kinds: The JSON kinds the type takes: of "object", "array", "string", "number", "literal".
        literals: The values of a Literal or Enum, if that is all the type takes.
        done, with_state, not_null: The markers.
        sig: The annotation, to see whether two places are of one type.
        later: Completes the plan once every class it mentions is known.
    """

    __slots__ = (
        "done",
        "kinds",
        "later",
        "literals",
        "missing",
        "not_null",
        "obj",
        "scalar",
        "seq",
        "sig",
        "streams",
        "string",
        "with_state",
        "wrap",
    )

    def __init__(
        self,
        *,
        obj: ObjectPlan | None = None,
        seq: SequencePlan | None = None,
        streams: bool = False,
        string: Convert | None = None,
        scalar: Convert | None = None,
        kinds: Iterable[str] = (),
        missing: Maker | None = None,
        literals: frozenset[Any] | None = None,
        sig: object = None,
    ) -> None:
        self.obj = obj if obj is not None else RAW_OBJECT
        self.seq = seq if seq is not None else RAW_ARRAY
        self.streams = streams
        self.string = string
        self.scalar = scalar
        self.wrap: Callable[[Any], Any] | None = None
        self.missing = missing
        self.kinds = frozenset(kinds)
        self.literals = literals
        self.done = False
        self.with_state = False
        self.not_null = False
        self.sig = sig
        self.later: Callable[[], None] | None = None

    def become(self, other: ValuePlan) -> None:
        """Take over the contents of `other`, markers included; markers already set stay."""
        for name in ("obj", "seq", "streams", "string", "scalar", "wrap", "missing", "kinds", "literals"):
            setattr(self, name, getattr(other, name))
        self.done |= other.done
        self.with_state |= other.with_state
        self.not_null |= other.not_null

    def settle(self) -> None:
        """Run what was postponed until every class is known."""
        later, self.later = self.later, None
        if later is not None:
            later()


class ObjectPlan:
    """The plan of a JSON object.

    Attributes:
        fields: JSON key to attribute and plan.
        names: Attribute to plan.
        other: Plan of keys not in `fields`; None to read past them.
        extra: Unknown keys are kept beside the fields (`extra="allow"`).
        typed: The result has attributes (a model or dataclass), and `make` builds it; else it is a dict.
        keys: Conversion of the keys of a dict, None to keep them.
        template: Attribute to stand-in or default, in the order of the fields.
        fresh: Attributes whose stand-in is made anew, with their makers.
        private: Makes the private attributes of one object, None if there are none.
        make: `(fields, fields_set, extra, private)` to the finished object; None keeps the dict.
        waits: Attributes without which the object is not shown.
        required: Attributes that have no default.
        candidates: The members of a union not yet decided, else empty.
        tags: JSON key of the discriminator to {value: member}.
        choose: The tag of a callable discriminator to a member, given the whole raw object.
        carried: Keys whose type all members share, so that values need not be rebuilt.
        public: JSON key to the attribute by which paths name it, while undecided.
        fitted: Whether the union knows the fields of its members.
    """

    __slots__ = (
        "candidates",
        "carried",
        "choose",
        "extra",
        "fields",
        "fitted",
        "fresh",
        "keys",
        "make",
        "name",
        "names",
        "other",
        "private",
        "public",
        "required",
        "tags",
        "template",
        "typed",
        "waits",
    )

    def __init__(self, name: str = "dict", other: ValuePlan | None = None) -> None:
        self.name = name
        self.fields: dict[str, tuple[str, ValuePlan]] = {}
        self.names: dict[str, ValuePlan] = {}
        self.public: dict[str, str] = {}
        self.other = other
        self.extra = False
        self.typed = False
        self.keys: Convert | None = None
        self.template: dict[str, Any] = {}
        self.fresh: tuple[tuple[str, Maker], ...] = ()
        self.private: Callable[[], dict[str, Any]] | None = None
        self.make: Callable[[Any, Any, Any, Any], Any] | None = None
        self.waits: frozenset[str] = frozenset()
        self.required: frozenset[str] = frozenset()
        self.candidates: tuple[ObjectPlan, ...] = ()
        self.tags: dict[str, dict[Any, ObjectPlan]] = {}
        self.choose: Callable[[Any], ObjectPlan | None] | None = None
        self.carried: frozenset[str] = frozenset()
        self.fitted = False

    def take(self, other: ObjectPlan) -> None:
        """Become a copy of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def new_data(self, cache: Cache) -> dict[str, Any]:
        """Return the attributes of an object of which nothing has arrived."""
        data = self.template.copy()
        for name, maker in self.fresh:
            data[name] = maker(cache)
        return data

    def empty(self, cache: Cache) -> Any:
        """Return the partial of an object of which nothing has arrived: made once per stream; None within itself."""
        if self.waits or self.candidates:
            return None
        if self not in cache:
            cache[self] = None  # what a required self-recursion finds
            data = self.new_data(cache)
            if self.make is not None:
                private = None if self.private is None else self.private()
                data = self.make(data, set(), {} if self.extra else None, private)
            cache[self] = data
        return cache[self]

    def knows(self, key: str) -> bool:
        """Return whether an object of this type may have `key`."""
        return key in self.fields or self.other is not None


class SequencePlan:
    """The plan of a JSON array.

    Attributes:
        item: Plan of the items, or of those beyond `items`.
        items: Plans by position, of a fixed tuple.
        finish: From a list to the container; None for a list.
        wrap: Around the container (a RootModel), else None.
        members: Of a union of arrays whose items are not merged yet.
    """

    __slots__ = ("finish", "item", "items", "members", "name", "wrap")

    def __init__(
        self,
        item: ValuePlan,
        items: tuple[ValuePlan, ...] | None = None,
        finish: Callable[[list[Any]], Any] | None = None,
        name: str = "list",
    ) -> None:
        self.item = item
        self.items = items
        self.finish = finish
        self.name = name
        self.wrap: Callable[[Any], Any] | None = None
        self.members: tuple[SequencePlan, ...] = ()

    def take(self, other: SequencePlan) -> None:
        """Become a copy of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def at(self, index: int) -> ValuePlan:
        """Return the plan of one item."""
        if self.items is not None and index < len(self.items):
            return self.items[index]
        return self.item


ALL_KINDS = ("object", "array", "string", "number", "literal")

RAW_OBJECT = ObjectPlan()
RAW_ARRAY = SequencePlan.__new__(SequencePlan)
ANYTHING = ValuePlan(streams=True, kinds=ALL_KINDS)
"""Any JSON value, shown as it is."""
ATOMIC = ValuePlan(kinds=ALL_KINDS)
"""Any JSON value; strings are shown only when complete."""
RAW_OBJECT.other = ANYTHING
RAW_ARRAY.__init__(ANYTHING)  # type: ignore[misc]
