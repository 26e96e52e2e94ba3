"""The pytest plugin, loaded by entry point: `stream_cassette`, `replay_server`, marks, and unused cassettes.

It stands on pytest-recording, whose `@pytest.mark.vcr`, `--record-mode`, `vcr_config` and places of cassettes hold. A
test that does not ask for one of the fixtures here is not touched. It stands beside the package, and imports it when a
fixture is used: a plugin is loaded into every run of pytest, and before coverage is measured.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

if TYPE_CHECKING:
    from instructor_stream_ext.testing.scrub import Scrubber
    from instructor_stream_ext.testing.server import ReplayServer
    from instructor_stream_ext.testing.stream_cassette import StreamCassette

__all__ = ["ReplayServers", "replay_server", "stream_cassette", "stream_scrubber"]

_LOOPBACK = [r"127\.", r"::1$", r"localhost$", r"/", r"\0", r"$"]
"""Loopback, and sockets that are files or have no name."""
_OF_REQUESTS = frozenset({"strict", "ignore"})
"""Options of the marks that concern requests, which a server does not compare."""
_ITEM = pytest.StashKey[pytest.Item]()
_FOLDERS = pytest.StashKey[set[Path]]()
_PART = pytest.StashKey[bool]()
_CASSETTE = pytest.StashKey["StreamCassette | None"]()
_SERVERS = pytest.StashKey["ReplayServers | None"]()
_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> Generator[None, object, object]:
    """Explain what `--record-mode` needs if pytest-recording is missing and nothing else defines the option."""
    result = yield
    asked = any(arg.partition("=")[0] == "--record-mode" for arg in args)
    if asked and not hasattr(parser.parse_known_args(args), "record_mode"):
        raise pytest.UsageError(str(_missing("--record-mode")))
    return result


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for all cassettes of a run."""
    parser.getgroup("recording").addoption(
        "--strict-cassettes",
        action="store_true",
        help="Fail a test whose requests are no longer the recorded ones, of which stream_cassette else warns.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for line in (
        "stream_cassette(speed, clock, deltas, whole, strict, ignore): how stream_cassette and replay_server play.",
        "stream_faults(*faults): what goes wrong, in order; faults are in instructor_stream_ext.testing.",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Remember which test runs: pytest-recording does not say for which one it configures vcrpy."""
    item.config.stash[_ITEM] = item
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_recording_configure(config: pytest.Config, vcr: Any) -> None:
    """Give a test that uses `stream_cassette` the readable serializer, and a sidecar."""
    item = config.stash.get(_ITEM, None)
    if item is None or "stream_cassette" not in getattr(item, "fixturenames", ()):
        return
    from instructor_stream_ext.testing import yaml
    from instructor_stream_ext.testing.persister import CassettePersister

    vcr.register_serializer("yaml", yaml)
    vcr.register_persister(CassettePersister(getattr(vcr.persister, "extra_paths", ())))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forget an earlier run of the same test."""
    item.stash[_CASSETTE] = item.stash[_SERVERS] = None
    item.stash[_PASSED] = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test whose cassette was not played as it states."""
    try:
        result = yield
    except (Exception, pytest.fail.Exception) as error:
        if (cassette := item.stash.get(_CASSETTE, None)) is not None:
            cassette.explain(error)
        raise
    finally:
        if (cassette := item.stash.get(_CASSETTE, None)) is not None:
            cassette.body_ended()
    problems = [] if cassette is None else cassette.problems(over=False)
    _warn(item)
    if (servers := item.stash.get(_SERVERS, None)) is not None:
        problems += servers.problems()
    if problems:
        pytest.fail("; ".join(problems), pytrace=False)
    item.stash[_PASSED] = True
    return result


def _warn(item: pytest.Item) -> None:
    """List, in pytest's summary, the requests that differ from what was recorded."""
    if (cassette := item.stash.get(_CASSETTE, None)) is None:
        return
    from instructor_stream_ext.testing.staleness import StaleCassette

    for said in cassette.untold():
        item.warn(StaleCassette(said))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Provide keys for fixtures that come before `stream_cassette`, if there is a cassette to play."""
    cassette = yield
    if fixturedef.argname == "vcr" and "stream_cassette" in getattr(request.node, "fixturenames", ()):
        known = sys.modules.get("vcr.cassette")
        if known is not None and isinstance(cassette, known.Cassette) and cassette.write_protected:
            from instructor_stream_ext.testing.environment import playing

            filled = contextlib.ExitStack()
            filled.enter_context(playing(one.uri for one in cassette.requests))
            request.addfinalizer(filled.close)
    return cassette


# ------------------------------------------------------------------ fixtures


@pytest.fixture
def stream_scrubber() -> Scrubber:
    """The scrubber of all cassettes. Override it to return a `Scrubber` of your own."""
    from instructor_stream_ext.testing.scrub import Scrubber

    return Scrubber()


@pytest.fixture
def stream_cassette(request: pytest.FixtureRequest, stream_scrubber: Scrubber) -> Iterator[StreamCassette]:
    """The cassette of a `@pytest.mark.vcr` test, with its chunks and times; call it with settings."""
    try:
        vcr = request.getfixturevalue("vcr")
    except pytest.FixtureLookupError:
        raise _missing("stream_cassette") from None
    if vcr is None:
        why = "--disable-recording" if request.node.get_closest_marker("vcr") else "no mark"
        if why == "no mark":
            pytest.fail("stream_cassette records and plays a test's cassette: mark the test with @pytest.mark.vcr")
        pytest.skip("stream_cassette plays nothing under --disable-recording")
    from instructor_stream_ext.testing.stream_cassette import StreamCassette

    cassette = StreamCassette(vcr, stream_scrubber)
    cassette.fails = _failed
    cassette(strict=request.config.getoption("--strict-cassettes"))(**_settings(request))
    allowed = request.getfixturevalue("allowed_hosts") or ()
    with _loopback_only(allowed) if not cassette.records else contextlib.nullcontext(), cassette:
        request.node.stash[_CASSETTE] = cassette
        yield cassette


class ReplayServers:
    """Starts servers that play cassettes. Its own attributes belong to a server with the test's cassette.

    Args:
        folder: Of the test's cassettes.
        name: The name of the test's own cassette.
        settings: From the marks.
    """

    def __init__(self, folder: Path, name: str, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._name = name
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._started: list[tuple[Path, ReplayServer, bool, int]] = []
        self._own: ReplayServer | None = None

    def __call__(self, cassette: Path | str | None = None, **settings: Any) -> ReplayServer:
        """Start a server.

        Args:
            cassette: The path of a cassette, relative to the test's cassettes or to the working directory; by default
                the test's own.
            settings: `speed`, `clock` and `faults` as in `ReplayServer`; `deltas` and `whole` as in `StreamCassette`.
        """
        from instructor_stream_ext.testing.server import ReplayServer
        from instructor_stream_ext.testing.stream_cassette import PLAYED

        path = self._path(cassette)
        chosen = {**self._settings, **settings}
        whole, deltas = chosen.pop("whole", True), chosen.pop("deltas", 0)
        server = ReplayServer(path, **chosen).__enter__()
        self._stack.callback(server.close)
        PLAYED.add(path.resolve())
        self._started.append((path, server, whole, deltas))
        return server

    def _path(self, cassette: Path | str | None) -> Path:
        path = Path(f"{self._name}.yaml" if cassette is None else cassette)
        beside = self._folder / path
        return beside if cassette is None or beside.is_file() else path

    @property
    def server(self) -> ReplayServer:
        """A server with the test's own cassette, started on first use."""
        if self._own is None:
            self._own = self()
        return self._own

    @property
    def url(self) -> str:
        """The address of that server."""
        return self.server.url

    @property
    def base_url(self) -> str:
        """The base URL of that server."""
        return self.server.base_url

    def problems(self) -> list[str]:
        """Return what was not played."""
        from instructor_stream_ext.testing.payload import pieces

        found = []
        for path, server, whole, deltas in self._started:
            left = server.unplayed
            if whole and left:
                found.append(
                    f"{path.name}: {len(left)} of its {len(server.interactions)} interactions were never asked for"
                )
            played = [interaction for interaction in server.interactions if interaction not in left]
            total = sum(
                bool(piece.text)
                for interaction in played
                for piece in pieces(interaction.body, interaction.content_type)
            )
            if total < deltas:
                found.append(f"{path.name}: {total} deltas were played, {deltas} were expected")
            found += [f"{path.name}: {problem}" for problem in server.problems()]
        return found

    def close(self) -> None:
        """Stop all servers."""
        self._stack.close()


@pytest.fixture
def replay_server(request: pytest.FixtureRequest) -> Iterator[ReplayServers]:
    """Servers on loopback that play cassettes to any client."""
    settings = {name: value for name, value in _settings(request).items() if name not in _OF_REQUESTS}
    allowed: Iterable[str] = ()
    folder, name = request.path.parent / "cassettes" / request.path.stem, request.node.name
    with contextlib.suppress(pytest.FixtureLookupError):
        folder = Path(request.getfixturevalue("vcr_cassette_dir"))
        name = request.getfixturevalue("default_cassette_name").removesuffix(".yaml")
        allowed = request.getfixturevalue("allowed_hosts") or ()
    servers = ReplayServers(folder, name, settings)
    with _loopback_only(allowed):
        request.node.stash[_SERVERS] = servers
        try:
            yield servers
        finally:
            servers.close()


def _settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Read the test's marks. The nearest wins; faults come from the nearest only."""
    settings: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("stream_cassette"))):
        settings |= mark.kwargs
    if (faults := request.node.get_closest_marker("stream_faults")) is not None:
        settings["faults"] = list(faults.args)
    return settings


