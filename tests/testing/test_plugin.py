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

from instructor_stream_ext.testing import load_cassette, stream_cassette
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

opened = []

@pytest.fixture(autouse=True)
def closed():
    yield
    while opened:
        opened.pop().close()

def stream(url=URL):
    bare = openai.OpenAI(base_url=url, api_key="sk-abcdefghijklmnopqrstuvwxyz", max_retries=0)
    opened.append(bare)
    client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
    return client.create_partial(model="m", messages="go", response_model=Person)
"""


@pytest.fixture
def project(pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(pytester, server, monkeypatch)


class Project:
    """A user's project: one test module, and pytest over it."""

    def __init__(self, pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("CI", "BUILD_NUMBER"):  # pytest then prints each reason a second time, whole, in its summary
            monkeypatch.delenv(name, raising=False)
        self.pytester = pytester
        self.server = server

    def module(self, text: str, name: str = "test_it") -> None:
        """Write the test module."""
        self.pytester.makepyfile(**{name: HEAD.format(url=f"{self.server.url}/v1") + text})

    def run(self, *arguments: str, **outcomes: int) -> str:
        """Run pytest and give what it printed."""
        options = ["-p", "instructor_stream_pytest", "-p", "no:cacheprovider", "-p", "no:cov"]
        options += ["-o", "asyncio_default_fixture_loop_scope=function"]  # without it pytest-asyncio warns
        result = self.pytester.runpytest_inprocess(*options, *arguments)
        result.assert_outcomes(**outcomes)
        return result.stdout.str()

    def recorded(self, test: str = "test_one") -> Path:
        """The cassette of a test."""
        return self.pytester.path / "cassettes" / "test_it" / f"{test}.yaml"

    def record(self, text: str, *, chunks: list[bytes] = CHUNKS, **outcomes: int) -> str:
        """Write the module and record its cassettes."""
        self.module(text)
        self.server.always(sends(chunks))
        return self.run("--record-mode=once", **(outcomes or {"passed": 1}))


ONE = """
@pytest.mark.vcr
def test_one(stream_cassette):
    assert stream().get_final_response().name == "Ada Lovelace"
"""


def test_a_cassette_is_recorded_where_pytest_recording_keeps_it_and_played(project: Project) -> None:
    project.record(ONE)
    path = project.recorded()
    (interaction,) = load_cassette(path, sidecar=True).interactions
    assert interaction.body == b"".join(CHUNKS)
    assert interaction.deltas == DELTAS
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


def test_rewrite_records_cassette_and_sidecar_anew(project: Project) -> None:
    project.record(ONE)
    project.server.always(sends(chat_content('{"name": "Ada Lovelace", "age": 37}', size=2)))
    project.run("--record-mode=rewrite", passed=1)
    (interaction,) = load_cassette(project.recorded(), sidecar=True).interactions
    assert interaction.deltas == 18
    project.run(passed=1)


def test_the_default_is_to_play_only(project: Project) -> None:
    project.module(ONE)
    project.server.always(sends(CHUNKS))
    out = project.run(failed=1)
    assert f"no cassette at {project.recorded()}: record it with --record-mode=once" in out
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
        assert clock() == pytest.approx(2 * stream_cassette.interactions[0].chunks[-1].at)  # [DONE] is the last
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
@pytest.mark.stream_cassette(deltas=DELTAS)
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
            "was played already: the cassette holds it once",
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
@pytest.mark.stream_cassette(whole=False)
def test_one(stream_cassette):
    with stream() as partials:
        next(partials)
"""
    )
    project.run(passed=1)


def test_a_cassette_without_sidecar_or_with_another_is_an_error(project: Project) -> None:
    project.record(ONE)
    beside = Path(f"{project.recorded()}.timing.json")
    kept = beside.read_text(encoding="utf-8")
    beside.unlink()
    assert "has no sidecar test_one.yaml.timing.json" in project.run(errors=1)
    content = json.loads(kept)
    content["streams"][0]["bytes"] += 1
    beside.write_text(json.dumps(content), encoding="utf-8")
    out = project.run(errors=1)
    assert "the cassette was cut short or edited" in out
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


def test_replay_server_plays_any_cassette_to_any_client(project: Project) -> None:
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


def test_cassettes_that_no_test_plays_are_named_after_a_full_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_cassette, "PLAYED", set())
    two = ONE.replace("test_one", "test_two")
    project.record(ONE + two, passed=2)
    full = project.run(passed=2)
    assert "no test has played" not in full
    stream_cassette.PLAYED.clear()
    project.module(ONE)
    assert "cassettes/test_it/test_two.yaml" in project.run(passed=1)
    for part in (["-k", "one"], ["test_it.py"], ["--record-mode=once"]):
        stream_cassette.PLAYED.clear()
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


FIXTURES = """
import urllib.request
import httpx

def ask(path):
    with urllib.request.urlopen(URL + path) as answer:
        return answer.read()

def ask_httpx(path):
    return httpx.get(URL + path).content

@pytest.fixture
def before():
    assert ASK("/before")
    yield
    assert ASK("/torn-down-last")

@pytest.fixture
def behind(stream_cassette):
    assert ASK("/set-up")
    yield
    assert ASK("/torn-down-first")

@pytest.mark.vcr
def test_one(before, stream_cassette, behind):
    assert ASK("/within")
    assert stream().get_final_response().name == "Ada Lovelace"
"""


@pytest.mark.parametrize("ask", ["ask", "ask_httpx"])
def test_requests_of_fixtures_and_other_libraries_are_recorded_and_played(project: Project, ask: str) -> None:
    project.record(FIXTURES.replace("ASK", ask))
    assert len(load_cassette(project.recorded(), sidecar=True).interactions) == 6
    project.run(passed=1)
    assert len(project.server.requests) == 6
    project.module(FIXTURES.replace("ASK", ask).replace('assert ASK("/torn-down-last")'.replace("ASK", ask), ""))
    out = project.run(passed=1, errors=1)
    assert "1 of its 6 interactions were never asked for" in out


def test_one_call_of_urllib_and_nothing_else(project: Project) -> None:
    project.record(
        """
import urllib.request

@pytest.mark.vcr
def test_one(stream_cassette):
    with urllib.request.urlopen(URL) as answer:
        assert answer.read()
"""
    )
    assert [interaction.timed for interaction in load_cassette(project.recorded(), sidecar=True).interactions] == [
        False
    ]
    project.run(passed=1)
    assert len(project.server.requests) == 1


SWITCHED_ON = """
import pytest

@pytest.fixture(autouse=True)
def cassettes(request):
    if request.node.get_closest_marker("vcr"):
        request.getfixturevalue("stream_cassette")
"""
MANY = """
@pytest.mark.vcr
def test_one():
    assert stream().get_final_response().age == 36

@pytest.mark.vcr
@pytest.mark.parametrize("word", ["a", "b/c"])
def test_words(word):
    assert stream().get_final_response().name == "Ada Lovelace"

@pytest.mark.vcr
class TestAll:
    def test_it(self):
        assert stream().get_final_response().age == 36

    def test_twice(self):
        assert stream().get_final_response() == stream().get_final_response()

@pytest.mark.vcr
@pytest.mark.asyncio
async def test_async():
    async with openai.AsyncOpenAI(base_url=URL, api_key="k", max_retries=0) as bare:
        client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
        assert await client.create_partial(model="m", messages="go", response_model=Person).get_final_response()

def test_without_a_mark():
    pass
"""


def test_a_conftest_that_switches_all_vcr_tests_on(project: Project) -> None:
    project.pytester.makeconftest(SWITCHED_ON)
    project.module(MANY)
    project.server.always(sends(CHUNKS))
    project.run("--record-mode=once", passed=7)
    cassettes = sorted((project.pytester.path / "cassettes").rglob("*.yaml"))
    assert [cassette_file.stem for cassette_file in cassettes] == [
        "TestAll.test_it",
        "TestAll.test_twice",
        "test_async",
        "test_one",
        "test_words[a]",
        "test_words[b-c]",
    ]
    assert all(
        interaction.deltas == DELTAS
        for cassette_file in cassettes
        for interaction in load_cassette(cassette_file, sidecar=True).interactions
    )
    assert "sk-abc" not in "".join(cassette_file.read_text(encoding="utf-8") for cassette_file in cassettes)
    asked = len(project.server.requests)
    project.run(passed=7)
    assert len(project.server.requests) == asked == 7
    project.module(MANY.replace("assert stream().get_final_response() == ", ""))
    assert "1 of its 2 interactions were never asked for" in project.run(passed=6, failed=1)


def test_cassettes_are_recorded_and_played_by_several_workers(project: Project) -> None:
    project.pytester.makeconftest(SWITCHED_ON)
    asking = f"""
        import httpx, pytest

        @pytest.mark.vcr
        @pytest.mark.parametrize("number", range(4))
        def test_one(number):
            assert b"DONE" in httpx.post("{project.server.url}/v1", json={{"number": number}}).content
    """
    project.pytester.makepyfile(test_it=asking)
    project.server.always(sends(CHUNKS))
    for arguments in (["--record-mode=once"], []):
        project.run("-p", "xdist", "-n", "2", *arguments, passed=4)
    cassettes = [project.recorded(f"test_one[{number}]") for number in range(4)]
    assert all(
        interaction.deltas == DELTAS
        for cassette_file in cassettes
        for interaction in load_cassette(cassette_file, sidecar=True).interactions
    )
    assert len(project.server.requests) == 4


def test_cassettes_of_plain_vcr_tests_play_once_all_are_switched_on(project: Project) -> None:
    project.module(MANY)
    project.server.always(sends(CHUNKS))
    project.run("--record-mode=once", passed=7)
    project.pytester.makeconftest(SWITCHED_ON)
    project.run(passed=7)
    assert len(project.server.requests) == 7


@pytest.mark.parametrize("how", ["autouse", "in the test", "usefixtures"])
def test_the_fixture_is_asked_for_in_any_way(project: Project, how: str) -> None:
    text = {
        "autouse": "@pytest.fixture(autouse=True)\ndef on(stream_cassette): pass\n"
        + ONE.replace("stream_cassette", ""),
        "in the test": ONE.replace("stream_cassette", "request").replace(
            "    assert", '    request.getfixturevalue("stream_cassette")\n    assert'
        ),
        "usefixtures": '@pytest.mark.usefixtures("stream_cassette")' + ONE.replace("stream_cassette", ""),
    }[how]
    project.record(text)
    assert load_cassette(project.recorded(), sidecar=True).interactions[0].deltas == DELTAS
    project.run(passed=1)
    assert len(project.server.requests) == 1
    project.module(text.replace('assert stream().get_final_response().name == "Ada Lovelace"', "pass"))
    assert "1 of its 1 interactions were never asked for" in project.run(failed=1)


def test_faults_that_never_happen_fail_the_test(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
@pytest.mark.vcr
@pytest.mark.stream_faults(Drop(100))
def test_one(stream_cassette):
    stream().get_final_response()

@pytest.mark.vcr("test_one.yaml")
@pytest.mark.stream_cassette(whole=False)
@pytest.mark.stream_faults(Stall(3))
def test_two(stream_cassette):
    pass

@pytest.mark.stream_faults(Drop(100))
class TestServers:
    def test_three(self, replay_server):
        stream(replay_server("test_one.yaml").base_url).get_final_response()

    @pytest.mark.vcr("test_one.yaml")
    def test_four(self, stream_cassette):
        stream_cassette(faults=Trickle(3))
        stream().get_final_response()

    @pytest.mark.vcr("test_one.yaml")
    def test_five(self, stream_cassette):
        stream().get_final_response()
        raise KeyError("what went wrong first is told")
"""
    )
    out = project.run(passed=1, failed=4)
    assert out.count("fault Drop(event=100) never happened") == 2
    assert "fault Stall(seconds=3, before=0) never happened" in out
    assert "KeyError" in out


