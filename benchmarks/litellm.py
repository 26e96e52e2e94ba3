"""What the wrapped client adds to litellm's own stream: CPU of this process, as a ratio within one run.

    .venv/bin/python benchmarks/litellm.py [--sizes 64] [--chunk 16] [--reps 7]

`litellm` iterates litellm's stream and does nothing else; `ours` reads the same answer as partials of a model, one for
every chunk, through `from_litellm`. The server and the way of measuring are those of `end_to_end.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent]  # this file's own name

import litellm  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))

from end_to_end import ASK, least, serve  # noqa: E402
from shapes import MODELS, text_of  # noqa: E402

from instructor_stream_ext.routing import from_litellm  # noqa: E402

warnings.simplefilter("ignore")


def sides_of(url: str, model: type[Any]) -> dict[str, Callable[[], None]]:
    """What is measured, by name."""
    at: dict[str, Any] = {"api_base": url, "api_key": "x", "num_retries": 0, "max_retries": 0}
    tool = {"type": "function", "function": {"name": model.__name__, "parameters": model.model_json_schema()}}
    request: dict[str, Any] = {"model": "openai/m", "messages": ASK, "stream": True, "tools": [tool], **at}
    request["stream_options"] = {"include_usage": True}  # as ours asks; it costs litellm a little per chunk
    ours, theirs = from_litellm("openai/m", **at), from_litellm("openai/m", async_client=True, **at)
    loop = asyncio.new_event_loop()

    def iterate_litellm() -> None:
        for _ in litellm.completion(**request):
            pass

    def iterate_ours() -> None:
        for _ in ours.create_partial(model, ASK):
            pass

    async def iterate_async_litellm() -> None:
        async for _ in await litellm.acompletion(**request):
            pass

    async def iterate_async_ours() -> None:
        async for _ in theirs.create_partial(model, ASK):
            pass

    return {
        "litellm": iterate_litellm,
        "ours": iterate_ours,
        "async litellm": lambda: loop.run_until_complete(iterate_async_litellm()),
        "async ours": lambda: loop.run_until_complete(iterate_async_ours()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="64", help="KB, with commas")
    parser.add_argument("--chunk", type=int, default=16, help="characters per chunk")
    parser.add_argument("--reps", type=int, default=7)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    print(f"{options.chunk}-char chunks, least of {options.reps}; CPU, this process")
    print(f"{'KB':>5} {'chunks':>7} {'litellm µs/chunk':>17} {'ours/litellm':>13} {'async/async':>12}")
    for size in (int(part) * 1024 for part in options.sizes.split(",")):
        url = f"http://127.0.0.1:{port}/list-{size}-{options.chunk}"
        took = least(sides_of(url, MODELS["list"]), options.reps)
        chunks = -(-len(text_of("list", size)) // options.chunk)
        print(
            f"{size // 1024:>5} {chunks:>7} {took['litellm'] / chunks * 1e6:>17.1f}"
            f" {took['ours'] / took['litellm']:>13.3f} {took['async ours'] / took['async litellm']:>12.3f}"
        )
    server.terminate()


if __name__ == "__main__":
    main()
