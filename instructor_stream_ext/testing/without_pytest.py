"""Record and play cassettes without pytest."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from instructor_stream_ext.core.errors import MissingExtra
from instructor_stream_ext.testing import yaml as cassette_yaml
from instructor_stream_ext.testing.clock import FakeClock
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.fault import Fault
from instructor_stream_ext.testing.persister import CassettePersister
from instructor_stream_ext.testing.scrub import Scrubber
from instructor_stream_ext.testing.staleness import StaleCassette
from instructor_stream_ext.testing.stream_cassette import StreamCassette

__all__ = ["use_cassette"]


@contextlib.contextmanager
def use_cassette(
    path: Path | str,
    *,
    record_mode: str = "none",
    scrubber: Scrubber | None = None,
    speed: float | FakeClock | None = None,
    clock: FakeClock | None = None,
    faults: Fault | Iterable[Fault] | None = None,
    deltas: int | None = None,
    whole: bool | None = None,
    strict: bool = False,
    ignore: Iterable[str] = (),
    match_on: Iterable[str] = ("method", "scheme", "host", "port", "path", "query"),
) -> Iterator[StreamCassette]:
    """Record or play a cassette without pytest: within this, requests of httpx, httpx2 and aiohttp go to the cassette.

    Args:
        path: Of the cassette.
        record_mode: As in vcrpy: "none" plays, "once" records a cassette that is not there, "all" records anew.
        scrubber: What to keep off the cassette.
        speed: As in `StreamCassette`; so are `clock`, `faults`, `deltas` and `whole`.
        clock: The fake clock.
        faults: What goes wrong.
        deltas: The least number of pieces of text.
        whole: False if a stream is left early on purpose.
        strict: As in `StreamCassette`; so is `ignore`.
        ignore: Paths in a request's JSON that may differ from the recorded one.
        match_on: vcrpy's names of what has to be equal in a request.

    Yields:
        The stream cassette.

    Raises:
        AssertionError: The cassette was not played to its end, unless the body has raised.
        CassetteError: The cassette cannot be used.
        MissingExtra: vcrpy is not installed.
    """
    try:
        import vcr
    except ImportError as error:
        raise MissingExtra("use_cassette", "testing") from error
    if record_mode == "none" and not Path(path).is_file():
        raise CassetteError(
            path, 1, "there is no such cassette", 'check the path, or record it with record_mode="once"'
        )
    recorder = vcr.VCR(record_mode=vcr.mode(record_mode), match_on=tuple(match_on))
    recorder.register_serializer("yaml", cassette_yaml)
    recorder.register_persister(CassettePersister())
    with recorder.use_cassette(str(path)) as cassette, StreamCassette(cassette, scrubber) as played:
        played(speed=speed, clock=clock, faults=faults, deltas=deltas, whole=whole, strict=strict, ignore=ignore)
        try:
            yield played
        except Exception as error:
            played.explain(error)
            raise
        played.verify()
        for said in played.untold():
            warnings.warn(said, StaleCassette, stacklevel=3)
