"""The pytest plugin: what users of pytest-recording get, seen by running pytest within pytest."""

from __future__ import annotations

import json
from pathlib import Path

# pytester forgets what was first imported by the pytest it runs, which C extensions do not bear
import anyio._backends._asyncio  # noqa: F401
import httpcore  # noqa: F401
import httpcore2  # noqa: F401
import pytest
import vcr.stubs.aiohttp_stubs
import vcr.stubs.httpx_stubs  # noqa: F401
import yaml  # noqa: F401

from instructor_stream_ext.testing import deck, load_tape
from tests.server import ScriptedServer
from tests.server.script import sends
from tests.server.wire_chat import chat_content

CHUNKS = chat_content('{"name": "Ada Lovelace", "age": 36}', size=5)
DELTAS = len(CHUNKS) - 3

HEAD = """
import instructor, openai, pytest
from pydantic import BaseModel
from instructor_stream_ext import wrap
from instructor_stream_ext.testing import *

URL = {url!r}

class Person(BaseModel):
    name: str
    age: int

def stream(url=URL):
    bare = openai.OpenAI(base_url=url, api_key="sk-abcdefghijklmnopqrstuvwxyz", max_retries=0)
    client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
    return client.create_partial(model="m", messages="go", response_model=Person)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, server: ScriptedServer) -> Project:
    return Project(pytester, server)


class Project:
    """A user's project: one test module, and pytest over it."""

    def __init__(self, pytester: pytest.Pytester, server: ScriptedServer) -> None:
        self.pytester = pytester
        self.server = server

    def module(self, text: str, name: str = "test_it") -> None:
        """Write the test module."""
        self.pytester.makepyfile(**{name: HEAD.format(url=f"{self.server.url}/v1") + text})

    def run(self, *arguments: str, **outcomes: int) -> str:
        """Run pytest and give what it printed."""
        options = ("-p", "instructor_stream_pytest", "-p", "no:cacheprovider", "-p", "no:cov")
        result = self.pytester.runpytest_inprocess(*options, *arguments)
        result.assert_outcomes(**outcomes)
        return result.stdout.str()

    def recorded(self, test: str = "test_one") -> Path:
        """The tape of a test."""
        return self.pytester.path / "cassettes" / "test_it" / f"{test}.yaml"

    def record(self, text: str, *, chunks: list[bytes] = CHUNKS, **outcomes: int) -> str:
        """Write the module and record its tapes."""
        self.module(text)
        self.server.always(sends(chunks))
        return self.run("--record-mode=once", **(outcomes or {"passed": 1}))


ONE = """
@pytest.mark.vcr
def test_one(stream_cassette):
    assert stream().get_final_response().name == "Ada Lovelace"
"""


def test_a_tape_is_recorded_where_pytest_recording_keeps_it_and_played(project: Project) -> None:
    project.record(ONE)
    path = project.recorded()
    (take,) = load_tape(path, sidecar=True).takes
    assert take.body == b"".join(CHUNKS)
    assert take.deltas == DELTAS
    assert "string: |+" in path.read_text(encoding="utf-8")
    assert "sk-abc" not in path.read_text(encoding="utf-8")
    asked = len(project.server.requests)
    project.run(passed=1)
    project.run("--record-mode=none", passed=1)
    assert len(project.server.requests) == asked == 1


def test_plain_vcrpy_plays_the_same_yaml(project: Project) -> None:
    project.record(ONE)
    project.module(ONE.replace("stream_cassette", ""))
    project.run(passed=1)
    assert len(project.server.requests) == 1


def test_rewrite_records_tape_and_sidecar_anew(project: Project) -> None:
    project.record(ONE)
    project.server.always(sends(chat_content('{"name": "Ada Lovelace", "age": 37}', size=2)))
    project.run("--record-mode=rewrite", passed=1)
    (take,) = load_tape(project.recorded(), sidecar=True).takes
    assert take.deltas == 18
    project.run(passed=1)


def test_the_default_is_to_play_only(project: Project) -> None:
    project.module(ONE)
    project.server.always(sends(CHUNKS))
    out = project.run(failed=1)
    assert "is not on the tape" in out or "Can't" in out
    assert not project.server.requests
    assert not project.recorded().exists()


def test_nothing_but_loopback_is_reached(project: Project) -> None:
    project.record(
        """
import socket
@pytest.mark.vcr
def test_one(stream_cassette):
    stream().get_final_response()
    if not stream_cassette.records:
        with socket.socket() as out, pytest.raises(RuntimeError, match="Network is disabled"):
            out.connect(("192.0.2.1", 80))

def test_two(replay_server):
    with socket.socket() as out, pytest.raises(RuntimeError, match="Network is disabled"):
        out.connect(("192.0.2.1", 80))
    server = replay_server("test_one.yaml")
    assert stream(server.base_url).get_final_response().age == 36
""",
        passed=2,
    )
    project.run(passed=2)


def test_speed_and_a_fake_clock(project: Project) -> None:
    project.record(
        """
@pytest.mark.vcr
def test_one(stream_cassette):
    clock = FakeClock()
    stream_cassette(speed=0.5, clock=clock)
    stream().get_final_response()
    if not stream_cassette.records:
        assert clock() == pytest.approx(2 * stream_cassette.takes[0].chunks[-1].at)  # [DONE] is the last
"""
    )
    project.run(passed=1)


