r"""A vcrpy serializer whose cassettes are pleasant to read and lose no byte.

Server-sent events stand as literal blocks, one line each, non-ASCII as it is. A literal block cannot hold a carriage
return: where every line of a body ends in CRLF, the block has plain line ends and `newline: crlf` beside it brings them
back (plain vcrpy, which does not know it, plays the same events with plain line ends). What cannot stand in a block
(control characters, U+2028, mixed line ends) is quoted; what is not text is base64.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from instructor_stream_ext.core.errors import MissingExtra
from instructor_stream_ext.testing.errors import RESTORE, CassetteError

__all__ = ["deserialize", "read_cassette", "serialize"]

VERSION = 1
_NEWLINE = "newline"
_CRLF = "crlf"
_CONTROL = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f]")
_BREAKS = re.compile("[\x85\u2028\u2029]")
"""YAML 1.1's line ends; unless escaped, they come back as plain ones."""
_ORDER = ("method", "uri", "status", "headers", "body", "encoding", "string", _NEWLINE)


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("reading a cassette", "testing") from error
    return yaml


def serialize(cassette_dict: dict[str, Any]) -> str:
    """Return vcrpy's cassette as YAML text."""
    content = {
        "interactions": [_arranged(one) for one in cassette_dict["interactions"]],
        **{key: value for key, value in cassette_dict.items() if key not in ("interactions", "version")},
        "version": cassette_dict.get("version", VERSION),
    }
    text: str = _yaml().dump(content, Dumper=_dumper(), allow_unicode=True, sort_keys=False, width=1 << 20)
    return text


class _Block(str):
    """Text written as a literal block, where YAML allows it."""

    __slots__ = ()


def _dumper() -> type[Any]:
    """YAML's safe dumper with literal blocks; it repeats what occurs twice, as anchors are hard to read.

    The one in Python: libyaml's escapes each character beyond U+FFFF (https://github.com/yaml/libyaml/issues/279).
    """
    yaml = _yaml()
    dumper: type[Any] = type("CassetteDumper", (yaml.SafeDumper,), {"ignore_aliases": lambda *_: True})
    dumper.add_representer(str, _scalar)
    dumper.add_representer(_Block, _scalar)
    return dumper


def _scalar(dumper: Any, text: str) -> Any:
    style = '"' if _BREAKS.search(text) else "|" if isinstance(text, _Block) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _arranged(interaction: dict[str, Any]) -> dict[str, Any]:
    """Return one interaction in a stable order, with its texts as blocks."""
    request, response = dict(interaction["request"]), dict(interaction["response"])
    request["body"] = _body(request.get("body"))
    body = response.get("body")
    if isinstance(body, dict) and "string" in body:
        body = {key: value for key, value in body.items() if key != _NEWLINE}
        text = _as_text(body["string"])
        if isinstance(text, str) and "\r" in text and not set("\r\n") & set(text.replace("\r\n", "")):
            body |= {"string": text.replace("\r\n", "\n"), _NEWLINE: _CRLF}
        body["string"] = _body(body["string"])
        response["body"] = _ordered(body)
    for side in (request, response):
        headers = side.get("headers")
        if isinstance(headers, dict):
            side["headers"] = {name: headers[name] for name in sorted(headers, key=str.lower)}
    return {"request": _ordered(request), "response": _ordered(response)}


def _ordered(content: dict[str, Any]) -> dict[str, Any]:
    known = {key: content[key] for key in _ORDER if key in content}
    return known | {key: content[key] for key in sorted(content.keys() - known.keys())}


def _as_text(content: Any) -> Any:
    """Return text if the bytes are UTF-8 without control characters."""
    if isinstance(content, bytes | bytearray):
        try:
            content = bytes(content).decode()
        except UnicodeDecodeError:
            return bytes(content)
    if isinstance(content, str):
        try:
            raw = content.encode()
        except UnicodeEncodeError:
            return content
        return raw if _CONTROL.search(content) else content
    return content


def _body(content: object) -> Any:
    """Return what YAML gets in place of a body: a block, if it has lines."""
    content = _as_text(content)
    return _Block(content) if isinstance(content, str) and "\n" in content.lstrip() else content


