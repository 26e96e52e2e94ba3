"""Each example runs as it is printed, without a key and without leaving this machine."""

from __future__ import annotations

import gc
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

NO_EXAMPLES = {"local_model": "answers the others in OpenAI's place"}
"""Files that are there for the examples; all others are run."""

SHOWN = {
    "quickstart": r"partial: Lisbon None \[\].*validated: Lisbon 545000 \['Alfama', 'Belém', 'the 28 tram'\]",
    "async_stream": r"Ana: Caldo verde, step 2.*Ana: Caldo verde, step 3.*Boil the potatoes.*Boil the potatoes",
    "hooks": r"sends to gpt-4o-mini.*complete.*'goal'.*item.*brew.*ended +completed with stop\n.*final +goal='coffee'",
    "cost": r"about \$ 0\.000\d+\n.*\$ 0\.000\d+, estimated: False\nmax_cost: .* beyond 0\.0001 US dollars; \d+ char.*",
    "reasoning": r"Two hours, and they like tiles.*Santa Apolónia: \['Museu do Azulejo', 'Cais do Sodré'\]\n"
    r"it thought 85 characters, from 0\.\d\d s on\nTrue False",
    "debounce": r"each change: +57 partials.*every 10 deltas: +6 partials.*transitions: +15.*only the final: +0",
    "retries": r"1 guest='Ada' nights=0.*attempt 2, because of .*greater than or equal to 1.*attempt 3, because of a "
    r"booking needs a room.*3 attempts, Usage\(input_tokens=60",
    "repair": r"Caldo verde \['Boil the potatoes', 'Slice the kale'\]\nrepaired: True in 1 attempt",
    "continuation": r"2 One night.*3 She answers its lamp until the morning\.\n1 continuation, 1 attempt, Usage\(",
    "parallel_tools": r"0 PartialWeather\(city='Lis.*0 Weather\(city='Lisbon', days=3\)\n1 PartialReminder.*"
    r"\['Weather', 'Reminder'\]",
    "errors": r"OutputTruncated: kept \['The sea withdr'\].*OutputFiltered: kept.*StreamInterrupted: kept.*NoOutput: "
    r".*RetriesExhausted: no valid answer",
    "migration_from_instructor": r"before.*the last: Meeting\(topic='Harbour', notes=\['Dredging beg'\]\).*after.*"
    r"notes=\['Dredging begins in May\.', .*cut off:",
    "transition_log": r"field_complete .*owner: streaming -> complete = \"Ada\".*token: .*\*{10}.*limits: .* = \*{10}.*"
    r"gate_passed.*end .*\nAda \*{10}\n",
    "tracing": r"chat gpt-4o-mini\n.*gen_ai\.usage\.output_tokens.*instructor_stream\.attempts: 2.*outcome: completed.*"
    r"gen_ai\.client\.operation\.duration s\n",
    "terminal": r'"name": "Bird 1".*"name": "Bird 8".*"name": "Bird 8"',
    "items": r"Rossio 5\nOriente 8\nCais do Sodré 7\nskipped .*Ghost.*greater than or equal to 1\n3 in all",
    "text": r"sentence: Nobody has asked it why! \n.*five words: it why! It would not \n.*\|.*\['sea', 'time'\]",
    "conversation": r"It is a long story\. \n.*name='Sagres' country='Portugal'\n.*'interrupted': True.*Sagres",
    "testing_with_fakes": r"passed: test_a_good_order.*passed: test_a_bad.*\(0\.5, None\).*cut off: 'caldo ver'\n"
    r"passed: test_the_token_limit",
    "testing_with_cassettes": r"final: name='.* active=\S+ after \d+ ms.*broken: .*active=None.*"
    r"stalled: idle timeout: no further",
    "many_models": r"gpt-4o\S* StreamStarted\n.*StreamEnded\n.*\{'gpt-4o-mini': Name\(.*\nTrue name='Fernando'",
    "routing": r"openai/gpt-4o-mini +TOOLS +\d\d steps to Lisbon; price \$0\.0000.*groq/\S+ +MD_JSON +\d\d.*"
    r"mistral/\S+ +JSON_SCHEMA +\d\d.*hosted_vllm.*price unknown",
    "fallback": r"1 Bread \['Mix flour and wa'\]\n--- void: openai/gpt-4o-mini failed \(StreamInterrupted\), "
    r"mistral/\S+ begins\n(2 (?:F\w*|None) \[[^\n]*\]\n)+cost: \$ \d\.\S+e-05 of which some is estimated",
    "compare_models": r"(?=.*It look)(?:.*?\S+ is done: Fernando, for \$ \S+e-0\d){3}",
    "web_fastapi": r"/by-hand https://front.example .*event: done.*/ideas https://front.example .*Cold tea.*",
    "field_states": r"'Two ' streaming None \[\]\n.*'Two books' complete 'Rua Augusta 1' \[\]\n.*blue cloth"
    r".*all lines have come.*id=7",
}
"""What an example must have said, as a regular expression over all its lines."""

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem not in NO_EXAMPLES)


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a shell without keys, in a folder of its own; the local model does not pause."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "")  # so that what an example sets is undone
        monkeypatch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("LOCAL_MODEL_PAUSE", "0")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(name: str, local: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts leave the closing of their clients to the end of the process."""
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    gc.collect()
    said = capsys.readouterr().out
    assert said.strip(), "an example shows something"
    assert re.search(SHOWN.get(name, "."), said, re.DOTALL), said


def test_what_is_expected_is_expected_of_something() -> None:
    assert SHOWN.keys() <= set(NAMES)
    assert NO_EXAMPLES.keys() == {path.stem for path in EXAMPLES.glob("*.py")} - set(NAMES)


def test_from_a_shell_without_a_key(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    env |= {"PYTHONPATH": str(EXAMPLES.parent), "PYTHONIOENCODING": "utf-8", "LOCAL_MODEL_PAUSE": "0"}
    command = [sys.executable, "-W", "error", str(EXAMPLES / "quickstart.py")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "validated: Lisbon" in done.stdout