def test_without_the_extra_the_message_names_it(project: Project) -> None:
    project.module("\ndef test_one(stream_cassette): pass\n\ndef test_two(replay_server): pass\n")
    project.pytester.makeconftest("import sys\nsys.modules['pytest_recording.network'] = None\n")
    out = project.run("-p", "no:recording", errors=2)
    for feature in ("stream_cassette", "replay_server"):
        assert f"MissingExtra: {feature} needs an extra: pip install 'instructor_stream_ext[testing]'" in out
    options = ("-p", "instructor_stream_pytest", "-p", "no:recording", "-p", "no:cov", "--record-mode")
    for arguments in (["once"], ["--co", "--record-mode=once"]):
        refused = project.pytester.runpytest_subprocess(*options, *arguments)
        assert refused.ret == pytest.ExitCode.USAGE_ERROR
        refused.stderr.fnmatch_lines(
            ["ERROR: --record-mode needs an extra: pip install 'instructor_stream_ext?testing?'"]
        )


def test_other_tests_are_not_touched(project: Project) -> None:
    project.record("@pytest.mark.vcr\ndef test_one():\n    assert stream().get_final_response().age == 36\n")
    assert not Path(f"{project.recorded()}.timing.json").exists()
    assert 'string: "data:' in project.recorded().read_text(encoding="utf-8").replace("'", '"')


