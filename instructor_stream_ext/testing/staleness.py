"""Stale cassettes: a request compared with the recorded one, both bodies as JSON, path by path."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from instructor_stream_ext.core.text import visible
from instructor_stream_ext.testing.scrub import MASK

__all__ = ["StaleCassette", "changes"]

_SHOWN = 60
"""How many characters of a value a message shows."""
_BEFORE = 20
"""How many of these come before the first difference."""
_NOTHING: Any = object()


class StaleCassette(UserWarning):
    """A request was answered from a cassette although its body is not the recorded one."""


def changes(recorded: bytes, sent: bytes, ignore: Iterable[str] = ()) -> list[str]:
    """Return where two bodies differ, as "messages[0].content: 'Hi' was recorded, 'Hello' is sent".

    Args:
        recorded: The body on the cassette.
        sent: The body of the request.
        ignore: Paths that may differ, with everything below them; `[*]` is any index.
    """
    if recorded == sent:
        return []
    try:
        pair = json.loads(recorded or b"null"), json.loads(sent or b"null")
    except ValueError:
        found: Iterable[tuple[str, Any, Any]] = [("body", recorded, sent)]
    else:
        found = _different("", *pair)
    ignored = [re.compile(re.escape(path).replace(r"\[\*\]", r"\[\d+\]") + r"(?![^.\[])").match for path in ignore]
    return [
        "{}: {} was recorded, {} is sent".format(visible(path or "body", lines=False), *_shown(was, now))
        for path, was, now in found
        if not any(match(path or "body") for match in ignored)
    ]


def _different(path: str, was: object, now: object) -> Iterator[tuple[str, Any, Any]]:
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
    elif not _equal(was, now):
        yield path, was, now


def _equal(was: object, now: object) -> bool:
    """Return whether two values are equal: 0 and 0.0 are, 0 and false are not; two masks are, whatever their length."""
    if isinstance(was, str) and isinstance(now, str):
        return MASK.sub("*", was) == MASK.sub("*", now)
    return bool(was == now) and isinstance(was, bool) == isinstance(now, bool)


def _shown(was: object, now: object) -> list[str]:
    """Return both values on one line each, from shortly before the first difference."""
    texts = [_text(was), _text(now)]
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))
    start = max(0, same - _BEFORE) if max(map(len, texts)) > _SHOWN else 0
    return [("..." if start else "") + _cut(text[start:]) for text in texts]


def _text(value: object) -> str:
    if value is _NOTHING:
        return "nothing"
    return visible(repr(value) if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False), lines=False)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
