"""Recorded answers, damaged in every way: cut at each byte, each event dropped, doubled, swapped or garbled.

    .venv/bin/python -m tests.chaos [--every N] [--only NAME] [--largest BYTES] [--seed S]     (`make chaos`)

Whatever comes over the wire, a stream ends once and says how: with a validated final, or with an error of a known type
that keeps all that had arrived. Each case goes from a real server over a real socket through the provider's SDK; sync
and async clients take turns. Warnings are errors, and nothing is left behind: no thread, no task, no file descriptor.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import random
import re
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx
import openai
import yaml
from google.genai import errors as genai_errors
from instructor import Mode
from pydantic import BaseModel, ConfigDict

from instructor_stream_ext import StreamError, Timeouts
from tests.playing import Played, arguments_for, client_for, play
from tests.recordings import CLIENTS, NOT_THROUGH_THESE_SDKS, Recording, body_of, mode_of, recordings
from tests.server import Cut, End, Reset, ScriptedServer, Send, Start, Step

__all__ = ["Case", "Found", "Subject", "cases_of", "run", "sample_of", "subjects"]

EVENT = re.compile(rb".*?(?:\r?\n\r?\n|\Z)", re.DOTALL)
FROM_SDKS = (openai.OpenAIError, anthropic.AnthropicError, genai_errors.APIError, httpx.HTTPError)
"""What an SDK raises before the first byte of an answer passes through."""
CUTS: dict[str, Step] = {"cut": End(), "broken off": Cut(), "reset": Reset()}
"""How a body can end in the midst: as if it were whole, by a connection that closes, by one that is reset."""
DAMAGES = ("dropped", "doubled", "swapped", "garbled")
PATIENCE = Timeouts(total=20)
CASSETTES = Path(__file__).parent / "cassettes" / "recorded"


@dataclass(frozen=True)
class Subject:
    """An answer to be damaged.

    Attributes:
        name: Of its file.
        provider: Of the client that reads it.
        mode: In which the client asks.
        body: Its events.
        tool: The tool that it calls; "" where the answer is text.
    """

    name: str
    provider: str
    mode: Mode
    body: bytes
    tool: str = ""

    @functools.cached_property
    def events(self) -> list[bytes]:
        """Its events, each with the blank line behind it."""
        return [event for event in EVENT.findall(self.body) if event]

    def stream(self, client: Any) -> Any:
        """Ask for it."""
        asked = arguments_for(self.provider)
        if not self.tool:
            return client.stream_text(**asked)
        return client.create_partial(_called(self.tool), max_retries=0, **asked)


class Anything(BaseModel):
    """Whatever the tool was called with."""

    model_config = ConfigDict(extra="allow")


@functools.cache
def _called(tool: str) -> type[BaseModel]:
    return type(tool, (Anything,), {})


class Case(NamedTuple):
    """One way of damaging an answer.

    Attributes:
        kind: What is done.
        place: To which byte or event.
        body: What is sent.
        end: How the connection ends.
    """

    kind: str
    place: int
    body: bytes
    end: Step


def subjects() -> list[Subject]:
    """The recordings beside this checkout, where they are there, and the answers on the cassettes of these tests."""
    return [*map(_of_recording, _readable()), *_on_cassettes()]


def _readable() -> list[Recording]:
    return [each for each in recordings() if each.file not in NOT_THROUGH_THESE_SDKS]


def _of_recording(recording: Recording) -> Subject:
    tool = recording.calls[0][0] if recording.calls else ""
    return Subject(recording.file, CLIENTS[recording.api], mode_of(recording), body_of(recording, tool), tool)


def _on_cassettes() -> Iterator[Subject]:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(CASSETTES.glob("*.yaml")):
        response = yaml.load(path.read_text(encoding="utf-8"), loader)["interactions"][0]["response"]
        body = response["body"]["string"]
        if response["status"]["code"] == 200 and str(body).startswith("data:"):
            yield Subject(path.name, "openai", Mode.JSON_SCHEMA, body.encode() if isinstance(body, str) else body)


# ---------------------------------------------------------------------- the damage


def cases_of(subject: Subject, *, every: int, rng: random.Random) -> Iterator[Case]:
    """The cases of an answer, in order.

    Args:
        subject: The answer.
        every: Of each so many bytes one is a place to cut at, and of each so many events one is damaged; 1 for all.
        rng: Chooses the first of them, and what garbles an event.
    """
    for kinds, places in ((CUTS, len(subject.body)), (DAMAGES, len(subject.events))):
        for place in range(rng.randrange(min(every, places)), places, every):
            yield from (_case(subject, kind, place, rng) for kind in kinds)


def sample_of(subject: Subject, *, count: int, rng: random.Random) -> Iterator[Case]:
    """So many cases of an answer, chosen by chance."""
    for _ in range(count):
        kind = rng.choice([*CUTS, *DAMAGES])
        yield _case(subject, kind, rng.randrange(len(subject.body if kind in CUTS else subject.events)), rng)


def _case(subject: Subject, kind: str, place: int, rng: random.Random) -> Case:
    if kind in CUTS:
        return Case(kind, place, subject.body[:place], CUTS[kind])
    events = subject.events
    event, following = events[place], events[place + 1 : place + 2]
    instead = {
        "dropped": following,
        "doubled": [event, event, *following],
        "swapped": [*following, event],
        "garbled": [_garbled(event, rng), *following],
    }[kind]
    return Case(kind, place, b"".join([*events[:place], *instead, *events[place + 2 :]]), End())


def _garbled(event: bytes, rng: random.Random) -> bytes:
    """An event with some bytes of its payload replaced by any others, but for those that end it."""
    damaged = bytearray(event)
    begin = min(6, len(event))
    end = max(begin, len(event.rstrip()))
    for _ in range(rng.randint(1, 4)):
        if end > begin:
            damaged[rng.randrange(begin, end)] = rng.choice([*range(32, 127), 0, 9, 0x80, 0xC3, 0xED, 0xFF])
    return bytes(damaged)


# ---------------------------------------------------------------------- what must hold


@dataclass
class Found:
    """What came of the cases."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, kind: str, outcome: str) -> None:
        """Count a case."""
        self.outcomes[kind, outcome] += 1

    def table(self) -> str:
        """A row for each outcome, a column for each kind of damage."""
        kinds = sorted({kind for kind, _ in self.outcomes})
        names = sorted({outcome for _, outcome in self.outcomes})
        lines = [f"{'':24}" + "".join(f"{kind:>12}" for kind in kinds)]
        lines += [f"{name:24}" + "".join(f"{self.outcomes[kind, name]:>12,}" for kind in kinds) for name in names]
        return "\n".join([*lines, f"{sum(self.outcomes.values()):,} cases"])


