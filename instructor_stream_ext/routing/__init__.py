"""Any provider by a model string, and fallbacks that never mix two answers, over litellm.

Needs the extra `[litellm]`. litellm is imported by the first call of `from_litellm` or `route`, not by this package.
"""

from __future__ import annotations

from instructor_stream_ext.routing.client import from_litellm
from instructor_stream_ext.routing.fallback import FALLBACK_ON, route, unavailable
from instructor_stream_ext.routing.modes import MODES, mode_for

__all__ = ["FALLBACK_ON", "MODES", "from_litellm", "mode_for", "route", "unavailable"]
