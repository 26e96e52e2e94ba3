"""The recipes of docs/terminal.md, each run against a stand-in of its framework."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import standins
from tests.server import ScriptedServer, Signal, Wait, reply, sends

PAGE = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text(encoding="utf-8")
BIRD = {"name": "Avocet", "note": "It sweeps the mud with its bill."}


def block(heading: str) -> str:
    """The code under a heading."""
    section = PAGE[PAGE.index(f"# {heading}\n") :]
    found = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.timeout(20)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("heading", "framework"),
    [("marimo", "marimo"), ("Streamlit", "streamlit"), ("Gradio", "gradio")],
)
def test_a_recipe_shows_what_has_come_before_the_rest_has(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, heading: str, framework: str
) -> None:
    gate = Signal()
    early: list[Any] = []

    class Watching(list[Any]):
        """Opens the gate at the first partial: a recipe that shows nothing before the end would wait for ever."""

        def append(self, value: Any) -> None:
            super().append(value)
            early.append(value)
            gate.set()

    def arrange(chunks: list[bytes]) -> Any:
        return [sends(chunks[:8]), Wait(gate), sends(chunks[8:])]

    shown = Watching()
    standins.install(monkeypatch, {framework: shown})
    server.always(reply(json.dumps(BIRD), 4, arrange=arrange))
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    program: dict[str, Any] = {"__name__": "recipe"}
    setup, _, _ = block("Terminal").partition("birds = live")
    exec(setup, program)
    exec(block(heading), program)
    assert shown[-1] == BIRD
    assert early[0] != BIRD
    if heading != "Gradio":
        assert program["bird"].name == "Avocet"
    program.clear()


def test_the_page_has_no_other_recipes() -> None:
    notebooks = PAGE[PAGE.index("## Notebooks") :]
    assert re.findall(r"^### (.*)$", notebooks, re.MULTILINE) == ["Jupyter", "marimo", "Streamlit", "Gradio"]
