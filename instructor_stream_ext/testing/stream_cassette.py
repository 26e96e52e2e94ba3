"""A vcrpy cassette in use: it records streams, or plays them with their chunks and times."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from instructor_stream_ext.testing import yaml as cassette_yaml
from instructor_stream_ext.testing.cassette import End, Interaction, interaction_of, load_cassette
from instructor_stream_ext.testing.clock import FakeClock, Pace
from instructor_stream_ext.testing.environment import playing
from instructor_stream_ext.testing.fault import Fault, FaultsInUse
from instructor_stream_ext.testing.patches import Patches
from instructor_stream_ext.testing.persister import CassettePersister, content_of, copied
from instructor_stream_ext.testing.recording import Recorder
from instructor_stream_ext.testing.replay import Performance
from instructor_stream_ext.testing.scrub import Scrubber
from instructor_stream_ext.testing.sidecar import TIMING
from instructor_stream_ext.testing.staleness import changes

__all__ = ["PLAYED", "StreamCassette"]

_NAMED = 5
"""How many places of a changed request a message names."""
_BODIES = frozenset({"body", "raw_body"})
"""vcrpy's names of the request parts that are compared path by path."""

_ON_PURPOSE = "if that is on purpose, say whole=False"

PLAYED: set[Path] = set()
"""The cassettes that this process has played."""


