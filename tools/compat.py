"""The tests that SDKs can break, in one environment per column of a table of versions: `make compat`.

    python tools/compat.py [--list] [--only lowest,py3.13] [-- pytest's arguments]

A column says which Python and which versions; what it does not name is the newest that there is. Environments are kept
in `.venv-compat`, and made by uv where it is installed, by venv and pip where it is not; both with the index that this
machine's pip is configured for. A Python that cannot be found is skipped with a line. At the end there is a table, and
the exit status is 1 if a column has failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venv-compat"
SHOWN = ("instructor", "openai", "anthropic", "google-genai", "litellm", "pydantic", "vcrpy", "pytest")
OF_THE_NEWEST = {"test_docs.py", "test_examples.py"}
"""Tests of pages and examples, which show the newest of what they show."""
TESTS = ["tests/routing", "tests/providers", "tests/testing"]
TESTS += sorted(f"tests/{path.name}" for path in ROOT.glob("tests/test_*.py") if path.name not in OF_THE_NEWEST)
LOWER = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)")


@dataclass(frozen=True)
class Column:
    """One environment.

    Attributes:
        python: Such as "3.12".
        pins: Requirements beside the project's own.
        lowest: Whether all that users install is at its lower bound.
    """

    python: str = "3.11"
    pins: tuple[str, ...] = ()
    lowest: bool = False


COLUMNS = {
    "lowest": Column(lowest=True),
    "lowest, openai 2": Column(lowest=True, pins=("openai<3",)),
    "newest": Column(),
    "openai 2": Column(pins=("openai<3",)),
    "anthropic lowest": Column(pins=("anthropic==0.93.*",)),
    "google-genai lowest": Column(pins=("google-genai==1.55.*",)),
    "litellm lowest": Column(pins=("litellm==1.83.*",)),
    "pydantic lowest": Column(pins=("pydantic==2.12.*",)),
    "vcrpy lowest": Column(pins=("vcrpy==9.4.*",)),
    "pytest lowest": Column(pins=("pytest==8.2.*",)),
    "py3.12": Column(python="3.12"),
    "py3.13": Column(python="3.13"),
    "py3.14": Column(python="3.14"),
}


@dataclass
class Outcome:
    """What came of a column."""

    said: str
    failed: bool = False
    versions: dict[str, str] = field(default_factory=dict)


def lower_bounds() -> list[str]:
    """What users install, each at the lowest version that the metadata allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [each for name, some in project["optional-dependencies"].items() if name != "dev" for each in some]
    found = [LOWER.match(each) for each in [*project["dependencies"], *extras]]
    ours = "instructor-stream-ext"
    return [f"{match[1]}=={_minor(match[2])}.*" for match in found if match and match[1] != ours]


def _minor(version: str) -> str:
    """Two numbers: patches of the lowest minor version are as good as the first of them, which may be gone."""
    return ".".join([*version.split("."), "0"][:2])


def interpreter(version: str) -> str | None:
    """The path of a Python, None if there is none; pyenv's shims are there for versions that are not."""
    names = [f"python{version}"]
    if shutil.which("pyenv"):
        said = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=False).stdout
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
        these = [each for each in said.split() if each.startswith(f"{version}.")]
        names = [*(f"{root}/versions/{each}/bin/python" for each in these), *names]
    for name in names:
        path = shutil.which(name)
        asked = [path or "", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if path and subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == version:
            return path
    return None


def make(column: Column, place: Path, python: str) -> str:
    """Make an environment; returns what went wrong, "" if nothing did."""
    wanted = ["--editable", f"{ROOT}[dev]", *(lower_bounds() if column.lowest else ()), *column.pins]
    uv = shutil.which("uv")
    if uv:
        steps = [[uv, "venv", "--quiet", "--clear", "--python", python, str(place)]]
        steps.append([uv, "pip", "install", "--quiet", "--python", str(place / "bin" / "python"), *wanted])
    else:
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        steps = [[python, "-m", "venv", "--clear", str(place)], [*pip, *wanted]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            return (done.stderr.strip() or done.stdout.strip())[-2000:]
    return ""


def versions(place: Path) -> dict[str, str]:
    """What was installed."""
    ask = f"import importlib.metadata as m\nfor n in {SHOWN}: print(n, m.version(n))"
    said = subprocess.run([place / "bin" / "python", "-c", ask], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


def tried(column: Column, place: Path, arguments: list[str]) -> Outcome:
    """Make an environment and run the tests in it."""
    python = interpreter(column.python)
    if python is None:
        return Outcome(f"skipped: no Python {column.python} on this machine")
    print(f"== {place.name}: installing", flush=True)
    if wrong := make(column, place, python):
        print(wrong)
        return Outcome("cannot be installed", failed=True)
    command = [place / "bin" / "python", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", *arguments]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        last = ""
        for line in running.stdout or ():
            print(line, end="", flush=True)
            last = line if line.strip() else last
    said = last.strip().strip("=").strip()
    return Outcome(said, running.returncode != 0, versions(place))


def main() -> int:
    """Try the columns that were asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="columns, with commas between them")
    parser.add_argument("--list", action="store_true", help="say which columns there are, and end")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest in place of the tests that SDKs can break")
    options = parser.parse_args()
    chosen = [name.strip() for name in options.only.split(",") if name.strip()] or list(COLUMNS)
    if unknown := [name for name in chosen if name not in COLUMNS]:
        parser.error(f"no column {', '.join(map(repr, unknown))}; there are {', '.join(COLUMNS)}")
    if options.list:
        print(*(f"{name:<20} {COLUMNS[name]}" for name in chosen), sep="\n")
        return 0
    os.environ.pop("VIRTUAL_ENV", None)
    PLACE.mkdir(exist_ok=True)
    outcomes = {
        name: tried(COLUMNS[name], PLACE / re.sub(r"[^\w.]+", "-", name), options.pytest or TESTS) for name in chosen
    }
    print(f"\n| column | Python | {' | '.join(SHOWN)} | outcome |")
    print(f"|---{'|---' * (len(SHOWN) + 2)}|")
    for name, outcome in outcomes.items():
        row = [name, COLUMNS[name].python, *(outcome.versions.get(each, "") for each in SHOWN), outcome.said]
        print(f"| {' | '.join(row)} |")
    return int(any(outcome.failed for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
