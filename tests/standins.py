"""The little of marimo, Streamlit and Gradio that the recipes use, each as its own documentation has it.

The frameworks themselves are heavy and want a browser. What a recipe shows is kept, in order; a value that the real
thing would refuse is refused.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["install"]


def install(monkeypatch: pytest.MonkeyPatch, shown: dict[str, list[Any]] | None = None) -> None:
    """Put the stand-ins in the frameworks' places.

    Args:
        monkeypatch: takes them away again.
        shown: where to keep what each has shown, by its name.
    """
    for name, make in {"marimo": _marimo, "streamlit": _streamlit, "gradio": _gradio}.items():
        for path, module in make((shown or {}).get(name, [])).items():
            monkeypatch.setitem(sys.modules, path, module)


def _module(path: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(path)
    module.__dict__.update(members)
    return module


def _checked(data: Any) -> Any:
    """Plain data, as it was at this moment: all three send it to a browser as JSON."""
    return json.loads(json.dumps(data, allow_nan=False))


def _marimo(shown: list[Any]) -> dict[str, types.ModuleType]:
    class Html:
        def __init__(self, items: Any) -> None:
            self.items = _checked(items)

    def tree(items: list[Any] | tuple[Any, ...] | dict[Any, Any], label: str = "") -> Html:
        if not isinstance(items, (list, tuple, dict)):
            raise TypeError("Argument `items` must be a list, tuple, or dict")
        return Html(items)

    def replace(value: object) -> None:
        assert isinstance(value, Html)
        shown.append(value.items)

    output = _module("marimo.output", replace=replace)
    return {"marimo": _module("marimo", output=output, tree=tree)}


def _streamlit(shown: list[Any]) -> dict[str, types.ModuleType]:
    class DeltaGenerator:
        def json(self, body: object, *, expanded: bool | int = True) -> DeltaGenerator:
            shown.append(_checked(body))
            return self

    return {"streamlit": _module("streamlit", empty=DeltaGenerator)}


def _gradio(shown: list[Any]) -> dict[str, types.ModuleType]:
    class JSON:
        def postprocess(self, value: Any) -> None:
            shown.append(_checked(value))

    class Interface:
        def __init__(self, fn: Callable[..., Any], inputs: str, outputs: JSON) -> None:
            self.fn, self.outputs = fn, outputs

        def launch(self) -> None:
            """Serve; here, somebody types a prompt at once, and every yield updates the output."""
            assert inspect.isgeneratorfunction(self.fn)
            for value in self.fn("a bird"):
                self.outputs.postprocess(value)

    return {"gradio": _module("gradio", JSON=JSON, Interface=Interface)}
