"""The front-end protocols, one pure encoder each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.web.encoders import Encoder
from instructor_stream_ext.web.protocols.ag_ui import AGUI
from instructor_stream_ext.web.protocols.ai_sdk_object import AISDKObject
from instructor_stream_ext.web.protocols.ai_sdk_ui import AISDKUI
from instructor_stream_ext.web.protocols.assistant_ui import AssistantUI
from instructor_stream_ext.web.protocols.copilotkit import CopilotKit
from instructor_stream_ext.web.protocols.sse import ServerSentEvents
from instructor_stream_ext.web.protocols.tanstack import TanStack

__all__ = ["AGUI", "AISDKUI", "PROTOCOLS", "AISDKObject", "AssistantUI", "CopilotKit", "ServerSentEvents", "TanStack"]

PROTOCOLS: Mapping[str, Callable[[], Encoder]] = MappingProxyType(
    {
        "sse": ServerSentEvents,
        "ai-sdk-object": AISDKObject,
        "ai-sdk-ui": AISDKUI,
        "ag-ui": AGUI,
        "copilotkit": CopilotKit,
        "tanstack": TanStack,
        "assistant-ui": AssistantUI,
    }
)
"""By the protocol's name: a function that makes the encoder of a response."""


def encoder_for(protocol: str | Encoder) -> Encoder:
    """Return the encoder of one response.

    Args:
        protocol: A name, or a custom encoder. An encoder serves one response, so it must be new.

    Raises:
        StreamMisuse: The protocol is unknown, or the object is not an encoder.
    """
    if isinstance(protocol, str):
        if protocol not in PROTOCOLS:
            raise StreamMisuse(
                f"protocol={protocol!r}: must be one of {', '.join(PROTOCOLS)}, or an Encoder of your own"
            )
        return PROTOCOLS[protocol]()
    if not isinstance(protocol, Encoder):
        raise StreamMisuse(f"protocol must be a name or an Encoder, not {type(protocol).__name__}")
    return protocol