def _failed(said: str) -> BaseException:
    """An error that no SDK catches, and therefore none retries."""
    return pytest.fail.Exception(said, pytrace=False)


@contextlib.contextmanager
def _loopback_only(allowed: Iterable[str] = ()) -> Iterator[None]:
    """Block connections that leave this machine, except to the hosts that the user allows."""
    try:
        from pytest_recording.network import make_network_guard
    except ImportError:
        raise _missing("replay_server") from None

    with contextlib.ExitStack() as stack:
        for name in ("connect", "connect_ex"):
            guard = make_network_guard(getattr(socket.socket, name), allowed_hosts=[*_LOOPBACK, *allowed])
            stack.enter_context(mock.patch.object(socket.socket, name, guard))
        yield


def _missing(feature: str) -> Exception:
    from instructor_stream_ext.core.errors import MissingExtra

    return MissingExtra(feature, "testing")


# ------------------------------------------------------------------ cassettes nobody plays


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Note that a run without all tests says nothing about unused cassettes."""
    if items:
        items[0].config.stash[_PART] = True


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note where the cassettes of the collected tests are."""
    session.config.stash[_FOLDERS] = {item.path.parent / "cassettes" for item in session.items}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Note the cassettes that plain `@pytest.mark.vcr` tests play; then check that a cassette was played to its end."""
    cassette = getattr(item, "funcargs", {}).get("vcr")
    known = sys.modules.get("vcr.cassette")
    if known is not None and isinstance(cassette, known.Cassette) and cassette.play_count:
        from instructor_stream_ext.testing.stream_cassette import PLAYED

        PLAYED.add(Path(cassette.path).resolve())
    result = yield
    cassette = item.stash.get(_CASSETTE, None)
    _warn(item)
    if cassette is not None and item.stash.get(_PASSED, False) and (problems := cassette.problems()):
        pytest.fail("; ".join(problems), pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """List, after a full run, the cassettes that no test has played."""
    if not _is_full(config) or hasattr(config, "workerinput"):
        return
    cassettes = {
        cassette.resolve() for folder in config.stash.get(_FOLDERS, set()) for cassette in folder.rglob("*.yaml")
    }
    if not cassettes:
        return
    from instructor_stream_ext.testing.stream_cassette import PLAYED

    if forgotten := sorted(cassettes - PLAYED):
        terminalreporter.section("cassettes that no test has played", yellow=True)
        for cassette in forgotten:
            shown = cassette.relative_to(config.rootpath) if cassette.is_relative_to(config.rootpath) else cassette
            terminalreporter.line(str(shown))


def _is_full(config: pytest.Config) -> bool:
    """Return whether all tests were requested, and none was left out."""
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    roots = {config.rootpath, *(config.rootpath / path for path in config.getini("testpaths"))}
    asked = {Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args}
    if given and (any("::" in arg for arg in config.args) or not asked & {root.resolve() for root in roots}):
        return False
    options = [
        config.getoption(name, default=None) for name in ("keyword", "markexpr", "lf", "collectonly", "stepwise")
    ]
    played = not config.getoption("--record-mode", default=None) or config.getoption("--record-mode") == "none"
    return played and not any(options) and not config.stash.get(_PART, False)
