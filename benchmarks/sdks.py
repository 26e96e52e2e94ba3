"""What a stream costs over other SDKs: CPU over their own iteration, a partial for every chunk, within one run.

    .venv/bin/python benchmarks/sdks.py [--sizes 4,64] [--chunk 16] [--reps 5]

`anthropic` is asked for a tool, google-genai for JSON. The bare side asks for the same, iterates the SDK's stream and
does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import instructor
from google import genai
from instructor import Mode

sys.path = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).parent]
sys.path.append(str(Path(__file__).parent))  # behind the others: litellm.py there has the name of a package

from end_to_end import ASK, Handler, chunked, least, messages, pieces_of, serve  # noqa: E402
from shapes import MODELS, text_of  # noqa: E402

from instructor_stream_ext import wrap  # noqa: E402

warnings.simplefilter("ignore")

Sides = dict[str, Callable[[], None]]


class AnyHandler(Handler):
    """Speaks Anthropic's messages and Google's contents."""

    def render(self, spec: str, request: dict[str, Any]) -> bytes:
        shape, size, chunk, *_ = spec.split("-")
        pieces = pieces_of(text_of(shape, int(size)), int(chunk))
        if self.path.endswith("/messages"):
            return chunked(messages(pieces, request["tools"][0]["name"]))
        return chunked(contents(pieces))


def contents(pieces: list[str]) -> list[str]:
    """Google's events."""
    events: list[dict[str, Any]] = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0}], "responseId": "r"}
        for piece in pieces
    ]
    events[-1]["candidates"][0]["finishReason"] = "STOP"
    events[-1]["usageMetadata"] = {"promptTokenCount": 9, "candidatesTokenCount": 9, "totalTokenCount": 18}
    return [f"data: {json.dumps(event)}\n\n" for event in events]


def of_anthropic(url: str, model: type[Any]) -> Sides:
    """Both sides over anthropic."""
    options: dict[str, Any] = {"base_url": url, "api_key": "k", "max_retries": 0}
    bare, abare = anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)
    ours, theirs = wrap(instructor.from_anthropic(bare)), wrap(instructor.from_anthropic(abare))
    tool = {"name": model.__name__, "input_schema": model.model_json_schema()}
    asked: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": ASK, "tools": [tool], "stream": True}
    return _sides(
        lambda: bare.messages.create(**asked),
        lambda: abare.messages.create(**asked),
        lambda: ours.create_partial(model, ASK, model="m", max_tokens=99),
        lambda: theirs.create_partial(model, ASK, model="m", max_tokens=99),
    )


def of_genai(url: str, model: type[Any]) -> Sides:
    """Both sides over google-genai."""
    bare = genai.Client(api_key="k", http_options={"base_url": url})
    ours: Any = wrap(instructor.from_genai(bare, mode=Mode.JSON))
    theirs: Any = wrap(instructor.from_genai(bare, mode=Mode.JSON, use_async=True))
    asked: dict[str, Any] = {}
    ours.on("completion:kwargs", lambda **kwargs: asked.update(kwargs))
    list(ours.create_partial(model, ASK, model="m"))
    ours.clear()
    del asked["stream"]
    asked["config"].response_schema = model
    return _sides(
        lambda: bare.models.generate_content_stream(**asked),
        lambda: bare.aio.models.generate_content_stream(**asked),
        lambda: ours.create_partial(model, ASK, model="m"),
        lambda: theirs.create_partial(model, ASK, model="m"),
    )


def _sides(
    bare: Callable[[], Any], abare: Callable[[], Any], ours: Callable[[], Any], theirs: Callable[[], Any]
) -> Sides:
    loop = asyncio.new_event_loop()

    def iterate(make: Callable[[], Any]) -> None:
        for _ in make():
            pass

    async def aiterate(make: Callable[[], Any]) -> None:
        made = make()
        async for _ in made if hasattr(made, "__aiter__") else await made:
            pass

    return {
        "SDK": lambda: iterate(bare),
        "ours": lambda: iterate(ours),
        "async SDK": lambda: loop.run_until_complete(aiterate(abare)),
        "async ours": lambda: loop.run_until_complete(aiterate(theirs)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="4,64", help="KB, with commas")
    parser.add_argument("--chunk", type=int, default=16, help="characters per chunk")
    parser.add_argument("--reps", type=int, default=5)
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, AnyHandler), daemon=True)
    server.start()
    port = here.recv()
    print(f"{'SDK':<14} {'KB':>4} {'ours/SDK':>9} {'async':>6}")
    for name, sides in (("anthropic", of_anthropic), ("google-genai", of_genai)):
        for size in (int(part) * 1024 for part in options.sizes.split(",")):
            took = least(sides(f"http://127.0.0.1:{port}/list-{size}-{options.chunk}", MODELS["list"]), options.reps)
            ratios = f"{took['ours'] / took['SDK']:>9.2f} {took['async ours'] / took['async SDK']:>6.2f}"
            print(f"{name:<14} {size // 1024:>4} {ratios}", flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
