"""Streams in a notebook: a real Jupyter kernel, its cells' outputs, and partials as tables."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, SecretStr
from rich.text import Text

from instructor_stream_ext import OutputTruncated
from instructor_stream_ext.client.response_model import shape_of
from instructor_stream_ext.core.document.snapshots import PartialParser
from instructor_stream_ext.sinks import notebook
from instructor_stream_ext.sinks.terminal import live
from instructor_stream_ext.testing.fake_answers import FakeAnswer
from instructor_stream_ext.testing.fakes import fake_client
from tests.server import ScriptedServer, Signal, Wait, reply, sends

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

BIRD = {"name": "Avocet", "note": "It sweeps the <mud> with its bill."}
SETUP = """
import instructor, openai
from pydantic import BaseModel
from instructor_stream_ext import wrap
from instructor_stream_ext.sinks.terminal import alive, live

class Bird(BaseModel):
    name: str
    note: str

ASK = {"model": "gpt-4o-mini", "messages": "a bird", "response_model": Bird}
client = wrap(instructor.from_openai(openai.OpenAI()))
aclient = wrap(instructor.from_openai(openai.AsyncOpenAI()))
"""


class Watching(nbclient.NotebookClient):  # type: ignore[misc, name-defined]
    """Runs cells, and keeps what a display showed on the way: the notebook has only its last page."""

    def __init__(self, *cells: str, gate: Signal) -> None:
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        super().__init__(made, timeout=60, kernel_name="python3")
        self.pages: list[str] = []
        self.displays: set[str] = set()
        self._gate = gate

    def process_message(self, message: Any, cell: Any, index: int) -> Any:
        if message["msg_type"] in ("display_data", "update_display_data"):
            self.displays.add(message["content"].get("transient", {}).get("display_id", ""))
            self.pages.append(message["content"]["data"]["text/html"])
            if "Avocet" in self.pages[-1]:
                self._gate.set()
        return super().process_message(message, cell, index)


@pytest.fixture
def kernel(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Runs cells whose model stops after the name, until a display has shown it."""
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(notebook.__file__).parents[2]))
    gate = Signal()
    server.always(reply(json.dumps(BIRD), 4, arrange=lambda chunks: [sends(chunks[:9]), Wait(gate), sends(chunks[9:])]))

    def run(*cells: str) -> Watching:
        client = Watching(SETUP, *cells, gate=gate)
        client.execute()
        return client

    yield run
    gate.set()


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "cell", ["bird = live(client.create_partial(**ASK))", "bird = await alive(aclient.create_partial(**ASK))"]
)
def test_a_stream_is_one_display_that_fills_in(kernel: Any, cell: str) -> None:
    ran = kernel(cell, "print(bird.name)")
    assert len(ran.displays) == 1
    assert any("Avocet" in page and "bill" not in page for page in ran.pages[:-1])
    (shown,) = [output for output in ran.nb.cells[1].outputs if output.output_type == "display_data"]
    assert "It sweeps the &lt;mud&gt; with its bill." in shown.data["text/html"]
    assert "✔ first partial" in shown.data["text/html"]
    assert json.loads(shown.data["text/plain"]) == BIRD
    assert ran.nb.cells[2].outputs[0].text == "Avocet\n"


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_partial_is_a_table(kernel: Any) -> None:
    cell = """
from IPython.display import display
stream = client.create_partial(**ASK)
with stream:
    for partial in stream:
        if partial.name == "Avocet" and partial.note is None:
            display(partial)
            break
"""
    ran = kernel(cell)
    assert "<td" in ran.pages[0]
    assert "Avocet" in ran.pages[0]
    assert "…" in ran.pages[0]


def test_without_a_kernel_there_is_no_notebook() -> None:
    assert not notebook.in_notebook()


class Bird(BaseModel):
    name: str
    note: str


class Stop(BaseModel):
    place: str
    euros: int


@dataclasses.dataclass
class Size:
    width: int
    depth: int


class Trip(BaseModel):
    title: str
    stops: list[Stop]
    tags: list[str]
    size: Size
    secret: SecretStr
    advice: str


class Stops(RootModel[list[Stop]]):
    pass


def table(model: Any, text: str) -> str:
    parser = PartialParser(shape_of(model).plan)
    parser.feed(text)
    html: str = parser.snapshot()._repr_html_()
    return html.replace(' style="text-align: left"', "").replace('<span style="opacity: .5">…</span>', "…")


def test_what_has_not_come_is_ahead() -> None:
    html = table(Trip, '{"title": "a <b>", "tags": ["u", "v"], "stops": [{"place": "Rossio", "euros": 5}, {"place": "x')
    assert "<th>title</th><td>a &lt;b&gt;</td>" in html
    assert "<ol><li>u</li><li>v</li></ol>" in html
    assert (
        "<tr><th>place</th><th>euros</th></tr><tr><td>Rossio</td><td>5</td></tr><tr><td>x</td><td>…</td></tr>" in html
    )
    assert "<th>advice</th><td>…</td>" in html


def test_dataclasses_and_secrets() -> None:
    html = table(Trip, '{"size": {"width": 3, "d": 1}, "secret": "hunter2"')
    assert "<th>width</th><td>3</td>" in html
    assert "<th>depth</th><td>…</td>" in html
    assert "hunter2" not in html


@pytest.mark.parametrize(
    ("model", "text", "html"),
    [
        (Size, '{"width": 3, ', "<table><tr><th>width</th><td>3</td></tr><tr><th>depth</th><td>…</td></tr></table>"),
        (Stops, '[{"place": "Oriente", ', "<tr><td>Oriente</td><td>…</td></tr>"),
    ],
)
def test_other_kinds(model: Any, text: str, html: str) -> None:
    assert html in table(model, text)


class Display:
    """IPython's, in this process."""

    def __init__(self) -> None:
        self.pages: list[Any] = []
        self.ids: list[Any] = []

    def __call__(self, page: Any, *, display_id: Any = None) -> Display:
        self.ids.append(display_id)
        self.pages.append(page)
        return self

    def update(self, page: Any) -> None:
        self.pages.append(page)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    """A kernel, as far as this package looks at it."""
    made = Display()
    shell = type("Shell", (), {"kernel": object()})()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("IPython.display.display", made)
    assert notebook.in_notebook()
    return made


def test_one_display_from_the_first_page_to_the_final(display: Display) -> None:
    final = live(fake_client([BIRD], 4).create_partial(Bird, "a bird"))
    assert final.name == "Avocet"
    assert display.ids == [True]
    assert "waiting" in display.pages[0]._repr_html_()
    assert "✔ name: Avocet" in repr(display.pages[-2])
    assert json.loads(repr(display.pages[-1])) == BIRD
    assert "&lt;mud&gt;" in display.pages[-1]._repr_html_()


def test_an_error_leaves_what_had_come(display: Display) -> None:
    cut_off = FakeAnswer(answer=json.dumps(BIRD)[:-8], finish_reason="length")
    stream = fake_client([cut_off], 4).create_partial(Bird, "a bird")
    with pytest.raises(OutputTruncated):
        live(stream)
    assert "Avocet" in display.pages[-1]._repr_html_()


def test_it_is_drawn_in_a_silence_as_well(display: Display) -> None:
    drawn = threading.Event()

    class Board:
        def __rich_console__(self, *_: Any) -> Iterator[Text]:
            if len(display.pages) > 1:
                drawn.set()
            yield Text(f"page {len(display.pages)}")

    opened = notebook.NotebookDisplay(Board())
    opened.start()
    try:
        assert drawn.wait(20)
    finally:
        opened.stop()
    assert len(display.pages) >= 3
