"""One library, one stream, one process: what `peers.py` runs in the environment that has the library.

    .venv-peers/bin/python benchmarks/peer.py NAME PORT SHAPE SIZE CHUNK [--reps 3] [--seconds 30] [--paced 10]

Prints a line of JSON. CPU is that of all threads of this process for one whole request, after two requests of 1 KB, so
that imports, schemas and connections are not in it; each is divided by the mean of the bare openai SDK's just before
and after it. With `--paced` events come so many milliseconds apart, and the times of the partials are told instead.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from shapes import MODELS

On = Callable[[Any], None]
Run = Callable[[str, On], Awaitable[Any]]

ASK: list[Any] = [{"role": "user", "content": "Give me the object."}]
MODEL = "gpt-4o"


@functools.cache
def opened(url: str) -> Any:
    """A client of the openai SDK's, kept as a program keeps it."""
    import openai

    return openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)


def sdk(model: type[Any]) -> Run:
    """The bare openai SDK: arguments joined, validated once at the end."""
    tool = {"type": "function", "function": {"name": model.__name__, "parameters": model.model_json_schema()}}

    async def run(url: str, on: On) -> Any:
        asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "tools": [tool], "stream": True}
        text = []
        async for chunk in await opened(url).chat.completions.create(**asked):
            for call in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
                text.append(call.function.arguments or "")
                on(None)
        return model.model_validate_json("".join(text))

    return run


def ours(model: type[Any], debounce: float | None = None) -> Run:
    """This package, async: a partial for each chunk."""
    import instructor

    from instructor_stream_ext import wrap

    client = functools.cache(lambda url: wrap(instructor.from_openai(opened(url)), debounce=debounce))

    async def run(url: str, on: On) -> Any:
        stream = client(url).create_partial(model, ASK, model=MODEL)
        async for partial in stream:
            on(partial)
        return await stream.get_final_response()

    return run


def ours_debounced(model: type[Any]) -> Run:
    """This package, async, a partial each 0.1 seconds."""
    return ours(model, 0.1)


def instructor_async(model: type[Any]) -> Run:
    """instructor's async `create_partial`."""
    import instructor

    client = functools.cache(lambda url: instructor.from_openai(opened(url)))

    async def run(url: str, on: On) -> Any:
        partial = None
        async for partial in client(url).create_partial(model, ASK, model=MODEL):
            on(partial)
        return partial

    return run


def instructor_sync(model: type[Any]) -> Run:
    """instructor's sync `create_partial`, which gives a list."""
    import instructor
    import openai

    client: Any = functools.cache(
        lambda url: instructor.from_openai(openai.OpenAI(base_url=url, api_key="x", max_retries=0))
    )

    async def run(url: str, on: On) -> Any:
        partial = None
        for partial in client(url).create_partial(model, ASK, model=MODEL):
            on(partial)
        return partial

    return run


def openai_helper(model: type[Any]) -> Run:
    """The openai SDK's `chat.completions.stream`, whose partials are dictionaries."""
    import openai

    tools = [openai.pydantic_function_tool(model)]

    async def run(url: str, on: On) -> Any:
        asked: dict[str, Any] = {"model": MODEL, "messages": ASK, "tools": tools}
        async with opened(url).chat.completions.stream(**asked) as stream:
            async for event in stream:
                if event.type == "tool_calls.function.arguments.delta":
                    on(event.parsed_arguments)
            whole = await stream.get_final_completion()
        return whole.choices[0].message.tool_calls[0].function.parsed_arguments

    return run


def pydantic_ai(model: type[Any], debounce: float | None = None) -> Run:
    """pydantic-ai's `stream_output(debounce_by=None)`."""
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    @functools.cache
    def agent(url: str) -> Any:
        return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=opened(url))), output_type=model)

    async def run(url: str, on: On) -> Any:
        partial = None
        async with agent(url).run_stream("go") as answer:
            async for partial in answer.stream_output(debounce_by=debounce):
                on(partial)
        return partial

    return run


def pydantic_ai_debounced(model: type[Any]) -> Run:
    """pydantic-ai's `stream_output()`, which by default debounces by 0.1 seconds."""
    return pydantic_ai(model, 0.1)


def langchain(model: type[Any]) -> Run:
    """LangChain's `with_structured_output(..., method="function_calling").astream`."""
    from langchain_openai import ChatOpenAI

    @functools.cache
    def chain(url: str) -> Any:
        made: Any = ChatOpenAI
        chat = made(model=MODEL, base_url=url, api_key="x", max_retries=0, use_responses_api=False)
        return chat.with_structured_output(model, method="function_calling")

    async def run(url: str, on: On) -> Any:
        partial = None
        async for partial in chain(url).astream("go"):
            on(partial)
        return partial

    return run


def mirascope(model: type[Any]) -> Run:
    """Mirascope's `structured_stream()`."""
    from mirascope import llm

    async def run(url: str, on: On) -> Any:
        if hasattr(llm, "reset_provider_registry"):
            llm.reset_provider_registry()
        llm.register_provider("openai:completions", scope="openai/", base_url=url, api_key="x")

        @llm.call(f"openai/{MODEL}:completions", format=model)
        async def ask() -> str:
            return "go"

        stream: Any = await ask.stream()
        async for partial in stream.structured_stream():
            on(partial)
        return stream.parse()

    return run


