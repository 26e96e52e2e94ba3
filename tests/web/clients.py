"""The smallest client of each protocol: from all bytes to each object that it shows, and how it ended."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pydantic_core

from tests.web.serving import Frame, frames_of

__all__ = ["CLIENTS", "Seen"]


class Seen:
    """What a client shows.

    Attributes:
        objects: Each object after each event.
        error: The message of the error, if one came.
        is_whole: Whether the protocol said that it is over, and well.
    """

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.error: str | None = None
        self.is_whole = False


def plain(frames: list[Frame]) -> Seen:
    seen = Seen()
    for frame in frames:
        if frame.event in ("partial", "final"):
            seen.objects.append(frame.data)
            seen.is_whole = frame.event == "final"
        elif frame.event == "error":
            seen.error = frame.data["message"]
    return seen


def use_chat(frames: list[Frame]) -> Seen:
    seen = Seen()
    assert frames[0].data["type"] == "start"
    for frame in frames[1:]:
        match frame.data:
            case {"type": "data-object", "id": "o1", "data": data}:
                seen.objects.append(data)
            case {"type": "error", "errorText": text}:
                seen.error = text
            case {"type": "finish"}:
                seen.is_whole = True
    assert frames[-1].data == "[DONE]"
    return seen


def ag_ui(frames: list[Frame]) -> Seen:
    seen = Seen()
    assert frames[0].data["type"] == "RUN_STARTED"
    state: Any = None
    for frame in frames[1:]:
        match frame.data:
            case {"type": "STATE_SNAPSHOT", "snapshot": snapshot}:
                state = snapshot
                seen.objects.append(copy.deepcopy(state))
            case {"type": "STATE_DELTA", "delta": delta}:
                for operation in delta:
                    state = patched(state, operation)
                seen.objects.append(copy.deepcopy(state))
            case {"type": "RUN_ERROR", "message": message}:
                seen.error = message
            case {"type": "RUN_FINISHED"}:
                seen.is_whole = True
    return seen


def patched(state: Any, operation: dict[str, Any]) -> Any:
    """One operation of RFC 6902, carried out."""
    steps = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
    if not steps:
        return operation["value"]
    place = state
    for step in steps[:-1]:
        place = place[int(step) if isinstance(place, list) else step]
    last: Any = int(steps[-1]) if isinstance(place, list) else steps[-1]
    match operation["op"]:
        case "remove":
            del place[last]
        case "add" if isinstance(place, list):
            place.insert(last, operation["value"])
        case "add" | "replace":
            place[last] = operation["value"]
    return state


def tanstack(frames: list[Frame]) -> Seen:
    seen = Seen()
    text: dict[str, str] = {}
    for frame in frames:
        match frame.data:
            case {"type": "TEXT_MESSAGE_CONTENT", "messageId": name, "delta": delta}:
                text[name] = text.get(name, "") + delta
                seen.objects.append(parsed(text[name]))
            case {"type": "CUSTOM", "name": "structured-output.complete", "value": value}:
                assert text.get(value["messageId"], "") == value["raw"]
                seen.objects.append(value["object"])
            case {"type": "RUN_ERROR", "message": message}:
                seen.error = message
            case {"type": "RUN_FINISHED"}:
                seen.is_whole = True
    return seen


def assistant_ui(frames: list[Frame]) -> Seen:
    seen = Seen()
    state: Any = None
    for frame in frames:
        match frame.data:
            case {"type": "update-state", "operations": operations}:
                for operation in operations:
                    state = operated(state, operation)
                seen.objects.append(copy.deepcopy(state))
            case {"type": "error", "error": error}:
                seen.error = error
    assert frames[-1].data == "[DONE]"
    seen.is_whole = seen.error is None
    return seen


def operated(state: Any, operation: dict[str, Any]) -> Any:
    """One operation of assistant-ui's, carried out."""
    path: list[Any] = ["", *operation["path"]]
    holder: Any = {"": state}
    place = holder
    for step in path[:-1]:
        place = place[int(step) if isinstance(place, list) else step]
    key = int(path[-1]) if isinstance(place, list) else path[-1]
    if operation["type"] == "append-text":
        place[key] += operation["value"]
    elif isinstance(place, list) and key == len(place):
        place.append(operation["value"])
    else:
        place[key] = operation["value"]
    return holder[""]


def parsed(text: str) -> Any:
    """What a client makes of JSON that is not whole."""
    try:
        return pydantic_core.from_json(text or "null", allow_partial="trailing-strings")
    except ValueError:
        return None


def texts(body: bytes) -> Iterator[str]:
    """The text after each byte."""
    text = body.decode()
    for end in range(1, len(text) + 1):
        yield text[:end]


def use_object(body: bytes) -> Seen:
    seen = Seen()
    seen.objects = [parsed(text.strip()) for text in texts(body)]
    try:
        json.loads(body or b"null")
        seen.is_whole = bool(body)
    except ValueError:
        pass
    return seen


CLIENTS: dict[str, Callable[[bytes], Seen]] = {
    "sse": lambda body: plain(frames_of(body)),
    "ai-sdk-object": use_object,
    "ai-sdk-ui": lambda body: use_chat(frames_of(body)),
    "ag-ui": lambda body: ag_ui(frames_of(body)),
    "copilotkit": lambda body: ag_ui(frames_of(body)),
    "tanstack": lambda body: tanstack(frames_of(body)),
    "assistant-ui": lambda body: assistant_ui(frames_of(body)),
}
