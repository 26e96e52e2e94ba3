"""What a partial costs: microseconds per chunk, by the shape and the size of the document.

    python benchmarks/scanner.py [--max BYTES] [--chunk N]

The growth exponent is the slope between the sizes from 16 KB on: 1 means that a chunk costs the same however long the
document is already.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import random
import time
from typing import Any

from pydantic import BaseModel, create_model

from instructor_stream_ext.core.partials import PartialParser
from instructor_stream_ext.core.plans import Plan, compile_plan

WORDS = [
    "amber",
    "basil",
    "cedar",
    "dune",
    "echo",
    "fjord",
    "grove",
    "heron",
    "iris",
    "jade",
    "kelp",
    "lilac",
    "maple",
    "noon",
    "opal",
    "pine",
    "quill",
    "reed",
]


class Entry(BaseModel):
    """One of many small objects."""

    name: str
    price: float
    tags: list[str]
    note: str


class Catalogue(BaseModel):
    """Many small objects."""

    title: str
    entries: list[Entry]


class Essay(BaseModel):
    """One long string."""

    title: str
    body: str
    done: bool


class Level(BaseModel):
    """One level of a deep nest."""

    name: str
    score: float
    notes: list[str]
    below: Level | None = None


Wide = create_model("Wide", **{f"field_{i:02d}": ((str, str, str, int, float, bool)[i % 6], ...) for i in range(30)})  # type: ignore[call-overload]

DEPTH = 8


def prose(rng: random.Random, length: int) -> str:
    """Words, now and then with a quote, a line break or a letter beyond ASCII."""
    said: list[str] = []
    size = 0
    while size < length:
        word = rng.choice(WORDS)
        word = rng.choices([word, f'"{word}"', f"{word}\n", f"{word}é"], [96, 2, 1, 1])[0]
        said.append(word)
        size += len(word) + 1
    return " ".join(said)[:length]


def catalogue(rng: random.Random, size: int) -> Any:
    """The text of a `Catalogue`, of about `size` characters."""
    entries: list[Any] = []
    total = 60
    while total < size:
        entry = {
            "name": f"Entry {len(entries)} {prose(rng, 12)}",
            "price": round(rng.uniform(1, 99), 2),
            "tags": rng.sample(WORDS, 3),
            "note": prose(rng, 80),
        }
        total += len(json.dumps(entry)) + 2
        entries.append(entry)
    return {"title": "All of it", "entries": entries}


def essay(rng: random.Random, size: int) -> Any:
    """The text of an `Essay`."""
    return {"title": "At length", "body": prose(rng, size), "done": True}


def wide(rng: random.Random, size: int) -> Any:
    """The text of a `Wide`."""
    values: list[Any] = []
    for i in range(30):
        text = prose(rng, size // 15 + 4) if i % 6 < 3 else ""
        values.append(text or (rng.randrange(10**6), round(rng.uniform(0, 99), 3), rng.random() < 0.5)[i % 6 - 3])
    return {f"field_{i:02d}": value for i, value in enumerate(values)}


def deep(rng: random.Random, size: int) -> Any:
    """The text of a `Level`, with its levels."""
    each = max(1, (size // DEPTH - 60) // 34)

    def level(depth: int) -> Any:
        made: dict[str, Any] = {"name": f"level {depth}", "score": round(rng.uniform(0, 9), 2)}
        made["notes"] = [prose(rng, 30) for _ in range(each)]
        if depth + 1 < DEPTH:
            made["below"] = level(depth + 1)
        return made

    return level(0)


SHAPES: dict[str, tuple[Any, Any]] = {
    "list": (Catalogue, catalogue),
    "string": (Essay, essay),
    "wide": (Wide, wide),
    "deep": (Level, deep),
}


def run(plan: Plan, chunks: list[str], every: int, *, transitions: bool = False) -> float:
    """Seconds for one document, with a partial every so many chunks, the newest one held."""
    parser = PartialParser(plan, transitions=transitions)
    feed, snapshot = parser.feed, parser.snapshot
    shown: Any = None
    began = time.perf_counter()
    if every == 1:
        for chunk in chunks:
            feed(chunk)
            shown = snapshot()
    else:
        for number, chunk in enumerate(chunks):
            feed(chunk)
            if transitions:
                parser.drain()
            if number % every == 0:
                shown = snapshot()
    shown = snapshot()
    took = time.perf_counter() - began
    assert parser.complete
    assert shown is not None
    return took


def measure(plan: Plan, text: str, chunk: int, every: int, *, transitions: bool = False) -> float:
    """Microseconds per chunk: the best of a few runs."""
    chunks = [text[i : i + chunk] for i in range(0, len(text), chunk)]
    repeats = max(3, min(30, 200_000 // len(chunks)))
    gc.collect()
    best = min(run(plan, chunks, every, transitions=transitions) for _ in range(repeats))
    return best / len(chunks) * 1e6


def exponent(sizes: list[int], costs: list[float]) -> float:
    """The slope of total time over size, between the first size of at least 16 KB and the last."""
    first = next((i for i, size in enumerate(sizes) if size >= 16_384), 0)
    if first == len(sizes) - 1:
        return 1.0
    return 1 + math.log(costs[-1] / costs[first]) / math.log(sizes[-1] / sizes[first])


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--max", type=int, default=1_048_576)
    options.add_argument("--chunk", type=int, nargs="*", default=[4, 16])
    chosen = options.parse_args()
    sizes = [size for size in (1024, 16_384, 65_536, 262_144, 1_048_576) if size <= chosen.max]
    modes = (("each chunk", 1, False), ("each 50", 50, False), ("transitions", 10**9, True))
    print("| shape | chars | partial | " + " | ".join(f"{size // 1024} KB" for size in sizes) + " | exponent |")
    print("|---|--:|---|" + "--:|" * (len(sizes) + 1))
    for chunk in chosen.chunk:
        for said, every, transitions in modes:
            for shape, (model, make) in SHAPES.items():
                plan = compile_plan(model)
                texts = [json.dumps(make(random.Random(3), size), ensure_ascii=False) for size in sizes]
                costs = [measure(plan, text, chunk, every, transitions=transitions) for text in texts]
                row = " | ".join(f"{cost:.2f}" for cost in costs)
                print(f"| {shape} | {chunk} | {said} | {row} | {exponent(sizes, costs):.2f} |", flush=True)


if __name__ == "__main__":
    main()
