"""The documents that are measured: a list of objects, one long string, a wide flat object, a deep nest."""

from __future__ import annotations

import functools
import json
import random
from typing import Any

from pydantic import BaseModel, create_model

WORDS = ["amber", "basin", "cedar", "dune", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "larch"]
WORDS += ["marsh", "nook", "oxbow", "plain", "quay", "ridge"]
LEVELS = 8


class Entry(BaseModel):
    """One of many."""

    name: str
    price: float
    tags: list[str]
    note: str


class Catalogue(BaseModel):
    """A list of small objects."""

    title: str
    entries: list[Entry]


class Essay(BaseModel):
    """One long string."""

    title: str
    body: str
    done: bool


class Level(BaseModel):
    """A nest."""

    name: str
    weight: float
    notes: list[str]
    inner: Level | None = None


KINDS: tuple[type, ...] = (str, str, int, str, float, bool)
Wide: Any = create_model("Wide", **{f"field_{n:02}": (KINDS[n % len(KINDS)], ...) for n in range(30)})
MODELS: dict[str, type[BaseModel]] = {"list": Catalogue, "string": Essay, "wide": Wide, "deep": Level}


def prose(source: random.Random, length: int) -> str:
    """Words, now and then with a quote, a line break or an accent, as models write them."""
    words: list[str] = []
    size = 0
    while size < length:
        word = source.choice(WORDS)
        chance = source.random()
        if chance < 0.02:
            word = f'"{word}"'
        elif chance < 0.03:
            word += "\n"
        elif chance < 0.04:
            word += "é"
        words.append(word)
        size += len(word) + 1
    return " ".join(words)[:length]


def document(shape: str, size: int) -> dict[str, Any]:
    """A document of about `size` characters."""
    source = random.Random(11)
    if shape == "list":
        entries: list[dict[str, Any]] = []
        left = size - 50
        while left > 60:
            entry = {
                "name": f"Entry {len(entries)}",
                "price": round(source.uniform(1, 999), 2),
                "tags": [source.choice(WORDS) for _ in range(3)],
                "note": prose(source, 70),
            }
            entries.append(entry)
            left -= len(json.dumps(entry, ensure_ascii=False)) + 2
        return {"title": "A catalogue", "entries": entries}
    if shape == "string":
        return {"title": "An essay", "body": prose(source, size - 60), "done": True}
    if shape == "wide":
        strings = sum(kind is str for kind in Wide.__annotations__.values()) or 15
        length = max(4, (size - 700) // strings)
        make: dict[type, Any] = {
            str: lambda: prose(source, length),
            int: lambda: source.randrange(10**6),
            float: lambda: round(source.uniform(0, 999), 3),
            bool: lambda: source.random() < 0.5,
        }
        return {name: make[field.annotation]() for name, field in Wide.model_fields.items()}
    if shape == "deep":
        notes = max(1, (size // LEVELS - 60) // 34)
        inner: dict[str, Any] | None = None
        for level in reversed(range(LEVELS)):
            inner = {
                "name": f"level {level}",
                "weight": round(source.uniform(0, 9), 3),
                "notes": [prose(source, 30) for _ in range(notes)],
                **({"inner": inner} if inner else {}),
            }
        assert inner is not None
        return inner
    raise ValueError(f"no shape {shape!r}; there are {', '.join(MODELS)}")


@functools.cache
def text_of(shape: str, size: int) -> str:
    """The document as JSON."""
    return json.dumps(document(shape, size), ensure_ascii=False)
