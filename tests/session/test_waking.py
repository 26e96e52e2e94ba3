"""A bound that ends a sync read looks into no other thread, and ends no other stream's connection."""

from __future__ import annotations

import ast
import math
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import trustme
from pydantic import BaseModel

import instructor_stream_ext
from instructor_stream_ext import StreamTimeout, Timeouts, wrap
from instructor_stream_ext._instructor.sockets import OwnSocket
from instructor_stream_ext.session import waking
from tests.server import Request, Script, ScriptedServer, Signal, Wait, chunks_for, reply, sends
from tests.server.clients import openai_client
from tests.server.relay import Relay
from tests.sides import SOURCES

ROOT = Path(instructor_stream_ext.__file__).parent
DOCUMENT = '{"name": "Ada", "age": 36}'

STALLED_BESIDE_GARBAGE = """
import threading
import instructor, openai
from pydantic import BaseModel
from instructor_stream_ext import StreamTimeout, Timeouts, wrap
from tests.server import ScriptedServer, Signal, Start, Wait

class Person(BaseModel):
    name: str

class Cycle:
    def __init__(self):
        self.local = threading.local()
        self.local.value = self
        self.me = self

stop = threading.Event()

def litter():
    while not stop.is_set():
        Cycle()

with ScriptedServer() as server:
    server.always([Start(), Wait(Signal())])
    inner = instructor.from_openai(openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0))
    client = wrap(inner, timeouts=Timeouts(first_delta=9, idle=0.02, total=0.02))
    threads = [threading.Thread(target=litter, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        try:
            client.create_partial(Person, "go", model="m").get_final_response()
        except StreamTimeout:
            pass
    stop.set()
    for thread in threads:
        thread.join()
    inner.client.close()
print("not frozen")
"""


class Person(BaseModel):
    name: str
    age: int


def test_timeouts_beside_threads_that_leave_garbage_freeze_nothing() -> None:
    """CPython 3.11 may collect garbage while it lists the threads' frames, and then waits for itself."""
    done = subprocess.run(
        [sys.executable, "-c", STALLED_BESIDE_GARBAGE], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "not frozen"), done.stderr


def test_only_who_still_waits_is_woken_and_is_told_before_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the read comes back: just before its deadline, at it, just after it."""

    def until(instant: float) -> None:
        while time.monotonic() < instant:
            pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    monkeypatch.setattr(waking, "GLANCE", 1e-5)
    waiting: list[int] = []
    woken: list[tuple[int, list[int]]] = []
    told: list[int] = []
    dog = waking.Watchdog(time.monotonic, lambda: told.append(number))
    try:
        for number in range(3000):
            deadline = time.monotonic() + 1e-4
            returns_at = deadline + (number % 100 - 50) * 4e-6

            def wake(number: int = number) -> bool:
                woken.append((number, waiting[:]))
                until(time.monotonic() + 3e-5)
                return True

            def read(number: int = number, returns_at: float = returns_at) -> int:
                until(returns_at)
                return number

            waiting.append(number)
            assert dog.wait(deadline, wake, read) == number
            waiting.clear()
            assert told.count(number) == ((number, [number]) in woken)
    finally:
        sys.setswitchinterval(interval)
        dog.stop()
    assert all(who == [number] for number, who in woken)


class _Halting(waking.Watchdog):
    """Its thread halts right before it says this, until whoever waits has gone by."""

    saying: tuple[str, object] | None = None

    def __init__(self, attribute: str, value: object) -> None:
        self.halts, self.goes_on = threading.Event(), threading.Event()
        super().__init__(time.monotonic, lambda: None)
        self.saying = attribute, value

    def __setattr__(self, attribute: str, value: object) -> None:
        if self.saying == (attribute, value) and threading.current_thread() is self._thread:
            self.halts.set()
            assert self.goes_on.wait(10)
        super().__setattr__(attribute, value)


def _setting(event: threading.Event) -> Callable[[], bool]:
    def wake() -> bool:
        event.set()
        return True

    return wake


def test_a_read_that_comes_back_before_the_thread_says_that_it_wakes_is_not_woken() -> None:
    woken = threading.Event()
    dog = _Halting("_alarmed", value=True)
    assert dog.wait(time.monotonic(), _setting(woken), dog.halts.wait, 10)
    dog.goes_on.set()
    dog.stop()
    assert not woken.is_set()


def test_a_read_that_begins_before_the_thread_says_that_nobody_waits_is_woken() -> None:
    woken = threading.Event()
    dog = _Halting("_planned", math.inf)

    def read() -> bool:
        dog.goes_on.set()
        return woken.wait(10)

    def planned() -> None:
        while dog._planned != bound:
            pass

    bound = time.monotonic() + 0.01
    dog.wait(bound, bool, planned)
    assert dog.halts.wait(10)
    assert dog.wait(bound + 0.01, _setting(woken), read)
    dog.stop()


def test_nothing_looks_into_another_threads_frames() -> None:
    for path in ROOT.rglob("*.py"):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & {"_current_frames", "_current_exceptions", "settrace"}, path


def stalls_or_answers(request: Request) -> Script:
    chunks = chunks_for(request, DOCUMENT, 4)
    return [sends(chunks[:3]), Wait(Signal())] if b"stall" in request.body else [sends(chunks)]


def read_in_threads(client: Any, ask: dict[str, Any], *, threads: int = 16, bounded: bool = True) -> list[object]:
    """Streams at once on one client: half of them stall and are to time out, the others are whole; gives what was not.

    Args:
        client: Wrapped, sync.
        ask: The arguments of a call.
        threads: How many.
        bounded: Whether those that do not stall have timeouts, too.
    """
    wrong: list[object] = []

    def read(number: int) -> None:
        stalls = number % 2 == 0
        for _ in range(3):
            timeouts = Timeouts(idle=0.3) if stalls else Timeouts(idle=30) if bounded else None
            messages = [{"role": "user", "content": "stall" if stalls else "go"}]
            try:
                told: Any = client.create_partial(
                    Person, timeouts=timeouts, **{**ask, "messages": messages}
                ).get_final_response()
            except StreamTimeout as error:
                told = error
            except Exception as error:  # noqa: BLE001  whatever it is, it is wrong
                wrong.append(error)
                continue
            if isinstance(told, StreamTimeout) is not stalls:
                wrong.append(told)

    running = [threading.Thread(target=read, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return wrong


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("name", ["openai-tools", "anthropic-tools"])
def test_a_timeout_ends_no_other_stream_of_the_client(server: ScriptedServer, name: str, *, bounded: bool) -> None:
    """Threads on one client with kept-alive connections."""
    server.always(stalls_or_answers)
    source = SOURCES[name]
    assert read_in_threads(source.client(server, "sync"), source.ask, bounded=bounded) == []


@pytest.fixture(scope="module")
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server on loopback, and of a client that trusts it."""
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusting)
    return served, trusting


