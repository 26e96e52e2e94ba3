"""Who may import whom: arrows point down, each heavy dependency has its room, importing the package brings no extra."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import instructor_stream_ext

PACKAGE = instructor_stream_ext.__name__
ROOT = Path(instructor_stream_ext.__file__).parent

LAYERS: dict[str, int] = {
    "core": 0,
    "wire": 1,
    "hooks": 1,
    "retries": 1,
    "ports": 2,
    "watchdog": 3,
    "script": 3,
    "drivers": 4,
    "_instructor": 4,
    "shape": 5,
    "streams": 5,
    "many": 6,
    "sinks": 6,
    "calls": 6,
    "arguments": 6,
    "sync_client": 7,
    "async_client": 7,
    "client": 8,
    "conversation": 8,
    "__init__": 9,
}
"""Modules and folders of the package by layer; what is not named here stands on top of all."""
TOP = 10

ROOMS: dict[str, tuple[str, ...]] = {
    "instructor": ("_instructor", "core/errors", "demo", "testing"),
    "litellm": ("routing", "wire", "testing"),
    "starlette": ("web",),
    "redis": ("web",),
    "opentelemetry": ("sinks",),
    "rich": ("sinks", "cli", "demo"),
    "anthropic": ("wire", "testing"),
    "google": ("wire", "testing"),
    "vcr": ("testing",),
    "hypothesis": ("testing",),
    "typer": ("cli",),
    "uvicorn": ("web", "demo", "testing", "cli"),
}
"""Where alone a dependency may be imported. The demo and the fakes for tests are instructor's users like any other."""

MAY_STAND_ON_TOP = {
    "instructor": ("_instructor", "core/errors", "demo", "testing"),
    "starlette": ("web",),
    "rich": ("sinks/terminal", "demo", "cli"),
    "vcr": ("testing",),
    "hypothesis": ("testing",),
    "typer": ("cli",),
}
"""Of these rooms, those that nobody enters without wanting the dependency."""

MODULES = sorted(ROOT.rglob("*.py"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def _layer(module: str) -> int:
    """The layer of `core/errors`, `hooks` and the like."""
    return LAYERS.get(module.partition("/")[0], TOP)


def _imports(tree: ast.AST, *, is_inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Each imported module by its full name, and whether a function imports it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, is_inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module, is_inside
            if node.module == PACKAGE:
                for alias in node.names:
                    yield f"{PACKAGE}.{alias.name}", is_inside
        else:
            within = is_inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(node)
            yield from _imports(node, is_inside=within)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _read(path: Path) -> list[tuple[str, bool]]:
    return list(_imports(ast.parse(path.read_text())))


every_module = pytest.mark.parametrize("path", MODULES, ids=_name)


@every_module
def test_arrows_point_down(path: Path) -> None:
    layer = _layer(_name(path))
    for imported, _ in _read(path):
        if imported == PACKAGE:
            assert layer == TOP, f"{_name(path)} imports the table of contents"
        elif imported.startswith(f"{PACKAGE}."):
            below = imported.split(".")[1]
            if layer < TOP and (ROOT / below).with_suffix(".py").exists() | (ROOT / below).is_dir():
                allowed = _layer(below) <= layer
                assert allowed, f"{_name(path)} (layer {layer}) imports {imported} (layer {_layer(below)})"


@every_module
def test_each_dependency_keeps_to_its_room(path: Path) -> None:
    name = _name(path)
    for imported, is_inside in _read(path):
        root = imported.partition(".")[0]
        if root not in ROOMS:
            continue
        assert name.startswith(ROOMS[root]), f"{name} imports {imported}"
        if not is_inside:
            assert name.startswith(MAY_STAND_ON_TOP.get(root, ())), f"{name} imports {imported} when it is imported"


@pytest.mark.parametrize("path", [path for path in MODULES if _name(path).startswith("core/")], ids=_name)
def test_the_core_knows_no_time_no_loop_and_no_log(path: Path) -> None:
    outside = {"asyncio", "threading", "logging", "time", "socket", "httpx", "openai", "tenacity", "warnings"}
    if path.stem == "plans":
        outside.discard("threading")  # a lock around the cache of plans, which starts nothing
    assert not outside & {imported.partition(".")[0] for imported, _ in _read(path)}


def test_the_tables_are_about_what_is_there() -> None:
    """A renamed module would otherwise escape them."""
    for module in LAYERS:
        assert (ROOT / module).with_suffix(".py").exists() or (ROOT / module).is_dir(), module
    names = [_name(path) for path in MODULES]
    instructors = [
        name
        for name in names
        if any(
            imported == "instructor" or imported.startswith("instructor.") for imported, _ in _read(ROOT / f"{name}.py")
        )
    ]
    assert [name for name in instructors if _layer(name) < TOP] == ["_instructor", "core/errors"]
    assert [_layer(name) for name in ("core/errors", "core/machine", "hooks", "routing", "routing/x")] == [
        0,
        0,
        1,
        TOP,
        TOP,
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
