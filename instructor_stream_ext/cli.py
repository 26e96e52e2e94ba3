"""The command `instructor-stream`: inspect, play, check and scrub cassettes, and watch the demo.

Exit codes: 0 all is well; 1 the answer is no (`check` has found something, `replay` did not end in a valid object);
2 the command was not understood; 3 a cassette or a model cannot be used, as the one line on stderr says.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from instructor_stream_ext.client.response_model import shape_of
from instructor_stream_ext.core.errors import MissingExtra, StreamError
from instructor_stream_ext.core.text import visible
from instructor_stream_ext.testing.cassette import Interaction, load_cassette
from instructor_stream_ext.testing.checks import check_cassette, scrub_cassette, secrets_on
from instructor_stream_ext.testing.description import described
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.sidecar import sidecar_of

if TYPE_CHECKING:
    pass

__all__ = ["app", "main"]

_CODES = """Exit codes: 0 all is well. 1 the answer is no: `check` found something, `replay` did not end in a valid
object. 2 the command was not understood. 3 a cassette or a model cannot be used; one line on stderr says which, where
and why."""

app = typer.Typer(
    help="Look at recorded streams, play them, check and scrub them; or watch the demo.",
    epilog=_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"instructor-stream {importlib.metadata.version('instructor-stream-ext')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(wanted=value), is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    pass


def _pace(speed: float) -> float:
    if not speed >= 0:  # which "nan" is not
        raise typer.BadParameter("must be 0 or more")
    return speed


SpeedOption = Annotated[
    float, typer.Option(callback=_pace, help="1 is the original pace, 2 twice as fast, 0 without any pause.")
]
CassetteArgument = Annotated[Path, typer.Argument(help="A cassette (.yaml); its sidecar is read if it is there.")]
PathsArgument = Annotated[
    list[Path], typer.Argument(help="Cassettes, or folders that are searched for them.", show_default=False)
]
NO, UNUSABLE = 1, 3
MANY = 20


def main() -> None:
    """Run the command; an error is one line on stderr."""
    try:
        app()
    except (CassetteError, MissingExtra) as error:
        _give_up(error)


def _give_up(error: Exception | str, code: int = UNUSABLE) -> NoReturn:
    message = visible(" ".join(str(error).split()), lines=False)
    typer.echo(f"instructor-stream: {message}", err=True)
    raise SystemExit(code)


def _faults_in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Exit with one line and the right code where a cassette cannot be used."""

    @functools.wraps(command)
    def run(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
        except (CassetteError, MissingExtra) as error:
            _give_up(error)

    return run


@app.command(epilog=_CODES)
@_faults_in_one_line
def demo(speed: SpeedOption = 1.0) -> None:
    """Watch a structured answer fill in, live.

    A recorded stream is served by a real HTTP server on this machine at its original pace, and read by the real openai
    client, instructor and this package. It needs neither network nor key.
    """
    from instructor_stream_ext.demo.__main__ import main as show

    show(["--speed", str(speed)])


@app.command(epilog=_CODES)
@_faults_in_one_line
def replay(
    cassette: CassetteArgument,
    model: Annotated[
        str | None, typer.Option(help="A response model as module:Class; without one, the text is shown as it comes.")
    ] = None,
    speed: SpeedOption = 1.0,
    interaction: Annotated[int, typer.Option(help="Which interaction of the cassette, from 1.", min=1)] = 1,
) -> None:
    """Play a cassette through this package, at its own pace.

    With --model, each partial is a line and the last line is the validated object; a stream that does not end in one
    is told in one line, with exit code 1. The model's text is taken from the cassette, so no SDK of the provider is
    needed.
    """
    chosen = _interaction(cassette, interaction)
    response_model = None if model is None else _model(model)
    try:
        _show(chosen, response_model, speed)
    except StreamError as error:
        _give_up(f"{type(error).__name__}: {error}", NO)


def _show(interaction: Interaction, model: Any, speed: float) -> None:
    from instructor_stream_ext.testing.played import played_client

    client = played_client(interaction, speed)
    if model is None:
        for text in client.stream_text("replay"):
            typer.echo(visible(text), nl=False)
        typer.echo()
        return
    began = time.monotonic()
    for partial in client.create_partial(model, "replay", max_retries=0, debounce=0.1 if speed else None):
        shown = partial.model_dump_json() if hasattr(partial, "model_dump_json") else repr(partial)
        typer.echo(f"{time.monotonic() - began:7.2f} s  {visible(shown, lines=False)}")


def _model(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        _give_up(f"--model {name}: give it as module:Class", 2)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        _give_up(f"--model {name}: {error}")
    except Exception as error:  # noqa: BLE001 - a module of the user's may fail as it likes
        _give_up(f"--model {name}: cannot be imported: {type(error).__name__}: {error}")
    try:
        shape_of(found)
    except StreamError as error:
        _give_up(f"--model {name}: {error}")
    return found


def _interaction(cassette: Path, number: int) -> Interaction:
    loaded = load_cassette(cassette)
    if number > len(loaded.interactions):
        _give_up(f"{cassette}: has {len(loaded.interactions)} interactions, so there is no number {number}")
    return loaded.interactions[number - 1]


@app.command(epilog=_CODES)
@_faults_in_one_line
def inspect(cassette: CassetteArgument) -> None:
    """Show what a cassette holds: requests, answers, how each ended, and a timeline of chunks and text.

    In the chart each row is a span of time: a mark for every chunk that arrived in it, and a bar for how much of the
    model's text was there by then.
    """
    loaded = load_cassette(cassette)
    beside = sidecar_of(cassette)
    typer.echo(
        f"{cassette}: {len(loaded.interactions)} interaction(s), {'with' if beside.exists() else 'without'} a sidecar"
    )
    for number, interaction in enumerate(loaded.interactions, start=1):
        typer.echo()
        for line in described(number, interaction):
            typer.echo(line)


@app.command(epilog=_CODES)
@_faults_in_one_line
def view(
    cassette: CassetteArgument,
    model: Annotated[
        str | None,
        typer.Option(help="A response model as module:Class; without one, partials are the text's JSON."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the page into this file, which needs nothing else, and serve nothing.")
    ] = None,
    port: Annotated[int, typer.Option(help="Where to serve it; 0 takes any that is free.", min=0, max=65535)] = 0,
    *,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Look into a recorded stream on one local page: what each chunk did, at any speed.

    The page has a time line, the events as they came, the text, the partial as a tree with what just changed,
    transitions, usage, and why the stream ended. A cassette on which `check` finds secrets is refused: `scrub` it
    first.
    """
    from instructor_stream_ext.testing.player import look_into, page_of, serve

    response_model = None if model is None else _model(model)
    loaded = load_cassette(cassette)
    if secrets := secrets_on(cassette):
        _give_up(f"{secrets[0]}; remove it with: instructor-stream scrub {cassette}", NO)
    page = page_of(look_into(loaded, response_model))
    if html is not None:
        html.write_text(page, encoding="utf-8")
        typer.echo(f"{html}: {len(page)} characters")
        return

    def ready(address: str, _: object) -> None:
        typer.echo(f"{cassette} is shown at {address} until you press Ctrl-C")
        if open_it:
            typer.launch(address)

    try:
        serve(page, port, ready)
    except KeyboardInterrupt:
        typer.echo()


def _counted(cassettes: list[Path]) -> Iterator[Path]:
    """Iterate over cassettes; with many of them and a terminal, show a progress bar on stderr."""
    if len(cassettes) < MANY or not sys.stderr.isatty():
        yield from cassettes
        return
    with typer.progressbar(cassettes, file=sys.stderr) as bar:
        yield from bar


@app.command(epilog=_CODES)
@_faults_in_one_line
def check(paths: PathsArgument) -> None:
    """Search cassettes for secrets, empty bodies, and streams without an end signal.

    The raw bytes of each cassette and sidecar are searched for keys, tokens, e-mail addresses, ids of organizations and
    projects, and for headers that must not be there. A body that is empty, or that lacks an end signal although its
    sidecar says that it is complete, is found too. Each finding is one line: file, line, what.
    """
    cassettes = list(_cassettes(paths))
    findings = 0
    for cassette in _counted(cassettes):
        for path, found in check_cassette(cassette):
            findings += 1
            typer.echo(f"{path}:{found.line}: {found}")
    typer.echo(f"{len(cassettes)} cassette(s), {findings} finding(s)", err=bool(findings))
    if findings:
        raise typer.Exit(NO)


@app.command(epilog=_CODES)
@_faults_in_one_line
def scrub(
    paths: PathsArgument,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be changed, and change nothing.")] = False,
) -> None:
    """Remove secrets from cassettes that were recorded without care, in place.

    Headers that identify an account are dropped, keys in addresses and whatever looks like a secret in headers and
    bodies is masked by as many characters, so that sidecars stay true. A secret that a model wrote in several pieces
    is masked in each of them.
    """
    for cassette in _counted(list(_cassettes(paths))):
        changed = scrub_cassette(cassette, dry_run=dry_run)
        if changed:
            typer.echo(f"{cassette}: {'would be ' if dry_run else ''}scrubbed")


def _cassettes(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob("*.yaml"))
            if not found:
                _give_up(f"{path}: there is no cassette in this folder")
            yield from found
        elif path.is_file():
            yield path
        else:
            _give_up(f"{path}: there is no such file")


if __name__ == "__main__":
    main()
