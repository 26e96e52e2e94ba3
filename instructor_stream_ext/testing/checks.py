"""Looking over tapes that are already there: what must not be on them, and taking it off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instructor_stream_ext.testing import yaml as tape_yaml
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.payload import has_end_signal, is_stream
from instructor_stream_ext.testing.scrub import Finding, Scrubber
from instructor_stream_ext.testing.tape import End, Take, body_of, load_tape, sidecar_of

__all__ = ["check_tape", "scrub_tape", "secrets_on"]

_NO_BODY = frozenset({204, 304})
_ENDPOINTS = re.compile(
    r"/(?:chat|completions?|responses|messages|generate|converse(?:-stream)?|invoke(?:-with-response-stream)?)$"
    r"|:(?:stream)?(?:generateContent|rawPredict)$",
    re.IGNORECASE,
)
"""Where the providers' models are asked."""
_PROMPTS = frozenset({"contents", "messages", "prompt"})
"""The fields in which a model is asked something."""


_EMPTY = "the body is empty"
_ENDLESS = "the stream has no end signal, and no sidecar declares it abandoned or cut"


def secrets_on(path: Path) -> list[str]:
    """The findings of `check_tape` that must not be shown to anybody, a line each."""
    found = check_tape(path)
    return [f"{file}:{one.line}: {one}" for file, one in found if one.what not in (_EMPTY, _ENDLESS)]


def check_tape(path: Path, scrubber: Scrubber | None = None) -> Iterator[tuple[Path, Finding]]:
    """Find what is wrong with a tape: secrets, empty bodies, ends that are missing and not declared.

    Args:
        path: Of the cassette.
        scrubber: What must not be on it.

    Yields:
        The file and what was found in it.
    """
    scrubber = scrubber or Scrubber()
    for file in (path, sidecar_of(path)):
        if file.is_file():
            for finding in scrubber.search(file.read_bytes()):
                yield file, finding
    try:
        tape = load_tape(path)
        lines = [one["line"] for one in tape_yaml.read_cassette(path, path.read_text(encoding="utf-8"))]
    except CassetteError as error:
        yield error.path, Finding(error.line, f"{error.problem}; {error.advice}")
        return
    for take, line in zip(tape.takes, lines, strict=True):
        for what in _faults_of(take, scrubber):
            yield path, Finding(line, what)


def _faults_of(take: Take, scrubber: Scrubber) -> Iterator[str]:
    for side, names in (("request", take.request_headers), ("response", [name for name, _ in take.headers])):
        for name in scrubber.headers(names, sent=side == "request"):
            yield f"the {side} header {name!r} must not be on a tape"
    if scrubber.url(take.url) != take.url:
        yield "a key is in the address"
    body, kind = take.body, take.content_type
    if not body and take.status not in _NO_BODY and is_llm(take):
        if take.end in (End.COMPLETE, End.ERROR) and "Timeout" not in take.error:
            yield _EMPTY
        return
    for what in scrubber.hidden(body):
        yield f"{what} is in the model's text, spread over several pieces; mask it with instructor-stream scrub"
    if is_llm(take) and take.end is End.COMPLETE and is_stream(body, kind) and not has_end_signal(body, kind):
        yield _ENDLESS


def is_llm(take: Take) -> bool:
    """Return whether a model was asked: by the address, or by what was sent."""
    if take.method != "POST" or 300 <= take.status < 400:  # noqa: PLR2004 - sent elsewhere
        return False
    if _ENDPOINTS.search(urlsplit(take.url).path):
        return True
    try:
        sent = json.loads(take.request_body)
    except ValueError:
        return False
    return isinstance(sent, dict) and not _PROMPTS.isdisjoint(sent)


def scrub_tape(path: Path, scrubber: Scrubber | None = None, *, dry_run: bool = False) -> bool:
    """Take secrets off a tape, in place; its sidecar stays true, for masks are as long as what they hide.

    Args:
        path: Of the cassette.
        scrubber: What to take off.
        dry_run: Change nothing.

    Returns:
        Whether anything was, or would be, changed.

    Raises:
        CassetteError: The tape cannot be read.
    """
    scrubber = scrubber or Scrubber()
    load_tape(path)
    text = path.read_text(encoding="utf-8")
    content = tape_yaml.deserialize(text)
    changed = False
    for interaction in content["interactions"]:
        request, response = interaction["request"], interaction["response"]
        before = (dict(request), _frozen(response))
        request["headers"] = {
            name: scrubber.header(value)
            for name, value in (request.get("headers") or {}).items()
            if name.lower() not in scrubber.request_headers
        }
        request["uri"] = scrubber.url(request["uri"])
        request["body"] = scrubber.body(request.get("body"))
        scrubber.response(response)
        changed = changed or (dict(request), _frozen(response)) != before
    if changed and not dry_run:
        path.write_text(tape_yaml.serialize(content), encoding="utf-8", newline="\n")
    return _scrub_sidecar(sidecar_of(path), scrubber, dry_run=dry_run) or changed


def _scrub_sidecar(path: Path, scrubber: Scrubber, *, dry_run: bool) -> bool:
    """Mask what the sidecar's words, of requests and errors, give away."""
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    clean = scrubber.text(text)
    if clean != text and not dry_run:
        path.write_text(clean, encoding="utf-8", newline="\n")
    return clean != text


def _frozen(response: Mapping[str, Any]) -> Any:
    return dict(response.get("headers") or {}), body_of(response)
