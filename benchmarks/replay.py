"""What a cassette costs: replay beside reading the same bytes from memory, and what recording adds to an arrival.

    python benchmarks/replay.py

Both figures come from one run. Replay at speed 0 of a cassette that carries a 64 KB object may cost at most 1.1 times
what the SDK takes to read the same bytes, in the same pieces, from memory. Recording may add at most 5 ms to the
arrival of any chunk: each chunk of a live server is timed by the client, with and without a recording.
"""

from __future__ import annotations

import gc
import http.server
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

import httpx2  # noqa: E402 - the path comes first
import openai  # noqa: E402

from instructor_stream_ext.testing import load_cassette, use_cassette  # noqa: E402

CASSETTE = ROOT / "tests" / "cassettes" / "recorded" / "llamacpp_list_64k_sync.yaml"
ROUNDS = 9
CHUNKS, PAUSE = 400, 0.002
REQUEST: dict[str, Any] = {"model": "m", "messages": [], "stream": True}


class FromMemory(httpx2.SyncByteStream):
    """The pieces of a body, already there."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Any:
        return iter(self._pieces)


def timed(read: Callable[[], int]) -> float:
    """Seconds that reading takes."""
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    read()
    taken = time.perf_counter() - began
    gc.enable()
    return taken


def replay() -> None:
    """Compare a replay with reading from memory."""
    (interaction,) = load_cassette(CASSETTE, sidecar=True).interactions
    pieces = [chunk.data for chunk in interaction.chunks]
    headers = {"content-type": "text/event-stream"}

    def answer(_: Any) -> Any:
        return httpx2.Response(200, headers=headers, stream=FromMemory(pieces))

    url = interaction.url.removesuffix("/chat/completions")
    memory = openai.OpenAI(
        api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)), max_retries=0
    )
    played = openai.OpenAI(api_key="k", base_url=url, max_retries=0)

    def read(client: openai.OpenAI) -> int:
        return sum(1 for _ in client.chat.completions.create(**REQUEST))

    def cassette() -> float:
        with use_cassette(CASSETTE):
            return timed(lambda: read(played))

    read(memory)
    cassette()
    rounds = [(timed(lambda: read(memory)), cassette()) for _ in range(ROUNDS)]
    base, replayed = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(replayed / base for base, replayed in rounds)
    print(f"{len(interaction.body)} bytes in {len(pieces)} pieces, a median of {ROUNDS} rounds")
    print(f"from memory {1000 * base:.1f} ms, replayed {1000 * replayed:.1f} ms: {ratio:.3f} times (at most 1.1)")


class Live(http.server.BaseHTTPRequestHandler):
    """A server that sends a chunk every two milliseconds, with the instant at which it was sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(CHUNKS):
            time.sleep(PAUSE)
            data = b"data: %.9f\n\n" % time.perf_counter()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def recording() -> None:
    """Compare arrivals with and without a recording."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Live)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"

    def delays() -> list[float]:
        found = []
        with httpx2.Client(trust_env=False) as client, client.stream("POST", url, content=b"{}") as response:
            for line in response.iter_lines():
                if line:
                    found.append(time.perf_counter() - float(line.removeprefix("data: ")))  # noqa: PERF401 - as each comes
        return found

    def recorded(folder: str, number: int) -> list[float]:
        with use_cassette(Path(folder) / f"{number}.yaml", record_mode="all"):
            return delays()

    with tempfile.TemporaryDirectory() as folder:
        delays()
        rounds = [(delays(), recorded(folder, number)) for number in range(ROUNDS)]
    server.shutdown()
    plain = [statistics.median(round_[0]) for round_ in rounds]
    recorded = [statistics.median(round_[1]) for round_ in rounds]
    # a busy machine delays single chunks of both; a chunk's own cost is seen where neither was delayed
    worst = max(min(recorded_at) - min(plain_at) for plain_at, recorded_at in _by_chunk(rounds))
    added = statistics.median(recorded) - statistics.median(plain)
    print(f"{CHUNKS} chunks, {ROUNDS} rounds: recording adds {1000 * added:.3f} ms to the median arrival,")
    print(f"{1000 * worst:.3f} ms to the chunk it adds most to (at most 5 ms)")


def _by_chunk(rounds: list[tuple[list[float], list[float]]]) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    plain = zip(*(one for one, _ in rounds), strict=True)
    recorded = zip(*(one for _, one in rounds), strict=True)
    return list(zip(plain, recorded, strict=True))


if __name__ == "__main__":
    replay()
    recording()