def through(server: ScriptedServer, url: str, **http: Any) -> Any:
    """A client over a transport of one's own."""
    inner = openai.DefaultHttpxClient(trust_env=False, **http)
    server.closers.append(inner.close)
    return wrap(openai_client(server, base_url=f"{url}/v1", http_client=inner, timeout=10))


def port_of(server: ScriptedServer) -> int:
    return int(server.url.rpartition(":")[2])


def test_over_tls(server: ScriptedServer, certificates: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server.always(stalls_or_answers)
    with Relay(port_of(server), certificates[0]) as relay:
        client = through(server, f"https://127.0.0.1:{relay.port}", verify=certificates[1])
        assert read_in_threads(client, SOURCES["openai-tools"].ask, threads=8) == []


def test_through_a_proxy(server: ScriptedServer) -> None:
    server.always(stalls_or_answers)
    with Relay(None) as proxy:
        client = through(server, server.url, proxy=f"http://127.0.0.1:{proxy.port}")
        assert read_in_threads(client, SOURCES["openai-tools"].ask, threads=8) == []
        assert proxy.forwarded


def test_over_tls_through_a_proxys_tunnel(
    server: ScriptedServer, certificates: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server.always(stalls_or_answers)
    with Relay(port_of(server), certificates[0]) as relay, Relay(None) as proxy:
        client = through(
            server,
            f"https://127.0.0.1:{relay.port}",
            proxy=f"http://127.0.0.1:{proxy.port}",
            verify=certificates[1],
        )
        assert read_in_threads(client, SOURCES["openai-tools"].ask, threads=8) == []
        assert proxy.tunnels


@pytest.mark.parametrize("version", [b"HTTP/2", b"HTTP/3"])
def test_a_connection_that_carries_other_requests_is_not_shut_down(version: bytes) -> None:
    own = OwnSocket()
    own.take(httpx2.Response(200, extensions={"http_version": version, "network_stream": object()}))
    assert not own.is_known


def test_a_response_that_was_closed_gives_its_socket_up(server: ScriptedServer) -> None:
    server.always(reply(DOCUMENT))
    client = SOURCES["openai-tools"].client(server, "sync")
    stream = client.create_partial(Person, **SOURCES["openai-tools"].ask)
    with stream:
        connection = stream._session.connection
        assert connection.own.is_known
        stream.get_final_response()
    assert not connection.wake()
