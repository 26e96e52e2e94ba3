"""What it costs that somebody listens: hooks, policies, bounds in time, the log, telemetry, `events()`; as ratios.

    .venv/bin/python benchmarks/listeners.py [--sizes 16,64] [--reps 7] [--shape list]

Each row is a stream of partials with one thing more, as CPU of this process over the same stream without it, and over
the bare openai SDK, sync and async, all in one run. The reasoning rows are over a stream with as many pieces of
reasoning as of text.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import instructor
import openai
from end_to_end import ASK, least, serve
from pydantic import BaseModel
from shapes import MODELS

from instructor_stream_ext import Throttle, Timeouts, TransitionLog, wrap
from instructor_stream_ext.sinks.telemetry import telemetry


def nothing(*_: Any) -> None:
    """A hook that does nothing."""


LISTENERS: dict[str, dict[str, Any]] = {
    "nobody": {},
    "debounce=0.1": {"debounce": 0.1},
    "Throttle(0.1)": {"debounce": Throttle(0.1)},
    "Timeouts(idle=60)": {"timeouts": Timeouts(idle=60)},
    "on_partial": {"on_partial": nothing},
    "on_delta": {"on_delta": nothing},
    "on_delta, on_partial": {"on_delta": nothing, "on_partial": nothing},
    "log_transitions": {"log_transitions": TransitionLog()},
    "telemetry": {"on_event": telemetry()},
}
REASONING: dict[str, dict[str, Any]] = {
    "reasoning: nobody": {},
    "reasoning: on_delta": {"on_delta": nothing},
    "reasoning: on_reasoning": {"on_reasoning": nothing},
}


def sides_of(url: str, model: type[BaseModel], listeners: dict[str, Any]) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is measured, by name and side."""
    sdk = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
    asdk = openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
    tool = {"type": "function", "function": {"name": model.__name__, "parameters": model.model_json_schema()}}
    request: dict[str, Any] = {"model": "m", "messages": ASK, "stream": True, "tools": [tool]}
    ask: dict[str, Any] = {"model": "m", "messages": ASK, "response_model": model}
    loop = asyncio.new_event_loop()

    def bare() -> None:
        for _ in sdk.chat.completions.create(**request):
            pass

    async def abare() -> None:
        async for _ in await asdk.chat.completions.create(**request):
            pass

    yield "sync sdk", bare
    yield "async sdk", lambda: loop.run_until_complete(abare())
    for name, settings in listeners.items():
        yield from _sides(name, settings, (sdk, asdk), ask, loop)


def _sides(
    name: str, settings: dict[str, Any], sdks: tuple[Any, Any], ask: dict[str, Any], loop: Any
) -> Iterator[tuple[str, Callable[[], None]]]:
    client = wrap(instructor.from_openai(sdks[0]), **settings)
    other = wrap(instructor.from_openai(sdks[1]), **settings)

    def sync() -> None:
        for _ in client.create_partial(**ask):
            pass

    async def run() -> None:
        async for _ in other.create_partial(**ask):
            pass

    yield f"sync {name}", sync
    yield f"async {name}", lambda: loop.run_until_complete(run())
    if name != "nobody":
        return

    def events() -> None:
        for _ in client.create_partial(**ask).events():
            pass

    async def aevents() -> None:
        async for _ in other.create_partial(**ask).events():
            pass

    yield "sync events()", events
    yield "async events()", lambda: loop.run_until_complete(aevents())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="16,64", help="KB, with commas")
    parser.add_argument("--chunk", type=int, default=16, help="characters per chunk")
    parser.add_argument("--reps", type=int, default=7)
    parser.add_argument("--shape", default="list", help="list, string, wide or deep")
    options = parser.parse_args()
    logger = logging.getLogger("instructor_stream_ext")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    print(f"shape {options.shape}, {options.chunk}-char chunks, least of {options.reps}; CPU, this process")
    print(f"{'':24} {'KB':>4} {'sync: of nobody':>16} {'of the SDK':>11} {'async: of nobody':>17} {'of the SDK':>11}")
    for size in (int(part) * 1024 for part in options.sizes.split(",")):
        for listeners, thinks in ((LISTENERS, ""), (REASONING, "-thinks")):
            url = f"http://127.0.0.1:{port}/{options.shape}-{size}-{options.chunk}{thinks}"
            took = least(dict(sides_of(url, MODELS[options.shape], listeners)), options.reps)
            base = next(iter(listeners))
            rows = [name.removeprefix("sync ") for name in took if name.startswith("sync ") and name != "sync sdk"]
            for name in rows:
                figures = [took[f"{s} {name}"] / took[f"{s} {of}"] for s in ("sync", "async") for of in (base, "sdk")]
                print(f"{name:24} {size // 1024:>4} " + "{:>16.2f} {:>11.2f} {:>17.2f} {:>11.2f}".format(*figures))
    server.terminate()


if __name__ == "__main__":
    main()
