"""What an editor shows over a name: a signature, units, and an example that is Python and names what there is."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

import instructor_stream_ext as package

EXAMPLE = re.compile(r"Example:\n\s+```python\n(?P<code>.*?)\n\s+```", re.DOTALL)
POLICIES = ("EveryDelta", "Throttle", "Debounce", "EveryN", "Growth", "OnTransition", "OnItem", "FinalOnly")
SHOWN: list[Any] = [
    package.wrap,
    *(
        getattr(client, name)
        for client in (package.StreamClient, package.AsyncStreamClient)
        for name in ("create_partial", "create_iterable", "stream_text")
    ),
    package.PartialStream.state,
    *(getattr(package, name) for name in POLICIES),
    package.Timeouts,
    package.Limits,
    package.Hooks,
]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: str(shown.__qualname__))
def test_it_shows_an_example(shown: Callable[..., Any]) -> None:
    doc = inspect.getdoc(shown) or ""
    found = EXAMPLE.search(doc)
    assert found, f"{shown.__qualname__} has no example"
    compiled = compile(textwrap.dedent(found["code"]), "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    known = set(package.__all__)
    named = {name for name in compiled.co_names if name[:1].isupper() and name != "City"}
    assert {name for name in named if not hasattr(ast, name)} <= known | {"COMPLETE", "OpenAI"}


@pytest.mark.parametrize("shown", [package.Throttle, package.Debounce, package.Timeouts])
def test_times_have_their_unit(shown: type) -> None:
    assert "econds" in (inspect.getdoc(shown) or "")
