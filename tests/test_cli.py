"""cli.py: the command, in this process and as a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from instructor_stream_ext import cli
from instructor_stream_ext.cli import app
from instructor_stream_ext.testing import load_cassette, yaml
from instructor_stream_ext.testing.cassette import End
from instructor_stream_ext.testing.payload import text_of
from instructor_stream_ext.testing.sidecar import Timing, sidecar_of, sidecar_text
from tests.server.wire_chat import chat_content

BODY = b"".join(chat_content('{"name": "Ada Lovelace", "city": "Zürich"}', size=4)).decode()
CASSETTES = Path(__file__).parent / "cassettes"
CARD = "tests.testing.cassette_models:Card"
OBJECT = CASSETTES / "recorded" / "llamacpp_object_sync.yaml"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def write(path: Path, body: str = BODY, *, timing: Timing | None = None, **request: str) -> Path:
    sent = {"method": "POST", "uri": "https://api.example.com/v1/chat/completions", "body": "{}", **request}
    response = {
        "status": {"code": 200, "message": "OK"},
        "headers": {"content-type": ["text/event-stream"]},
        "body": {"string": body},
    }
    content = {"version": 1, "interactions": [{"request": {**sent, "headers": {}}, "response": response}]}
    path.write_text(yaml.serialize(content), encoding="utf-8")
    if timing is not None:
        sidecar_of(path).write_text(sidecar_text([timing]), encoding="utf-8")
    return path


@pytest.mark.parametrize("command", ["demo", "replay", "inspect", "check", "scrub"])
def test_each_command_has_help_that_tells_its_exit_codes(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert len(shown.stdout.splitlines()) > 8
    assert "Exit codes: 0 all is well." in shown.stdout
    assert command in run("--help").stdout


def test_without_a_command_help_is_shown() -> None:
    assert "Commands:" in run().output
    assert run("nonsense").exit_code == 2


# -- inspect ---------------------------------------------------------------------------------------------------------


def test_inspect_tells_what_a_cassette_holds() -> None:
    shown = run("inspect", OBJECT)
    assert shown.exit_code == 0
    assert "1 interaction(s), with a sidecar" in shown.stdout
    assert "POST http://127.0.0.1:18080/v1/chat/completions" in shown.stdout
    assert "HTTP 200 text/event-stream" in shown.stdout
    assert re.search(r"\d+ bytes, \d+ events, \d+ deltas, \d+ chars", shown.stdout)
    assert "end: complete; the provider said 'stop'" in shown.stdout
    assert re.search(r"\d+ chunks from \d+\.\d+ s to \d+\.\d+ s, longest gap", shown.stdout)
    rows = re.findall(r"^ +([\d.]+) s ([·+]*) *(█*) +(\d+) chars$", shown.stdout, re.MULTILINE)
    assert len(rows) == 12
    assert [int(chars) for *_, chars in rows] == sorted(int(chars) for *_, chars in rows)
    assert rows[-1][2] == "█" * 40
    assert "text: '{" in shown.stdout


def test_inspect_tells_how_cassettes_ended(tmp_path: Path) -> None:
    shown = run("inspect", CASSETTES / "recorded" / "proxy_killed_async.yaml").stdout
    assert "end: cut (RemoteProtocolError: peer closed" in shown
    assert (
        "end: abandoned (left by the client)"
        in run("inspect", CASSETTES / "recorded/llamacpp_left_early_sync.yaml").stdout
    )
    assert "error: " in run("inspect", CASSETTES / "recorded/llamacpp_bad_request_sync.yaml").stdout
    bare = run("inspect", write(tmp_path / "bare.yaml")).stdout
    assert "without a sidecar" in bare
    assert "end: unknown (no sidecar)" in bare


def test_every_cassette_of_ours_can_be_inspected() -> None:
    for cassette_file in CASSETTES.rglob("*.yaml"):
        assert run("inspect", cassette_file).exit_code == 0


# -- replay ----------------------------------------------------------------------------------------------------------


def test_replay_shows_partials_and_last_the_object() -> None:
    shown = run("replay", OBJECT, "--model", CARD, "--speed", 0)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert len(lines) > 10
    assert '"active":' in lines[-1]
    assert len(lines[0]) < len(lines[-1])


def test_replay_without_a_model_shows_the_text() -> None:
    shown = run("replay", OBJECT, "--speed", 0)
    assert shown.exit_code == 0
    assert shown.stdout.startswith('{"')
    assert shown.stdout.endswith("}\n")


@pytest.mark.parametrize(
    ("cassette_file", "said"),
    [
        ("llamacpp_length_sync", "OutputTruncated"),
        ("llamacpp_refusal_sync", "NoOutput"),
        ("proxy_killed_async", "StreamInterrupted: .*the recorded connection broke: RemoteProtocolError"),
        ("llamacpp_bad_request_sync", "StreamInterrupted|ConnectionError"),
    ],
)
def test_replay_of_what_did_not_end_well_says_so_in_one_line(cassette_file: str, said: str) -> None:
    model = "tests.testing.cassette_models:Catalogue" if "refusal" not in cassette_file else CARD
    shown = run("replay", CASSETTES / "recorded" / f"{cassette_file}.yaml", "--model", model, "--speed", 0)
    assert shown.exit_code == 1
    assert re.search(said, one_line(shown.stderr))


def test_replay_of_another_model_fails() -> None:
    shown = run("replay", OBJECT, "--model", "tests.testing.cassette_models:Catalogue", "--speed", 0)
    assert shown.exit_code == 1
    assert "RetriesExhausted" in one_line(shown.stderr)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--model", "no.such.module:Card"], 3, "No module named"),
        (["--model", "tests.testing.cassette_models:Nobody"], 3, "has no attribute 'Nobody'"),
        (["--model", "Card"], 2, "give it as module:Class"),
        (["--interaction", "2"], 3, "has 1 interactions, so there is no number 2"),
        (["--speed", "-1"], 2, "must be 0 or more"),
        (["--speed", "nan"], 2, "must be 0 or more"),
    ],
)
def test_replay_of_what_cannot_be(arguments: list[str], code: int, said: str) -> None:
    shown = run("replay", OBJECT, *arguments)
    assert shown.exit_code == code
    assert said in shown.stderr


@pytest.mark.parametrize(("code", "said"), [("1 / 0", "ZeroDivisionError"), ("class", "SyntaxError")])
def test_a_model_whose_module_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, said: str
) -> None:
    name = f"broken_by_{said.lower()}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    shown = run("replay", OBJECT, "--model", f"{name}:Card")
    assert shown.exit_code == 3
    assert f"--model {name}:Card: cannot be imported: {said}" in one_line(shown.stderr)


# -- check and scrub -------------------------------------------------------------------------------------------------


def test_check_passes_our_own_cassettes() -> None:
    shown = run("check", CASSETTES)
    assert shown.exit_code == 0, shown.output
    assert re.match(r"\d+ cassette\(s\), 0 finding\(s\)", shown.stdout)


KEY = "sk-" + "a1" * 12
ENDLESS = "".join(f"{event}\n\n" for event in BODY.split("\n\n")[:3])


def test_check_finds_what_must_not_be(tmp_path: Path) -> None:
    write(tmp_path / "secret.yaml", BODY.replace("chatcmpl-1", KEY, 1))
    write(tmp_path / "query.yaml", uri="https://api.example.com/v1/x?key=abc&alt=sse")
    write(tmp_path / "empty.yaml", "")
    write(tmp_path / "endless.yaml", ENDLESS)
    spread = "".join(chunk.decode() for chunk in chat_content(f"it is {KEY}", size=5))
    write(tmp_path / "spread.yaml", spread)
    write(tmp_path / "good.yaml")
    shown = run("check", tmp_path)
    assert shown.exit_code == 1
    found = dict(re.findall(r"/(\w+)\.yaml:\d+: (.*)", shown.stdout))
    assert found.keys() == {"secret", "query", "empty", "endless", "spread"}
    assert found["secret"] == "an OpenAI or Anthropic key (sk-a1a...)"
    assert found["query"] == "a key is in the address"
    assert found["empty"] == "the body is empty"
    assert found["endless"].startswith("the stream has no end signal")
    assert found["spread"].startswith("an OpenAI or Anthropic key is in the model's text, spread over several pieces")
    assert "6 cassette(s), 5 finding(s)" in shown.stderr
    line = next(
        number for number, text in enumerate((tmp_path / "secret.yaml").read_text().splitlines(), 1) if KEY in text
    )
    assert f"secret.yaml:{line}: " in shown.stdout


def test_check_takes_a_declared_end(tmp_path: Path) -> None:
    size = len(ENDLESS.encode())
    for end, code in ((End.CUT, 0), (End.ABANDONED, 0), (End.COMPLETE, 1)):
        write(tmp_path / "cassette.yaml", ENDLESS, timing=Timing(size=size, chunks=((0, 1.0),), end=end))
        assert run("check", tmp_path / "cassette.yaml").exit_code == code


def test_check_reports_a_cassette_that_cannot_be_read(tmp_path: Path) -> None:
    cassette_file = write(tmp_path / "cassette.yaml", timing=Timing(size=3, chunks=((0, 1.0),)))
    shown = run("check", cassette_file)
    assert shown.exit_code == 1
    assert "its sidecar (line 4) says 3" in shown.stdout


def test_scrub_masks_in_place_and_the_sidecar_stays_true(tmp_path: Path) -> None:
    body = BODY.replace("chatcmpl-1", f"{KEY} bob.b@mail.zurich.ch", 1)
    size = len(body.encode())
    cassette_file = write(
        tmp_path / "t.yaml", body, timing=Timing(size=size, chunks=((0, 1.0), (9, 2.0))), uri="http://x.example/?key=k"
    )
    before = cassette_file.read_text(encoding="utf-8")
    dry = run("scrub", cassette_file, "--dry-run")
    assert "would be scrubbed" in dry.stdout
    assert cassette_file.read_text(encoding="utf-8") == before
    assert run("scrub", cassette_file).stdout.strip() == f"{cassette_file}: scrubbed"
    after = cassette_file.read_text(encoding="utf-8")
    assert KEY not in after
    assert "bob" not in after
    assert "REDACTED" in after
    assert run("check", cassette_file).exit_code == 0
    assert run("scrub", cassette_file).stdout == ""


def test_scrub_masks_a_key_that_the_model_wrote_in_several_pieces(tmp_path: Path) -> None:
    spread = b"".join(chat_content(f"it is {KEY}", size=5))
    cassette_file = write(
        tmp_path / "t.yaml", spread.decode(), timing=Timing(size=len(spread), chunks=((0, 1.0), (9, 2.0)))
    )
    assert run("check", cassette_file).exit_code == 1
    assert run("scrub", cassette_file).exit_code == 0
    assert run("check", cassette_file).exit_code == 0
    assert text_of(load_cassette(cassette_file).interactions[0].body) == "it is REDACTED" + "*" * (len(KEY) - 8)


def test_check_leaves_exchanges_with_no_model_alone(tmp_path: Path) -> None:
    write(tmp_path / "empty.yaml", "", uri="https://api.example.com/v1/hooks")
    write(tmp_path / "events.yaml", "data: {}\n\n", uri="https://api.example.com/mcp")
    assert run("check", tmp_path).exit_code == 0
    asked = write(tmp_path / "gateway.yaml", "", uri="https://gateway.example.com/ask")
    asked.write_text(
        asked.read_text(encoding="utf-8").replace("body: '{}'", "body: '{\"messages\": []}'"), encoding="utf-8"
    )
    assert "gateway.yaml:2: the body is empty" in run("check", tmp_path).stdout


def test_scrub_and_check_look_at_the_words_of_the_sidecar(tmp_path: Path) -> None:
    size = len(BODY.encode())
    error = f"ReadError: bad key {KEY}"
    timing = Timing(request=f"POST /{KEY}", size=size, chunks=((0, 1.0),), end=End.CUT, error=error)
    cassette_file = write(tmp_path / "t.yaml", timing=timing)
    found = run("check", cassette_file)
    assert found.exit_code == 1
    assert found.stdout.count("t.yaml.timing.json:") == 2
    assert "would be scrubbed" in run("scrub", cassette_file, "--dry-run").stdout
    assert KEY in sidecar_of(cassette_file).read_text(encoding="utf-8")
    assert run("scrub", cassette_file).stdout.strip() == f"{cassette_file}: scrubbed"
    assert KEY not in sidecar_of(cassette_file).read_text(encoding="utf-8")
    assert run("check", cassette_file).exit_code == 0
    assert load_cassette(cassette_file).interactions[0].end is End.CUT


# -- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["replay", "inspect", "check", "scrub"])
def test_what_is_not_there_is_one_line(command: str, tmp_path: Path) -> None:
    shown = run(command, tmp_path / "none.yaml")
    assert shown.exit_code == 3
    assert one_line(shown.stderr).startswith("instructor-stream: ")
    assert "none.yaml" in shown.stderr


@pytest.mark.parametrize("command", ["check", "scrub"])
def test_a_folder_without_cassettes_is_a_fault(command: str, tmp_path: Path) -> None:
    shown = run(command, tmp_path)
    assert shown.exit_code == 3
    assert "there is no cassette in this folder" in one_line(shown.stderr)


def test_a_broken_cassette_is_one_line_with_file_line_and_advice(tmp_path: Path) -> None:
    cassette_file = tmp_path / "broken.yaml"
    cassette_file.write_text("interactions:\n- request: {\n", encoding="utf-8")
    for command in ("replay", "inspect", "scrub"):
        shown = run(command, cassette_file)
        assert shown.exit_code == 3
        assert re.search(r"broken.yaml:\d+: is not complete YAML.*restore the file", one_line(shown.stderr))


def test_it_runs_as_a_command() -> None:
    def process(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "instructor_stream_ext.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CASSETTES.parent.parent)

    good = process("check", str(CASSETTES))
    assert (good.returncode, good.stderr) == (0, "")
    bad = process("inspect", "none.yaml")
    assert bad.returncode == 3
    assert one_line(bad.stderr) == (
        "instructor-stream: none.yaml:1: cannot be read (No such file or directory); check the path"
    )


def test_the_demo_is_one_of_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    from instructor_stream_ext.demo import __main__ as demo

    called: list[object] = []
    monkeypatch.setattr(demo, "main", called.append)
    assert run("demo", "--speed", 2).exit_code == 0
    assert called == [["--speed", "2.0"]]
    assert run("demo", "--speed", -1).exit_code == 2


@pytest.mark.parametrize("options", [(), ("--model", CARD)])
def test_a_replayed_stream_does_not_drive_the_terminal(tmp_path: Path, options: tuple[str, ...]) -> None:
    hostile = "\x1b]52;c;c3RlYWw=\x07\x9b2J"
    text = json.dumps({"name": hostile, "city": hostile}, ensure_ascii=False) if options else hostile
    cassette_file = write(tmp_path / "cassette.yaml", b"".join(chat_content(text, size=3)).decode())
    shown = run("replay", cassette_file, "--speed", "0", *options)
    assert not re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]", shown.output)
    assert r"\x9b2J" in shown.output


def test_the_version_and_a_model_that_is_none(tmp_path: Path) -> None:
    shown = run("--version")
    assert (shown.exit_code, shown.stdout) == (0, f"instructor-stream {version('instructor-stream-ext')}\n")
    cassette_file = write(tmp_path / "cassette.yaml")
    none = run("replay", cassette_file, "--model", "tests.testing.cassette_models:__all__", "--speed", "0")
    assert none.exit_code == 3
    assert "cannot be a response model" in one_line(none.stderr)


def test_many_cassettes_have_a_bar_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{number}.yaml" for number in range(cli.MANY)]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(cli._counted(paths)) == paths
    assert "100%" in capsys.readouterr().err
    assert list(cli._counted(paths[:3])) == paths[:3]
    assert not capsys.readouterr().err