def test_marks_set_faults_and_deltas(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
from instructor_stream_ext import StreamInterrupted

@pytest.mark.vcr
@pytest.mark.stream_faults(Trickle(3), CutOff(after=3))
def test_one(stream_cassette):
    with pytest.raises(StreamInterrupted):
        stream().get_final_response()

@pytest.mark.vcr("test_one.yaml")
@pytest.mark.stream_faults(FailFirst(429))
@pytest.mark.stream_tape(deltas=DELTAS)
def test_two(stream_cassette):
    with pytest.raises(openai.RateLimitError):
        stream().get_final_response()
    stream().get_final_response()
""".replace("DELTAS", str(DELTAS))
    )
    project.run("--strict-markers", passed=2)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "1 of its 1 interactions were never asked for"),
        ("next(iter(stream()))", "was left at byte"),
        ("stream_cassette(deltas=99); stream().get_final_response()", f"{DELTAS} deltas were played, 99 were expected"),
        ("stream_cassette(faults=Resplit(at=(900,)))\n    with stream() as s: next(s)", "was left at byte"),
        (
            "stream().get_final_response()\n    try: stream().get_final_response()\n    except Exception: pass",
            "is not on the tape, or was played already",
        ),
    ],
)
def test_a_replay_that_is_not_what_it_states_fails_the_test(project: Project, body: str, said: str) -> None:
    project.record(ONE)
    project.module(ONE.replace('assert stream().get_final_response().name == "Ada Lovelace"', body))
    assert said in project.run(failed=1)


def test_leaving_early_on_purpose_is_declared(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
@pytest.mark.vcr
@pytest.mark.stream_tape(whole=False)
def test_one(stream_cassette):
    with stream() as partials:
        next(partials)
"""
    )
    project.run(passed=1)


def test_a_tape_without_sidecar_or_with_another_is_an_error(project: Project) -> None:
    project.record(ONE)
    beside = Path(f"{project.recorded()}.timing.json")
    kept = beside.read_text(encoding="utf-8")
    beside.unlink()
    assert "has no sidecar test_one.yaml.timing.json" in project.run(errors=1)
    content = json.loads(kept)
    content["streams"][0]["bytes"] += 1
    beside.write_text(json.dumps(content), encoding="utf-8")
    out = project.run(errors=1)
    assert "the tape was cut short or edited" in out
    assert "test_one.yaml:2" in out


def test_the_fixture_needs_the_mark(project: Project) -> None:
    project.module(ONE.replace("@pytest.mark.vcr", ""))
    assert "mark the test with @pytest.mark.vcr" in project.run(errors=1)


def test_a_users_scrubber_and_vcr_config_hold(project: Project) -> None:
    project.record(
        """
@pytest.fixture
def vcr_config():
    return {"filter_headers": ["user-agent"]}

@pytest.fixture
def stream_scrubber():
    return Scrubber().extended("x-stainless-os", name="Love[a-z]+")
"""
        + ONE
    )
    text = project.recorded().read_text(encoding="utf-8")
    assert "user-agent" not in text
    assert "x-stainless-os" not in text
    assert "x-stainless-arch" in text


def test_replay_server_plays_any_tape_to_any_client(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
import urllib.request

def test_two(replay_server):
    server = replay_server("test_one.yaml", faults=Trickle(100), deltas=3)
    request = urllib.request.Request(server.base_url + "/chat/completions", b"{}", method="POST")
    assert b"[DONE]" in urllib.request.urlopen(request).read()

def test_one(replay_server):
    assert stream(replay_server.base_url).get_final_response().age == 36

def test_three(replay_server):
    replay_server("test_one.yaml")
"""
    )
    out = project.run(passed=2, failed=1)
    assert "test_one.yaml: 1 of its 1 interactions were never asked for" in out


def test_tapes_that_no_test_plays_are_named_after_a_full_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deck, "PLAYED", set())
    two = ONE.replace("test_one", "test_two")
    project.record(ONE + two, passed=2)
    full = project.run(passed=2)
    assert "no test has played" not in full
    deck.PLAYED.clear()
    project.module(ONE)
    assert "cassettes/test_it/test_two.yaml" in project.run(passed=1)
    for part in (["-k", "one"], ["test_it.py"], ["--record-mode=once"]):
        deck.PLAYED.clear()
        assert "no test has played" not in project.run(*part, passed=1)


def test_async_tests(project: Project) -> None:
    project.record(
        """
@pytest.mark.vcr
@pytest.mark.asyncio
async def test_one(stream_cassette):
    async with openai.AsyncOpenAI(base_url=URL, api_key="k", max_retries=0) as bare:
        client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
        final = await client.create_partial(model="m", messages="go", response_model=Person).get_final_response()
    assert final.age == 36
"""
    )
    project.run(passed=1)
    assert len(project.server.requests) == 1


def test_other_tests_are_not_touched(project: Project) -> None:
    project.record("@pytest.mark.vcr\ndef test_one():\n    assert stream().get_final_response().age == 36\n")
    assert not Path(f"{project.recorded()}.timing.json").exists()
    assert 'string: "data:' in project.recorded().read_text(encoding="utf-8").replace("'", '"')


def test_what_a_fixture_sends_before_the_deck_is_there_is_scrubbed_too(project: Project) -> None:
    """Fixtures are set up in the order in which a test names them; vcrpy records from its mark on."""
    project.record(
        """
import httpx

@pytest.fixture
def token():
    return httpx.post(URL, headers={"authorization": "Bearer sk-abcdefghijklmnopqrstuvwxyz"}, json={}).text

@pytest.mark.vcr
def test_one(token, stream_cassette):
    assert token
    assert stream().get_final_response().name == "Ada Lovelace"
"""
    )
    text = project.recorded().read_text(encoding="utf-8")
    assert text.count("method: POST") == 2
    assert "authorization" not in text.lower()
    assert "sk-abc" not in text