def check(case: Case, played: Played, whole: Played) -> str:
    """See that a case ended as it should.

    Returns:
        Its outcome: "completed", or the name of the error.
    """
    stream, error = played.stream, played.error
    assert played.events, "a stream tells at least its end"
    played.check_the_end()
    assert played.text == stream.text
    if case.kind in CUTS:
        assert whole.stream.text.startswith(stream.text), "what did not come was not sent"
        if error is None:
            assert played.final == whole.final, "a final made of a part"
    if error is None:
        return "completed"
    assert isinstance(error, (StreamError, *FROM_SDKS)), f"an error of no known type: {error!r}"
    if isinstance(error, StreamError):
        assert error.text == stream.text
        return type(error).__name__
    assert not stream.text, "an SDK's own error after text"
    return "the SDK's own"


def run(subject: Subject, cases: Iterator[Case], found: Found) -> None:
    """Play all cases of an answer, sync and async in turn.

    Raises:
        AssertionError: Something did not hold; it names the case.
    """
    threads, handles = threading.active_count(), _handles()
    asyncio.run(_run(subject, cases, found))
    gc.collect()
    assert threading.active_count() <= threads, "a thread is left"
    assert _handles() <= handles, "a socket is left"


async def _run(subject: Subject, cases: Iterator[Case], found: Found) -> None:
    with ScriptedServer() as server:
        clients = [
            client_for(server, subject.provider, subject.mode, is_async=is_async, timeouts=PATIENCE)
            for is_async in (False, True)
        ]
        server.add([Send(subject.body)])
        whole = await play(subject.stream(clients[0]))
        for number, case in enumerate(cases):
            server.add([Start(), *([Send(case.body)] if case.body else []), case.end])
            try:
                played = await play(subject.stream(clients[number % 2]))
                found.add(case.kind, check(case, played, whole))
                server.exchanges[-1].finished.wait()
                assert len(asyncio.all_tasks()) == 1, "a task is left"
            except AssertionError as wrong:
                wrong.add_note(f"{subject.name}: {case.kind} at {case.place}, {'async' if number % 2 else 'sync'}")
                raise
            server.exchanges.clear()
        for client in clients:
            closed = client.client.close() if hasattr(client.client, "close") else None
            if asyncio.iscoroutine(closed):
                await closed


def _handles() -> int:
    handles = Path("/proc/self/fd")
    return sum(1 for _ in handles.iterdir()) if handles.is_dir() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="of each so many places one; 1 for all of them")
    parser.add_argument("--only", default="", help="answers with this in their name")
    parser.add_argument("--largest", type=int, default=sys.maxsize, help="bytes of an answer that is not left out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from rich.progress import Progress

    found = Found()
    chosen = [each for each in subjects() if options.only in each.name and len(each.body) <= options.largest]
    with Progress(disable=not sys.stderr.isatty()) as progress:
        for subject in progress.track(chosen, description="answers"):
            rng = random.Random(f"{options.seed} {subject.name}")
            progress.console.print(subject.name, highlight=False)
            run(subject, cases_of(subject, every=options.every, rng=rng), found)
    sys.stdout.write(found.table() + "\n")


if __name__ == "__main__":
    main()
