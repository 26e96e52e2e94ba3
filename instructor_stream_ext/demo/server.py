"""The demo's server: it plays the tape to whoever asks, at its original pace."""

from __future__ import annotations

import math

from instructor_stream_ext.demo.tape import Tape
from instructor_stream_ext.testing import server
from instructor_stream_ext.testing.tape import Take

__all__ = ["ReplayServer"]


class ReplayServer(server.ReplayServer):
    """Serves the demo's tape on a free port of 127.0.0.1; use it as a context manager.

    Args:
        tape: what to play, to every POST of its path.
        speed: 1.0 is the original pace, 2.0 twice as fast, infinity without any pause.
    """

    def __init__(self, tape: Tape, *, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be positive")
        take = Take(
            url=tape.path,
            status=tape.status,
            headers=tuple(tape.headers.items()),
            chunks=tape.chunks,
            ended_at=tape.duration,
        )
        super().__init__([take], speed=0.0 if math.isinf(speed) else speed)
