"""The player: its data says what each event did, its page needs nothing and lets nothing break out, its refusals."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from instructor_stream_ext.cli import app
from instructor_stream_ext.testing import load_cassette
from instructor_stream_ext.testing.player import look_into, page_of, serve
from tests.testing.test_corpus import MODELS

RECORDED = Path(__file__).parent.parent / "cassettes" / "recorded"
OBJECT = RECORDED / "llamacpp_object_sync.yaml"


def data_in(page: str) -> Any:
    """What the page's script is given."""
    found = re.search(r"^const data = (.*)$", page, re.MULTILINE)
    assert found is not None
    return json.loads(found[1])


def applied(changes: list[list[Any]], state: Any) -> Any:
    """The partial after an event, as the page works it out."""
    for place, *said in changes:
        holder: Any = {"": state}
        held = holder
        steps = ["", *place]
        for step in steps[:-1]:
            held = held[step]
        last = steps[-1]
        if not said:
            del held[last]
        elif len(said) == 2:
            held[last] += said[1]
        elif isinstance(held, list) and last == len(held):
            held.append(said[0])
        else:
            held[last] = said[0]
        state = holder[""]
    return state


@pytest.mark.parametrize("cassette_file", sorted(RECORDED.glob("*.yaml")), ids=lambda cassette_file: cassette_file.stem)
def test_the_last_partial_is_what_stands_beside_the_cassette(cassette_file: Path) -> None:
    wanted = json.loads(cassette_file.with_suffix(".json").read_text(encoding="utf-8"))
    model = MODELS[wanted["response_model"]]
    (interaction,) = look_into(load_cassette(cassette_file), model)["takes"]
    state: Any = None
    for step in interaction["steps"]:
        state = applied(step.get("changes", []), state)
    if "final" in wanted:
        assert state == wanted["final"]
        assert "whole" in interaction["outcome"]
    assert (
        "".join(step["raw"] for step in interaction["steps"]).strip()
        in load_cassette(cassette_file).interactions[0].body.decode()
    )
    assert interaction["end"] == load_cassette(cassette_file).interactions[0].end


def test_what_an_event_did() -> None:
    (interaction,) = look_into(load_cassette(OBJECT))["takes"]
    told = [said for step in interaction["steps"] for said in step.get("transitions", [])]
    assert told[0] == "document: missing → streaming"
    assert told[-1].startswith("document: streaming → complete")
    assert [step["at"] for step in interaction["steps"]] == sorted(step["at"] for step in interaction["steps"])
    assert interaction["usage"] is None or "total_tokens" in interaction["usage"]


class Elements(HTMLParser):
    """How many scripts a page has, and what it would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts = 0
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.outside += [value or "" for name, value in attrs if name in ("src", "href") and value != "data:,"]


@given(text=st.text(st.sampled_from("</script><!--\u2028\u2029\0\n&'\"\\ab\ud800"), max_size=30))
def test_nothing_breaks_out_of_the_data(text: str) -> None:
    page = page_of({"name": text, "model": "", "takes": []})
    found = Elements(page)
    assert found.scripts == 1
    assert not found.outside
    assert data_in(page)["name"] == text
    assert page.count("\n") == page_of({"name": "", "model": "", "takes": []}).count("\n")


def test_it_is_served_on_loopback_and_nothing_else_is() -> None:
    running: list[tuple[str, ThreadingHTTPServer]] = []
    ready = threading.Event()

    def note(address: str, server: ThreadingHTTPServer) -> None:
        running.append((address, server))
        ready.set()

    page = page_of(look_into(load_cassette(OBJECT)))
    thread = threading.Thread(target=serve, args=(page, 0, note))
    thread.start()
    assert ready.wait(10)
    ((address, server),) = running
    assert address.startswith("http://127.0.0.1:")
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.read().decode() == page
    assert "default-src 'none'" in (answer.getheader("content-security-policy") or "")
    connection.request("GET", "/../secret")
    assert connection.getresponse().status == 404
    connection.close()
    server.shutdown()
    thread.join()


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["view", *map(str, arguments)])


def test_a_file_of_its_own(tmp_path: Path) -> None:
    done = run(OBJECT, "--html", tmp_path / "page.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert data_in(page)["name"] == OBJECT.name


def test_a_cassette_with_a_secret_is_refused(tmp_path: Path) -> None:
    cassette_file = tmp_path / "cassette.yaml"
    key = "sk-" + "a1B2" * 12
    cassette_file.write_text(
        OBJECT.read_text(encoding="utf-8").replace("chatcmpl", f"{key} chatcmpl", 1), encoding="utf-8"
    )
    done = run(cassette_file, "--html", tmp_path / "page.html")
    assert done.exit_code == 1
    assert "instructor-stream scrub" in done.output
    assert key not in done.output
    assert not (tmp_path / "page.html").exists()


def test_a_cassette_that_is_not_there() -> None:
    done = run("nowhere.yaml", "--html", "page.html")
    assert done.exit_code == 3
    assert "cannot be read" in done.output


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_in_a_real_browser(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(page_of(look_into(load_cassette(OBJECT))), encoding="utf-8")
    count = len(data_in(page.read_text(encoding="utf-8"))["takes"][0]["steps"])
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = (
        f"--disable-component-update --disable-sync --user-data-dir={tmp_path / 'profile'} --virtual-time-budget=2000"
    )
    command = ["chromium", *flags.split(), *more.split(), "--dump-dom", f"{page.as_uri()}#event={count}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    wanted = json.loads(OBJECT.with_suffix(".json").read_text(encoding="utf-8"))["final"]
    assert f"{count} / {count}" in shown
    assert "the document is whole" in shown
    for key in wanted:
        assert f'<span class="key">{key}: </span>' in shown
