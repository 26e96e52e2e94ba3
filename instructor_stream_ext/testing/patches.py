"""Patches that replace vcrpy's in each HTTP library, so that bodies pass piece by piece.

vcrpy takes the place of each library's transport. For as long as a stream cassette is open these patches take vcrpy's
place there: requests are matched, filtered and stored by vcrpy's own cassette as before.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from instructor_stream_ext.testing.cassette import End, Interaction
from instructor_stream_ext.testing.clock import Pace
from instructor_stream_ext.testing.recording import Recorder, recorded_aiohttp, recorded_stream
from instructor_stream_ext.testing.replay import Performance, httpx_response, played_aiohttp

__all__ = ["Patches"]

_TRANSPORTS = {
    "handle_request": ("HTTPTransport", "WSGITransport", "MockTransport"),
    "handle_async_request": ("AsyncHTTPTransport", "ASGITransport", "MockTransport"),
}


class Played(Protocol):
    """Answers requests, and is told about those that are recorded."""

    @property
    def cassette(self) -> Any:
        """vcrpy's cassette."""

    @property
    def path(self) -> Path:
        """The path of the cassette."""

    @property
    def pace(self) -> Pace:
        """How fast it is played."""

    def refusal(self) -> Interaction | None:
        """Count a request; return what refuses it, if a fault does."""

    def perform(self, request: object, response: dict[str, Any]) -> Performance:
        """Start playing an answer from the cassette."""

    def miss(self, request: object) -> Exception:
        """Note a request that is not on the cassette, and return the error to raise for it."""

    def compare(self, request: object, response: dict[str, Any]) -> None:
        """Note how a request differs from the recorded one that it was matched with."""

    def record(self, recorder: Recorder) -> Recorder:
        """Keep what this recorder is about to record."""


class Patches:
    """The patches of one stream cassette.

    Args:
        played: Answers requests, and is told about those that are recorded.
        stack: Takes the patches off again.
    """

    def __init__(self, played: Played, stack: ExitStack) -> None:
        self._played = played
        self._enter = stack.enter_context

    def put_on(self) -> None:
        """Apply all patches."""
        self._vcrpy()
        for name in ("httpx", "httpx2"):
            with contextlib.suppress(ImportError):
                self._httpx(importlib.import_module(name))
        self._aiohttp()

    def _vcrpy(self) -> None:
        """Compare what is played and name what is missing, also for libraries that are left to vcrpy."""
        from vcr import stubs

        cassette, play = self._played.cassette, self._played.cassette.play_response
        usual = stubs.CannotOverwriteExistingCassetteException

        def play_response(request: object) -> Any:
            response = play(request)
            self._played.compare(request, response)
            return response

        def missed(**given: object) -> Exception:
            is_ours = given["cassette"] is cassette
            error: Exception = self._played.miss(given["failed_request"]) if is_ours else usual(**given)
            return error

        self._enter(mock.patch.object(cassette, "play_response", play_response))
        self._enter(mock.patch.object(stubs, "CannotOverwriteExistingCassetteException", missed))

    # ------------------------------------------------------------------ httpx and httpx2

    def _httpx(self, httpx: object) -> None:
        for method, classes in _TRANSPORTS.items():
            for name in classes:
                transport = getattr(httpx, name, None)
                real = getattr(getattr(transport, method, None), "__wrapped__", None)  # under vcrpy's
                if real is None:
                    continue
                handle = self._handle_async(httpx, real) if "async" in method else self._handle(httpx, real)
                self._enter(mock.patch.object(transport, method, handle))

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
        """Return the response to play, a recorder for a new one, or None for a request that the cassette ignores."""
        from vcr.request import Request

        asked = Request(request.method, str(request.url), body, request.headers)
        if not self._played.cassette.filter_request(asked):
            return None
        if (refusal := self._played.refusal()) is not None:
            refused = Performance(refusal, self._played.pace, str(self._played.path))
            return httpx_response(httpx, refused, is_async=is_async)
        if self._played.cassette.can_play_response_for(asked):
            performance = self._played.perform(asked, self._played.cassette.play_response(asked))
            return httpx_response(httpx, performance, is_async=is_async)
        if self._played.cassette.write_protected:
            raise self._played.miss(asked)
        return self._played.record(Recorder(asked))

    # ------------------------------------------------------------------ aiohttp

    def _aiohttp(self) -> None:
        try:
            import aiohttp
            from vcr.stubs import aiohttp_stubs as stubs
        except ImportError:
            return
        taken = aiohttp.ClientSession._request  # noqa: SLF001 - vcrpy's by now
        real = getattr(taken, "__wrapped__", None)
        if real is None:
            return
        played, build = self._played, stubs.build_response

        async def noted(session: Any, method: str, url: Any, **kwargs: Any) -> Any:
            """Send the real request, timed from here."""
            recorder = Recorder(stubs.Request(method, str(url), None, {}))
            response = await real(session, method, url, **kwargs)
            recorder.answered(response.status, response.reason or "", stubs._serialize_headers(response.headers))  # noqa: SLF001
            recorder.decoded = bool(session._auto_decompress)  # noqa: SLF001
            recorded_aiohttp(response, recorder)
            response._stream_recorder = recorder  # noqa: SLF001
            return response

        async def record_response(_cassette: object, request: object, response: object) -> None:
            recorder = getattr(response, "_stream_recorder", None) or await _passed_over(stubs, response)
            recorder.request = request
            played.record(recorder)

        def build_response(request: Any, response: dict[str, Any], history: Any) -> Any:
            for redirect in history:
                redirect.content.passed_over()
            performance = played.perform(request, response)
            built = build(request, {**response, **_vcr_response(performance.interaction)}, history)
            played_aiohttp(built, performance)
            return built

        play = stubs.vcr_request(self._played.cassette, noted)

        async def request(session: object, method: str, url: object, **kwargs: object) -> Any:
            from vcr.errors import CannotOverwriteExistingCassetteException

            asked = stubs.Request(method, str(url), None, {})
            if self._played.cassette.filter_request(asked) and (refusal := self._played.refusal()) is not None:
                performance = Performance(refusal, self._played.pace, str(self._played.path))
                built = build(asked, _vcr_response(refusal), [])
                played_aiohttp(built, performance)
                await stubs._raise_for_status(session, kwargs.get("raise_for_status"), built)  # noqa: SLF001
                return built
            try:
                return await play(session, method, url, **kwargs)
            except CannotOverwriteExistingCassetteException as error:
                self._played.miss(error.failed_request)
                raise

        patch = self._enter
        patch(mock.patch.object(aiohttp.ClientSession, "_request", request))
        patch(mock.patch.object(stubs, "record_response", record_response))
        patch(mock.patch.object(stubs, "build_response", build_response))


async def _passed_over(stubs: Any, response: Any) -> Recorder:
    """Return what is known about a redirect that aiohttp has followed; its times were not measured."""
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


def _vcr_response(interaction: Interaction) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in interaction.headers:
        headers.setdefault(name, []).append(value)
    return {
        "status": {"code": interaction.status, "message": interaction.reason or None},
        "headers": headers,
        "body": {"string": interaction.body},
    }
