"""The deck: what stands between the SDKs and a vcrpy cassette, and records or plays it with its timing.

vcrpy takes the place of each HTTP library's transport. The deck takes vcrpy's place there, for as long as it is open:
requests are matched, filtered and stored by vcrpy's own cassette, but bodies pass piece by piece.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock
from urllib.parse import urlsplit

from instructor_stream_ext.core.errors import MissingExtra
from instructor_stream_ext.testing import yaml as tape_yaml
from instructor_stream_ext.testing.clock import FakeClock, Pace
from instructor_stream_ext.testing.environment import playing
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.faults import Fault, FaultsInUse
from instructor_stream_ext.testing.recording import Recorder, recorded_aiohttp, recorded_stream
from instructor_stream_ext.testing.replay import Performance, httpx_response, played_aiohttp
from instructor_stream_ext.testing.scrub import Scrubber
from instructor_stream_ext.testing.staleness import StaleCassette, changes
from instructor_stream_ext.testing.tape import (
    TIMING,
    End,
    Take,
    Timing,
    body_of,
    load_tape,
    read_sidecar,
    sidecar_of,
    sidecar_text,
    take_of,
)

__all__ = ["PLAYED", "Deck", "TapePersister", "use_tape"]

_NAMED = 5
"""Places of a changed request that a message names."""
_BODIES = frozenset({"body", "raw_body"})
"""vcrpy's names of those parts of a request that are compared place by place."""

PLAYED: set[Path] = set()
"""The tapes that were played by this process."""

_TRANSPORTS = {
    "handle_request": ("HTTPTransport", "WSGITransport", "MockTransport"),
    "handle_async_request": ("AsyncHTTPTransport", "ASGITransport", "MockTransport"),
}


class TapePersister:
    """Keeps a cassette as vcrpy does, and its sidecar beside it; timings travel within vcrpy's responses.

    Args:
        extra_paths: Further cassettes that are read and never written.

    Attributes:
        scrubber: What is kept off whatever is written, also what was recorded before a deck stood before the cassette,
            as by a fixture that comes first; None while no deck has.
    """

    def __init__(self, extra_paths: Iterable[str] = ()) -> None:
        self.extra_paths = tuple(extra_paths)
        self.scrubber: Scrubber | None = None

    def load_cassette(self, cassette_path: str, serializer: Any) -> tuple[list[Any], list[Any]]:
        """Read a cassette, the further ones, and their sidecars where they are."""
        from vcr.persisters.filesystem import CassetteNotFoundError
        from vcr.serialize import deserialize

        requests: list[Any] = []
        responses: list[Any] = []
        for path in dict.fromkeys(map(str, (cassette_path, *self.extra_paths))):
            if not Path(path).is_file() or not Path(path).stat().st_size:
                continue
            load_tape(path)  # says what is wrong, if something is
            found = deserialize(Path(path).read_text(encoding="utf-8"), serializer)
            bodies = [(body_of(response), 1) for response in found[1]]
            for request, response, timing in zip(
                *found[:2], read_sidecar(Path(path), bodies, required=False), strict=True
            ):
                requests.append(request)
                responses.append(response if timing is None else {**response, TIMING: timing})
        if not requests:
            raise CassetteNotFoundError
        return requests, responses

    def save_cassette(self, cassette_path: str, cassette_dict: dict[str, Any], serializer: Any) -> None:
        """Write a cassette and its sidecar."""
        from vcr.serialize import serialize

        path = Path(cassette_path)
        if self.scrubber is not None:
            cassette_dict = {
                **cassette_dict,
                "requests": [self.scrubber.request(_copied(request)) for request in cassette_dict["requests"]],
                "responses": [self.scrubber.response(copy.deepcopy(one)) for one in cassette_dict["responses"]],
            }
        responses = cassette_dict["responses"]
        timings = [
            _that_fits(request, response)
            for request, response in zip(cassette_dict["requests"], responses, strict=True)
        ]
        bare = [{key: value for key, value in one.items() if key != TIMING} for one in responses]
        text = serialize({**cassette_dict, "responses": bare}, serializer)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        sidecar_of(path).write_text(sidecar_text(timings), encoding="utf-8", newline="\n")