class StreamCassette:
    """Records and plays the streams of one cassette. What is not set keeps its value.

    Called with settings, it takes them and gives itself: `stream_cassette(speed=1, deltas=24)`.

    Args:
        cassette: vcrpy's, in use.
        scrubber: What to keep off the cassette.
    """

    def __init__(self, cassette: Any, scrubber: Scrubber | None = None) -> None:
        self.cassette = cassette
        self.path = Path(cassette.path)
        self.performances: list[Performance] = []
        self.misses: list[str] = []
        self._scrubber = scrubber or Scrubber()
        self._recorders: list[tuple[int, Recorder]] = []
        self.pace = Pace()
        self._faults = [FaultsInUse()]
        self._late = False
        self._deltas: int | None = None
        self._whole = True
        self._strict = False
        self._ignore: tuple[str, ...] = ()
        self.stale: list[str] = []
        self._told = 0
        self.fails: Callable[[str], BaseException] | None = None
        """Makes the exception for a request that cannot be answered, in place of vcrpy's."""
        self._requests = self._faulty_from = 0
        self._stack = contextlib.ExitStack()

    def __call__(
        self,
        *,
        speed: float | FakeClock | None = None,
        clock: FakeClock | None = None,
        faults: Fault | Iterable[Fault] | None = None,
        deltas: int | None = None,
        whole: bool | None = None,
        strict: bool | None = None,
        ignore: Iterable[str] | None = None,
    ) -> Self:
        """Set how the cassette is played.

        Args:
            speed: 1 is the original pace, 2 twice as fast, 0 (the default) without any pause; a fake clock in its place
                is moved instead of waiting.
            clock: The fake clock, beside a speed.
            faults: What goes wrong, in order.
            deltas: How many pieces of the model's text have to be played at least.
            whole: False if the test leaves a stream or requests of the cassette out on purpose.
            strict: Whether a request whose JSON is not the recorded one fails the test; else it is a warning.
            ignore: Paths in that JSON that may differ, such as "messages[0].content"; `[*]` is any index.
        """
        if speed is not None or clock is not None:
            self.pace = Pace.of(speed, clock)
        if faults is not None:
            if self._requests == self._faulty_from:
                self._faults.pop()  # set and never used, as by a mark of the class
            self._faults.append(FaultsInUse(faults))
            self._faulty_from = self._requests
        if deltas is not None:
            self._deltas = deltas
        if whole is not None:
            self._whole = whole
        if strict is not None:
            self._strict = strict
        if ignore is not None:
            self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        return self

    @property
    def records(self) -> bool:
        """True if requests that are not on the cassette go to the network."""
        return not self.cassette.write_protected

    @property
    def interactions(self) -> list[Interaction]:
        """The interactions on the cassette so far."""
        return [_interaction(request, response) for request, response in self.cassette.data]

    # ------------------------------------------------------------------ open and closed

    def __enter__(self) -> Self:
        if not isinstance(self.cassette._persister, CassettePersister):  # noqa: SLF001  vcrpy has no public way to it
            self._adopt()
        self.cassette._persister.scrubber = self._scrubber  # noqa: SLF001
        self._scrub()
        if self.cassette.write_protected:
            self._check()
            self._stack.enter_context(playing(request.uri for request, _ in self.cassette.data))
        Patches(self, self._stack).put_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._keep()

    def _adopt(self) -> None:
        """Make a cassette that vcrpy has opened keep chunks and times, and read those that it has."""
        from vcr.serializers import yamlserializer

        cassette = self.cassette
        cassette._persister = CassettePersister(getattr(cassette._persister, "extra_paths", ()))  # noqa: SLF001
        if cassette._serializer is yamlserializer:  # noqa: SLF001
            cassette._serializer = cassette_yaml  # noqa: SLF001
        again = copy.copy(cassette)
        again.data, again._old_interactions = [], []  # noqa: SLF001
        again._load()  # noqa: SLF001
        cassette.data[: cassette._loaded_count] = again.data  # noqa: SLF001
        cassette._old_interactions = again._old_interactions  # noqa: SLF001

    def _check(self) -> None:
        """Note which cassettes are played, and check that none lacks anything.

        Raises:
            CassetteError: A cassette is empty, or has lost its sidecar.
        """
        further = getattr(self.cassette._persister, "extra_paths", ())  # noqa: SLF001
        files = [path for path in (self.path, *map(Path, further)) if path.is_file()]
        PLAYED.update(path.resolve() for path in files)
        interactions = self.cassette.data
        if not interactions or any(response.get(TIMING) is None for _, response in interactions):
            for path in files:
                load_cassette(path, sidecar=bool(interactions))

    def _scrub(self) -> None:
        """Run the scrubber before the cassette's own filters, on what is recorded and on what is compared."""
        cassette, scrubber = self.cassette, self._scrubber
        before_request, before_response = cassette._before_record_request, cassette._before_record_response  # noqa: SLF001
        cassette._before_record_request = lambda request: _then(before_request(copied(request)), scrubber.request)  # noqa: SLF001
        cassette._before_record_response = lambda response: _then(before_response(response), scrubber.response)  # noqa: SLF001

    def _keep(self) -> None:
        """Give the cassette what was recorded, in the order of the requests.

        What was asked by other libraries meanwhile is on the cassette already.
        """
        recorders, self._recorders = self._recorders, []
        data, kept = self.cassette.data, 0
        for place, recorder in recorders:
            if not recorder.status:
                continue  # no answer came: there is nothing a cassette could hold
            response, timing = recorder.interaction()
            if recorder.timed:
                response = {**response, TIMING: replace(timing, error=self._scrubber.text(timing.error))}
            before = len(data)
            self.cassette.append(recorder.request, response)
            if len(data) > before:  # no filter has dropped it
                data.insert(place + kept, data.pop())
                kept += 1

    def body_ended(self) -> None:
        """Note the end of the test's body: later requests are a fixture's, and are stored without times."""
        self._late = True

    def problems(self, *, over: bool = True) -> list[str]:
        """Return what a replay lacked: unrecorded requests, interactions not requested, streams not played.

        Args:
            over: Whether no request can follow. If some can, as when fixtures are torn down, interactions without times
                are waited for.
        """
        found = [f"{self.path.name}: {miss}" for miss in self.misses]
        found += [str(one.failure) for one in self.performances if one.failure is not None]
        found += self.stale if self._strict else []
        if self.records:
            return found
        found += [f"{self.path.name}: {problem}" for faults in self._faults for problem in faults.problems()]
        if self._whole:
            found += [f"{self.path.name}: {problem}" for problem in self._not_played(over=over)]
        if self._deltas is not None and (total := sum(one.deltas for one in self.performances)) < self._deltas:
            found.append(f"{self.path.name}: {total} deltas were played, {self._deltas} were expected")
        return found

    def _not_played(self, *, over: bool) -> Iterator[str]:
        """Return what on the cassette was never requested, or not played to its end."""
        unasked = sum(
            not self.cassette.play_counts[place] and (over or TIMING in response)
            for place, (_, response) in enumerate(self.cassette.data)
        )
        if unasked:
            yield f"{unasked} of its {len(self.cassette)} interactions were never asked for; {_ON_PURPOSE}"
        for one in self.performances:
            interaction = one.interaction
            if one.left_early:
                played = sum(len(chunk.data) for chunk in interaction.chunks[: one.played])
                asked, size = f"{interaction.method} {interaction.url}", len(interaction.body)
                yield f"{asked} was left at byte {played} of {size}; {_ON_PURPOSE}"
            elif (
                interaction.deltas is not None
                and interaction.end is not End.ABANDONED
                and one.deltas < interaction.deltas
            ):
                yield f"{one.deltas} deltas were played, the cassette states {interaction.deltas}"

    def verify(self) -> None:
        """Raise `AssertionError` if a replay differs from what the cassette and the test state."""
        if found := self.problems():
            raise AssertionError("; ".join(found))

    # ------------------------------------------------------------------ one request

    def refusal(self) -> Interaction | None:
        """Count a request; return what refuses it in place of the cassette's answer, if a fault does."""
        number, self._requests = self._requests, self._requests + 1
        return self._faults[-1].refuse(number)

    def perform(self, request: object, response: dict[str, Any]) -> Performance:
        """Start playing an answer from the cassette, with the current faults."""
        recorded = _interaction(request, response)
        interaction = self._faults[-1](recorded)
        if len(interaction.body) != len(recorded.body):
            headers = tuple(header for header in interaction.headers if header[0].lower() != "content-length")
            interaction = replace(interaction, headers=headers)
        performance = Performance(interaction, self.pace, str(self.path))
        self.performances.append(performance)
        return performance

    def miss(self, request: object) -> Exception:
        """Note a request that is not on the cassette, and return the error to raise for it."""
        from vcr.errors import CannotOverwriteExistingCassetteException

        self.misses.append(self._missing(request))
        if self.fails is not None:
            raise self.fails(f"{self.path.name}: {self.misses[-1]}")
        error: Exception = CannotOverwriteExistingCassetteException(cassette=self.cassette, failed_request=request)
        return error

    def _missing(self, request: Any) -> str:
        if not self.cassette.data and not self.path.is_file():
            return f"no cassette at {self.path}: record it with --record-mode=once"
        asked = f"{request.method} {self._scrubber.url(request.uri)}"
        nearest = self.cassette.find_requests_with_most_matches(request)
        if not nearest:
            return f"{asked} is not on the cassette, which holds nothing like it"
        if not (differing := [name for name, _ in nearest[0][2]]):
            times = "once" if len(nearest) == 1 else f"{len(nearest)} times"
            return f"{asked} was played already: the cassette holds it {times}"
        closest = nearest[0][0]
        places = self._changes(closest, request) if _BODIES & set(differing) else ""
        return (
            f"{asked} is not on the cassette; the closest one is {closest.method} {self._scrubber.url(closest.uri)}, "
            f"which differs in {' and '.join(differing)}{places and f' ({places})'}"
        )

    def untold(self) -> list[str]:
        """Return the requests, new since the last call, that differ from what was recorded without failing the test."""
        fresh, self._told = self.stale[self._told :], len(self.stale)
        return [] if self._strict else fresh

    def explain(self, error: BaseException) -> None:
        """Add to a test's error what may be its cause and clients hide: missing or changed requests."""
        self._told = len(self.stale)
        for said in (*(f"{self.path.name}: {miss}" for miss in self.misses), *self.stale):
            if said not in str(error):
                error.add_note(said)

    def compare(self, request: Any, response: dict[str, Any]) -> None:
        """Note how a request's body differs from that of the interaction that answers it."""
        recorded = next((one for one, held in self.cassette.data if held is response), None)
        if recorded is not None and (found := self._changes(recorded, request)):
            path = urlsplit(self._scrubber.url(request.uri)).path
            self.stale.append(
                f"{self.path.name}: {request.method} {path} is no longer the request that was recorded: {found}"
            )

    def _changes(self, recorded: Any, request: Any) -> str:
        """Return the differences in words, with secrets masked; none for forms with files."""
        sent = self.cassette.filter_request(request)
        if not sent or "multipart/" in str(sent.headers.get("content-type", "")):
            return ""
        before, now = (content_of(one) or b"" for one in (recorded, sent))
        if before == now:
            return ""
        before, now = self._scrubber.body(before), self._scrubber.body(now)
        found = changes(before, now, self._ignore)
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return f"{'; '.join(found[:_NAMED])}{more}"

    def record(self, recorder: Recorder) -> Recorder:
        """Keep what this recorder is about to record, in the order of the requests."""
        recorder.timed = recorder.timed and not self._late
        self._recorders.append((len(self.cassette.data), recorder))
        return recorder


def _interaction(request: Any, response: dict[str, Any]) -> Interaction:
    sent = {"method": request.method, "uri": request.uri, "body": request.body, "headers": dict(request.headers)}
    return interaction_of(sent, response, response.get(TIMING))


def _then(value: object, change: Callable[[Any], Any]) -> Any:
    """Change what the cassette's own filter returned; None if it dropped it."""
    return change(value) if value else value
