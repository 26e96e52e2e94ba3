"""Events of a stream as plain JSON data, without the SDK objects that nobody here needs."""

from __future__ import annotations

import functools
import sys
from typing import Any

__all__ = ["read_as_json"]

# The SDKs whose streams can do so, and the types of events that our readers take as plain data.
_EVENTS = {
    "anthropic": (("anthropic.types", "RawMessageStreamEvent"),),
    "openai": (("openai.types.chat", "ChatCompletionChunk"), ("openai.types.responses", "ResponseStreamEvent")),
}


def read_as_json(stream: Any) -> None:
    """Have an SDK's stream return each event as plain data, where that is possible.

    Making an object of each event is most of what the openai and anthropic SDKs do for a chunk. They leave it out for
    whoever asks for `object`, as they do for raw responses; all else about the stream (errors among the events, the
    end, the closing) stays as it is. Left alone are streams that are not the SDK's very own, such as one that a tracing
    library put in its place or listens to, and those of a client that was told to validate answers strictly.

    Args:
        stream: What the SDK handed out, not yet read from.
    """
    kind = type(stream)
    package = kind.__module__.partition(".")[0]
    sdk = sys.modules.get(package)
    if package not in _EVENTS or kind not in (getattr(sdk, "Stream", None), getattr(sdk, "AsyncStream", None)):
        return
    cast_to = getattr(stream, "_cast_to", None)
    known = any(cast_to is getattr(sys.modules.get(module), name, kind) for module, name in _EVENTS[package])
    strict = getattr(getattr(stream, "_client", None), "_strict_response_validation", True)
    if known and not strict and _is_its_own(stream) and getattr(stream, "_observer", None) is None:
        stream._cast_to = object  # noqa: SLF001  read by the stream when the first event is asked for
        decoder: Any = getattr(stream, "_decoder", None)
        if decoder is not None:
            kind_of_decoder: Any = type(decoder)
            decoder.__class__ = _skipping(kind_of_decoder)


@functools.cache
def _skipping(kind: Any) -> Any:
    """Return an SDK's decoder of server-sent events that skips events without data, such as a lone `retry:`.

    The event stream specification has clients drop them
    (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation); openai's SDK (2 and 3)
    reads the empty data as JSON and fails (https://github.com/openai/openai-python/issues/2722).
    """

    def decode(decoder: Any, line: str) -> Any:
        event = kind.decode(decoder, line)
        return event if event is None or event.data else None

    return type(kind.__name__, (kind,), {"__module__": kind.__module__, "__doc__": kind.__doc__, "decode": decode})


def _is_its_own(stream: Any) -> bool:
    """Return whether a stream reads through its SDK's own generator; anthropic's has none before it starts."""
    iterator = stream.__dict__.get("_iterator")
    code = getattr(iterator, "gi_code", None) or getattr(iterator, "ag_code", None)
    return iterator is None or code is type(stream).__stream__.__code__
