"""Whatever a client reads from a live answer, and from plain vcrpy's replay, it reads from ours as well."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import vcr

from instructor_stream_ext.testing import Drop, End, Trickle, load_cassette, use_cassette
from tests.server import Answer, Request, ScriptedServer, sends
from tests.server.script import Script, Start
from tests.server.wire_chat import chat_content

LINES = b"one\ntwo\n\xc3\xbcnf\n"
CHUNKS = chat_content('{"name": "Ada"}', size=4)


def answers(request: Request) -> Script:
    """What the server says, by path."""
    kinds: dict[str, Script] = {
        "/json": Answer({"name": "Zürich"}),
        "/lines": Answer(LINES, headers={"content-type": "text/plain; charset=utf-8"}),
        "/pieces": [Start(headers={"content-type": "application/x-ndjson"}), sends([b'{"a": 1}\n', b'{"a": 2}\n'])],
        "/events": sends(CHUNKS),
        "/nothing": Answer(b"", status=204),
        "/empty": Answer(b"", headers={"content-type": "application/json"}),
        "/from": Answer(b"moved", status=302, headers={"location": "/over"}),
        "/over": Answer(b"", status=307, headers={"location": "/json"}),
        "/error": Answer({"error": "no"}, status=404),
    }
    if request.method == "HEAD":  # no body, and the length of the one that it lacks
        return Answer(b"", headers={"content-type": "application/json", "x-kind": "head"})
    return kinds[request.path]


def of(headers: Any) -> list[tuple[str, str]]:
    items = headers.multi_items() if hasattr(headers, "multi_items") else headers.items()
    return sorted((name.lower(), value) for name, value in items)


# ------------------------------------------------------------------ aiohttp

Session = aiohttp.ClientSession
AIOHTTP: dict[str, Callable[[Session, str], Awaitable[Any]]] = {}


def reading(function: Callable[[Session, str], Awaitable[Any]]) -> Callable[[Session, str], Awaitable[Any]]:
    AIOHTTP[function.__name__] = function
    return function


@reading
async def text_and_headers(session: Session, url: str) -> Any:
    async with session.get(url + "/json") as answer:
        return answer.status, answer.reason, of(answer.headers), answer.content_length, await answer.text()


@reading
async def json_twice_and_the_bytes(session: Session, url: str) -> Any:
    async with session.post(url + "/json", json={"x": 1}) as answer:
        return await answer.json(), await answer.json(), await answer.read(), await answer.text("utf-8")


@reading
async def a_stream_as_text(session: Session, url: str) -> Any:
    async with session.post(url + "/events") as answer:
        return await answer.text()


@reading
async def no_content(session: Session, url: str) -> Any:
    async with session.delete(url + "/nothing") as answer:
        return answer.status, answer.content.at_eof(), await answer.text(), await answer.content.read()


@reading
async def no_content_unread(session: Session, url: str) -> Any:
    async with session.delete(url + "/nothing") as answer:
        return answer.status


@reading
async def json_of_nothing(session: Session, url: str) -> Any:
    async with session.get(url + "/empty") as answer:
        return await answer.json(), await answer.read(), of(answer.headers)


@reading
async def exactly_so_many(session: Session, url: str) -> Any:
    async with session.get(url + "/lines") as answer:
        return await answer.content.readexactly(len(LINES))


@reading
async def more_than_there_is(session: Session, url: str) -> Any:
    async with session.get(url + "/lines") as answer:
        with pytest.raises(asyncio.IncompleteReadError) as short:
            await answer.content.readexactly(len(LINES) + 1)
        return short.value.partial


@reading
async def exactly_and_the_rest(session: Session, url: str) -> Any:
    async with session.get(url + "/lines") as answer:
        return await answer.content.readexactly(5), await answer.content.read()


@reading
async def lines(session: Session, url: str) -> Any:
    async with session.get(url + "/lines") as answer:
        return [line async for line in answer.content]


@reading
async def until(session: Session, url: str) -> Any:
    async with session.get(url + "/pieces") as answer:
        return await answer.content.readuntil(b"}"), await answer.content.readline(), await answer.content.read()


@reading
async def all_at_once(session: Session, url: str) -> Any:
    async with session.get(url + "/pieces") as answer:
        return b"".join([piece async for piece, _ in answer.content.iter_chunks()]), of(answer.headers)


@reading
async def in_pieces(session: Session, url: str) -> Any:
    async with session.get(url + "/lines") as answer:
        return b"".join([piece async for piece in answer.content.iter_chunked(4)])


@reading
async def head(session: Session, url: str) -> Any:
    async with session.head(url + "/json") as answer:
        return answer.status, of(answer.headers), answer.content_length, await answer.read()


@reading
async def a_redirect(session: Session, url: str) -> Any:
    async with session.get(url + "/from") as answer:
        passed = [(one.status, one.url.path, one.headers["location"]) for one in answer.history]
        return passed, answer.url.path, answer.method, await answer.json()


@reading
async def a_redirect_of_a_post(session: Session, url: str) -> Any:
    async with session.post(url + "/from", json={"x": 1}) as answer:
        return [one.status for one in answer.history], answer.method, await answer.text()


@reading
async def a_redirect_not_followed(session: Session, url: str) -> Any:
    async with session.get(url + "/from", allow_redirects=False) as answer:
        return answer.status, answer.headers["location"], answer.history


@reading
async def a_redirect_between_others(session: Session, url: str) -> Any:
    found = []
    for path in ("/json", "/from", "/json"):
        async with session.get(url + path) as answer:
            found.append(([one.url.path for one in answer.history], await answer.text()))
    return found


@reading
async def an_error(session: Session, url: str) -> Any:
    async with session.get(url + "/error") as answer:
        return answer.status, answer.ok, await answer.json()


@reading
async def an_error_that_is_raised(session: Session, url: str) -> Any:
    with pytest.raises(aiohttp.ClientResponseError) as raised:
        async with session.get(url + "/error", raise_for_status=True):
            pass
    async with session.get(url + "/error") as answer:
        with pytest.raises(aiohttp.ClientResponseError):
            answer.raise_for_status()
    return raised.value.status, raised.value.message


@reading
async def nothing_but_the_status(session: Session, url: str) -> Any:
    async with session.get(url + "/json") as answer:
        return answer.status, answer.ok


async def by_aiohttp(read: Callable[[Session, str], Awaitable[Any]], url: str) -> Any:
    async with aiohttp.ClientSession() as session:
        found = await read(session, url)
    await asyncio.sleep(0)  # aiohttp closes its transports in the next turn
    return found


# ------------------------------------------------------------------ httpx and httpx2

HTTPX: dict[str, tuple[str, str, bool]] = {
    "get": ("GET", "/json", False),
    "post": ("POST", "/json", False),
    "stream": ("GET", "/events", True),
    "pieces": ("GET", "/pieces", True),
    "head": ("HEAD", "/json", False),
    "head, as a stream": ("HEAD", "/json", True),
    "no content": ("DELETE", "/nothing", False),
    "empty": ("GET", "/empty", False),
    "redirect": ("GET", "/from", False),
    "error": ("GET", "/error", False),
}


def shown(answer: Any, body: Any) -> Any:
    length = answer.headers.get("content-length")
    passed = [(one.status_code, one.url.path) for one in answer.history]
    return answer.status_code, answer.reason_phrase, of(answer.headers), length, passed, answer.url.path, body


async def by_httpx(library: Any, how: tuple[str, str, bool], url: str, *, is_async: bool) -> Any:
    method, path, streams = how
    settings: dict[str, Any] = {"trust_env": False, "follow_redirects": True}
    if not is_async:
        with library.Client(**settings) as client:
            if not streams:
                answer = client.request(method, url + path)
                return shown(answer, answer.text)
            with client.stream(method, url + path) as answer:
                return shown(answer, list(answer.iter_lines()))
    async with library.AsyncClient(**settings) as client:
        if not streams:
            answer = await client.request(method, url + path)
            return shown(answer, answer.text)
        async with client.stream(method, url + path) as answer:
            return shown(answer, [line async for line in answer.aiter_lines()])


# ------------------------------------------------------------------ live, plain, ours


async def everywhere(read: Callable[[str], Awaitable[Any]], server: ScriptedServer, cassette_file: Path) -> None:
    """Read live, from plain vcrpy's recording of it, and from ours, whole and in small pieces."""
    server.always(answers)
    live = await read(server.url)
    plain = cassette_file.with_stem("plain")
    with vcr.use_cassette(str(plain), record_mode=vcr.mode.ONCE):
        assert await read(server.url) == live
    with vcr.use_cassette(str(plain), record_mode=vcr.mode.NONE):
        assert await read(server.url) == live
    with use_cassette(cassette_file, record_mode="once"):
        assert await read(server.url) == live
    asked = len(server.requests)
    with vcr.use_cassette(str(cassette_file), record_mode=vcr.mode.NONE):
        assert await read(server.url) == live
    with use_cassette(cassette_file):
        assert await read(server.url) == live
    bodies = any(interaction.chunks for interaction in load_cassette(cassette_file).interactions)
    with use_cassette(cassette_file, faults=Trickle(3) if bodies else ()):
        assert await read(server.url) == live
    with use_cassette(plain):
        assert await read(server.url) == live
    assert len(server.requests) == asked


