"""A stand-in for OpenAI, so that the examples run without a key: it returns prepared answers over HTTP.

`stand_in(answer, ...)` does nothing where `OPENAI_API_KEY` is set; elsewhere it starts a small server on this machine
and points the openai SDK to it. Each request gets the next answer, and the last one again and again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any

PIECE = 6  # characters in each chunk
PAUSE = float(os.environ.get("LOCAL_MODEL_PAUSE", "0.02"))  # seconds before each chunk


@dataclass(frozen=True)
class Answer:
    """An answer with more to it than its text. `finish=None` breaks the connection off after the text."""

    content: Any
    finish: str | None = "stop"


class Calls:
    """An answer that calls several tools: the name and the arguments of each."""

    def __init__(self, *calls: tuple[str, Any]) -> None:
        self.calls = [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in calls]


def stand_in(*answers: Any) -> None:
    """Answer the requests that follow: text as it is, anything else as JSON."""
    if os.environ.get("OPENAI_API_KEY", Server.key) != Server.key:
        return
    server = Server(("127.0.0.1", 0), Handler)
    server.answers = chain(answers, repeat(answers[-1]))
    threading.Thread(target=server.serve_forever, name="local model", daemon=True).start()
    os.environ["OPENAI_API_KEY"] = Server.key
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"


class Server(ThreadingHTTPServer):
    key = "none-needed"
    answers: Iterator[Any]
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """Speaks chat completions, streamed or not, as tool calls or as content."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answer = next(self.server.answers)
        answer = answer if isinstance(answer, Answer) else Answer(answer)
        text = written(answer.content)
        tool = request["tools"][0]["function"]["name"] if request.get("tools") else None
        head = {"id": "answer", "created": int(time.time()), "model": request["model"]}
        count = {"prompt_tokens": 20, "completion_tokens": len(text) // 4, "total_tokens": 20 + len(text) // 4}
        self.send_response(200)
        self.send_header("connection", "close")  # else a client sends its next request while this end closes
        if request.get("stream"):
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            calls = answer.content.calls if isinstance(answer.content, Calls) else [(tool, text)]
            for choices in deltas(calls, answer.finish):
                time.sleep(PAUSE)
                counted = {} if choices else {"usage": count}
                self.send({**head, "object": "chat.completion.chunk", "choices": choices, **counted})
            if answer.finish is not None:
                self.wfile.write(b"0\r\n\r\n")
            return
        message = {"role": "assistant", **delta(text, tool)}
        whole = {"index": 0, "message": message, "finish_reason": answer.finish}
        body = json.dumps({**head, "object": "chat.completion", "choices": [whole], "usage": count}).encode()
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send(self, chunk: dict[str, Any]) -> None:
        data = f"data: {json.dumps(chunk)}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def written(content: Any) -> str:
    """Content as text."""
    if isinstance(content, Calls):
        return "".join(arguments for _, arguments in content.calls)
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def deltas(calls: Sequence[tuple[str | None, str]], finish: str | None) -> Iterator[list[dict[str, Any]]]:
    """The choices of each chunk; none for the last, which counts the tokens."""
    for number, (tool, text) in enumerate(calls):
        for at in range(0, len(text), PIECE):
            piece = delta(text[at : at + PIECE], tool, number, is_first=at == 0)
            yield [{"index": 0, "delta": {"role": "assistant", **piece}, "finish_reason": None}]
    if finish is not None:
        yield [{"index": 0, "delta": {}, "finish_reason": finish}]
        yield []


def delta(text: str, tool: str | None, number: int = 0, *, is_first: bool = True) -> dict[str, Any]:
    if tool is None:
        return {"content": text}
    head = {"id": f"call_{number}", "type": "function"} if is_first else {}
    function = {"name": tool, "arguments": text} if is_first else {"arguments": text}
    return {"content": None, "tool_calls": [{"index": number, **head, "function": function}]}
