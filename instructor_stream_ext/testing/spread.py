"""Secrets that a body spreads over several pieces: found in the joined text, masked in each piece.

A model writes a key token by token, so it stands in no single event. Here the values of each field are joined over all
events of a body; what a pattern matches in the joined text is masked where it stands, byte for byte, so that offsets
stay true.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeAlias

from instructor_stream_ext.testing.payload import is_binary, message_ends

__all__ = ["hidden", "unspread"]

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s"{}\[\]:,]+', re.DOTALL)
_UNIT = re.compile(rb"\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f"}
_TELLS_APART = frozenset({
    "index",
    "contentBlockIndex",
    "content_index",
    "output_index",
    "summary_index",
    "type",
})  # fmt: skip
"""Fields whose values say which of several parallel answers a piece belongs to."""
_NAMES = frozenset({
    "created_at",
    "fingerprint",
    "id",
    "item_id",
    "model",
    "modelVersion",
    "object",
    "obfuscation",
    "responseId",
    "role",
    "service_tier",
    "system_fingerprint",
    "type",
})  # fmt: skip
"""Fields that name something in every event. Joined, they mean nothing."""
_HEAD = 12
_CHECKSUM = 4

_Address: TypeAlias = tuple[object, ...]
_Mask: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class _Value:
    """A string in a JSON document of a body.

    Attributes:
        page: The bytes that it stands in.
        start: Where it begins in them.
        stop: Where it ends.
    """

    page: bytearray
    start: int
    stop: int

    def text(self) -> bytes:
        """The bytes that it stands for."""
        raw = bytes(self.page[self.start : self.stop])
        return raw if b"\\" not in raw else b"".join(meant for *_, meant in _units(self.page, self.start, self.stop))

    def places(self) -> Iterator[tuple[bytearray, int, int]]:
        """Where each of these bytes stands."""
        for start, stop, meant in _units(self.page, self.start, self.stop):
            yield from [(self.page, start, stop)] * len(meant)


@dataclass(slots=True)
class _Field:
    """The values of one field over all events."""

    values: list[_Value] = field(default_factory=list)

    def text(self) -> bytes:
        """The joined text of its values."""
        return b"".join(value.text() for value in self.values)

    def joints(self) -> list[int]:
        """Where in that text each value begins."""
        return [0, *accumulate(len(value.text()) for value in self.values)][:-1]

    def places(self) -> list[tuple[bytearray, int, int]]:
        """Where each byte of that text stands; computed only on request, as most texts hold no secret."""
        return [place for value in self.values for place in value.places()]


def unspread(body: bytes, patterns: Iterable[re.Pattern[bytes]], mask: _Mask) -> bytes:
    """Mask everything in a body that a pattern finds in the joined values of a field.

    Args:
        body: Of an answer or a request.
        patterns: What to look for.
        mask: Returns a mask of the same length.
    """
    page = bytearray(body)
    with _Pages(page) as fields:
        for one in fields.values():
            text = one.text()
            secrets = [found for pattern in patterns for found in pattern.finditer(text)]
            places = one.places() if secrets else []
            for found in secrets:
                for place, byte in zip(places[found.start() : found.end()], mask(found[0]), strict=True):
                    _overwrite(*place, byte)
    return bytes(page)


def hidden(body: bytes, patterns: Mapping[str, re.Pattern[bytes]]) -> set[str]:
    """Return the names of the patterns that match across the events of a body, in the joined values of a field."""
    found = set()
    with _Pages(bytearray(body)) as fields:
        for one in fields.values():
            text, joints = one.text(), one.joints()
            for name, pattern in patterns.items():
                for match in pattern.finditer(text):
                    if any(match.start() < joint < match.end() for joint in joints):
                        found.add(name)
    return found


def _overwrite(page: bytearray, start: int, stop: int, byte: int) -> None:
    """Replace a character by another, an escaped one by an escaped one."""
    size = stop - start
    if size == 1:
        page[start] = byte
    else:
        page[start:stop] = b"\\u%04x" % byte if size == len(r"\u0000") else b"*" * size


class _Pages:
    """The fields of a body's documents. When the context is left, changes in wrapped documents are written back."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._fields: defaultdict[_Address, _Field] = defaultdict(_Field)
        self._wrapped: list[tuple[bytearray, int, int, bytearray, bytes]] = []

    def __enter__(self) -> dict[_Address, _Field]:
        for start, stop in _documents(bytes(self._body)):
            self._read(self._body, start, stop)
        return self._fields

    def __exit__(self, *_: object) -> None:
        for page, start, stop, inner, before in self._wrapped:
            if bytes(inner) != before:
                page[start:stop] = base64.b64encode(inner)
        if is_binary(bytes(self._body)):
            _signed(self._body)

    def _read(self, page: bytearray, start: int, stop: int) -> None:
        for address, first, last in _strings(page, start, stop):
            if address[-1] == "bytes" and self._unwrap(page, first, last):
                continue
            if address[-1] not in _NAMES:
                self._fields[address].values.append(_Value(page, first, last))

    def _unwrap(self, page: bytearray, start: int, stop: int) -> bool:
        """Decode the base64 around the provider's own events in Bedrock's `invoke`."""
        try:
            content = base64.b64decode(bytes(page[start:stop]), validate=True)
        except (ValueError, binascii.Error):
            return False
        if content[:1] != b"{":
            return False
        inner = bytearray(content)
        self._wrapped.append((page, start, stop, inner, content))
        self._read(inner, 0, len(inner))
        return True


