"""A request that is no longer the recorded one is told, place by place."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import vcr

from instructor_stream_ext.testing import StaleCassette, use_cassette
from instructor_stream_ext.testing.staleness import changes
from tests.server import ScriptedServer
from tests.server.script import sends
from tests.server.wire_chat import chat_content
from tests.testing.carriers import Carrier, every_carrier

CHUNKS = chat_content("hello", size=3)
ASKED: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": "?"}],
}


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def changed(**more: Any) -> dict[str, Any]:
    return {**ASKED, **more}


OTHER = changed(messages=[{"role": "user", "content": "Hello"}, {"role": "user", "content": "!"}], seed=1)


@pytest.mark.parametrize(
    ("recorded", "sent", "said"),
    [
        (ASKED, json.loads(json.dumps(ASKED)), []),
        (ASKED, dict(reversed(ASKED.items())), []),  # the order of keys says nothing
        (ASKED, changed(model="n"), ['model: "m" was recorded, "n" is sent']),
        (ASKED, changed(seed=1), ["seed: nothing was recorded, 1 is sent"]),
        (changed(seed=1), ASKED, ["seed: 1 was recorded, nothing is sent"]),
        ({"a": 1, "b": 0.0}, {"a": 1.0, "b": 0}, []),
        ({"a": "of REDACTED** here"}, {"a": "of REDACTED***** here"}, []),
        (
            {"a": "of REDACTED** here"},
            {"a": "of nobody here"},
            ['a: "of REDACTED** here" was recorded, "of nobody here" is sent'],
        ),
        (
            {"a": "x" * 400 + "Monday" + "y" * 90},
            {"a": "x" * 400 + "Tuesday" + "y" * 90},
            [f"a: ...{'x' * 20}Monday{'y' * 34}... was recorded, ...{'x' * 20}Tuesday{'y' * 33}... is sent"],
        ),
        ({"a": 1}, {"a": True}, ["a: 1 was recorded, true is sent"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a[1]: 2 was recorded, nothing is sent"]),
        ({"a": {"b": None}}, {"a": 5}, ['a: {"b": null} was recorded, 5 is sent']),
        ([1], {"a": 1}, ['body: [1] was recorded, {"a": 1} is sent']),
        ({"a": "x" * 500}, {"a": "y"}, [f'a: "{"x" * 59}... was recorded, "y" is sent']),
        ({"a\nb": "\x1b[2J"}, {"a\nb": ""}, ['a\\nb: "\\u001b[2J" was recorded, "" is sent']),
    ],
)
def test_the_places_that_differ(recorded: Any, sent: Any, said: list[str]) -> None:
    assert changes(body(recorded), body(sent)) == said


def test_bodies_that_are_no_json_are_compared_as_they_are() -> None:
    assert changes(b"a=1", b"a=1") == []
    assert changes(b"a=1", b"{}") == ["body: b'a=1' was recorded, b'{}' is sent"]
    assert changes(b"", b"") == []


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["messages[0].content"], {"messages[1].content", "seed"}),
        (["messages[*].content"], {"seed"}),
        (["messages"], {"seed"}),
        (["messages[0]", "seed"], {"messages[1].content"}),
        (["message", "see"], {"messages[0].content", "messages[1].content", "seed"}),  # no beginning of a name
    ],
)
def test_paths_that_may_differ(ignore: list[str], left: set[str]) -> None:
    assert {one.partition(":")[0] for one in changes(body(ASKED), body(OTHER), ignore)} == left


@every_carrier
async def test_a_request_that_has_changed_is_told(server: ScriptedServer, tmp_path: Path, carrier: Carrier) -> None:
    server.add(sends(CHUNKS))
    cassette_file, url = tmp_path / "cassette.yaml", f"{server.url}/v1/chat/completions"
    kind = {"content-type": "application/json"}
    with use_cassette(cassette_file, record_mode="once"):
        await carrier.read(url, body=body(ASKED), headers=kind)
    with use_cassette(cassette_file, strict=True):
        await carrier.read(url, body=body(ASKED), headers=kind)
    said = (
        r"cassette.yaml: POST /v1/chat/completions is no longer the request that was recorded: messages\[0\].content: "
    )
    with pytest.warns(StaleCassette, match=said), use_cassette(cassette_file):
        await carrier.read(url, body=body(OTHER), headers=kind)
    with pytest.raises(AssertionError, match=said), use_cassette(cassette_file, strict=True):
        await carrier.read(url, body=body(OTHER), headers=kind)
    with use_cassette(cassette_file, strict=True, ignore=("messages[*].content", "seed")):
        await carrier.read(url, body=body(OTHER), headers=kind)


@every_carrier
async def test_each_request_is_held_against_the_one_that_answers_it(
    server: ScriptedServer, tmp_path: Path, carrier: Carrier
) -> None:
    server.always(sends(CHUNKS))
    cassette_file, url = tmp_path / "cassette.yaml", f"{server.url}/v1/chat/completions"
    for _ in range(2):
        with use_cassette(cassette_file, record_mode="once", strict=True):
            for model in "ab":
                await carrier.read(url, body=body(changed(model=model)))
    with (
        pytest.raises(AssertionError, match='model: "b" was recorded, "a" is sent'),
        use_cassette(cassette_file, strict=True),
    ):
        for _ in range(2):
            await carrier.read(url, body=body(changed(model="a")))


def test_secrets_are_masked_on_both_sides(server: ScriptedServer, tmp_path: Path) -> None:
    server.always(sends(CHUNKS))
    cassette_file, url = tmp_path / "cassette.yaml", f"{server.url}/v1/chat/completions"
    keys = [f"sk-{letter * 40}" for letter in "ab"]
    with use_cassette(cassette_file, record_mode="once"):
        httpx.post(url, json=changed(user=keys[0]))
    with use_cassette(cassette_file, strict=True):
        httpx.post(url, json=changed(user=keys[1]))


def test_a_form_with_a_boundary_of_its_own_is_left_alone(server: ScriptedServer, tmp_path: Path) -> None:
    server.always(sends(CHUNKS))
    cassette_file = tmp_path / "cassette.yaml"
    for mode in ("once", "none"):
        with use_cassette(cassette_file, record_mode=mode, strict=True):
            httpx.post(f"{server.url}/upload", files={"file": b"data"})


def by_requests(url: str, sent: bytes) -> None:
    requests.post(url, data=sent, timeout=30)


def by_urllib(url: str, sent: bytes) -> None:
    urllib.request.urlopen(url, sent).read()


@pytest.mark.parametrize("ask", [by_requests, by_urllib])
def test_requests_of_other_libraries_are_compared_too(
    server: ScriptedServer, tmp_path: Path, ask: Callable[[str, bytes], None]
) -> None:
    server.always(sends(CHUNKS))
    cassette_file, url = tmp_path / "cassette.yaml", f"{server.url}/v1/chat/completions"
    with use_cassette(cassette_file, record_mode="once"):
        ask(url, body(ASKED))
    with use_cassette(cassette_file, strict=True):
        ask(url, body(ASKED))
    said = r'messages\[0\].content: "Hi" was recorded, "Hello" is sent'
    with pytest.raises(AssertionError, match=said), use_cassette(cassette_file, strict=True):
        ask(url, body(OTHER))


def test_a_body_from_a_file_is_scrubbed_and_compared(server: ScriptedServer, tmp_path: Path) -> None:
    server.always(sends(CHUNKS))
    cassette_file, url, key = tmp_path / "cassette.yaml", f"{server.url}/v1/x", "sk-" + "a1" * 12
    for mode in ("once", "none"):
        with use_cassette(cassette_file, record_mode=mode, strict=True):
            requests.post(url, data=io.BytesIO(body(changed(user=key))), timeout=30)
    assert key not in cassette_file.read_text(encoding="utf-8")
    assert "REDACTED" in cassette_file.read_text(encoding="utf-8")


def test_a_secret_that_stands_on_an_old_cassette_is_not_shown(server: ScriptedServer, tmp_path: Path) -> None:
    server.always(sends(CHUNKS))
    cassette_file, url, key = tmp_path / "cassette.yaml", f"{server.url}/v1/x", "sk-" + "a1" * 12
    with vcr.use_cassette(str(cassette_file)):
        httpx.post(url, json={"user": key, "n": f"of {key}"})
    assert key in cassette_file.read_text(encoding="utf-8")
    with use_cassette(cassette_file) as played:
        httpx.post(url, json={"user": key, "n": "of nobody"})
        (said,) = played.untold()
    assert "n: " in said
    assert "user: " not in said
    assert key not in said
