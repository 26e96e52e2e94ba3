"""Who may import whom: each room has a list of what it may import, and nothing imports in a circle."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import instructor_stream_ext

PACKAGE = instructor_stream_ext.__name__
ROOT = Path(instructor_stream_ext.__file__).parent

PLAIN = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "html",
    "inspect",
    "io",
    "itertools",
    "json",
    "math",
    "re",
    "sys",
    "types",
    "typing",
    "uuid",
}
"""The part of the standard library that everybody may use: it knows no clock, no loop, no thread, no file, no log."""


class Room(NamedTuple):
    """What the modules of a folder, or one module, may import.

    Attributes:
        rooms: Other rooms of the package.
        standard: Of the standard library, beside `PLAIN`.
        packages: Of what is installed with this package.
        extras: Of what is not, and of what costs much: only inside of functions.
    """

    rooms: str = ""
    standard: str = ""
    packages: str = ""
    extras: str = ""


CORE = "core core/document core/types"
PYDANTIC = "pydantic pydantic_core typing_extensions"

ROOMS = {
    "__init__": Room(standard="importlib"),
    # text and numbers: no clock, no loop, no log, no I/O
    "core": Room("core core/document", packages="pydantic pydantic_core regex typing_extensions"),
    "core/errors": Room("core", packages="instructor"),
    "core/document": Room(CORE, packages="pydantic"),
    "core/types": Room("core core/types", standard="pathlib", packages=PYDANTIC),
    "core/types/compile": Room("core core/types", standard="threading"),
    # from a provider's chunks to text and signals
    "providers": Room("core providers", packages="openai pydantic_core", extras="anthropic google importlib"),
    # a stream from its first request to its end; only the drivers know a clock, tasks and threads
    "session": Room("core providers session", standard="logging warnings weakref", packages="pydantic tenacity"),
    "session/drive": Room("core session session/chunks session/shielding", standard="asyncio"),
    "session/chunks": Room("session session/shielding session/waking", standard="asyncio time"),
    "session/shielding": Room(standard="asyncio"),
    "session/pump": Room("session", standard="asyncio time"),
    "session/waking": Room(standard="threading time"),
    # the seam to instructor, and what has to be closed below it
    "_instructor": Room(
        "_instructor core providers session",
        standard="asyncio contextvars gc importlib logging socket threading time",
        packages="instructor pydantic pydantic_core",
        extras="genai_prices litellm",
    ),
    # what the caller holds
    "client": Room(
        f"{CORE} _instructor client session session/drive session/shielding sinks/log",
        standard="asyncio os pathlib time warnings weakref",
        packages=f"{PYDANTIC} tenacity",
    ),
    # consumers of events
    "sinks/log": Room("core", standard="logging", packages="pydantic"),
    "sinks/telemetry": Room("core providers", standard="time", extras="opentelemetry"),
    "sinks/notebook": Room(standard="contextvars threading", packages="rich", extras="IPython"),
    "sinks/board": Room("core", packages="pydantic pydantic_core rich"),
    "sinks/terminal": Room("core client sinks/board sinks/notebook", packages="rich"),
    "sinks": Room(),
    # what stands on all of that, each with an extra of its own
    "routing": Room("_instructor client core providers routing session", standard="importlib"),
    "web": Room(
        "client core session/drive session/shielding web",
        standard="asyncio importlib logging secrets time zlib",
        packages="pydantic_core starlette",
        extras="redis",
    ),
    "testing": Room(
        "_instructor client core providers testing",
        standard="asyncio base64 binascii http importlib os pathlib random socket struct threading time "
        "unittest urllib warnings zlib",
        packages=f"hypothesis openai {PYDANTIC} vcr yaml",
        extras="aiohttp",
    ),
    "demo": Room(
        "__init__ core demo testing",
        standard="argparse importlib time",
        packages="instructor openai pydantic rich",
    ),
    "cli": Room("core client demo testing", standard="importlib pathlib time", packages="typer"),
}

MODULES = sorted(ROOT.rglob("*.py"))


class Import(NamedTuple):
    """One import statement."""

    name: str
    names: tuple[str, ...]
    is_lazy: bool


def _name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__")


def _room(module: str) -> str:
    """The room of a module: its own, or that of the nearest folder above it."""
    while module not in ROOMS:
        module, _, last = module.rpartition("/")
        assert last, "every module has a room"
    return module


def _imports(tree: ast.AST, *, is_lazy: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), is_lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield Import(node.module, tuple(alias.name for alias in node.names), is_lazy)
        else:
            within = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(node)
            yield from _imports(node, is_lazy=is_lazy or within)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@functools.cache
def _read(path: Path) -> list[Import]:
    return list(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _own(found: Import) -> list[str]:
    """The modules of this package that an import names."""
    if found.name != PACKAGE and not found.name.startswith(f"{PACKAGE}."):
        return []
    base = found.name.removeprefix(PACKAGE).removeprefix(".").replace(".", "/")
    known = {_name(path) for path in MODULES}
    below = [name for name in (f"{base}/{name}".removeprefix("/") for name in found.names) if name in known]
    return below if len(below) == len(found.names) and below else [base or "__init__", *below]


def _wrong(path: Path) -> Iterator[str]:
    """The imports of a module that its room does not allow."""
    module = _name(path) or "__init__"
    room = ROOMS[_room(module)]
    for found in _read(path):
        root = found.name.partition(".")[0]
        own = _own(found)
        if own:
            allowed = room.rooms.split()
            wrong = [one for one in own if not any(f"{one}/".startswith(f"{name}/") for name in allowed)]
            yield from (f"{module} imports {one}" for one in wrong)
        elif root in sys.stdlib_module_names:
            if root not in PLAIN | set(room.standard.split()) | set(room.extras.split()):
                yield f"{module} imports {root}"
        elif root not in room.packages.split() and not (found.is_lazy and root in room.extras.split()):
            yield f"{module} imports {root}{'' if found.is_lazy else ' when it is imported'}"


def test_each_module_imports_only_what_its_room_allows() -> None:
    assert [wrong for path in MODULES for wrong in _wrong(path)] == []


def test_nothing_imports_in_a_circle() -> None:
    """Not even lazily, or for type checkers only: where two modules need each other, they are one."""
    graph = {
        _name(path): {one for found in _read(path) for one in _own(found) if one != _name(path)} for path in MODULES
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_table_is_about_what_is_there_and_allows_no_more_than_is_used() -> None:
    """A renamed module would otherwise escape it, and a list that is too long would hold nothing."""
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for path in MODULES:
        module = _name(path) or "__init__"
        for found in _read(path):
            own = _own(found)
            used[_room(module)] |= _with_folders(own) if own else {found.name.partition(".")[0]}
    for room, lists in ROOMS.items():
        assert (ROOT / f"{room}.py").exists() or (ROOT / room).is_dir(), room
        kept = {*lists.rooms.split(), *lists.standard.split(), *lists.packages.split(), *lists.extras.split()}
        spare = kept - used[room]
        assert not spare, f"{room} does not use {sorted(spare)}"


def _with_folders(modules: list[str]) -> set[str]:
    parts = [module.split("/") for module in modules]
    return {"/".join(names[: end + 1]) for names in parts for end in range(len(names))}


def test_a_wrong_import_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "import time\nimport openai\nfrom instructor_stream_ext.client import call\nimport litellm\n"
    path = tmp_path / "core" / "machine.py"
    path.parent.mkdir()
    path.write_text(wrong, encoding="utf-8")
    monkeypatch.setattr(sys.modules[__name__], "_name", lambda path: "/".join(path.with_suffix("").parts[-2:]))
    assert list(_wrong(path)) == [
        "core/machine imports time",
        "core/machine imports openai when it is imported",
        "core/machine imports client/call",
        "core/machine imports litellm when it is imported",
    ]


def test_importing_the_package_imports_no_extra() -> None:
    program = (
        "import json, sys, instructor\n"
        "before = set(sys.modules)\n"
        "import instructor_stream_ext\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    modules: list[str] = json.loads(done.stdout)
    roots = {module.partition(".")[0] for module in modules}
    extras = {"litellm", "starlette", "redis", "opentelemetry", "anthropic", "google", "vcr", "hypothesis", "pytest"}
    assert PACKAGE in roots
    assert not extras & roots
    ours = {module.split(".")[1] for module in modules if module.startswith(f"{PACKAGE}.")}
    assert not {"routing", "web", "testing", "demo", "cli"} & ours
