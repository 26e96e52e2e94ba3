"""An SDK's events as plain JSON data, without the objects that nobody here needs, and what servers send besides."""

from __future__ import annotations

import functools
import json
import sys
from typing import Any

from instructor_stream_ext.providers.plain import error_in

__all__ = ["beside_events", "error_beside", "read_as_json", "read_leniently"]

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


def read_leniently(stream: Any) -> None:
    """Have an SDK's stream understand what some servers send and it does not; see `_lenient`.

    Args:
        stream: What the SDK handed out; any other stream is left alone, and so is one that is read so already.
    """
    package = type(stream).__module__.partition(".")[0]
    decoder: Any = getattr(stream, "_decoder", None)
    is_sdks = package in _EVENTS and type(decoder).__module__ == f"{package}._streaming"
    if is_sdks and not hasattr(decoder, "beside"):
        kind: Any = type(decoder)
        decoder.__class__ = _lenient(kind, ends_at_done=package == "openai")


@functools.cache
def _lenient(kind: Any, *, ends_at_done: bool) -> Any:
    """Return an SDK's decoder of server-sent events that understands what servers send and the SDK does not.

    - Events without data, such as a lone `retry:`, are skipped, as the specification has clients do
      (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation); openai's SDK (2 and
      3) reads the empty data as JSON and fails (https://github.com/openai/openai-python/issues/2722).
    - `[DONE]` is skipped where it does not end the stream: gateways with Anthropic's API (OpenRouter, DeepSeek, GitHub
      Copilot) send it behind the last event, and anthropic's SDK reads it as JSON and fails.
    - An error in a field of its own, `error: {...}`, becomes data, which the SDK raises; it ignores unknown fields.
      llama.cpp sent errors so until https://github.com/ggml-org/llama.cpp/pull/16109.
    """

    def decode(decoder: Any, line: str) -> Any:
        if line and not line.startswith(_FIELDS):
            if line.startswith("error:"):
                line = _error_as_data(line)
            else:
                decoder.beside = (decoder.beside + line + "\n")[:_KEPT]
        event = kind.decode(decoder, line)
        if event is None or not event.data or (event.data == "[DONE]" and not ends_at_done):
            return None
        return event

    own = {"__module__": kind.__module__, "__doc__": kind.__doc__, "beside": "", "decode": decode}
    return type(kind.__name__, (kind,), own)


_FIELDS = (":", "data:", "event:", "id:", "retry:")
_KEPT = 2_000
"""How many characters are kept of lines that belong to no event."""


def beside_events(stream: Any) -> str:
    """Return the beginning of what came in place of events, such as the error page of a gateway; "" for nothing.

    Args:
        stream: One that was read leniently.
    """
    beside: str = getattr(getattr(stream, "_decoder", None), "beside", "")
    return beside.strip()


def error_beside(stream: Any) -> str | None:
    """Return the message of an error that came as JSON in place of events; None if there is none."""
    came = beside_events(stream)
    try:
        fields = json.loads(came) if came else None
    except ValueError:
        return None
    return error_in(fields) if isinstance(fields, dict) else None


def _error_as_data(line: str) -> str:
    """Return a line with an error as the line of data in which the SDK looks for one."""
    said = line.removeprefix("error:").strip()
    try:
        error = json.loads(said)
    except ValueError:
        error = said
    return "data: " + json.dumps(error if isinstance(error, dict) and "error" in error else {"error": error})


def _is_its_own(stream: Any) -> bool:
    """Return whether a stream reads through its SDK's own generator; anthropic's has none before it starts."""
    iterator = stream.__dict__.get("_iterator")
    code = getattr(iterator, "gi_code", None) or getattr(iterator, "ag_code", None)
    return iterator is None or code is type(stream).__stream__.__code__
