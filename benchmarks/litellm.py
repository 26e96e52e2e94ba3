"""What a stream through litellm costs, beside litellm's own and the bare openai SDK: CPU, as ratios within one run.

    .venv/bin/python benchmarks/litellm.py [--sizes 4,64] [--chunk 16] [--reps 5]

Each side reads the same answer, one HTTP chunk per event. `openai SDK` and `litellm` iterate a stream and do nothing
else; `ours` reads partials of a model, one for every chunk, through `from_litellm`, below litellm's wrapper; `wrapper`
is the same with `litellm_reader="wrapper"`. `openai` is a provider that litellm serves through the openai SDK,
`deepseek` and `anthropic` are served by HTTP handlers of litellm's own. It is measured as in `end_to_end.py`.
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
import openai  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))

from end_to_end import ASK, Handler, chunked, least, messages, pieces_of, serve  # noqa: E402
from shapes import MODELS, text_of  # noqa: E402

from instructor_stream_ext.routing import from_litellm  # noqa: E402

warnings.simplefilter("ignore")

PROVIDERS = {"openai": "openai/m", "deepseek": "deepseek/m", "anthropic": "anthropic/claude-3-5-haiku-latest"}


class AnyHandler(Handler):
    """Speaks Anthropic's messages, too."""

    def render(self, spec: str, request: dict[str, Any]) -> bytes:
        if not self.path.endswith("/messages"):
            return super().render(spec, request)
        shape, size, chunk, *_ = spec.split("-")
        return chunked(messages(pieces_of(text_of(shape, int(size)), int(chunk)), request["tools"][0]["name"]))


def sides_of(provider: str, url: str, model: type[Any]) -> dict[str, Callable[[], None]]:
    """What is measured, by name."""
    base = url.removesuffix("/") if provider != "anthropic" else url + "/v1/messages"
    at: dict[str, Any] = {"api_base": base, "api_key": "x", "num_retries": 0, "max_retries": 0}
    tool = {"type": "function", "function": {"name": model.__name__, "parameters": model.model_json_schema()}}
    asked: dict[str, Any] = {"messages": ASK, "stream": True, "tools": [tool]}
    asked["stream_options"] = {"include_usage": True}  # as ours asks; it costs litellm a little per chunk
    request = {"model": PROVIDERS[provider], **asked, **at}
    sdk = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
    asdk = openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
    loop = asyncio.new_event_loop()

    def ours(reader: Any) -> Callable[[], None]:
        client = from_litellm(PROVIDERS[provider], litellm_reader=reader, **at)

        def run() -> None:
            for _ in client.create_partial(model, ASK):
                pass

        return run

    def async_ours(reader: Any) -> Callable[[], None]:
        client = from_litellm(PROVIDERS[provider], async_client=True, litellm_reader=reader, **at)

        async def run() -> None:
            async for _ in client.create_partial(model, ASK):
                pass

        return lambda: loop.run_until_complete(run())

    def iterate_sdk() -> None:
        for _ in sdk.chat.completions.create(model="m", **asked):
            pass

    async def iterate_async_sdk() -> None:
        async for _ in await asdk.chat.completions.create(model="m", **asked):
            pass

    def iterate_litellm() -> None:
        for _ in litellm.completion(**request):
            pass

    async def iterate_async_litellm() -> None:
        async for _ in await litellm.acompletion(**request):
            pass

    return {
        "SDK": iterate_sdk,
        "litellm": iterate_litellm,
        "wrapper": ours("wrapper"),
        "ours": ours("auto"),
        "async SDK": lambda: loop.run_until_complete(iterate_async_sdk()),
        "async litellm": lambda: loop.run_until_complete(iterate_async_litellm()),
        "async wrapper": async_ours("wrapper"),
        "async ours": async_ours("auto"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="4,64", help="KB, with commas")
    parser.add_argument("--chunk", type=int, default=16, help="characters per chunk")
    parser.add_argument("--reps", type=int, default=5)
    parser.add_argument("--providers", default=",".join(PROVIDERS))
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there, AnyHandler), daemon=True)
    server.start()
    port = here.recv()
    print(f"{options.chunk}-char chunks, least of {options.reps}; CPU of this process, sync / async")
    columns = ("SDK µs/chunk", "litellm/SDK", "ours/SDK", "ours/litellm", "wrapper/litellm")
    print(f"{'provider':<10} {'KB':>4}", *(f"{column:>16}" for column in columns))
    for provider in options.providers.split(","):
        for size in (int(part) * 1024 for part in options.sizes.split(",")):
            url = f"http://127.0.0.1:{port}/list-{size}-{options.chunk}"
            took = least(sides_of(provider, url, MODELS["list"]), options.reps)
            chunks = -(-len(text_of("list", size)) // options.chunk)

            def both(name: str, of: str, took: dict[str, float] = took) -> str:
                return f"{took[name] / took[of]:.2f} / {took[f'async {name}'] / took[f'async {of}']:.2f}"

            row = [f"{took['SDK'] / chunks * 1e6:.0f} / {took['async SDK'] / chunks * 1e6:.0f}"]
            row += [both("litellm", "SDK"), both("ours", "SDK"), both("ours", "litellm"), both("wrapper", "litellm")]
            print(f"{provider:<10} {size // 1024:>4}", *(f"{cell:>16}" for cell in row), flush=True)
    server.terminate()


if __name__ == "__main__":
    main()
