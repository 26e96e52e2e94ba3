"""CopilotKit without its node runtime: the AG-UI stream under `agent/NAME/run`, and the answer to `/info`."""

from __future__ import annotations

from typing import Any

from instructor_stream_ext.web.protocols.ag_ui import AGUI

__all__ = ["CopilotKit", "info"]

_VERSION = "1.75.0"
"""The version of CopilotKit's runtime whose answer this imitates."""


class CopilotKit(AGUI):
    """The same as AG-UI."""


def info(agents: dict[str, str]) -> dict[str, Any]:
    """Return the answer to `GET /info`.

    Args:
        agents: By name: what each agent does.
    """
    return {"version": _VERSION, "agents": {name: {"description": said} for name, said in agents.items()}}
