"""An answer to any request for structure: the schema is taken from the request, and a value made up for it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from tests.server.replies import reply
from tests.server.script import Script
from tests.server.server import Request

__all__ = ["answer", "invent", "schema_in"]

DEEPEST = 4
"""How many levels a value has before it keeps to what is required."""
PROSE = "The tide comes in twice a day. Nobody has asked it why."
BY_FORMAT = {
    "date": "2026-11-20",
    "date-time": "2026-11-20T12:00:00Z",
    "email": "ada@example.org",
    "time": "12:00:00",
    "uri": "https://example.org/",
    "uuid": "9f0c6f0e-2f6a-4d3c-8a53-0c8f4f1f2b11",
}


def answer(request: Request) -> Script:
    """Answer any provider's request: what its schema asks for, or prose if it has none."""
    schema = schema_in(request.json)
    text = PROSE if schema is None else json.dumps(invent(schema))
    return reply(text, 6)(request)


def schema_in(body: dict[str, Any]) -> dict[str, Any] | None:
    """Find the JSON schema of the wanted answer, wherever this provider and mode put it; None if there is none."""
    schema = _in_tools(body) or _in_format(body)
    if schema is None and not body.get("tools"):
        schema = next((found for text in _texts(body) if (found := _in_text(text))), None)
    return schema


def _in_tools(body: dict[str, Any]) -> dict[str, Any] | None:
    for tool in body.get("tools") or ():
        for key in ("functionDeclarations", "function_declarations"):
            tool = tool[key][0] if key in tool else tool  # noqa: PLW2901
        tool = tool.get("function", tool)  # noqa: PLW2901
        for key in ("parameters", "input_schema", "parametersJsonSchema"):
            if key in tool:
                found: dict[str, Any] = tool[key]
                return found
    return None


def _in_format(body: dict[str, Any]) -> dict[str, Any] | None:
    config = body.get("generationConfig") or {}
    places = (
        ((body.get("response_format") or {}).get("json_schema") or {}).get("schema"),
        ((body.get("output_format") or (body.get("output_config") or {}).get("format")) or {}).get("schema"),
        ((body.get("text") or {}).get("format") or {}).get("schema"),
        config.get("responseJsonSchema") or config.get("responseSchema"),
        body.get("format") if isinstance(body.get("format"), dict) else None,
    )
    return next((schema for schema in places if schema), None)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a request."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _in_text(text: str) -> dict[str, Any] | None:
    """A schema that is written out within a message."""
    start = text.find("{")
    while start >= 0:
        with contextlib.suppress(ValueError):
            found, _ = json.JSONDecoder().raw_decode(text, start)
            if "properties" in found:
                return dict(found)
        start = text.find("{", start + 1)
    return None


def invent(schema: dict[str, Any]) -> Any:
    """Make up a value that fits a JSON schema, or Gemini's dialect of it; the same each time."""
    return _Inventor(schema.get("$defs") or schema.get("definitions") or {}).value(schema, "answer", 0)


class _Inventor:
    """Makes up values; `kinds` are the schemas that are referred to by name."""

    def __init__(self, kinds: dict[str, Any]) -> None:
        self.kinds = kinds

    def value(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        """A value for the field of this name, so many levels down."""
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                schema = next(kind for kind in schema[key] if kind.get("type") != "null")
        if "$ref" in schema:
            return self.value(self.kinds[schema["$ref"].rpartition("/")[2]], name, depth)
        given = [schema.get("const"), schema.get("default"), *schema.get("enum", ()), *schema.get("examples", ())]
        known = next((value for value in given if value is not None), None)
        return self._made(schema, name, depth) if known is None else known

    def _made(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        match str(schema.get("type", "object")).lower():
            case "array":
                count = 0 if depth > DEEPEST else schema.get("minItems", 2)
                return [self.value(schema.get("items", {"type": "string"}), name, depth + 1) for _ in range(count)]
            case "string":
                return _text(schema, name)
            case "integer":
                return int(_number(schema))
            case "number":
                return _number(schema)
            case "boolean":
                return True
            case _:
                return self._object(schema, name, depth)

    def _object(self, schema: dict[str, Any], name: str, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        if properties is None:
            values = schema.get("additionalProperties")
            return {"one": self.value(values, name, depth + 1)} if isinstance(values, dict) else {}
        wanted = properties if depth < DEEPEST else schema.get("required", ())
        return {key: self.value(properties[key], key, depth + 1) for key in wanted}


def _text(schema: dict[str, Any], name: str) -> str:
    said = BY_FORMAT.get(schema.get("format", ""), f"some {name.replace('_', ' ')}")
    return said.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]


def _number(schema: dict[str, Any]) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 1))
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 2) - 1)
    return float(min(least + 1, most))
