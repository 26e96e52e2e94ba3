"""Streams for front-ends, over Starlette and therefore FastAPI.

Needs the extra `[web]`; `RedisRelay` needs `[redis]`.
"""

from __future__ import annotations

try:
    import starlette as _starlette  # noqa: F401
except ImportError as error:
    from instructor_stream_ext.core.errors import MissingExtra

    raise MissingExtra("instructor_stream_ext.web", "web") from error

from instructor_stream_ext.web.encoders import CutOff, Encoder
from instructor_stream_ext.web.protocols import PROTOCOLS
from instructor_stream_ext.web.redis_relay import RedisRelay
from instructor_stream_ext.web.relay import BadEventId, MemoryRelay, Relay, RunExpired, UnknownRun
from instructor_stream_ext.web.response import problem_response, stream_response
from instructor_stream_ext.web.runs import Runs

__all__ = [
    "PROTOCOLS",
    "BadEventId",
    "CutOff",
    "Encoder",
    "MemoryRelay",
    "RedisRelay",
    "Relay",
    "RunExpired",
    "Runs",
    "UnknownRun",
    "problem_response",
    "stream_response",
]
