"""What a partial for every chunk costs on top of the SDK: CPU of this process, as ratios within one run.

    .venv/bin/python benchmarks/end_to_end.py [--sizes 1,64,256] [--chunk 16] [--reps 15] [--shape list] [--debounce S]

A second process serves a chat-completions stream from memory, all chunks at once, so that the time here is the client's
work and not its waiting. The two sides run in turn in one process; the least of all repetitions counts on either side.
`sdk` iterates the openai SDK's stream and does nothing else. At 1 KB, where opening the request dominates, the other
side is instructor's own `create_fn(..., stream=True)`, iterated bare.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import http.server
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import instructor
import openai
from instructor.dsl.iterable import IterableBase
from pydantic import BaseModel
from shapes import MODELS, text_of

from instructor_stream_ext import Throttle, wrap

ASK = [{"role": "user", "content": "go"}]


class Bare(IterableBase):
    """Mixed into a response model, hands instructor's live stream back, so that it can be iterated bare."""

    @classmethod
    def from_streaming_response(cls, completion: Any, *_: Any, **__: Any) -> Any:
        return completion


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request with the stream its path names: /SHAPE-SIZE-CHUNK[-thinks]/chat/completions."""

    protocol_version = "HTTP/1.1"
    rendered: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        spec = self.path.split("/")[1]
        key = f"{spec} {self.path} {request.get('tools')} {request.get('stream_options')}"
        if key not in self.rendered:
            self.rendered[key] = self.render(spec, request)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(self.rendered[key])

    def render(self, spec: str, request: dict[str, Any]) -> bytes:
        """The whole body."""
        shape, size, chunk, *thinks = spec.split("-")
        name = request["tools"][0]["function"]["name"]
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        return render(shape, int(size), int(chunk), name, thinks=bool(thinks), usage=usage)

    def log_message(self, *_: Any) -> None:
        pass


def render(shape: str, size: int, chunk: int, name: str, *, thinks: bool = False, usage: bool = False) -> bytes:
    """The whole body, one HTTP chunk per event; as many of reasoning before the answer, if the model thinks."""
    text = text_of(shape, size)
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    for start in range(0, len(text), chunk):
        arguments = text[start : start + chunk]
        deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]})
    if thinks:
        deltas = [{"reasoning_content": text[at : at + chunk]} for at in range(0, len(text), chunk)] + deltas
    events = [event(delta, None) for delta in deltas] + [event({}, "tool_calls"), *[USAGE] * usage, "[DONE]"]
    return chunked(f"data: {one}\n\n" for one in events)


def chunked(events: Iterable[str]) -> bytes:
    """A body of one HTTP chunk per event."""
    body = b""
    for data in (event.encode() for event in events):
        body += b"%x\r\n%s\r\n" % (len(data), data)
    return body + b"0\r\n\r\n"


USAGE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
)


def event(delta: dict[str, Any], finish: str | None) -> str:
    """One chat-completion chunk."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps(chunk)


def pieces_of(text: str, chunk: int) -> list[str]:
    """A text in pieces of so many characters."""
    return [text[at : at + chunk] for at in range(0, len(text), chunk)]


def messages(pieces: list[str], name: str) -> list[str]:
    """Anthropic's events, with a tool's arguments in these pieces."""
    usage = {"input_tokens": 9, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    tool = {"type": "tool_use", "id": "t", "name": name, "input": {}}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": tool},
    ]
    for piece in pieces:
        delta = {"type": "input_json_delta", "partial_json": piece}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def serve(port: Any, handler: type[Handler] = Handler) -> None:
    """The server's process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    port.send(server.server_address[1])
    server.serve_forever()


def least(sides: dict[str, Callable[[], None]], reps: int) -> dict[str, float]:
    """CPU seconds of each side, the least of `reps` repetitions taken in turn."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(3):
        for side in sides.values():
            side()
    for _ in range(reps):
        for name, side in sides.items():
            gc.collect()
            began = time.process_time()
            side()
            best[name] = min(best[name], time.process_time() - began)
    return best


def sides_of(url: str, model: type[BaseModel], debounce: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is measured, by name."""
    sdk = openai.OpenAI(base_url=url, api_key="x", max_retries=0)
    asdk = openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0)
    plain = instructor.from_openai(sdk)
    ours = wrap(plain, debounce=debounce)
    theirs = wrap(instructor.from_openai(asdk), debounce=debounce)
    tool = {"type": "function", "function": {"name": model.__name__, "parameters": model.model_json_schema()}}
    request: dict[str, Any] = {"model": "m", "messages": ASK, "stream": True, "tools": [tool]}
    bare = type(model.__name__, (Bare, model), {"__module__": __name__})
    loop = asyncio.new_event_loop()

    def iterate_sdk() -> None:
        for _ in sdk.chat.completions.create(**request):
            pass

    def iterate_create_fn() -> None:
        for _ in plain.create_fn(response_model=bare, messages=ASK, model="m", stream=True, max_retries=0):
            pass

    def iterate_ours() -> None:
        for _ in ours.create_partial(model="m", messages=ASK, response_model=model):
            pass

    async def iterate_async_sdk() -> None:
        async for _ in await asdk.chat.completions.create(**request):
            pass

    async def iterate_async_ours() -> None:
        async for _ in theirs.create_partial(model="m", messages=ASK, response_model=model):
            pass

    yield "sdk", iterate_sdk
    yield "create_fn", iterate_create_fn
    yield "ours", iterate_ours
    yield "async sdk", lambda: loop.run_until_complete(iterate_async_sdk())
    yield "async ours", lambda: loop.run_until_complete(iterate_async_ours())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1,64,256", help="KB, with commas")
    parser.add_argument("--chunk", type=int, default=16, help="characters per chunk")
    parser.add_argument("--reps", type=int, default=15)
    parser.add_argument("--shape", default="list", help="list, string, wide or deep")
    parser.add_argument("--debounce", type=float, default=None, help="seconds; a partial for every chunk without")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    debounce = None if options.debounce is None else Throttle(options.debounce)
    print(f"shape {options.shape}, {options.chunk}-char chunks, least of {options.reps}; CPU, this process")
    print(f"{'KB':>5} {'chunks':>7} {'sdk µs/chunk':>13} {'ours/sdk':>9} {'ours/create_fn':>15} {'async/async':>12}")
    for size in (int(part) * 1024 for part in options.sizes.split(",")):
        url = f"http://127.0.0.1:{port}/{options.shape}-{size}-{options.chunk}"
        took = least(dict(sides_of(url, MODELS[options.shape], debounce)), options.reps)
        chunks = -(-len(text_of(options.shape, size)) // options.chunk)
        print(
            f"{size // 1024:>5} {chunks:>7} {took['sdk'] / chunks * 1e6:>13.1f} {took['ours'] / took['sdk']:>9.3f}"
            f" {took['ours'] / took['create_fn']:>15.3f} {took['async ours'] / took['async sdk']:>12.3f}"
        )
    server.terminate()


if __name__ == "__main__":
    main()