def _documents(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield where JSON documents stand: in the messages of a binary body, in lines, or as the whole body."""
    if is_binary(body):
        start = 0
        for stop in message_ends(body):
            yield start + _HEAD + int.from_bytes(body[start + 4 : start + 8]), max(start, stop - _CHECKSUM)
            start = stop
        return
    if body.lstrip()[:1] in (b"{", b"[") and not re.search(rb"\}\s*\n\s*\{", body):
        yield 0, len(body)
        return
    for line in re.finditer(rb"^(?:data:)?[ ]?([\[{][^\r\n]*)", body, re.MULTILINE):
        yield line.span(1)


def _signed(body: bytearray) -> None:
    """Recompute each message's checksum."""
    start = 0
    for stop in message_ends(bytes(body)):
        if stop - start > _HEAD + _CHECKSUM:
            body[stop - _CHECKSUM : stop] = zlib.crc32(body[start : stop - _CHECKSUM]).to_bytes(4)
        start = stop


def _strings(page: bytearray, start: int, stop: int) -> Iterator[tuple[_Address, int, int]]:  # noqa: C901 - one token after the other
    """The strings of a document that are values: the address of each, and where it stands between its quotes.

    A document that is cut off gives what is there.
    """
    found = []
    path: list[str | int] = []
    marks: list[dict[str, bytes]] = []
    expects_key = False
    for token in _TOKEN.finditer(page, start, stop):
        text = token[0]
        last = path[-1] if path else ""
        if text in (b"{", b"["):
            path.append("" if text == b"{" else 0)
            marks.append({})
            expects_key = text == b"{"
        elif not path:
            continue
        elif text in (b"}", b"]"):
            path.pop()
            marks.pop()
            expects_key = False
        elif text == b",":
            if isinstance(last, int):
                path[-1] = last + 1
            expects_key = not isinstance(last, int)
        elif text == b":":
            expects_key = False
        elif expects_key:
            path[-1] = text[1:-1].decode(errors="replace")
        else:
            if last in _TELLS_APART:
                marks[-1][str(last)] = text
            if text[:1] == b'"':
                found.append((tuple(path), tuple(marks), token.start() + 1, token.end() - 1))
    for steps, told, first, after in found:
        yield _address(steps, told), first, after


def _address(steps: tuple[str | int, ...], told: tuple[dict[str, bytes], ...]) -> _Address:
    """Return which field this is; the same in every event.

    The place in an outermost list is no part of it, for Gemini's stream without `alt=sse` is one list of events; nor is
    a place in a list whose objects say their index.
    """
    numbered = [bool(one) for one in (*told[1:], {})]
    named = tuple(None if isinstance(step, int) and has else step for step, has in zip(steps, numbered, strict=True))
    apart = tuple((depth, *pair) for depth, one in enumerate(told) for pair in one.items())
    skipped = 1 if isinstance(steps[0], int) else 0
    return (*named[skipped:], apart, steps[-1])


def _units(page: bytearray, start: int, stop: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield each character of a string, with its place and its bytes."""
    for unit in _UNIT.finditer(page, start, stop):
        raw = unit[0]
        if raw[:1] != b"\\":
            yield unit.start(), unit.end(), raw
        elif raw[1:2] == b"u":
            yield (
                unit.start(),
                unit.end(),
                chr(int.from_bytes(bytes.fromhex(raw[2:].decode()))).encode(errors="surrogatepass"),
            )
        else:
            yield unit.start(), unit.end(), _ESCAPES.get(raw[1:], raw[1:])
