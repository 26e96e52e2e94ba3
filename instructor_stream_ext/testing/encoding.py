"""Removing content encodings: people read what is on a cassette, and it is searched for secrets."""

from __future__ import annotations

import contextlib
import importlib
import zlib
from typing import Any, Protocol

__all__ = ["decoded"]


class _Decoder(Protocol):
    def __call__(self, data: bytes, /) -> bytes: ...


def _decoder(encoding: str) -> _Decoder | None:
    """Return a decoder for a content encoding, piece by piece; None if no installed library has one."""
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if encoding == "deflate":
        return _deflate()
    if encoding == "br":
        return _brotli()
    return _zstd() if encoding == "zstd" else None


def _deflate() -> _Decoder:
    """Return a decoder for both meanings of "deflate": with zlib's framing, and without."""
    framed, bare = zlib.decompressobj(), zlib.decompressobj(-zlib.MAX_WBITS)
    chosen: list[_Decoder] = []

    def decode(data: bytes) -> bytes:
        if chosen:
            return chosen[0](data)
        try:
            plain = framed.decompress(data)
        except zlib.error:
            chosen.append(bare.decompress)
            return bare.decompress(data)
        chosen.append(framed.decompress)
        return plain

    return decode


def _imported(*names: str) -> Any:
    """Return the first of these modules that is installed; None if none is."""
    for name in names:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    return None


def _brotli() -> _Decoder | None:
    brotli = _imported("brotli", "brotlicffi")
    if brotli is None:
        return None
    decompressor = brotli.Decompressor()
    process: _Decoder = getattr(decompressor, "process", None) or decompressor.decompress
    return process


def _zstd() -> _Decoder | None:
    zstandard, zstd = _imported("zstandard"), _imported("compression.zstd", "backports.zstd")
    if zstandard is not None:
        decoder: _Decoder = zstandard.ZstdDecompressor().decompressobj().decompress
        return decoder
    return None if zstd is None else zstd.ZstdDecompressor().decompress


def decoded(parts: list[tuple[float, bytes]], encoding: str) -> list[tuple[float, bytes]] | None:
    """Return the pieces without their content encoding, at their own times; None if they stay encoded."""
    if encoding in ("", "identity"):
        return parts
    decode = _decoder(encoding)
    if decode is None:
        return None
    try:
        plain = [(at, bytes(decode(data))) for at, data in parts]
    except Exception:  # noqa: BLE001 - each library has its own error; a body that is not what it says stays as it is
        return None
    return [(at, data) for at, data in plain if data]
