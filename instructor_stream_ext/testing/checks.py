"""Checks of existing cassettes: what must not be on them, and how to remove it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from instructor_stream_ext.testing import yaml as cassette_yaml
from instructor_stream_ext.testing.cassette import End, Interaction, body_of, load_cassette
from instructor_stream_ext.testing.errors import CassetteError
from instructor_stream_ext.testing.payload import has_end_signal, is_stream
from instructor_stream_ext.testing.scrub import Finding, Scrubber
from instructor_stream_ext.testing.sidecar import sidecar_of

__all__ = ["check_cassette", "scrub_cassette", "secrets_on"]

_NO_BODY = frozenset({204, 304})
_ENDPOINTS = re.compile(
    r"/(?:chat|completions?|responses|messages|generate|converse(?:-stream)?|invoke(?:-with-response-stream)?)$"
    r"|:(?:stream)?(?:generateContent|rawPredict)$",
    re.IGNORECASE,
)
"""The paths under which providers offer their models."""
_PROMPTS = frozenset({"contents", "messages", "prompt"})
"""The fields that contain the question to a model."""


_EMPTY = "the body is empty"
_ENDLESS = "the stream has no end signal, and no sidecar declares it abandoned or cut"


def secrets_on(path: Path) -> list[str]:
    """Yield the findings of `check_cassette` that nobody should be shown, a line each."""
    found = check_cassette(path)
    return [f"{file}:{one.line}: {one}" for file, one in found if one.what not in (_EMPTY, _ENDLESS)]


def check_cassette(path: Path, scrubber: Scrubber | None = None) -> Iterator[tuple[Path, Finding]]:
    """Find what is wrong with a cassette: secrets, empty bodies, and missing ends that are not declared.

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
        cassette = load_cassette(path)
        lines = [one["line"] for one in cassette_yaml.read_cassette(path, path.read_text(encoding="utf-8"))]
    except CassetteError as error:
        yield error.path, Finding(error.line, f"{error.problem}; {error.advice}")
        return
    for interaction, line in zip(cassette.interactions, lines, strict=True):
        for what in _faults_of(interaction, scrubber):
            yield path, Finding(line, what)


def _faults_of(interaction: Interaction, scrubber: Scrubber) -> Iterator[str]:
    for side, names in (
        ("request", interaction.request_headers),
        ("response", [name for name, _ in interaction.headers]),
    ):
        for name in scrubber.headers(names, sent=side == "request"):
            yield f"the {side} header {name!r} must not be on a cassette"
    if scrubber.url(interaction.url) != interaction.url:
        yield "a key is in the address"
    body, kind = interaction.body, interaction.content_type
    if not body and interaction.status not in _NO_BODY and is_llm(interaction):
        if interaction.end in (End.COMPLETE, End.ERROR) and "Timeout" not in interaction.error:
            yield _EMPTY
        return
    for what in scrubber.hidden(body):
        yield f"{what} is in the model's text, spread over several pieces; mask it with instructor-stream scrub"
    if (
        is_llm(interaction)
        and interaction.end is End.COMPLETE
        and is_stream(body, kind)
        and not has_end_signal(body, kind)
    ):
        yield _ENDLESS


def is_llm(interaction: Interaction) -> bool:
    """Return whether a model was asked: by the address, or by what was sent."""
    if interaction.method != "POST" or 300 <= interaction.status < 400:  # noqa: PLR2004 - sent elsewhere
        return False
    if _ENDPOINTS.search(urlsplit(interaction.url).path):
        return True
    try:
        sent = json.loads(interaction.request_body)
    except ValueError:
        return False
    return isinstance(sent, dict) and not _PROMPTS.isdisjoint(sent)


def scrub_cassette(path: Path, scrubber: Scrubber | None = None, *, dry_run: bool = False) -> bool:
    """Remove secrets from a cassette, in place. Its sidecar stays valid, as masks keep the length.

    Args:
        path: Of the cassette.
        scrubber: What to remove.
        dry_run: Change nothing.

    Returns:
        Whether anything was, or would be, changed.

    Raises:
        CassetteError: The cassette cannot be read.
    """
    scrubber = scrubber or Scrubber()
    load_cassette(path)
    text = path.read_text(encoding="utf-8")
    content = cassette_yaml.deserialize(text)
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
        path.write_text(cassette_yaml.serialize(content), encoding="utf-8", newline="\n")
    return _scrub_sidecar(sidecar_of(path), scrubber, dry_run=dry_run) or changed


def _scrub_sidecar(path: Path, scrubber: Scrubber, *, dry_run: bool) -> bool:
    """Mask secrets in the sidecar's requests and errors."""
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    clean = scrubber.text(text)
    if clean != text and not dry_run:
        path.write_text(clean, encoding="utf-8", newline="\n")
    return clean != text


def _frozen(response: Mapping[str, Any]) -> Any:
    return dict(response.get("headers") or {}), body_of(response)
