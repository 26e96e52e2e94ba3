"""A testing kit: fakes without HTTP, cassettes with timing and faults, hypothesis strategies, a pytest plugin.

What needs the extra `[testing]` (vcrpy, pytest-recording, hypothesis) imports it when it is used.
"""

from __future__ import annotations

from instructor_stream_ext.testing.cassette import Cassette, End, Interaction, load_cassette
from instructor_stream_ext.testing.clock import FakeClock
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.fake_answers import FakeAnswer
from instructor_stream_ext.testing.fakes import fake_client
from instructor_stream_ext.testing.fault import Fault
from instructor_stream_ext.testing.faults import (
    CutOff,
    Drop,
    Duplicate,
    EndEarly,
    ErrorEvent,
    FailFirst,
    Garbage,
    Resplit,
    ResplitAtEvents,
    Trickle,
)
from instructor_stream_ext.testing.pacing import FirstTokenAfter, Jitter, Stall, TokensPerSecond
from instructor_stream_ext.testing.recorded_events import record_events
from instructor_stream_ext.testing.scrub import Scrubber
from instructor_stream_ext.testing.server import ReplayServer
from instructor_stream_ext.testing.staleness import StaleCassette
from instructor_stream_ext.testing.strategies import GeneratedStream, splits, streams
from instructor_stream_ext.testing.without_pytest import use_cassette

__all__ = [
    "Cassette",
    "CassetteError",
    "CutOff",
    "Drop",
    "Duplicate",
    "End",
    "EndEarly",
    "ErrorEvent",
    "FailFirst",
    "FakeAnswer",
    "FakeClock",
    "Fault",
    "FirstTokenAfter",
    "Garbage",
    "GeneratedStream",
    "Interaction",
    "Jitter",
    "ReplayServer",
    "Resplit",
    "ResplitAtEvents",
    "Scrubber",
    "StaleCassette",
    "Stall",
    "TokensPerSecond",
    "Trickle",
    "fake_client",
    "load_cassette",
    "record_events",
    "splits",
    "streams",
    "use_cassette",
]
