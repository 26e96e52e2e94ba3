"""The names of the tools in a request, wherever the provider keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["tool_names"]


def tool_names(request: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the names of the tools in a request.

    Args:
        request: The SDK's arguments.

    Returns:
        The names; None where the request has no tools.
    """
    config = request.get("config")
    tools = (
        request.get("tools")
        or _of(request.get("toolConfig"), "tools")
        or _of(config, "tools")
        or _of(request.get("request"), "tools")
    )
    if not tools:
        return None
    return frozenset(name for tool in tools for name in _names(tool))


def _names(tool: object) -> Iterator[str]:
    """Return a tool's own name, its function's, its specification's, or those of its declarations."""
    declarations = _of(tool, "function_declarations") or _of(tool, "functionDeclarations")
    if declarations:
        for declaration in declarations:
            yield from _names(declaration)
        return
    for inner in (_of(tool, "function"), _of(tool, "toolSpec"), tool):
        name = _of(inner, "name")
        if isinstance(name, str) and name:
            yield name
            return


def _of(value: object, name: str) -> Any:
    if value is None:
        return None
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
