"""A stream in the terminal: the object as it fills in, then the final in full.

    report = live(client.create_partial(Report, "...", model="..."))

What moves goes to stderr and is gone at the end; the final goes to stdout. Where nobody looks, the final is all that is
printed. In a Jupyter notebook all of it is one display of the cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, get_args, overload

from instructor_stream_ext.client.async_streams import AsyncItemStream, AsyncPartialStream, AsyncTextStream
from instructor_stream_ext.client.sync_streams import ItemStream, PartialStream, TextStream
from instructor_stream_ext.core.errors import StreamMisuse
from instructor_stream_ext.core.events import StreamEvent, StreamStats
from instructor_stream_ext.core.text import visible
from instructor_stream_ext.sinks.board import Board, View, as_json
from instructor_stream_ext.sinks.notebook import NotebookDisplay, in_notebook

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

__all__ = ["alive", "live"]

T = TypeVar("T")

_PER_SECOND = 10


@overload
def live(
    stream: PartialStream[T], *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> T: ...


@overload
def live(
    stream: ItemStream[T], *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> list[T]: ...


@overload
def live(
    stream: TextStream, *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> str: ...


def live(
    stream: PartialStream[T] | ItemStream[T] | TextStream,
    *,
    view: View = "tree",
    total: int | None = None,
    console: Console | None = None,
) -> Any:
    """Show a stream while it is read, and print its final.

    Args:
        stream: Not yet read.
        view: "tree", "table" (a row per item) or "json".
        total: The number of items for the progress bar; the stream's `Limits.max_items` if None.
        console: A rich console; by default progress goes to stderr and the final to stdout.

    Returns:
        The final.

    Raises:
        StreamMisuse: The view is unknown, or the stream is already being read.
        StreamError: As the stream ended.
    """
    _check(stream, (PartialStream, ItemStream, TextStream), "live() reads sync streams; an async one is for alive()")
    screen = _Screen(stream, view, total, console)
    with screen:
        for event in stream.events():
            screen.take(event)
    return screen.show_final(stream.get_final_response(), stream.stats)


@overload
async def alive(
    stream: AsyncPartialStream[T], *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> T: ...


@overload
async def alive(
    stream: AsyncItemStream[T], *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> list[T]: ...


@overload
async def alive(
    stream: AsyncTextStream, *, view: View = "tree", total: int | None = None, console: Console | None = None
) -> str: ...


async def alive(
    stream: AsyncPartialStream[T] | AsyncItemStream[T] | AsyncTextStream,
    *,
    view: View = "tree",
    total: int | None = None,
    console: Console | None = None,
) -> Any:
    """Show an async stream while it is read, and print its final.

    Args:
        stream: Not yet read.
        view: As in `live`.
        total: As in `live`.
        console: As in `live`.

    Returns:
        The final.

    Raises:
        StreamMisuse: As in `live`.
        StreamError: As in `live`.
    """
    kinds = (AsyncPartialStream, AsyncItemStream, AsyncTextStream)
    _check(stream, kinds, "alive() reads async streams; a sync one is for live()")
    screen = _Screen(stream, view, total, console)
    with screen:
        async for event in stream.events():
            screen.take(event)
    return screen.show_final(await stream.get_final_response(), stream.stats)


def _check(stream: object, kinds: tuple[type, ...], said: str) -> None:
    if not isinstance(stream, kinds):
        raise StreamMisuse(f"{said}; this is {type(stream).__name__}")


class _Screen:
    """The live display around a stream, where the output is a terminal."""

    def __init__(self, stream: Any, view: View, total: int | None, console: Console | None) -> None:
        from rich.console import Console

        if view not in get_args(View):
            raise StreamMisuse(f"view={view!r}: must be one of {', '.join(get_args(View))}")
        self._moving = console or Console(stderr=True)
        self._still = console or Console()
        self._board = Board(view, stream.limits.max_items if total is None else total)
        self._page = NotebookDisplay(self._board) if console is None and in_notebook() else None
        self._live: Live | None = None

    def __enter__(self) -> None:
        if self._page is not None:
            self._page.start()
        elif self._moving.is_terminal and not self._moving.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(
                self._board,
                console=self._moving,
                refresh_per_second=_PER_SECOND,
                vertical_overflow="crop",
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._page is not None:
            self._page.stop()
        if self._live is not None:
            self._live.transient = kind is None  # what had come stays to be seen beside the error
            self._live.stop()

    def take(self, event: StreamEvent) -> None:
        """Note an event."""
        self._board.take(event)

    def show_final(self, final: T, stats: StreamStats) -> T:
        """Print the final in full, and the figures."""
        said = visible(final) if isinstance(final, str) else as_json(final)
        if self._page is not None:
            self._page.conclude(said, self._figures(stats))
            return final
        if self._still.is_terminal:
            if isinstance(final, str):
                self._still.print(said, markup=False, highlight=False)
            else:
                from rich.highlighter import JSONHighlighter
                from rich.text import Text

                self._still.print(JSONHighlighter()(Text(said)), soft_wrap=True)
        else:
            self._still.print(said, markup=False, highlight=False, soft_wrap=True)
        if self._moving.is_terminal:
            self._moving.print(f"[green]✔[/] {self._figures(stats)}", highlight=False)
        return final

    def _figures(self, stats: StreamStats) -> str:
        said = [self._board.note] if self._board.note else []
        if stats.first_partial_at is not None:
            said.append(f"first partial {stats.first_partial_at:.2f} s")
        if stats.ended_at is not None:
            said.append(f"{stats.ended_at:.2f} s in all")
            if stats.usage is not None and stats.first_delta_at is not None and stats.ended_at > stats.first_delta_at:
                pace = stats.usage.output_tokens / (stats.ended_at - stats.first_delta_at)
                said.append(f"{pace:.0f} tokens/s")
        return " · ".join(said)