def _that_fits(request: Any, response: dict[str, Any]) -> Timing | None:
    """A response's timing, which names the request as it stands on the tape, with all that was taken off it.

    A filter of the caller's may have changed the body's length: then boundaries are lost.
    """
    timing: Timing | None = response.get(TIMING)
    if timing is None:
        return None
    timing = replace(timing, request=f"{request.method.upper()} {urlsplit(request.uri).path}")
    size = len(body_of(response))
    if timing.size == size:
        return timing
    last = timing.chunks[-1][1] if timing.chunks else timing.headers_at
    return replace(timing, size=size, chunks=((0, last),) if size else ())


class Deck:
    """Records and plays the streams of one cassette. What is not set keeps its value.

    Called with settings, it takes them and gives itself: `stream_cassette(speed=1, deltas=24)`.

    Args:
        cassette: vcrpy's, in use.
        scrubber: What to keep off the tape.
    """

    def __init__(self, cassette: Any, scrubber: Scrubber | None = None) -> None:
        self.cassette = cassette
        self.path = Path(cassette.path)
        self.performances: list[Performance] = []
        self.misses: list[str] = []
        self._scrubber = scrubber or Scrubber()
        self._recorders: list[tuple[int, Recorder]] = []
        self._pace = Pace()
        self._faults = [FaultsInUse()]
        self._late = False
        self._deltas: int | None = None
        self._whole = True
        self._strict = False
        self._ignore: tuple[str, ...] = ()
        self.stale: list[str] = []
        self._told = 0
        self.fails: Callable[[str], BaseException] | None = None
        """Makes what is raised for a request that cannot be answered, in place of vcrpy's exception."""
        self._requests = self._faulty_from = 0
        self._stack = contextlib.ExitStack()

    def __call__(
        self,
        *,
        speed: float | FakeClock | None = None,
        clock: FakeClock | None = None,
        faults: Fault | Iterable[Fault] | None = None,
        deltas: int | None = None,
        whole: bool | None = None,
        strict: bool | None = None,
        ignore: Iterable[str] | None = None,
    ) -> Self:
        """Set how the tape is played.

        Args:
            speed: 1 is the original pace, 2 twice as fast, 0 (the default) without any pause; a fake clock in its place
                is moved instead of waiting.
            clock: The fake clock, beside a speed.
            faults: What goes wrong, in order.
            deltas: At least so many pieces of the model's text have to be played.
            whole: False if the test leaves a stream, or requests, of the tape aside on purpose.
            strict: Whether a request whose JSON is not the recorded one fails the test; else it is a warning.
            ignore: Paths in that JSON that may differ, such as "messages[0].content"; `[*]` is any index.
        """
        if speed is not None or clock is not None:
            self._pace = Pace.of(speed, clock)
        if faults is not None:
            if self._requests == self._faulty_from:
                self._faults.pop()  # set and never used, as by a mark of the class
            self._faults.append(FaultsInUse(faults))
            self._faulty_from = self._requests
        if deltas is not None:
            self._deltas = deltas
        if whole is not None:
            self._whole = whole
        if strict is not None:
            self._strict = strict
        if ignore is not None:
            self._ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        return self

    @property
    def records(self) -> bool:
        """Whether requests that are not on the tape go to the network."""
        return not self.cassette.write_protected

    @property
    def takes(self) -> list[Take]:
        """What is on the tape so far."""
        return [_take(request, response) for request, response in self.cassette.data]

    # ------------------------------------------------------------------ open and closed

    def __enter__(self) -> Self:
        if not isinstance(self.cassette._persister, TapePersister):  # noqa: SLF001  vcrpy has no public way to it
            self._adopt()
        self.cassette._persister.scrubber = self._scrubber  # noqa: SLF001
        self._scrub()
        if self.cassette.write_protected:
            self._check()
            self._stack.enter_context(playing(request.uri for request, _ in self.cassette.data))
        self._patch_vcrpy()
        for name in ("httpx", "httpx2"):
            with contextlib.suppress(ImportError):
                self._patch_httpx(importlib.import_module(name))
        self._patch_aiohttp()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._keep()

    def _adopt(self) -> None:
        """Have a cassette that vcrpy has opened by itself keep chunks and times, and read those that it has."""
        from vcr.serializers import yamlserializer

        cassette = self.cassette
        cassette._persister = TapePersister(getattr(cassette._persister, "extra_paths", ()))  # noqa: SLF001
        if cassette._serializer is yamlserializer:  # noqa: SLF001
            cassette._serializer = tape_yaml  # noqa: SLF001
        again = copy.copy(cassette)
        again.data, again._old_interactions = [], []  # noqa: SLF001
        again._load()  # noqa: SLF001
        cassette.data[: cassette._loaded_count] = again.data  # noqa: SLF001
        cassette._old_interactions = again._old_interactions  # noqa: SLF001

    def _check(self) -> None:
        """Note which tapes are played, and see that nothing of them is missing.

        Raises:
            CassetteError: A tape is empty, or has lost its sidecar.
        """
        further = getattr(self.cassette._persister, "extra_paths", ())  # noqa: SLF001
        files = [path for path in (self.path, *map(Path, further)) if path.is_file()]
        PLAYED.update(path.resolve() for path in files)
        takes = self.cassette.data
        if not takes or any(response.get(TIMING) is None for _, response in takes):
            for path in files:
                load_tape(path, sidecar=bool(takes))

    def _scrub(self) -> None:
        """Put the scrubber before the cassette's own filters, for what is recorded and for what is compared."""
        cassette, scrubber = self.cassette, self._scrubber
        before_request, before_response = cassette._before_record_request, cassette._before_record_response  # noqa: SLF001
        cassette._before_record_request = lambda request: _then(before_request(_copied(request)), scrubber.request)  # noqa: SLF001
        cassette._before_record_response = lambda response: _then(before_response(response), scrubber.response)  # noqa: SLF001

    def _keep(self) -> None:
        """Hand what was recorded to the cassette, in the order of the requests.

        What was asked by other libraries meanwhile is on the cassette already.
        """
        recorders, self._recorders = self._recorders, []
        data, kept = self.cassette.data, 0
        for place, recorder in recorders:
            if not recorder.status:
                continue  # no answer came: there is nothing a cassette could hold
            response, timing = recorder.interaction()
            if recorder.timed:
                response = {**response, TIMING: replace(timing, error=self._scrubber.text(timing.error))}
            before = len(data)
            self.cassette.append(recorder.request, response)
            if len(data) > before:  # no filter has dropped it
                data.insert(place + kept, data.pop())
                kept += 1

    def body_ended(self) -> None:
        """The test's body is over: what is asked from now on is a fixture's, and kept without times."""
        self._late = True

    def problems(self, *, over: bool = True) -> list[str]:
        """What a replay lacked: requests that are not on the tape, interactions not asked for, streams not played.

        Args:
            over: Whether no request can follow. If some can, as when fixtures are torn down, interactions without times
                are waited for.
        """
        found = [f"{self.path.name}: {miss}" for miss in self.misses]
        found += [str(one.failure) for one in self.performances if one.failure is not None]
        found += self.stale if self._strict else []
        if self.records:
            return found
        found += [f"{self.path.name}: {problem}" for faults in self._faults for problem in faults.problems()]
        unasked = sum(
            not self.cassette.play_counts[place] and (over or TIMING in response)
            for place, (_, response) in enumerate(self.cassette.data)
        )
        if self._whole and unasked:
            found.append(
                f"{self.path.name}: {unasked} of its {len(self.cassette)} interactions were never asked for; "
                "if that is on purpose, say whole=False"
            )
        for one in self.performances:
            take = one.take
            if self._whole and one.left_early:
                played = sum(len(chunk.data) for chunk in take.chunks[: one.played])
                found.append(
                    f"{self.path.name}: {take.method} {take.url} was left at byte {played} of {len(take.body)}; "
                    "if that is on purpose, say whole=False"
                )
            elif self._whole and take.deltas is not None and take.end.value != "abandoned" and one.deltas < take.deltas:
                found.append(f"{self.path.name}: {one.deltas} deltas were played, the tape states {take.deltas}")
        if self._deltas is not None and (total := sum(one.deltas for one in self.performances)) < self._deltas:
            found.append(f"{self.path.name}: {total} deltas were played, {self._deltas} were expected")
        return found

    def verify(self) -> None:
        """Raise `AssertionError` if a replay was not what the tape and the test say."""
        if found := self.problems():
            raise AssertionError("; ".join(found))

    # ------------------------------------------------------------------ one request

    def _refusal(self) -> Take | None:
        number, self._requests = self._requests, self._requests + 1
        return self._faults[-1].refuse(number)

    def _perform(self, request: Any, response: dict[str, Any]) -> Performance:
        recorded = _take(request, response)
        take = self._faults[-1](recorded)
        if len(take.body) != len(recorded.body):
            headers = tuple(header for header in take.headers if header[0].lower() != "content-length")
            take = replace(take, headers=headers)
        performance = Performance(take, self._pace, str(self.path))
        self.performances.append(performance)
        return performance

    def _miss(self, request: Any) -> Exception:
        from vcr.errors import CannotOverwriteExistingCassetteException

        self.misses.append(self._missing(request))
        if self.fails is not None:
            raise self.fails(f"{self.path.name}: {self.misses[-1]}")
        error: Exception = CannotOverwriteExistingCassetteException(cassette=self.cassette, failed_request=request)
        return error

    def _missing(self, request: Any) -> str:
        if not self.cassette.data and not self.path.is_file():
            return f"no cassette at {self.path}: record it with --record-mode=once"
        asked = f"{request.method} {self._scrubber.url(request.uri)}"
        nearest = self.cassette.find_requests_with_most_matches(request)
        if not nearest:
            return f"{asked} is not on the tape, which holds nothing like it"
        if not (differing := [name for name, _ in nearest[0][2]]):
            times = "once" if len(nearest) == 1 else f"{len(nearest)} times"
            return f"{asked} was played already: the tape holds it {times}"
        closest = nearest[0][0]
        places = self._changes(closest, request) if _BODIES & set(differing) else ""
        return (
            f"{asked} is not on the tape; the nearest there is {closest.method} {self._scrubber.url(closest.uri)}, "
            f"which differs in {' and '.join(differing)}{places and f' ({places})'}"
        )

    def untold(self) -> list[str]:
        """The requests that are not what was recorded, where that is no failure, since this was last asked."""
        fresh, self._told = self.stale[self._told :], len(self.stale)
        return [] if self._strict else fresh

    def explain(self, error: BaseException) -> None:
        """Note on an error of the test what may be its cause, and what clients hide: requests missed or changed."""
        self._told = len(self.stale)
        for said in (*(f"{self.path.name}: {miss}" for miss in self.misses), *self.stale):
            if said not in str(error):
                error.add_note(said)

    def _compare(self, request: Any, response: dict[str, Any]) -> None:
        """Note where a request's body differs from that of the interaction that answers it."""
        recorded = next((one for one, held in self.cassette.data if held is response), None)
        if recorded is not None and (found := self._changes(recorded, request)):
            path = urlsplit(self._scrubber.url(request.uri)).path
            self.stale.append(
                f"{self.path.name}: {request.method} {path} is no longer the request that was recorded: {found}"
            )

    def _changes(self, recorded: Any, request: Any) -> str:
        """Where the bodies differ, in words, with all that is kept off tapes masked; nothing for forms with files."""
        sent = self.cassette.filter_request(request)
        if not sent or "multipart/" in str(sent.headers.get("content-type", "")):
            return ""
        before, now = (_content(one) or b"" for one in (recorded, sent))
        if before == now:
            return ""
        before, now = self._scrubber.body(before), self._scrubber.body(now)
        found = changes(before, now, self._ignore)
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return f"{'; '.join(found[:_NAMED])}{more}"

    def _record(self, recorder: Recorder) -> Recorder:
        recorder.timed = recorder.timed and not self._late
        self._recorders.append((len(self.cassette.data), recorder))
        return recorder

    # ------------------------------------------------------------------ vcrpy, for every library

    def _patch_vcrpy(self) -> None:
        """Compare whatever is played, and name whatever is missed, by libraries that the deck leaves to vcrpy, too."""
        from vcr import stubs

        cassette, play = self.cassette, self.cassette.play_response
        usual = stubs.CannotOverwriteExistingCassetteException

        def play_response(request: Any) -> Any:
            response = play(request)
            self._compare(request, response)
            return response

        def missed(**given: Any) -> Exception:
            is_ours = given["cassette"] is cassette
            error: Exception = self._miss(given["failed_request"]) if is_ours else usual(**given)
            return error

        self._stack.enter_context(mock.patch.object(cassette, "play_response", play_response))
        self._stack.enter_context(mock.patch.object(stubs, "CannotOverwriteExistingCassetteException", missed))

    # ------------------------------------------------------------------ httpx and httpx2

    def _patch_httpx(self, httpx: Any) -> None:
        for method, classes in _TRANSPORTS.items():
            for name in classes:
                transport = getattr(httpx, name, None)
                real = getattr(getattr(transport, method, None), "__wrapped__", None)  # under vcrpy's
                if real is None:
                    continue
                handle = self._handle_async(httpx, real) if "async" in method else self._handle(httpx, real)
                self._stack.enter_context(mock.patch.object(transport, method, handle))

    def _handle(self, httpx: Any, real: Callable[..., Any]) -> Callable[..., Any]:
        def handle_request(transport: Any, request: Any) -> Any:
            body = b"".join(request.stream)
            request.stream = httpx.ByteStream(body)
            answer = self._answer(httpx, request, body, is_async=False)
            if not isinstance(answer, Recorder):
                return real(transport, request) if answer is None else answer
            response = real(transport, request)
            return _under_record(httpx, response, answer, is_async=False)

        return handle_request

    def _handle_async(self, httpx: Any, real: Callable[..., Any]) -> Callable[..., Any]:
        async def handle_async_request(transport: Any, request: Any) -> Any:
            body = b"".join([part async for part in request.stream])
            request.stream = httpx.ByteStream(body)
            answer = self._answer(httpx, request, body, is_async=True)
            if not isinstance(answer, Recorder):
                return await real(transport, request) if answer is None else answer
            response = await real(transport, request)
            return _under_record(httpx, response, answer, is_async=True)

        return handle_async_request

    def _answer(self, httpx: Any, request: Any, body: bytes, *, is_async: bool) -> Any:
        """The response to play, a recorder for one to come, or None for a request that the cassette ignores."""
        from vcr.request import Request

        asked = Request(request.method, str(request.url), body, request.headers)
        if not self.cassette.filter_request(asked):
            return None
        if (refusal := self._refusal()) is not None:
            refused = Performance(refusal, self._pace, str(self.path))
            return httpx_response(httpx, refused, is_async=is_async)
        if self.cassette.can_play_response_for(asked):
            performance = self._perform(asked, self.cassette.play_response(asked))
            return httpx_response(httpx, performance, is_async=is_async)
        if self.cassette.write_protected:
            raise self._miss(asked)
        return self._record(Recorder(asked))

    # ------------------------------------------------------------------ aiohttp

    def _patch_aiohttp(self) -> None:
        try:
            import aiohttp
            from vcr.stubs import aiohttp_stubs as stubs
        except ImportError:
            return
        taken = aiohttp.ClientSession._request  # noqa: SLF001 - vcrpy's by now
        real = getattr(taken, "__wrapped__", None)
        if real is None:
            return
        deck, build = self, stubs.build_response

        async def noted(session: Any, method: str, url: Any, **kwargs: Any) -> Any:
            """The real request, timed from here."""
            recorder = Recorder(stubs.Request(method, str(url), None, {}))
            response = await real(session, method, url, **kwargs)
            recorder.answered(response.status, response.reason or "", stubs._serialize_headers(response.headers))  # noqa: SLF001
            recorder.decoded = bool(session._auto_decompress)  # noqa: SLF001
            recorded_aiohttp(response, recorder)
            response._stream_recorder = recorder  # noqa: SLF001
            return response

        async def record_response(_cassette: Any, request: Any, response: Any) -> None:
            recorder = getattr(response, "_stream_recorder", None) or await _passed_over(stubs, response)
            recorder.request = request
            deck._record(recorder)

        def build_response(request: Any, response: dict[str, Any], history: Any) -> Any:
            for redirect in history:
                redirect.content.passed_over()
            performance = deck._perform(request, response)
            built = build(request, {**response, **_vcr_response(performance.take)}, history)
            played_aiohttp(built, performance)
            return built

        play = stubs.vcr_request(self.cassette, noted)

        async def request(session: Any, method: str, url: Any, **kwargs: Any) -> Any:
            from vcr.errors import CannotOverwriteExistingCassetteException

            asked = stubs.Request(method, str(url), None, {})
            if self.cassette.filter_request(asked) and (refusal := self._refusal()) is not None:
                performance = Performance(refusal, self._pace, str(self.path))
                built = build(asked, _vcr_response(refusal), [])
                played_aiohttp(built, performance)
                await stubs._raise_for_status(session, kwargs.get("raise_for_status"), built)  # noqa: SLF001
                return built
            try:
                return await play(session, method, url, **kwargs)
            except CannotOverwriteExistingCassetteException as error:
                self._miss(error.failed_request)
                raise

        patch = self._stack.enter_context
        patch(mock.patch.object(aiohttp.ClientSession, "_request", request))
        patch(mock.patch.object(stubs, "record_response", record_response))
        patch(mock.patch.object(stubs, "build_response", build_response))


