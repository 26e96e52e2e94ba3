"""The demo's server: it plays the cassette to whoever asks, at its original pace."""

from __future__ import annotations

import math

from instructor_stream_ext.demo.cassette import Cassette
from instructor_stream_ext.testing import server
from instructor_stream_ext.testing.cassette import Interaction

__all__ = ["ReplayServer"]


class ReplayServer(server.ReplayServer):
    """Serves the demo's cassette on a free port of 127.0.0.1; use it as a context manager.

    Args:
        cassette: what to play, to every POST of its path.
        speed: 1.0 is the original pace, 2.0 twice as fast, infinity without any pause.
    """

    def __init__(self, cassette: Cassette, *, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError("speed must be positive")
        interaction = Interaction(
            url=cassette.path,
            status=cassette.status,
            headers=tuple(cassette.headers.items()),
            chunks=cassette.chunks,
            ended_at=cassette.duration,
        )
        super().__init__([interaction], speed=0.0 if math.isinf(speed) else speed)
