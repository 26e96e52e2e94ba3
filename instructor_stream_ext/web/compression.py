"""Compression of a response that is still being written: the client can read each event at once."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

__all__ = ["Compressor", "compressor_for"]


class Compressor(Protocol):
    """The compression of one stream.

    Attributes:
        name: As in `Content-Encoding`.
    """

    name: str

    def compress(self, data: bytes) -> bytes:
        """Compress, so that the client can read all of `data` at once."""
        ...

    def finish(self) -> bytes:
        """Return the end of the compressed stream."""
        ...


class _Gzip:
    name = "gzip"

    def __init__(self) -> None:
        self._made = zlib.compressobj(wbits=31)

    def compress(self, data: bytes) -> bytes:
        return self._made.compress(data) + self._made.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._made.flush()


class _Brotli:
    name = "br"

    def __init__(self, brotli: Any) -> None:
        self._made = brotli.Compressor(quality=5)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._made.process(data) + self._made.flush())

    def finish(self) -> bytes:
        return bytes(self._made.finish())


class _Zstd:
    name = "zstd"

    def __init__(self, zstandard: Any) -> None:
        self._made = zstandard.ZstdCompressor().compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def compress(self, data: bytes) -> bytes:
        return bytes(self._made.compress(data) + self._made.flush(self._block))

    def finish(self) -> bytes:
        return bytes(self._made.flush())


_KINDS: dict[str, tuple[str, Callable[[Any], Compressor]]] = {
    "zstd": ("zstandard", _Zstd),
    "br": ("brotli", _Brotli),
    "gzip": ("zlib", lambda _: _Gzip()),
}
"""By the name in `Accept-Encoding`, best first: the module, and a function that makes its compressor."""


def compressor_for(accepted: str) -> Compressor | None:
    """Return the best compressor that the client accepts and that is installed.

    Args:
        accepted: `Accept-Encoding`. Source: RFC 9110, section 12.5.3.
    """
    weights = _weights(accepted)
    wanted = {name: weights.get(name, weights.get("*", 0.0)) for name in _KINDS}
    for name in sorted(_KINDS, key=lambda name: -wanted[name]):
        if not wanted[name]:
            return None
        module, make = _KINDS[name]
        try:
            return make(import_module(module))
        except ImportError:
            continue
    return None


def _weights(accepted: str) -> dict[str, float]:
    weights = {}
    for part in accepted.split(","):
        name, _, options = part.strip().partition(";")
        _, _, weight = options.partition("=")
        try:
            weights[name.strip().lower()] = float(weight) if weight else 1.0
        except ValueError:
            weights[name.strip().lower()] = 0.0
    return weights
