"""The steps of a recorded stream: for each event its text, the partial after it, the transitions, the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from instructor_stream_ext.client.response_model import shape_of
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.core.events import EndKind, EndSignal, Event, FieldTransition, ItemCompleted, PartialEmitted
from instructor_stream_ext.core.jsonable import jsonable
from instructor_stream_ext.core.machine import StreamMachine
from instructor_stream_ext.core.patches import Change, changes
from instructor_stream_ext.core.types.compile import compile_plan
from instructor_stream_ext.core.types.response import Plan
from instructor_stream_ext.providers.family import end_of
from instructor_stream_ext.testing.cassette import Cassette, Interaction
from instructor_stream_ext.testing.payload import Piece
from instructor_stream_ext.testing.played import arrivals

__all__ = ["look_into"]

_SHOWN = 20_000
"""How many characters of an event are shown."""


def look_into(cassette: Cassette, model: object = None) -> dict[str, Any]:
    """Return everything that the page shows of a cassette, as JSON-ready data.

    Args:
        cassette: The cassette.
        model: The response model; without one, partials are the JSON as it stands in the text.
    """
    plan = compile_plan(Any) if model is None else shape_of(model).plan
    name = "" if model is None else getattr(model, "__name__", repr(model))
    return {
        "name": cassette.path.name,
        "model": name,
        "takes": [_interaction(interaction, plan) for interaction in cassette.interactions],
    }


def _interaction(interaction: Interaction, plan: Plan) -> dict[str, Any]:
    watch = _Watch(plan)
    steps = [watch.step(at, piece, raw) for at, piece, raw in _events(interaction)]
    return {
        "request": f"{interaction.method} {interaction.url}",
        "status": interaction.status,
        "type": interaction.content_type,
        "bytes": len(interaction.body),
        "duration": round(interaction.duration, 4),
        "timed": interaction.timed,
        "end": str(interaction.end),
        "error": interaction.error,
        "outcome": watch.outcome(),
        "usage": watch.usage,
        "steps": steps,
    }


def _events(interaction: Interaction) -> Iterator[tuple[float, Piece, str]]:
    """Yield each event with its instant, and the bytes that it stood in as text."""
    start = 0
    for at, piece in arrivals(interaction):
        raw = interaction.body[start : piece.stop].decode(errors="replace")
        start = piece.stop
        yield at, piece, raw if len(raw) <= _SHOWN else f"{raw[:_SHOWN]} ... {len(raw) - _SHOWN} more"


class _Watch:
    """One interaction, fed to a stream machine event by event."""

    def __init__(self, plan: Plan) -> None:
        self._machine = StreamMachine(parser=lambda: PartialParser(plan, search=True), transitions=True)
        self._machine.begin(0.0)
        self._machine.start(0.0, None, None)
        self._word: str | None = None
        self._problem = ""
        self._shown: Any = None
        self.usage: Any = None

    def step(self, at: float, piece: Piece, raw: str) -> dict[str, Any]:
        """Feed an event and describe what it did."""
        events = self._fed(piece.text, at) if piece.text and not self._problem else []
        self._word = piece.end or self._word
        self._problem = self._problem or piece.error
        self.usage = _usage(raw) or self.usage
        partials = [event.partial for event in events if isinstance(event, PartialEmitted)]
        step: dict[str, Any] = {"at": round(at, 4), "raw": raw, "text": piece.text}
        if partials:
            shown = jsonable(partials[-1])
            step["changes"] = list(map(_changed, changes(self._shown, shown)))
            self._shown = shown
        told = [_said(event) for event in events if isinstance(event, FieldTransition | ItemCompleted)]
        if told:
            step["transitions"] = told
        return step | {name: said for name, said in (("end", piece.end), ("error", piece.error)) if said}

    def _fed(self, text: str, at: float) -> list[Event]:
        machine = self._machine
        events: list[Event] = list(machine.feed(text, at))
        while machine.has_draft:
            events += machine.begin_anew(at)
        if machine.fault is not None:
            self._problem = str(machine.fault)
        return events

    def outcome(self) -> str:
        """Return, in a sentence, why the stream ended."""
        if self._problem:
            return self._problem
        said = f"the provider said {self._word!r}" if self._word else "the provider said nothing of an end"
        kind = end_of(self._word).kind if self._word else None
        if kind is not None and kind not in (EndKind.COMPLETE, EndKind.UNKNOWN):
            return f"{said}: the answer is {kind.value}"
        self._machine.settle(None if kind is None else EndSignal(kind, self._word or ""), 0.0)
        parser = self._machine.parser
        whole = parser is not None and parser.complete
        return f"{said}; the document is {'whole' if whole else 'not whole'}"


def _said(event: FieldTransition | ItemCompleted) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in event.path)
    place = "".join(steps).lstrip(".") or "document"
    if isinstance(event, ItemCompleted):
        return f"{place}: item complete"
    return f"{place}: {event.before.value} → {event.after.value}"


def _changed(change: Change) -> list[Any]:
    """Return a partial's change: `[place]` if it goes, `[place, value]`, or `[place, null, text]` if it grows."""
    if change.kind == "remove":
        return [change.place]
    grown = change.grown
    return [change.place, change.value] if grown is None else [change.place, None, grown]


def _usage(raw: str) -> Any:
    """Return the tokens that an event reports, in the provider's own words."""
    for line in raw.splitlines():
        text = line.removeprefix("data:").strip()
        if not text.startswith("{"):
            continue
        try:
            said = json.loads(text)
        except ValueError:
            continue
        for place in (said, said.get("response"), said.get("message")):
            found = place.get("usage") or place.get("usageMetadata") if isinstance(place, Mapping) else None
            if isinstance(found, Mapping):
                return found
    return None