@pytest.mark.parametrize("read", AIOHTTP.values(), ids=AIOHTTP)
async def test_aiohttp_reads_the_same(
    server: ScriptedServer, tmp_path: Path, read: Callable[[Session, str], Awaitable[Any]]
) -> None:
    await everywhere(lambda url: by_aiohttp(read, url), server, tmp_path / "cassette.yaml")


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize("how", HTTPX.values(), ids=HTTPX)
async def test_httpx_reads_the_same(
    server: ScriptedServer, tmp_path: Path, how: tuple[str, str, bool], library: Any, is_async: bool
) -> None:
    await everywhere(lambda url: by_httpx(library, how, url, is_async=is_async), server, tmp_path / "cassette.yaml")


@pytest.mark.parametrize("library", [httpx, httpx2, aiohttp], ids=["httpx", "httpx2", "aiohttp"])
async def test_a_length_that_a_fault_has_changed_is_not_stated(
    server: ScriptedServer, tmp_path: Path, library: Any
) -> None:
    headers = {"content-type": "text/event-stream"}
    server.add(Answer(b"".join(CHUNKS), headers=headers))
    cassette_file = tmp_path / "cassette.yaml"

    async def read() -> tuple[str | None, bytes]:
        if library is aiohttp:
            async with aiohttp.ClientSession() as session, session.get(server.url + "/events") as answer:
                return answer.headers.get("content-length"), await answer.read()
        async with library.AsyncClient(trust_env=False) as client:
            got = await client.get(server.url + "/events")
            return got.headers.get("content-length"), got.content

    with use_cassette(cassette_file, record_mode="once"):
        whole = await read()
    with use_cassette(cassette_file):
        assert await read() == whole
    with use_cassette(cassette_file, faults=Drop(1)):
        length, body = await read()
    assert whole[0] == str(len(whole[1]))
    assert length is None
    assert len(body) == len(whole[1]) - len(CHUNKS[1])


