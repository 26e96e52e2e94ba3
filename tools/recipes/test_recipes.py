"""The recipes of docs/terminal.md against the real marimo, Streamlit and Gradio: `make recipes`.

These packages are heavy and change often, so they are in no extra and this is no part of `make test`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import ScriptedServer, Signal, Wait, reply, sends

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "terminal.md").read_text(encoding="utf-8")
BIRD = {"name": "Avocet", "note": "It sweeps the mud with its bill."}


def block(heading: str) -> str:
    """The code under a heading."""
    section = PAGE[PAGE.index(f"# {heading}\n") :]
    found = re.search(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


SETUP = block("Terminal").partition("birds = live")[0]


@pytest.fixture
def gate() -> Signal:
    """Holds the model after its first words, until somebody has seen them."""
    return Signal()


@pytest.fixture
def server(gate: Signal, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer() as made:
        made.always(
            reply(json.dumps(BIRD), 4, arrange=lambda chunks: [sends(chunks[:8]), Wait(gate), sends(chunks[8:])])
        )
        monkeypatch.setenv("OPENAI_API_KEY", "test-key")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{made.url}/v1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield made
        gate.set()


@pytest.mark.usefixtures("server")
def test_streamlit(gate: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit.delta_generator import DeltaGenerator
    from streamlit.testing.v1 import AppTest

    shown: list[Any] = []
    real = DeltaGenerator.json

    def noted(place: Any, body: Any, **options: Any) -> Any:
        shown.append(body)
        gate.set()
        return real(place, body, **options)

    monkeypatch.setattr(DeltaGenerator, "json", noted)
    app = AppTest.from_string(SETUP + block("Streamlit"), default_timeout=60).run()
    assert not app.exception
    assert json.loads(app.json[0].value) == BIRD
    assert len(app.json) == 1
    assert shown[0] != BIRD


@pytest.mark.usefixtures("server")
def test_gradio(gate: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    import gradio
    from gradio_client import Client

    real = gradio.Interface.launch
    monkeypatch.setattr(gradio.Interface, "launch", lambda demo: real(demo, prevent_thread_lock=True, quiet=True))
    program: dict[str, Any] = {"__name__": "recipe"}
    exec(SETUP + block("Gradio"), program)
    demo = program["demo"]
    try:
        job = Client(demo.local_url, verbose=False).submit("a bird", api_name="/answer")
        shown = []
        for value in job:
            shown.append(value)
            gate.set()
        assert shown[0] != BIRD
        assert shown[-1] == BIRD
    finally:
        demo.close()


@pytest.mark.usefixtures("server")
def test_marimo(gate: Signal, tmp_path: Path) -> None:
    gate.set()
    cell = textwrap.indent(SETUP + block("marimo"), "    ")
    notebook = tmp_path / "notebook.py"
    notebook.write_text(
        f"import marimo\n\napp = marimo.App()\n\n\n@app.cell\ndef _():\n{cell}\n    return\n\n\n"
        'if __name__ == "__main__":\n    app.run()\n'
    )
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "marimo", "export", "html", str(notebook), "-o", str(page), "--no-include-code"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    html = page.read_text(encoding="utf-8")
    assert "marimo-json-output" in html
    assert BIRD["note"] in html


def test_the_page_has_no_other_recipes() -> None:
    notebooks = PAGE[PAGE.index("## Notebooks") :]
    assert re.findall(r"^### (.*)$", notebooks, re.MULTILINE) == ["Jupyter", "marimo", "Streamlit", "Gradio"]
