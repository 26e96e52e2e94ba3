"""README.md and docs/*.md: each Python block runs, each test they name is there, each provider has its row.

The blocks of a file run from top to bottom as one program, against a server that speaks for every provider and makes
up an answer for whatever schema it is sent. HTML comments before a block say otherwise::

    <!-- answer: {"name": "Ada"} -->    the next request gets this text; several are taken in order
    <!-- cut: {"name": "A -->           the next request gets this much, then the connection just ends
    <!-- not run: needs a browser -->   the block is only compiled

A block that is to fail says so with `try`.
"""

from __future__ import annotations

import ast
import gc
import json
import re
import sys
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import instructor_stream_ext as package
from instructor_stream_ext import testing, web
from instructor_stream_ext.core import errors, policies
from instructor_stream_ext.session.hooks import HookArguments
from tests.inventing import answer
from tests.registry import combinations
from tests.server import Cut, Script, ScriptedServer, reply, sends
from tests.server.wire_format import chat_calls
from tests.test_layering import ROOMS
from tools.docs_hooks import public_names, reference

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PAPERS = [*PAGES, *(ROOT / f"{name}.md" for name in ("CONTRIBUTING", "CHANGELOG", "SECURITY"))]

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENTS = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+\Z", re.DOTALL)
_ORDER = re.compile(r"<!-- (answer|calls|cut|limit|not run): (.*?) -->", re.DOTALL)
_TEST = re.compile(r"`((?:tests/)?[\w/]+\.py)::(\w+)`")
_LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@dataclass(frozen=True)
class Block:
    """A Python block of a page, with what the comments before it order."""

    page: Path
    line: int
    code: str
    orders: tuple[tuple[str, str], ...]

    @property
    def is_run(self) -> bool:
        return all(kind != "not run" for kind, _ in self.orders)

    def compiled(self) -> types.CodeType:
        """The code with the page's own line numbers, for tracebacks."""
        return compile("\n" * self.line + self.code, str(self.page), "exec")


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        before = _COMMENTS.search(text[: found.start()])
        orders = tuple(_ORDER.findall(before[0])) if before else ()
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1], orders)


@pytest.fixture
def providers(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> ScriptedServer:
    """The SDKs find this server where they look for their provider."""
    server.always(answer)
    for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "test-key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_BASE", f"{server.url}/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_BASE", server.url)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
    return server


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Accessing the 'model_:DeprecationWarning")
@pages
def test_the_code_runs(page: Path, providers: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the pages do, readers leave the closing of their clients to the end of the program."""
    monkeypatch.chdir(tmp_path)
    program = types.ModuleType("program")
    monkeypatch.setitem(sys.modules, "program", program)
    for block in blocks(page):
        code = block.compiled()
        if not block.is_run:
            continue
        for kind, text in block.orders:
            if kind == "calls":
                providers.add(sends(chat_calls([(name, json.dumps(given)) for name, given in json.loads(text)])))
            else:
                providers.add(reply(text, arrange=_cut_short if kind == "cut" else sends, cut=kind == "limit"))
        exec(code, program.__dict__)
        assert not providers.scripts_left, f"{page.name}:{block.line} did not ask for its answers"
    program.__dict__.clear()
    gc.collect()


def _cut_short(chunks: list[bytes]) -> Script:
    """Without the last events, which say that the answer is complete."""
    return [sends(chunks[:-3]), Cut()]


@pages
def test_the_tests_that_are_named_are_there(page: Path) -> None:
    for path, name in _TEST.findall(page.read_text(encoding="utf-8")):
        module = ast.parse((ROOT / "tests" / path.removeprefix("tests/")).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        assert name in names, f"{page.name} names {path}::{name}"


@pytest.mark.parametrize("page", PAPERS, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text(encoding="utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_public_name_has_its_place_in_the_reference() -> None:
    named = [place for page in reference().values() for place in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
    assert len(named) == len(set(named))
    missing = {name for name in public_names() if not any(place.endswith(f".{name}") for place in named)}
    assert not missing
    assert set(public_names()) >= {*package.__all__, *testing.__all__, *web.__all__}


def test_each_layer_is_explained_to_contributors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = {name.partition("/")[0] for name in ROOMS if name != "__init__"}
    missing = [name for name in folders if not re.search(rf"`{name}(\.py|/)`", text)]
    assert not missing


def rows(page: str, heading: str) -> list[list[str]]:
    """The first table under a heading of a page, without its head."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text[text.index(f"\n## {heading}\n") + 1 :]
    section = section[: section.find("\n## ")]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_each_row_of_what_it_mends_names_a_test() -> None:
    table = rows("comparison.md", "What it fixes")
    assert len(table) >= 19
    for row in table:
        assert _TEST.search(row[-1]), f"no test is named: {row}"


POLICIES = {name for name in policies.__all__ if name[0].isupper()}
TABLES = {
    ("hooks.md", "The names"): set(HookArguments.__annotations__),
    ("outcomes.md", "Which one it is"): {*errors.__all__} - {"StreamError"},
    ("debounce.md", "Policies"): POLICIES - {"EmissionPolicy", "Pending"},
    ("web.md", "Protocols"): set(web.PROTOCOLS),
}


@pytest.mark.parametrize("page", TABLES, ids=lambda page: page[0])
def test_each_has_its_row(page: tuple[str, str]) -> None:
    named = {name for row in rows(*page) for name in re.findall(r"`\"?([A-Za-z_-]+)", row[0])}
    assert TABLES[page] - named == set()


def test_each_provider_and_mode_of_instructor_has_its_row() -> None:
    told: Counter[tuple[str, str]] = Counter()
    for names, modes, *_ in rows("providers.md", "Providers"):
        told.update((name, mode) for name in re.findall(r"`(\w+)`", names) for mode in re.findall(r"`(\w+)`", modes))
    del told["litellm", "tool_call"]  # a client of instructor's own, over OpenAI's handlers
    known = {(provider.value, mode.value) for provider, mode in combinations()}
    assert set(told) == known
    assert {pair for pair, times in told.items() if times > 1} == set()
