"""How a cassette is stored: as vcrpy stores it, with chunks and times in a sidecar."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instructor_stream_ext.testing.cassette import body_of, load_cassette
from instructor_stream_ext.testing.scrub import Scrubber
from instructor_stream_ext.testing.sidecar import TIMING, Timing, read_sidecar, sidecar_of, sidecar_text

__all__ = ["CassettePersister", "content_of", "copied"]


class CassettePersister:
    """Stores a cassette as vcrpy does, and its sidecar beside it. Timings travel inside vcrpy's responses.

    Args:
        extra_paths: Further cassettes that are read and never written.

    Attributes:
        scrubber: What is kept off whatever is written, also what was recorded before a stream cassette stood before
            vcrpy's, as by a fixture that comes first; None while none has.
    """

    def __init__(self, extra_paths: Iterable[str] = ()) -> None:
        self.extra_paths = tuple(extra_paths)
        self.scrubber: Scrubber | None = None

    def load_cassette(self, cassette_path: str, serializer: object) -> tuple[list[Any], list[Any]]:
        """Read a cassette, the additional ones, and the sidecars that exist."""
        from vcr.persisters.filesystem import CassetteNotFoundError
        from vcr.serialize import deserialize

        requests: list[Any] = []
        responses: list[Any] = []
        for path in dict.fromkeys(map(str, (cassette_path, *self.extra_paths))):
            if not Path(path).is_file() or not Path(path).stat().st_size:
                continue
            load_cassette(path)  # says what is wrong, if something is
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

    def save_cassette(self, cassette_path: str, cassette_dict: dict[str, Any], serializer: object) -> None:
        """Write a cassette and its sidecar."""
        from vcr.serialize import serialize

        path = Path(cassette_path)
        if self.scrubber is not None:
            cassette_dict = {
                **cassette_dict,
                "requests": [self.scrubber.request(copied(request)) for request in cassette_dict["requests"]],
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
    """Return a response's timing, with the request as it stands on the cassette after filtering.

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


def content_of(request: Any) -> Any:
    """Return a request's body, as bytes also where it was a file or an iterator."""
    body = request.body
    if hasattr(body, "read"):
        return body.read()
    if isinstance(body, Iterator):
        return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in body)
    return body


def copied(request: Any) -> Any:
    """Return a copy of a request that filters may change, its body as bytes."""
    from vcr.request import Request

    return Request(request.method, request.uri, content_of(request), dict(request.headers))
