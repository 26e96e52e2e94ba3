"""How a trip looks in a terminal while it is written, and in plain lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from instructor_stream_ext.core.text import visible
from instructor_stream_ext.demo.model import Stop, Trip

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text

__all__ = ["TripView", "glimpse", "lines"]

FRAME = 3
"""Lines of the screen that the text cannot use: the frame's, and the last."""
MARKS = {"food": "🥐", "museum": "🏛 ", "music": "🎵", "view": "🌇", "walk": "🚶"}


class TripView:
    """Shows the newest trip. rich renders it ten times a second, whatever the pace of the stream.

    Attributes:
        trip: What to show.
        is_final: Whether to show all of it; otherwise the end, where something happens, as far as the screen is high.
    """

    def __init__(self) -> None:
        self.trip: Trip | None = None
        self.is_final = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.panel import Panel
        from rich.segment import SegmentLines
        from rich.text import Text

        trip = self.trip
        if trip is None:
            yield Panel(Text("waiting for the first word ...", style="dim"))
            return
        lines = console.render_lines(self._told(trip), options.update(width=options.max_width - 4))
        if not self.is_final:
            lines = lines[-max(1, console.height - FRAME) :]
        title = Text(_shown(trip.title), style="bold")
        subtitle = f"{_shown(trip.city)} {_euros(trip.budget)}"
        yield Panel(SegmentLines(lines, new_lines=True), title=title, subtitle=subtitle)

    @staticmethod
    def _told(trip: Trip) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.text import Text

        parts: list[RenderableType] = []
        for day in trip.days:
            parts.append(Text(f"Day {_shown(day.number)}  {_shown(day.theme)}", style="bold cyan"))
            for stop in day.stops:
                parts.append(_heading(stop))
                parts.append(Padding(Text(_shown(stop.note), style="italic dim"), (0, 0, 0, 10)))
        if trip.packing:
            parts.append(Text.assemble(("\nTake along  ", "bold"), ", ".join(_shown(thing) for thing in trip.packing)))
        if trip.advice:
            parts.append(Text.assemble(("\nAdvice  ", "bold"), trip.advice))
        return Group(*parts)


def glimpse(trip: Trip) -> str:
    """Summarize in one line how far the trip has come."""
    stops = [stop for day in trip.days for stop in day.stops]
    begun = [stop for stop in stops if stop.place]
    if not begun:
        return _shown(trip.title) or "..."
    last = trip.advice or f"{begun[-1].place}: {_shown(begun[-1].note)}"
    return f"day {len(trip.days)}, stop {len(stops)} ... {last[-60:]}"


def lines(trip: Trip) -> Iterator[str]:
    """Describe the whole trip in plain lines."""
    yield f"{trip.title} ({trip.city}, {_euros(trip.budget)})"
    for day in trip.days:
        yield f"Day {day.number}: {day.theme}"
        for stop in day.stops:
            yield f"  {stop.time}  {stop.place} ({stop.kind}, {_euros(stop.euros)})"
            yield f"         {stop.note}"
    yield f"Take along {', '.join(trip.packing)}."
    yield trip.advice


def _heading(stop: Stop) -> Text:
    from rich.text import Text

    heading = Text(f"  {_shown(stop.time):<6}{MARKS.get(stop.kind, '  ')} ")
    heading.append(_shown(stop.place), style="bold")
    heading.append(f"  {_euros(stop.euros)}", style="green")
    return heading


def _shown(value: object) -> str:
    """Return the text of a field that may not have arrived yet, whatever its type says."""
    return "" if value is None else visible(str(value))


def _euros(amount: int | None) -> str:
    return "" if amount is None else f"€{amount}"
