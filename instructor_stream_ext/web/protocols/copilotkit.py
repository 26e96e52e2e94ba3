"""CopilotKit without its node runtime: the AG-UI stream under `agent/NAME/run`, and what `/info` answers."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.web.protocols.ag_ui import AGUI

__all__ = ["CopilotKit", "info"]

_VERSION = "1.75.0"
"""Of CopilotKit's runtime, whose answer this stands in for."""


class CopilotKit(AGUI):
    """As AG-UI."""


def info(agents: dict[str, str]) -> dict[str, Any]:
    """Return the answer to `GET /info`.

    Args:
        agents: By name, what each does.
    """
    return {"version": _VERSION, "agents": {name: {"description": said} for name, said in agents.items()}}
