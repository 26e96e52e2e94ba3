"""The player: a page for looking into a recorded stream, event by event."""

from __future__ import annotations

from instructor_stream_ext.testing.player.page import page_of, serve
from instructor_stream_ext.testing.player.steps import look_into

__all__ = ["look_into", "page_of", "serve"]
