"""What a hostile answer costs: CPU and memory at two sizes, and how they grow.

    .venv/bin/python benchmarks/hostile.py [--size 300000]

Each shape is read by `create_partial`, a partial for every 16 characters, from an SDK's function that costs nothing.
Growth is the ratio of twice the size to the size: 2 is linear. Memory is the peak without the chunks.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import instructor
from instructor import Mode
from pydantic import BaseModel

from instructor_stream_ext import StreamError, wrap

warnings.simplefilter("ignore")

PIECE = 16


class Anything(BaseModel):
    a: Any = None


class Items(BaseModel):
    items: list[dict[str, int]] = []


class Number(BaseModel):
    n: int = 0
    f: float = 0.0
    s: str = ""


Shape = tuple[Callable[[int], str], type[BaseModel], Mode]
SHAPES: dict[str, Shape] = {
    "nested objects": (lambda size: '{"a":' * (size // 5), Anything, Mode.JSON),
    "a number": (lambda size: '{"n": ' + "9" * size + "}", Number, Mode.JSON),
    "a key": (lambda size: '{"' + "k" * size + '": 1}', Number, Mode.JSON),
    "a text": (lambda size: '{"s": "' + "x" * size + '"}', Number, Mode.JSON),
    "a text of escapes": (lambda size: '{"s": "' + r"\u00e9" * (size // 6) + '"}', Number, Mode.JSON),
    "empty items": (lambda size: '{"items": [' + "{}," * (size // 3) + "{}]}", Items, Mode.JSON),
    "one key again and again": (lambda size: "{" + '"n": 1,' * (size // 7) + '"n": 2}', Number, Mode.JSON),
    "space": (lambda size: "{" + " " * size + '"n": 1}', Number, Mode.JSON),
    "braces in prose": (lambda size: "{" * size + ' {"n": 1}', Number, Mode.MD_JSON),
    "closed braces in prose": (lambda size: "{}" * (size // 2) + ' {"n": 1}', Number, Mode.MD_JSON),
    "quotation marks in prose": (lambda size: '"' * size + '{"n": 1}', Number, Mode.MD_JSON),
    "fences in prose": (lambda size: "```json\n" * (size // 8) + '{"n": 1}', Number, Mode.MD_JSON),
    "thoughts": (lambda size: "<think>" * (size // 7) + '</think>{"n": 1}', Number, Mode.MD_JSON),
}


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def pieces_of(text: str) -> list[dict[str, Any]]:
    """The chunks of an answer."""
    starts = range(0, len(text), PIECE)
    return [*(chunk({"content": text[at : at + PIECE]}) for at in starts), chunk({}, "stop")]


def read(chunks: list[dict[str, Any]], model: type[BaseModel], mode: Mode) -> str:
    """Read an answer to its end; returns what that was."""
    made: Any = instructor.from_litellm(lambda **_: iter(chunks), mode=mode)
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "go"}], "model": "m", "max_retries": 0}
    try:
        for _ in wrap(made).create_partial(model, **asked):
            pass
    except StreamError as error:
        return type(error).__name__
    return "right"


def cost(shape: Shape, size: int) -> tuple[float, int, str]:
    """CPU seconds, the least of three runs; bytes at the peak; and the end."""
    make, model, mode = shape
    chunks = pieces_of(make(size))
    took, end = math.inf, ""
    gc.collect()
    gc.freeze()  # the chunks are not what is measured
    for _ in range(3):
        began = time.process_time()
        end = read(chunks, model, mode)
        took = min(took, time.process_time() - began)
    tracemalloc.start()
    read(chunks, model, mode)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    gc.unfreeze()
    return took, peak, end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=300_000, help="characters; the second size is twice as large")
    size = parser.parse_args().size
    print(f"{size} and {2 * size} characters in pieces of {PIECE}")
    read(pieces_of("{}"), Number, Mode.JSON)  # what is imported by the first call
    print(f"{'shape':<26} {'µs per piece':>14} {'growth':>7} {'bytes per character':>20} {'growth':>7}  end")
    for name, shape in SHAPES.items():
        (once, held, _), (twice, held_twice, end) = cost(shape, size), cost(shape, 2 * size)
        pieces = len(pieces_of(shape[0](2 * size)))
        print(
            f"{name:<26} {twice / pieces * 1e6:>14.1f} {twice / once:>7.1f} {held_twice / 2 / size:>20.1f}"
            f" {held_twice / max(held, 1):>7.1f}  {end}",
            flush=True,
        )


if __name__ == "__main__":
    main()