async def _passed_over(stubs: Any, response: Any) -> Recorder:
    """What is known of a redirect that aiohttp has followed; nobody has measured it."""
    recorder = Recorder(None, timed=False)
    recorder.answered(response.status, response.reason or "", stubs._serialize_headers(response.headers))  # noqa: SLF001
    with contextlib.suppress(stubs.ClientConnectionError):  # raised where there is no body
        recorder.arrived(await response.read())
    recorder.ended(End.COMPLETE)
    return recorder


def _under_record(httpx: Any, response: Any, recorder: Recorder, *, is_async: bool) -> Any:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name, []).append(value)
    reason = response.extensions.get("reason_phrase", b"").decode("ascii", "replace")
    recorder.answered(response.status_code, reason or response.reason_phrase, headers)
    response.stream = recorded_stream(httpx, response.stream, recorder, is_async=is_async)
    return response


def _take(request: Any, response: dict[str, Any]) -> Take:
    sent = {"method": request.method, "uri": request.uri, "body": request.body, "headers": dict(request.headers)}
    return take_of(sent, response, response.get(TIMING))


def _vcr_response(take: Take) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in take.headers:
        headers.setdefault(name, []).append(value)
    return {
        "status": {"code": take.status, "message": take.reason or None},
        "headers": headers,
        "body": {"string": take.body},
    }


