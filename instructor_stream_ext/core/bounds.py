"""The bounds of `Timeouts` for one stream: which one passes next, and whether it has passed."""

from __future__ import annotations

import math

from instructor_stream_ext.core.errors import StreamTimeout
from instructor_stream_ext.core.options import Timeouts

__all__ = ["Bounds"]


class Bounds:
    """How long the stream may wait for its provider. All instants are seconds of the driver's clock.

    Args:
        timeouts: The bounds.

    Attributes:
        any: Whether there is one at all; if not, nothing here needs to be called.
        began_at: When the stream began.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self.any = timeouts.any
        self.began_at = 0.0
        self.renew()

    def renew(self) -> None:
        """Start another attempt; only `total` spans attempts."""
        self._waiting_at: float | None = None
        self._waited = 0.0
        self._lively = False
        self._expired: tuple[float, str, float] | None = None
        self._nearest: tuple[float, str, float] | None = None

    def waits(self, now: float) -> float:
        """Note that the driver starts to wait: only from here on does the provider's time count.

        Returns:
            When the next bound passes if the provider stays silent; `math.inf` for never.
        """
        if self._waiting_at is None:
            self._waiting_at = now
            self._nearest = None
        return self.next()[0]

    def arrived(self, now: float, *, alive: bool) -> None:
        """Note a chunk; `alive` says whether it carried text or reasoning from the model.

        One that comes after a bound has passed is kept, and the stream ends behind it: so do those of a transport that
        nobody can interrupt, such as a fake or a cassette that is played within the process.

        Raises:
            StreamTimeout: It carried none, and a bound has passed meanwhile.
        """
        if not self.any:
            return
        if alive:
            if now >= self.next()[0]:
                self.expire()
            self._lively = True
            self._waited = 0.0
            self._waiting_at = self._nearest = None
            return
        self.check(now)
        if self._waiting_at is not None:
            self._waited += now - self._waiting_at
        self._waiting_at = self._nearest = None

    def expire(self) -> None:
        """Note that the nearest bound has passed and the connection was broken for it. Later chunks change nothing."""
        if self._expired is None:
            self._expired = (-math.inf, *self.next()[1:])

    def next(self) -> tuple[float, str, float]:
        """The next instant at which a bound passes if the provider stays silent, with the bound's name and length."""
        nearest = self._expired or self._nearest
        if nearest is None:
            nearest = self._nearest = self._next()
        return nearest

    def _next(self) -> tuple[float, str, float]:
        bounds = self._timeouts
        nearest = (math.inf, "", 0.0)
        if bounds.total is not None:
            nearest = (self.began_at + bounds.total, "total", bounds.total)
        kind, bound = ("idle", bounds.idle) if self._lively else ("first_delta", bounds.first_delta)
        if bound is None and not self._lively:
            kind, bound = "idle", bounds.idle
        if bound is not None and self._waiting_at is not None:
            instant = self._waiting_at + bound - self._waited
            if instant <= nearest[0]:
                return instant, kind, bound
        return nearest

    def check(self, now: float) -> None:
        """Raise `StreamTimeout` if a bound has passed."""
        instant, kind, bound = self.next()
        if now >= instant:
            raise StreamTimeout(kind, bound)