def test_what_a_fixture_sends_before_stream_cassette_is_there_is_scrubbed_too(project: Project) -> None:
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


BARE = """
def stream():
    client = wrap(instructor.from_openai(openai.OpenAI(), mode=instructor.Mode.JSON_SCHEMA))
    return client.create_partial(model="m", messages="go", response_model=Person)
"""


def test_a_replay_needs_no_key_and_no_address(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    project.record(ONE)
    project.module(BARE + ONE)
    project.run("--strict-cassettes", passed=1)


def test_a_request_that_has_changed_is_a_warning_or_a_failure(project: Project) -> None:
    project.record(ONE)
    changed = ONE.replace("stream()", "stream(messages='come')")
    head = "def stream(url=URL, messages='go'):" + HEAD.partition("def stream(url=URL):")[2].replace('"go"', "messages")
    head = head.format(url=f"{project.server.url}/v1")
    project.module(head + changed)
    said = 'messages[0].content: "go" was recorded, "come" is sent'
    ours_alone = ("-W", "ignore", "-W", "default::instructor_stream_ext.testing.StaleCassette")
    out = project.run(*ours_alone, passed=1, warnings=1)
    assert "StaleCassette: test_one.yaml: POST /v1/chat/completions is no longer the request that was recorded" in out
    assert said in out
    assert said in project.run("--strict-cassettes", failed=1)
    for settings, outcome in (("strict=True", "failed"), ("strict=True, ignore=('messages[0].content',)", "passed")):
        call = changed.replace("    assert", f"    stream_cassette({settings})\n    assert")
        project.module(head + call)
        project.run(**{outcome: 1})
    project.module(head + changed.replace("def test", "@pytest.mark.stream_cassette(ignore='messages')\ndef test"))
    project.run("--strict-cassettes", passed=1)


def test_a_request_that_is_not_on_the_cassette_names_itself_and_is_sent_once(project: Project) -> None:
    project.record(ONE)
    retrying = BARE.replace("openai.OpenAI()", "openai.OpenAI(base_url=URL + '/other', api_key='k', max_retries=5)")
    project.module(retrying + ONE)
    out = project.run(failed=1)
    assert "POST http://127.0.0.1" in out
    assert "/v1/other/chat/completions is not on the cassette; the closest one is POST http" in out
    assert "which differs in path" in out
    assert out.count("is not on the cassette") <= 2  # where it happened, and in the summary


def test_hosts_that_the_user_allows_are_reached(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
import socket

@pytest.fixture
def vcr_config():
    return {"allowed_hosts": ["192\\\\.0\\\\.2\\\\..*"]}

def reach(host):
    with socket.socket() as one:
        one.settimeout(0.01)
        one.connect((host, 9))

@pytest.mark.vcr
def test_one(stream_cassette):
    stream().get_final_response()
    with pytest.raises(Exception, match="a test tried to connect"):  # said by the tests of this package
        reach("192.0.2.1")
    with pytest.raises(RuntimeError, match="(?i)network"):
        reach("198.51.100.1")
"""
    )
    project.run(passed=1)


MISSED = {
    "requests": "requests.post(URL, json={})",
    "urllib": "urllib.request.urlopen(URL, b'{}')",
    "boto3": "boto3.client('bedrock-runtime', endpoint_url=URL).converse(modelId='m', messages=[])",
    "httpx": "httpx.post(URL, json={})",
    "async": "asyncio.run(ask())",
}


@pytest.mark.parametrize("library", MISSED)
def test_a_missing_cassette_is_said_once_whatever_asks(project: Project, library: str) -> None:
    """boto3 would try three times, openai six."""
    project.module(
        f"""
import asyncio, boto3, httpx, requests, urllib.request

async def ask():
    async with openai.AsyncOpenAI(base_url=URL, max_retries=5) as client:
        await client.models.list()

@pytest.mark.vcr
def test_one(stream_cassette):
    with pytest.raises(pytest.fail.Exception, match="no cassette at .*one.yaml: record it with --record-mode=once"):
        {MISSED[library]}
    assert len(stream_cassette.misses) == 1
"""
    )
    assert "no cassette at" in project.run(failed=1)  # also where the client, or the test, has hidden it
    assert not project.server.requests


def test_a_miss_that_is_hidden_stands_below_the_error_of_the_test(project: Project) -> None:
    project.record(ONE)
    project.module(
        """
import httpx, threading

@pytest.mark.vcr
def test_one(stream_cassette):
    stream().get_final_response()
    answers = []
    def ask():
        try:
            answers.append(httpx.post(URL + "/other?key=abc", json={}))
        except BaseException:
            pass
    asking = threading.Thread(target=ask)
    asking.start()
    asking.join()
    assert answers, "nobody knows why"
"""
    )
    out = project.run(failed=1)
    assert "nobody knows why" in out
    assert "/v1/other?key=REDACTED is not on the cassette; the closest one is POST" in out


def test_a_changed_request_stands_below_the_error_of_the_test(project: Project) -> None:
    project.record(ONE)
    project.module(ONE.replace('"Ada Lovelace"', '"Ada"').replace("    assert", CHANGED))
    out = project.run(failed=1)
    assert 'messages[0].content: "go" was recorded, "come" is sent' in out


CHANGED = """    bare = openai.OpenAI(base_url=URL)
    client = wrap(instructor.from_openai(bare, mode=instructor.Mode.JSON_SCHEMA))
    stream = lambda: client.create_partial(model="m", messages="come", response_model=Person)
    assert"""


def test_a_client_of_a_fixture_that_comes_first_needs_no_key(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    project.record(ONE)
    project.module(
        BARE
        + """
import os

@pytest.fixture
def client():
    return openai.OpenAI()

@pytest.mark.vcr
def test_one(client, stream_cassette):
    assert str(client.base_url).rstrip("/") == URL
    assert stream().get_final_response().name == "Ada Lovelace"

def test_two():
    assert "OPENAI_API_KEY" not in os.environ
"""
    )
    project.run("--strict-cassettes", passed=2)


@pytest.mark.parametrize("way", ["mark", "option"])
def test_hosts_are_allowed_in_each_way_that_pytest_recording_knows(project: Project, way: str) -> None:
    project.record(ONE)
    mark = "@pytest.mark.block_network(allowed_hosts=['127.*', '192[.]0[.]2[.].*'])" if way == "mark" else ""
    project.module(
        f"""
import socket

def reach(host):
    with socket.socket() as one:
        one.settimeout(0.01)
        one.connect((host, 9))

def reaches():
    with pytest.raises(Exception, match="a test tried to connect"):  # said by the tests of this package
        reach("192.0.2.1")
    with pytest.raises(RuntimeError, match="(?i)network is disabled"):
        reach("198.51.100.1")

{mark}
@pytest.mark.vcr
def test_one(stream_cassette):
    stream().get_final_response()
    reaches()

{mark}
@pytest.mark.stream_cassette(strict=True, ignore="messages")
def test_two(replay_server):
    assert stream(replay_server("test_one.yaml").base_url).get_final_response().age == 36
    reaches()
"""
    )
    project.run(*(["--allowed-hosts=127.*,192[.]0[.]2[.].*"] if way == "option" else []), passed=2)
