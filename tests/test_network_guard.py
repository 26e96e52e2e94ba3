"""The guard in conftest.py: whatever the library, only loopback can be reached."""

from __future__ import annotations

import asyncio
import socket
import urllib.request

import aiohttp
import httpx
import pytest

from tests.conftest import NetworkBlockedError
from tests.server import Answer, ScriptedServer

OUTSIDE = "192.0.2.1"  # reserved for documentation (RFC 5737)


def test_a_socket_cannot_leave() -> None:
    with socket.socket() as outside, pytest.raises(NetworkBlockedError):
        outside.connect((OUTSIDE, 80))


def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(NetworkBlockedError, match=r"example\.org"):
        urllib.request.urlopen("http://example.org/")


def test_httpx_cannot_leave() -> None:
    with pytest.raises(NetworkBlockedError):
        httpx.get(f"http://{OUTSIDE}/")


async def test_asyncio_cannot_leave() -> None:
    with pytest.raises(NetworkBlockedError):
        await asyncio.open_connection(OUTSIDE, 80)


async def test_aiohttp_cannot_leave() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(NetworkBlockedError):
            await session.get(f"http://{OUTSIDE}/")


def test_loopback_is_open(server: ScriptedServer) -> None:
    server.add(Answer({"hello": "world"}))
    assert httpx.get(f"http://localhost:{server.port}/").json() == {"hello": "world"}