OLDER = """\
interactions:
- request:
    body: ''
    headers: {}
    method: GET
    uri: http://127.0.0.1:1/older
  response:
    content: '{"name": "Zürich"}'
    headers:
      content-type:
      - application/json
    http_version: HTTP/1.1
    status_code: 201
version: 1
"""


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_a_cassette_of_an_older_vcrpy(tmp_path: Path, library: Any, is_async: bool) -> None:
    cassette_file = tmp_path / "cassette.yaml"
    cassette_file.write_text(OLDER, encoding="utf-8")

    async def read() -> Any:
        return await by_httpx(library, ("GET", "/older", False), "http://127.0.0.1:1", is_async=is_async)

    with vcr.use_cassette(str(cassette_file), record_mode=vcr.mode.NONE):
        plain = await read()
    with use_cassette(cassette_file):
        assert await read() == plain
    assert plain[-1] == '{"name": "Zürich"}'


async def test_a_redirect_that_another_library_has_recorded(server: ScriptedServer, tmp_path: Path) -> None:
    """httpx reads the body of a redirect that it follows, aiohttp does not."""
    server.always(answers)
    cassette_file = tmp_path / "cassette.yaml"
    with use_cassette(cassette_file, record_mode="once"):
        await by_httpx(httpx2, HTTPX["redirect"], server.url, is_async=True)
    assert load_cassette(cassette_file).interactions[0].body == b"moved"
    with vcr.use_cassette(str(cassette_file), record_mode=vcr.mode.NONE):
        plain = await by_aiohttp(a_redirect, server.url)
    with use_cassette(cassette_file):
        assert await by_aiohttp(a_redirect, server.url) == plain


@pytest.mark.parametrize("how", [("HEAD", "/json"), ("DELETE", "/nothing"), ("GET", "/lines")], ids=str)
def test_an_answer_that_was_had_to_its_last_byte_was_not_left(
    server: ScriptedServer, tmp_path: Path, how: tuple[str, str]
) -> None:
    server.always(answers)
    cassette_file = tmp_path / "cassette.yaml"
    method, path = how
    with (
        use_cassette(cassette_file, record_mode="once"),
        httpx.Client(trust_env=False) as client,
        client.stream(method, server.url + path) as answer,
    ):
        if method == "GET":
            assert next(answer.iter_bytes()) == LINES  # and no look whether more comes
    assert load_cassette(cassette_file).interactions[0].end is End.COMPLETE
    with use_cassette(cassette_file):
        assert httpx.request(method, server.url + path).content == (LINES if method == "GET" else b"")


async def test_what_has_come_can_be_read_without_waiting(server: ScriptedServer, tmp_path: Path) -> None:
    """As plain vcrpy has it, whose whole body has come."""
    server.add(sends(CHUNKS))
    cassette_file = tmp_path / "cassette.yaml"

    async def read(session: Session, url: str) -> bytes:
        async with session.get(url + "/events") as answer:
            return answer.content.read_nowait() if vcr_plays else await answer.content.read()

    vcr_plays = False
    with use_cassette(cassette_file, record_mode="once"):
        whole = await by_aiohttp(read, server.url)
    vcr_plays = True
    with vcr.use_cassette(str(cassette_file), record_mode=vcr.mode.NONE):
        assert await by_aiohttp(read, server.url) == whole
    with use_cassette(cassette_file):
        assert await by_aiohttp(read, server.url) == whole


async def test_text_in_another_charset(server: ScriptedServer, tmp_path: Path) -> None:
    """Decoded as aiohttp does; plain vcrpy takes all text for UTF-8."""
    server.always(Answer("Zürich".encode("latin-1"), headers={"content-type": "text/plain; charset=iso-8859-1"}))

    async def read(session: Session, url: str) -> str:
        async with session.get(url) as answer:
            return await answer.text()

    for mode in ("once", "none"):
        with use_cassette(tmp_path / "cassette.yaml", record_mode=mode):
            assert await by_aiohttp(read, server.url) == "Zürich"
    assert len(server.requests) == 1