def deserialize(cassette_string: str) -> Any:
    """Return vcrpy's cassette from YAML text, written by this module or by vcrpy."""
    content = _yaml().load(cassette_string, Loader=_loader())  # a safe loader with two more tags
    for interaction in content.get("interactions", ()) if isinstance(content, dict) else ():
        _restore(interaction)
    return content


def _restore(interaction: Any) -> None:
    response = interaction.get("response") if isinstance(interaction, dict) else None
    if isinstance(response, dict) and "status_code" in response:
        interaction["response"] = response = _of_older_httpx(response)
    body = response.get("body") if isinstance(response, dict) else None
    if isinstance(body, dict) and body.pop(_NEWLINE, None) == _CRLF and isinstance(body.get("string"), str):
        body["string"] = body["string"].replace("\n", "\r\n")


def _of_older_httpx(response: dict[str, Any]) -> dict[str, Any]:
    """Convert an httpx answer recorded by vcrpy before version 6 to the form used for all libraries.

    https://github.com/kevin1024/vcrpy/issues/550
    """
    from vcr.filters import decode_response
    from vcr.serializers.compat import convert_body_to_bytes

    status = {"code": response["status_code"], "message": None}
    body = {"string": response.get("content") or ""}
    made: dict[str, Any] = decode_response(
        convert_body_to_bytes({"status": status, "headers": response.get("headers") or {}, "body": body})
    )
    return made


def _loader() -> type[Any]:
    """Return YAML's safe loader, extended by the harmless Python tags of vcrpy's older cassettes."""
    yaml = _yaml()
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: type[Any] = type("CassetteLoader", (base,), {})
    for tag in ("str", "unicode"):
        loader.add_constructor(f"tag:yaml.org,2002:python/{tag}", lambda this, node: this.construct_scalar(node))
    loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda this, node: tuple(this.construct_sequence(node)))
    return loader


def read_cassette(path: Path, text: str) -> list[dict[str, Any]]:
    """Return the interactions of a cassette, each with the line at which it begins.

    Args:
        path: For messages.
        text: Of the cassette.

    Raises:
        CassetteError: It is not a cassette, is cut off, or is of an unknown version.
    """
    yaml = _yaml()
    try:
        content = deserialize(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise CassetteError(path, line, f"is not complete YAML: {problem}", RESTORE) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise CassetteError(path, 1, f"is not a cassette: {error}", RESTORE) from error
    if not isinstance(content, dict) or not isinstance(content.get("interactions"), list):
        raise CassetteError(path, 1, "is not a cassette: it has no list of interactions", RESTORE)
    if "version" not in content:
        # it is the last line, so a file that was cut between two interactions lacks it
        problem = "has no version: it is cut off or not a cassette"
        raise CassetteError(path, text.count("\n") + 1, problem, RESTORE)
    if content["version"] != VERSION:
        line = next((number for number, row in enumerate(text.splitlines(), 1) if row.startswith("version:")), 1)
        problem = f"is of version {content['version']!r}, and only version {VERSION} is known"
        raise CassetteError(path, line, problem, "record the cassette again, or upgrade instructor_stream_ext")
    lines = _lines(text, len(content["interactions"]))
    found = []
    for interaction, line in zip(content["interactions"], lines, strict=True):
        if not isinstance(interaction, dict) or not all(
            isinstance(interaction.get(side), dict) for side in ("request", "response")
        ):
            raise CassetteError(path, line, "an interaction lacks its request or its response", RESTORE)
        status = interaction["response"].get("status")
        if (
            not isinstance(status, dict)
            or not isinstance(status.get("code"), int)
            or "uri" not in interaction["request"]
        ):
            raise CassetteError(path, line, "an interaction lacks its address or its status", RESTORE)
        found.append({**interaction, "line": line})
    return found


def _lines(text: str, count: int) -> list[int]:
    """Return the line at which each interaction begins."""
    lines = [
        number for number, row in enumerate(text.splitlines(), 1) if re.match(r" {0,2}- (?:request|response):", row)
    ]
    return lines if len(lines) == count else [1] * count