def _content(request: Any) -> Any:
    """A request's body, as bytes also where it was a file or an iterator."""
    body = request.body
    if hasattr(body, "read"):
        return body.read()
    if isinstance(body, Iterator):
        return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in body)
    return body


def _copied(request: Any) -> Any:
    from vcr.request import Request

    return Request(request.method, request.uri, _content(request), dict(request.headers))


def _then(value: Any, change: Callable[[Any], Any]) -> Any:
    """What the cassette's own filter left, changed; None if it dropped it."""
    return change(value) if value else value


@contextlib.contextmanager
def use_tape(
    path: Path | str,
    *,
    record_mode: str = "none",
    scrubber: Scrubber | None = None,
    speed: float | FakeClock | None = None,
    clock: FakeClock | None = None,
    faults: Fault | Iterable[Fault] | None = None,
    deltas: int | None = None,
    whole: bool | None = None,
    strict: bool = False,
    ignore: Iterable[str] = (),
    match_on: Iterable[str] = ("method", "scheme", "host", "port", "path", "query"),
) -> Iterator[Deck]:
    """Record or play a tape without pytest: within this, requests of httpx, httpx2 and aiohttp go to the tape.

    Args:
        path: Of the cassette.
        record_mode: As in vcrpy: "none" plays, "once" records a tape that is not there, "all" records anew.
        scrubber: What to keep off the tape.
        speed: As in `Deck`; so are `clock`, `faults`, `deltas` and `whole`.
        clock: The fake clock.
        faults: What goes wrong.
        deltas: The least number of pieces of text.
        whole: False if a stream is left early on purpose.
        strict: As in `Deck`; so is `ignore`.
        ignore: Paths in a request's JSON that may differ from the recorded one.
        match_on: vcrpy's names of what has to be equal in a request.

    Yields:
        The deck.

    Raises:
        AssertionError: The tape was not played to its end, unless the body has raised.
        CassetteError: The tape cannot be used.
        MissingExtra: vcrpy is not installed.
    """
    try:
        import vcr
    except ImportError as error:
        raise MissingExtra("use_tape", "testing") from error
    if record_mode == "none" and not Path(path).is_file():
        raise CassetteError(path, 1, "there is no such tape", 'check the path, or record it with record_mode="once"')
    recorder = vcr.VCR(record_mode=vcr.mode(record_mode), match_on=tuple(match_on))
    recorder.register_serializer("yaml", tape_yaml)
    recorder.register_persister(TapePersister())
    with recorder.use_cassette(str(path)) as cassette, Deck(cassette, scrubber) as deck:
        deck(speed=speed, clock=clock, faults=faults, deltas=deltas, whole=whole, strict=strict, ignore=ignore)
        try:
            yield deck
        except Exception as error:
            deck.explain(error)
            raise
        deck.verify()
        for said in deck.untold():
            warnings.warn(said, StaleCassette, stacklevel=3)
