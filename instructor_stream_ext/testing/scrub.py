"""Keeping secrets off cassettes: what is dropped and masked, and the search for what slipped through.

Headers that identify an account are dropped, query keys and whatever looks like a secret are masked. A mask is as long
as what it hides, so that the offsets of a stream's chunks, and `content-length`, stay true.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from instructor_stream_ext.testing.encoding import decoded
from instructor_stream_ext.testing.spread import hidden, unspread

__all__ = ["MASK", "PATTERNS", "REQUEST_HEADERS", "RESPONSE_HEADERS", "Finding", "Scrubber", "masked"]

REQUEST_HEADERS = frozenset({
    "api-key",
    "authorization",
    "cookie",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "x-amz-security-token",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-user-project",
})  # fmt: skip
RESPONSE_HEADERS = frozenset({
    "anthropic-organization-id",
    "apim-request-id",
    "cf-ray",
    "openai-organization",
    "openai-project",
    "request-id",
    "set-cookie",
    "x-amzn-requestid",
    "x-request-id",
})  # fmt: skip
QUERY = frozenset({"access_token", "api-key", "api_key", "key", "token"})

PATTERNS: Mapping[str, re.Pattern[bytes]] = {
    "an OpenAI or Anthropic key": re.compile(rb"\bsk-[A-Za-z0-9_-]{16,}"),
    "a Google key": re.compile(rb"\bAIza[0-9A-Za-z_-]{35}"),
    "a Google token": re.compile(rb"\bya29\.[0-9A-Za-z_-]{20,}"),
    "an AWS key": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,})"),
    "a provider's key": re.compile(rb"\b(?:gsk|hf|pplx|r8|csk|fw|nvapi|xai|tgp_v1)[_-][A-Za-z0-9_-]{20,}"),
    "a Slack token": re.compile(rb"\bxox[abpr]-[A-Za-z0-9-]{10,}"),
    "a signed token": re.compile(rb"\beyJ(?:\w|-(?!eyJ)){8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    "a bearer token": re.compile(rb"(?i)\bbearer\s+(?=[^\s\"']*[0-9._-])[A-Za-z0-9._~+/=-]{16,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----[A-Za-z0-9+/=\\\s]*"),
    "an organization's id": re.compile(rb"\borg-[A-Za-z0-9]{16,}"),
    "a project's id": re.compile(rb"\bproj_[A-Za-z0-9]{16,}"),
    "an e-mail address": re.compile(
        # at most 64 characters before the @ (RFC 5321, 4.5.3.1.1), so that a recorded sound or picture, in base64, is
        # searched in linear time; the domains that are reserved for examples belong to nobody
        rb"[A-Za-z0-9._%+-]{0,63}[A-Za-z0-9]@(?!(?:[A-Za-z0-9-]+\.)*(?:example\.(?:com|net|org)|example|test|invalid|localhost)\b)"
        rb"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b"
    ),
}
"""Patterns of secrets, by the names under which they are reported."""

_WORD = b"REDACTED"
MASK = re.compile(_WORD.decode() + r"\**")
"""Matches a mask."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be on a cassette.

    Attributes:
        line: Of the file, from 1.
        what: In words.
        shown: Its first characters, never all of it.
    """

    line: int
    what: str
    shown: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.shown}...)" if self.shown else self.what


def masked(found: bytes) -> bytes:
    """Return a mask of the same length that does not look like a secret."""
    return _WORD[: len(found)].ljust(len(found), b"*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubber:
    """Masks what must not be on a cassette. Return your own from a fixture named `stream_scrubber`.

    Args:
        request_headers: Names that are dropped, in any case.
        response_headers: The same for answers.
        query: Keys whose values are masked.
        patterns: What to mask in addresses, headers and bodies, by name.
    """

    request_headers: frozenset[str] = REQUEST_HEADERS
    response_headers: frozenset[str] = RESPONSE_HEADERS
    query: frozenset[str] = QUERY
    patterns: Mapping[str, re.Pattern[bytes]] = field(default_factory=lambda: PATTERNS)

    def extended(self, *names: str, **patterns: str) -> Scrubber:
        """Return a copy that drops more headers (of requests and answers) and masks more patterns."""
        more = frozenset(name.lower() for name in names)
        compiled = {name: re.compile(pattern.encode()) for name, pattern in patterns.items()}
        return Scrubber(
            request_headers=self.request_headers | more,
            response_headers=self.response_headers | more,
            query=self.query,
            patterns={**self.patterns, **compiled},
        )

    def masked(self, content: bytes) -> bytes:
        """Return as many bytes, with every secret masked."""
        return _masked(content, tuple(self.patterns.values()))

    def unspread(self, content: bytes) -> bytes:
        """Mask also the secrets that several events of a stream spell together."""
        return _unspread(content, tuple(self.patterns.values()))

    def hidden(self, content: bytes) -> list[str]:
        """Return the patterns that match across several events of a stream, and in none of them alone."""
        return sorted(hidden(content, self.patterns))

    def text(self, content: str) -> str:
        """Return a text with every secret masked."""
        return self.masked(content.encode(errors="surrogateescape")).decode(errors="surrogateescape")

    def url(self, url: str) -> str:
        """Return an address with the values of secret keys masked, and anything that is a secret once unquoted."""
        parts = urlsplit(url)
        if parts.username or parts.password:
            parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        shown = [(name, _WORD.decode() if name.lower() in self.query else self.text(value)) for name, value in pairs]
        if shown != pairs:
            parts = parts._replace(query=urlencode(shown, safe="*"))
        path = unquote(parts.path)
        if self.text(path) != path:
            parts = parts._replace(path=quote(self.text(path), safe="/:@*"))
        return self.text(urlunsplit(parts))

    def header(self, value: Any) -> Any:
        """Return the value or the values of a header, masked."""
        if isinstance(value, list | tuple):
            return [self.header(one) for one in value]
        return self.text(value) if isinstance(value, str) else self.masked(value)

    def body(self, body: object) -> Any:
        """Return a body, masked, of whatever type vcrpy has it in."""
        if isinstance(body, str):
            return self.unspread(body.encode(errors="surrogateescape")).decode(errors="surrogateescape")
        if isinstance(body, bytes | bytearray):
            return self.unspread(bytes(body))
        if isinstance(body, dict):
            return {key: self.body(value) for key, value in body.items()}
        return [self.body(one) for one in body] if isinstance(body, list) else body

    def request(self, request: Any) -> Any:
        """Scrub vcrpy's request in place; for `before_record_request`."""
        for name in [name for name in request.headers if name.lower() in self.request_headers]:
            del request.headers[name]
        for name, value in list(request.headers.items()):
            request.headers[name] = self.header(value if isinstance(value, bytes) else str(value))
        request.uri = self.url(request.uri)
        if isinstance(request.body, str | bytes | bytearray):
            request.body = self.body(request.body)
        return request

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Scrub vcrpy's response in place; for `before_record_response`.

        A body that is still encoded, as vcrpy keeps it, is decoded first.
        """
        headers = response.get("headers") or {}
        body = response.get("body")
        if isinstance(body, dict) and "string" in body:
            plain = _plain(headers, body["string"])
            if plain is not None:
                headers = _without_encoding(headers, len(plain))
                body["string"] = plain
            body["string"] = self.body(body["string"])
        response["headers"] = {
            name: self.header(value) for name, value in headers.items() if name.lower() not in self.response_headers
        }
        return response

    def search(self, content: bytes) -> Iterator[Finding]:
        """Search the raw bytes of a file for the patterns."""
        for what, pattern in self.patterns.items():
            for found in pattern.finditer(content):
                yield Finding(content.count(b"\n", 0, found.start()) + 1, what, found[0][:6].decode(errors="replace"))

    def headers(self, names: Iterable[str], *, sent: bool) -> list[str]:
        """Return which of these names must not be on a cassette."""
        forbidden = self.request_headers if sent else self.response_headers
        return [name for name in names if name.lower() in forbidden]


def _masked(content: bytes, patterns: tuple[re.Pattern[bytes], ...]) -> bytes:
    for pattern in patterns:
        content = pattern.sub(lambda found: masked(found[0]), content)
    return content


@functools.lru_cache(maxsize=64)
def _unspread(content: bytes, patterns: tuple[re.Pattern[bytes], ...]) -> bytes:
    """Mask a body. Cached, because each playing of a test looks at the same few bodies."""
    return _masked(unspread(content, patterns, masked), patterns)


def _plain(headers: Mapping[str, Any], body: object) -> bytes | None:
    """Return a body without its content encoding; None if it has none, or is already decoded."""
    named = next((value for name, value in headers.items() if name.lower() == "content-encoding"), "")
    encoding = str(named[0] if isinstance(named, list | tuple) and named else named or "").lower()
    if not encoding or not isinstance(body, bytes) or not body:
        return None
    parts = decoded([(0.0, body)], encoding)
    return None if parts is None else b"".join(data for _, data in parts)


def _without_encoding(headers: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Return the headers of a body that was decoded."""
    kept = {name: value for name, value in headers.items() if name.lower() != "content-encoding"}
    return {name: [str(size)] if name.lower() == "content-length" else value for name, value in kept.items()}
