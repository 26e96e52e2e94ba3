"""Watch a structured answer fill in: `python -m instructor_stream_ext.demo [--speed 2]`.

A recorded stream is served by a real HTTP server on this machine at its original pace, and read by the real openai
client, instructor and this package. It needs neither network nor key.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import instructor
import openai

from instructor_stream_ext import wrap
from instructor_stream_ext.demo.cassette import demo_interaction
from instructor_stream_ext.demo.model import PROMPT, Trip
from instructor_stream_ext.demo.view import TripView, glimpse, lines
from instructor_stream_ext.testing.server import ReplayServer

if TYPE_CHECKING:
    from instructor_stream_ext import PartialStream, StreamStats

GLIMPSE_EVERY = 0.5
"""Seconds between two lines of plain output."""
UNPACED = 0.0
"""The speed without any pause."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demo.

    Args:
        arguments: of the command line; `sys.argv` by default.
    """
    parser = argparse.ArgumentParser(prog="python -m instructor_stream_ext.demo", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--speed", type=float, default=1.0, help="1 is the original pace, 2 twice as fast, 0 without any pause"
    )
    speed = parser.parse_args(arguments).speed
    # The SDKs import much of themselves during the first call, which a program that runs for a while does not notice.
    with _streaming(UNPACED) as stream:
        stream.get_final_response()
    with _streaming(speed) as stream:
        if sys.stdout.isatty():
            _show_live(stream)
        else:
            _print_plainly(stream)


@contextmanager
def _streaming(speed: float) -> Iterator[PartialStream[Trip]]:
    # The environment may name a proxy for the outside world; this server is not there.
    with (
        ReplayServer([demo_interaction()], speed=speed) as server,
        openai.DefaultHttpxClient(trust_env=False) as http_client,
    ):
        bare = openai.OpenAI(base_url=server.base_url, api_key="none-needed", http_client=http_client)
        client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA), debounce=0.03)
        yield client.create_partial(model="recorded", messages=PROMPT, response_model=Trip)


def _show_live(stream: PartialStream[Trip]) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    console.print(f"[bold]{PROMPT}[/]\n[dim]recorded stream, original pace, validated at the end[/]\n")
    view = TripView()
    with Live(view, console=console, refresh_per_second=10):
        for trip in stream:
            view.trip, view.is_final = trip, stream.is_final
    console.print(f"[bold green]✔[/] {_verdict(stream.get_final_response())}", highlight=False)
    console.print(f"[dim]{_figures(stream.stats)}[/]", highlight=False)


def _print_plainly(stream: PartialStream[Trip]) -> None:
    print(PROMPT)
    began = time.monotonic()
    due = began
    for trip in stream:
        now = time.monotonic()
        if now >= due and not stream.is_final:
            print(f"{now - began:6.2f} s  {glimpse(trip)}", flush=True)
            due = now + GLIMPSE_EVERY
    final = stream.get_final_response()
    print("", *lines(final), "", _verdict(final), _figures(stream.stats), sep="\n")


def _verdict(trip: Trip) -> str:
    return f"validated {type(trip).__name__}: {len(trip.days)} days in order, €{trip.euros} of €{trip.budget}"


def _figures(stats: StreamStats) -> str:
    if not stats.first_partial_at or not stats.ended_at:
        raise RuntimeError("the demo's stream showed nothing")
    return (
        f"first partial after {stats.first_partial_at:.2f} s, the whole after {stats.ended_at:.2f} s: "
        f"{stats.ended_at / stats.first_partial_at:.0f} times sooner; "
        f"{stats.deltas} deltas, {stats.partials_yielded} partials"
    )


if __name__ == "__main__":
    main()
