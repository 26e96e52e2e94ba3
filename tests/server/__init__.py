"""A real loopback server for the tests, the wire formats it speaks, and clients pointed at it."""

from __future__ import annotations

from tests.server.replies import chunks_for, reply
from tests.server.script import (
    Answer,
    Cut,
    End,
    Forever,
    KeepAlive,
    Reset,
    Script,
    Send,
    Silent,
    Start,
    Status,
    Step,
    Trickle,
    Wait,
    gated,
    sends,
)
from tests.server.server import Exchange, Request, ScriptedServer
from tests.server.signals import Signal

__all__ = [
    "Answer",
    "Cut",
    "End",
    "Exchange",
    "Forever",
    "KeepAlive",
    "Request",
    "Reset",
    "Script",
    "ScriptedServer",
    "Send",
    "Signal",
    "Silent",
    "Start",
    "Status",
    "Step",
    "Trickle",
    "Wait",
    "chunks_for",
    "gated",
    "reply",
    "sends",
]
