"""A stream in a Jupyter notebook: one display, redrawn as the object fills in."""

from __future__ import annotations

import sys
import threading
from contextvars import copy_context
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["NotebookDisplay", "in_notebook"]

_WIDTH = 100
"""Characters in a line."""
_INTERVAL = 0.1
"""Seconds between two updates; a browser needs no more."""
_STYLE = "white-space: pre-wrap; line-height: 1.3; font-family: monospace"


def in_notebook() -> bool:
    """Return whether an IPython kernel runs this code, so that displays can be updated."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class _Page:
    """HTML in the form that notebooks ask for."""

    def __init__(self, html: str, text: str) -> None:
        self._html = html
        self._text = text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


class NotebookDisplay:
    """One display of a cell, redrawn ten times a second while it is open, even during silence.

    Args:
        board: What is to be seen, for rich.
    """

    def __init__(self, board: RenderableType) -> None:
        self._board = board
        self._handle: Any = None
        self._closed = threading.Event()
        # a copy of the context, by which the kernel knows the cell that a thread shows things for
        self._thread = threading.Thread(target=copy_context().run, args=(self._draw_on,), daemon=True)

    def start(self) -> None:
        """Show the board from now on."""
        self._show(_page(self._board))
        self._thread.start()

    def stop(self) -> None:
        """Show it one last time."""
        self._closed.set()
        self._thread.join()
        self._show(_page(self._board))

    def _draw_on(self) -> None:
        while not self._closed.wait(_INTERVAL):
            self._show(_page(self._board))

    def conclude(self, said: str, figures: str) -> None:
        """Show the final in full, with the figures below it."""
        html = f'<pre style="{_STYLE}">{escape(said)}</pre><p style="opacity: .7">✔ {escape(figures)}</p>'
        self._show(_Page(html, said))

    def _show(self, page: _Page) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(page, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(page)


def _page(board: RenderableType) -> _Page:
    from rich.console import Console

    console = Console(file=StringIO(), record=True, width=_WIDTH, height=60, force_terminal=True, force_jupyter=False)
    console.print(board)
    text = console.export_text(clear=False)
    return _Page(console.export_html(inline_styles=True, code_format=f'<pre style="{_STYLE}">{{code}}</pre>'), text)
