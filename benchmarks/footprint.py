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
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from shapes import MODELS, text_of

from instructor_stream_ext.client.sync_streams import PartialStream
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.gate import ModelGate
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.providers import reader_for
from instructor_stream_ext.providers.reader import namespace
from instructor_stream_ext.session.attempts import Session
from instructor_stream_ext.session.hooks import Dispatch, HookErrors, Hooks
from instructor_stream_ext.session.retries import Retries

BARE = "import instructor, openai"
OURS = "import instructor, openai; from instructor_stream_ext import wrap"


def import_seconds(statement: str) -> float:
    """Wall seconds of one fresh import, measured inside the interpreter."""
    program = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


class Chunks:
    """A connection over chunks in memory."""

    model = "m"
    provider = "benchmark"

    def __init__(self, shape: str, size: int) -> None:
        name = MODELS[shape].__name__
        self.reader = reader_for("openai", "tool_call", tools=frozenset({name}))
        self.chunks = self._chunks(name, text_of(shape, size))

    def _chunks(self, name: str, text: str) -> Iterator[Any]:
        for start in range(0, len(text), 4):
            function = {"name": name if not start else None, "arguments": text[start : start + 4]}
            call = {"index": 0, "id": "call_1" if not start else None, "type": "function", "function": function}
            delta = {"role": "assistant", "content": None, "tool_calls": [call]}
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            yield namespace({"id": "1", "model": "m", "created": 1, "usage": None, "choices": [choice]})
        choice = {"index": 0, "delta": {"content": None, "tool_calls": None}, "finish_reason": "tool_calls"}
        yield namespace({"id": "1", "model": "m", "created": 1, "usage": None, "choices": [choice]})

    def flows(self) -> None: ...

    def close(self) -> None: ...

    def wake(self) -> bool:
        return False

    def detail(self) -> str:
        return ""

    def ended(self) -> None: ...


class Source:
    """Gives one connection."""

    usage_total = None
    messages: tuple[()] = ()
    failed_attempts: tuple[()] = ()

    def __init__(self, shape: str, size: int) -> None:
        self.create_kwargs: dict[str, Any] = {}
        self._of = shape, size

    def connect(self, within: float, *, hurried: bool) -> Chunks:  # noqa: ARG002
        return Chunks(*self._of)

    def owed(self) -> tuple[()]:
        return ()

    def answered(self, _: Any) -> tuple[()]:
        return ()

    def recover(self, _: Exception) -> None: ...


def held(shape: str, size: int) -> float:
    """Bytes that a finished stream holds beside its result, over the length of its text."""
    model = MODELS[shape]
    plan = compile_plan(model)

    def stream() -> PartialStream[Any]:
        session = Session(
            machine=StreamMachine(parser=lambda: PartialParser(plan)),
            source=Source(shape, size),  # type: ignore[arg-type]
            gate=ModelGate(TypeAdapter(model)),
            dispatch=Dispatch(Hooks(), HookErrors("warn")),
            retries=Retries(0, is_async=False),
            clock=time.monotonic,
        )
        return PartialStream(session, [])

    stream().get_final_response()
    text = text_of(shape, size)
    gc.collect()
    tracemalloc.start()
    finished = stream()
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
