"""Bare HTTP clients of every library that cassettes are for, read in one way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest

__all__ = ["CARRIERS", "FAILURES", "Carrier", "every_carrier"]


FAILURES = (aiohttp.ClientError, httpx.TransportError, httpx2.TransportError, TimeoutError)
"""What the libraries raise when the network fails."""


class Carrier:
    """One HTTP library, sync or async.

    Args:
        library: Its name.
        is_async: Which of its clients.
    """

    def __init__(self, library: str, *, is_async: bool) -> None:
        self.library = library
        self.is_async = is_async

    def __str__(self) -> str:
        return f"{self.library}-{'async' if self.is_async else 'sync'}"

    async def read(
        self,
        url: str,
        *,
        leave_after: int | None = None,
        each: Callable[[bytes], None] | None = None,
        patience: float = 30.0,
        headers: dict[str, str] | None = None,
        body: bytes = b"{}",
    ) -> tuple[int, list[bytes]]:
        """Post to an address and give the status and the body in the pieces in which the library has them."""
        pieces: list[bytes] = []
        request = {"method": "POST", "url": url, "headers": headers or {}}
        if self.library == "aiohttp":
            source = _aiohttp(request, body, patience)
        elif self.is_async:
            source = _httpx_async(self.library, request, body, patience)
        else:
            source = _in_loop(_httpx(self.library, request, body, patience))
        status = 0
        async with contextlib.aclosing(source) as stream:
            async for got in stream:
                if isinstance(got, int):
                    status = got
                    continue
                pieces.append(got)
                if each is not None:
                    each(got)
                if len(pieces) == leave_after:
                    break
        return status, pieces


def _httpx(library: str, request: dict[str, Any], body: bytes, patience: float) -> Generator[int | bytes, None, None]:
    module: Any = {"httpx": httpx, "httpx2": httpx2}[library]
    with module.Client(timeout=patience, trust_env=False) as client, client.stream(**request, content=body) as response:
        yield response.status_code
        yield from response.iter_bytes()


async def _in_loop(source: Generator[int | bytes, None, None]) -> AsyncGenerator[int | bytes, None]:
    try:
        for got in source:
            yield got
    finally:
        source.close()


async def _httpx_async(
    library: str, request: dict[str, Any], body: bytes, patience: float
) -> AsyncGenerator[int | bytes, None]:
    module: Any = {"httpx": httpx, "httpx2": httpx2}[library]
    async with (
        module.AsyncClient(timeout=patience, trust_env=False) as client,
        client.stream(**request, content=body) as response,
    ):
        yield response.status_code
        async for piece in response.aiter_bytes():
            yield piece


async def _aiohttp(request: dict[str, Any], body: bytes, patience: float) -> AsyncGenerator[int | bytes, None]:
    limits = aiohttp.ClientTimeout(sock_read=patience)
    async with aiohttp.ClientSession(timeout=limits) as session, session.request(**request, data=body) as response:
        yield response.status
        async for piece in response.content.iter_any():
            yield piece
    await asyncio.sleep(0)  # aiohttp closes its transports in the next turn


CARRIERS = [
    Carrier("httpx", is_async=False),
    Carrier("httpx", is_async=True),
    Carrier("httpx2", is_async=False),
    Carrier("httpx2", is_async=True),
    Carrier("aiohttp", is_async=True),
]
every_carrier = pytest.mark.parametrize("carrier", CARRIERS, ids=str)
