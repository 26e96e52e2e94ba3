"""The README's picture: the demo's terminal as SVG, once light and once dark, with nothing from outside in it.

    .venv/bin/python tools/picture.py        (`make picture`)

The demo's own stream is read, and drawn where it stands after two fifths of its partials and at its end.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.color import Color
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI, TerminalTheme

from instructor_stream_ext.demo.__main__ import _figures, _streaming, _verdict
from instructor_stream_ext.demo.model import PROMPT, Trip
from instructor_stream_ext.demo.view import TripView

FOLDER = Path(__file__).parents[1] / "docs"
WIDTH = 104
GREYS_AND_COLOURS = ["#24292f", "#cf222e", "#116329", "#4d2d00", "#0969da", "#8250df", "#1b7c83", "#6e7781"]
LIGHT = TerminalTheme((255, 255, 255), (36, 41, 47), [Color.parse(code).get_truecolor() for code in GREYS_AND_COLOURS])
PLAIN = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace("Fira Code, ", "")
"""rich's own frame without its fonts, which a browser would load from somewhere."""


def main() -> None:
    """Draw both."""
    with _streaming(1.0) as stream:
        seen: list[Trip] = list(stream)
        final = stream.get_final_response()
        said = f"[bold green]✔[/] {_verdict(final)}", f"[dim]{_figures(stream.stats)}[/]"
    for name, theme in (("light", LIGHT), ("dark", DIMMED_MONOKAI)):
        console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
        console.print(f"[bold]{PROMPT}[/]\n")
        view = TripView()
        view.trip, view.is_final = seen[2 * len(seen) // 5], True
        console.print(view)
        console.print("[dim]... and at the end of the stream:[/]\n", highlight=False)
        for line in said:
            console.print(line, highlight=False)
        svg = console.export_svg(title="make demo", theme=theme, code_format=PLAIN, unique_id=f"demo-{name}")
        (FOLDER / f"demo-{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