def llama_index(model: type[Any]) -> Run:
    """LlamaIndex's `astream_structured_predict`."""
    from llama_index.core.prompts import PromptTemplate
    from llama_index.core.types import PydanticProgramMode
    from llama_index.llms.openai import OpenAI

    @functools.cache
    def chat(url: str) -> Any:
        mode = PydanticProgramMode.FUNCTION
        return OpenAI(model=MODEL, api_base=url, api_key="x", max_retries=0, pydantic_program_mode=mode)

    async def run(url: str, on: On) -> Any:
        partial = None
        async for partial in await chat(url).astream_structured_predict(model, PromptTemplate("go")):
            on(partial)
        return partial

    return run


BAML = """
generator target {
  output_type "python/pydantic"
  output_dir "../"
  version "%s"
  default_client_mode async
}
client<llm> Local {
  provider openai-generic
  options {
    base_url "http://127.0.0.1:1"
    api_key "x"
    model "gpt-4o"
  }
}
class Entry {
  name string
  price float
  tags string[]
  note string
}
class Catalogue {
  title string
  entries Entry[]
}
function Ask(q: string) -> Catalogue {
  client Local
  prompt #"{{ q }} {{ ctx.output_format }}"#
}
"""


def baml(model: type[Any]) -> Run:
    """BAML's own HTTP client and parser, in Rust."""
    from importlib.metadata import version

    place = Path(sys.prefix) / "baml"
    if not (place / "baml_client").exists():
        (place / "baml_src").mkdir(parents=True, exist_ok=True)
        (place / "baml_src" / "peer.baml").write_text(BAML % version("baml-py"), encoding="utf-8")
        generate = [str(Path(sys.executable).parent / "baml-cli"), "generate", "--from", str(place / "baml_src")]
        subprocess.run(generate, check=True, capture_output=True)
    sys.path.insert(0, str(place))
    os.environ["BAML_LOG"] = "off"
    from baml_client.async_client import b
    from baml_py import ClientRegistry

    async def run(url: str, on: On) -> Any:
        registry = ClientRegistry()
        registry.add_llm_client("Local", "openai-generic", {"base_url": url, "model": MODEL, "api_key": "x"})
        registry.set_primary("Local")
        stream = b.stream.Ask("go", baml_options={"client_registry": registry})
        async for partial in stream:
            on(partial)
        return model.model_validate((await stream.get_final_response()).model_dump())

    return run


PEERS: dict[str, Callable[[type[Any]], Run]] = {
    "ours": ours,
    "ours, debounced": ours_debounced,
    "instructor": instructor_async,
    "instructor, sync": instructor_sync,
    "openai SDK's helper": openai_helper,
    "pydantic-ai": pydantic_ai,
    "pydantic-ai, debounced": pydantic_ai_debounced,
    "LangChain": langchain,
    "Mirascope": mirascope,
    "LlamaIndex": llama_index,
    "BAML": baml,
}


class Seen:
    """The partials of one run."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0

    def __call__(self, partial: Any) -> None:
        self.count += 1
        if not self.first and partial is not None:
            self.first = time.monotonic()


async def outcome(run: Run, url: str) -> str:
    """What comes of an answer: an error's type, or how much of a final."""
    try:
        final = await asyncio.wait_for(run(url, Seen()), 20)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is asked for
        return f"`{type(error).__name__}`"
    entries = final.get("entries") if isinstance(final, dict) else getattr(final, "entries", None)
    return f"a final with {len(entries or ())} entries" if final is not None else "None"


async def measured(run: Run, url: str, seen: On) -> float:
    """CPU seconds of one request."""
    began = time.process_time()
    final = await run(url, seen)
    took = time.process_time() - began
    assert final is not None, "no final"
    return took


def peak() -> int:
    """Kilobytes that this process has held at most since `forget_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines() if Path("/proc/self/status").exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget_peak() -> None:
    """Begin to count anew, where Linux lets us."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


async def figures(options: argparse.Namespace) -> dict[str, Any]:
    """What is printed."""
    model = MODELS[options.shape]
    base = f"http://127.0.0.1:{options.port}/{options.shape}"
    run, floor = PEERS[options.name](model), sdk(model)
    if options.damage:
        return {"outcome": await outcome(run, f"{base}-{options.size}-{options.chunk}-{options.damage}")}
    small, url = f"{base}-1024-{options.chunk}", f"{base}-{options.size}-{options.chunk}"
    for _ in range(2):
        for each in (run, floor):
            await each(small, Seen())
    if options.paced:
        seen = Seen()
        began = time.monotonic()
        await run(f"{url}-paced-{options.paced}", seen)
        return {"first": seen.first - began, "all": time.monotonic() - began, "partials": seen.count}
    ratios, seen, held, until = [], Seen(), [], time.monotonic() + options.seconds
    before = await measured(floor, url, Seen())
    for _ in range(options.reps):
        forget_peak()
        low = peak()
        seen = Seen()
        took = await measured(run, url, seen)
        held.append(peak() - low)
        after = await measured(floor, url, Seen())
        ratios.append(took * 2 / (before + after))
        before = after
        if time.monotonic() > until:
            break
    return {"ratio": statistics.median(ratios), "partials": seen.count, "kilobytes": max(held), "reps": len(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("port", type=int)
    parser.add_argument("shape", choices=MODELS)
    parser.add_argument("size", type=int, help="bytes")
    parser.add_argument("chunk", type=int, help="characters")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--paced", type=int, default=0, help="milliseconds between two events")
    parser.add_argument("--damage", default="", help="of the answer; what comes of it is told instead")
    warnings.simplefilter("ignore")
    print(json.dumps(asyncio.run(figures(parser.parse_args()))))


if __name__ == "__main__":
    main()
