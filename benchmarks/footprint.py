"""What importing costs in time, and what a finished stream costs in memory, as ratios within one run.

    .venv/bin/python benchmarks/footprint.py [--sizes 64,256,1024] [--reps 9]

Import: fresh interpreters that import instructor and openai, and others that import this package as well, in turn; the
difference of the least wall times. Memory: what a finished stream holds beside its result (its text, the answer put
together, its figures), by `tracemalloc`, over the length of the text.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tracemalloc

from shapes import MODELS, text_of

from instructor_stream_ext.testing import fake_client

BARE = "import instructor, openai; instructor.from_openai"  # which loads most of itself when it is first used
OURS = f"{BARE}; from instructor_stream_ext import wrap"


def import_seconds(statement: str) -> float:
    """Wall seconds of one fresh import, measured inside the interpreter."""
    program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def held(shape: str, size: int) -> float:
    """Bytes that a finished stream holds beside its result, over the length of its text."""
    model = MODELS[shape]
    text = text_of(shape, size)
    client = fake_client([text, text], chunk_size=4)
    client.create_partial(model, "go").get_final_response()
    gc.collect()
    tracemalloc.start()
    finished = client.create_partial(model, "go")
    for partial in finished:
        assert partial is not None
    del partial
    assert finished.text == finished.json_text == text
    assert finished.completion is not None
    gc.collect()
    both = tracemalloc.get_traced_memory()[0]
    result = finished.get_final_response()
    del finished
    gc.collect()
    alone = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert type(result) is model
    return (both - alone) / len(text)


def main() -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64,256,1024", help="KB, with commas")
    parser.add_argument("--reps", type=int, default=9)
    options = parser.parse_args()
    bare, ours = [], []
    for _ in range(options.reps):
        bare.append(import_seconds(BARE))
        ours.append(import_seconds(OURS))
    print(f"import: {min(bare) * 1e3:.0f} ms bare, {(min(ours) - min(bare)) * 1e3:.0f} ms more with this package")
    print(f"{'KB':>6}" + "".join(f"{shape:>10}" for shape in MODELS) + "   bytes held per character")
    for size in (int(part) * 1024 for part in options.sizes.split(",")):
        print(f"{size // 1024:>6}" + "".join(f"{held(shape, size):>10.2f}" for shape in MODELS))


if __name__ == "__main__":
    main()
