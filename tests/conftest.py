"""What all tests share: no network but loopback, no keys, no proxies, and a real server to talk to."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import certifi
import hypothesis
import pytest
from pytest_recording import network

from tests.server.server import ScriptedServer

# litellm fetches a price list and looks for updates when imported, unless told otherwise.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_OFFLINE_MODE"] = "true"
# It counts tokens of Llama models with a tokenizer that it would fetch.
os.environ["HF_HUB_OFFLINE"] = "1"

# The package's own plugin is loaded by entry point where the package is installed.
pytest_plugins = ["pytester", "instructor_stream_pytest"]


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine."""


def _is_loopback(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode()
    if host in {None, "", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def _guard(owner: Any, name: str, of: int) -> None:
    """Have `owner.name` refuse an address, its argument number `of`, that is not loopback.

    An audit hook would sit lower, but Python runs it within `sys.settrace`, too: of two threads that start at once
    under coverage, one may then fail ("Cannot install a trace function while another ... is being installed").
    """
    unguarded = getattr(owner, name)

    @functools.wraps(unguarded)
    def guarded(*arguments: Any, **more: Any) -> Any:
        address = more["host"] if "host" in more else arguments[of]
        is_path = owner is socket.socket and not isinstance(address, tuple)
        host = address[0] if isinstance(address, tuple) else address
        if not (is_path or _is_loopback(host)):
            raise NetworkBlockedError(f"a test tried to {name} {address!r}")
        return unguarded(*arguments, **more)

    setattr(owner, name, guarded)


# hypothesis builds its tables of Unicode with the first text that it draws, which may take seconds on a busy machine.
hypothesis.settings.register_profile(
    "busy",
    max_examples=int(os.environ.get("CASES", "100")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    deadline=None,
)
hypothesis.settings.load_profile("busy")


def pytest_configure() -> None:
    for name in ("connect", "connect_ex", "sendto"):
        _guard(socket.socket, name, -1 if name == "sendto" else 1)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        _guard(socket, name, 0)
    # pytest-recording has kept what it calls for hosts that a test allows
    network._original_connect, network._original_connect_ex = socket.socket.connect, socket.socket.connect_ex
    # Who asks for a loop where none runs is told so, as in later Pythons, and not given one that nobody closes.
    asyncio.set_event_loop(None)
    for name in list(os.environ):
        if name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL", "_API_BASE")):
            del os.environ[name]


@pytest.fixture
def few_to_collect() -> Iterator[None]:
    """Have collections of garbage look at what the test makes only: with all that was imported, each takes long."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have clients trust one certificate only: loading the usual 140 took half of the time of tests that ask none."""
    end = "-----END CERTIFICATE-----\n"
    bundle = tmp_path_factory.mktemp("trusted") / "one.pem"
    bundle.write_text(certifi.contents().partition(end)[0] + end, encoding="utf-8")
    os.environ["SSL_CERT_FILE"] = str(bundle)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server on a free loopback port, for sync and async tests, stopped after the test.

    The fixture is async so that clients made with `tests.server.clients` are closed in the loop that they lived in.
    """
    with ScriptedServer() as running:
        yield running
        for close in reversed(running.closers):
            closed = close()
            if inspect.isawaitable(closed):
                await closed
