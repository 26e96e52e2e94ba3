"""Whether a request is still the one that was recorded: both bodies as JSON, place by place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from instructor_stream_ext.core.text import visible

__all__ = ["StaleCassette", "changes"]

_SHOWN = 60
"""Characters of a value that a message shows."""
_NOTHING: Any = object()


class StaleCassette(UserWarning):
    """A request was answered from a cassette although its body is not the recorded one."""


def changes(recorded: bytes, sent: bytes, ignore: Iterable[str] = ()) -> list[str]:
    """Where two bodies differ, as "messages[0].content: 'Hi' was recorded, 'Hello' is sent".

    Args:
        recorded: The body on the cassette.
        sent: The body of the request.
        ignore: Paths that may differ, and all below them; `[*]` is any index.
    """
    try:
        pair = json.loads(recorded or b"null"), json.loads(sent or b"null")
    except ValueError:
        found: Iterable[tuple[str, Any, Any]] = () if recorded == sent else [("body", recorded, sent)]
    else:
        found = _different("", *pair)
    ignored = [re.compile(re.escape(path).replace(r"\[\*\]", r"\[\d+\]") + r"(?![^.\[])").match for path in ignore]
    return [
        f"{visible(path or 'body', lines=False)}: {_said(was)} was recorded, {_said(now)} is sent"
        for path, was, now in found
        if not any(match(path or "body") for match in ignored)
    ]


def _different(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in [*was, *(key for key in now if key not in was)]:
            place = f"{path}.{key}" if path else str(key)
            yield from _different(place, was.get(key, _NOTHING), now.get(key, _NOTHING))
    elif isinstance(was, list) and isinstance(now, list):
        for number in range(max(len(was), len(now))):
            yield from _different(
                f"{path}[{number}]",
                was[number] if number < len(was) else _NOTHING,
                now[number] if number < len(now) else _NOTHING,
            )
    elif type(was) is not type(now) or was != now:
        yield path, was, now


def _said(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    said = visible(repr(value) if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False), lines=False)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
