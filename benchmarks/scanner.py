"""What a partial costs: microseconds per chunk, by the shape and the size of the document.

    python benchmarks/scanner.py [--max BYTES] [--chunk N]

The growth exponent is the slope between the sizes from 16 KB on: 1 means that a chunk costs the same however long the
document is already.
"""

from __future__ import annotations

import argparse
import gc
import math
import time
from typing import Any

from shapes import MODELS, text_of

from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.response import Plan


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
            for shape, model in MODELS.items():
                plan = compile_plan(model)
                texts = [text_of(shape, size) for size in sizes]
                costs = [measure(plan, text, chunk, every, transitions=transitions) for text in texts]
                row = " | ".join(f"{cost:.2f}" for cost in costs)
                print(f"| {shape} | {chunk} | {said} | {row} | {exponent(sizes, costs):.2f} |", flush=True)


if __name__ == "__main__":
    main()
