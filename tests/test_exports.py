"""The table of contents: sorted, complete, importable, and documented."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import instructor_stream_ext
from tests.every import every

PUBLIC = instructor_stream_ext.__all__

CONTRACT = [
    "wrap",
    "StreamClient",
    "AsyncStreamClient",
    "PartialStream",
    "AsyncPartialStream",
    "ItemStream",
    "AsyncItemStream",
    "TextStream",
    "AsyncTextStream",
    "Hooks",
    "StreamStats",
    "FieldState",
    "Timeouts",
    "Limits",
    "Pending",
    "EmissionPolicy",
    "StreamEvent",
    "StreamStarted",
    "DeltaReceived",
    "FieldTransition",
    "PartialEmitted",
    "ItemCompleted",
    "StreamRestarted",
    "StreamCompleted",
    "StreamFailed",
    "StreamCancelled",
    "StreamEnded",
    "StreamError",
    "OutputTruncated",
    "OutputRefused",
    "OutputFiltered",
    "NoOutput",
    "InvalidJSON",
    "RetriesExhausted",
    "StreamInterrupted",
    "StreamTimeout",
    "LimitExceeded",
    "StreamStopped",
    "ClientNotSupported",
    "MissingExtra",
    "StreamMisuse",
    "EveryDelta",
    "Throttle",
    "Debounce",
    "EveryN",
    "Growth",
    "OnTransition",
    "OnItem",
    "FinalOnly",
    "Done",
    "NotNull",
    "WithState",
    "Streamed",
    "TransitionLog",
    "Conversation",
    "merge",
    "gather",
    "race",
]
"""The names that the contract gives."""


def _modules() -> list[str]:
    found = pkgutil.walk_packages(instructor_stream_ext.__path__, f"{instructor_stream_ext.__name__}.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


def _sorted(names: list[str]) -> bool:
    """In the order of the linter: constants, then classes, then the rest."""
    return names == sorted(names, key=lambda name: (0 if name.isupper() else 1 if name[0].isupper() else 2, name))


def test_the_names_are_sorted_and_there() -> None:
    assert _sorted(PUBLIC)
    assert len({*PUBLIC}) == len(PUBLIC)
    for name in PUBLIC:
        assert getattr(instructor_stream_ext, name) is not None


def test_the_contracts_names_are_there() -> None:
    assert [name for name in CONTRACT if name not in PUBLIC] == []


@every("name", PUBLIC)
def test_what_is_public_is_documented(name: str) -> None:
    thing: Any = getattr(instructor_stream_ext, name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return  # a type alias
    doc = inspect.getdoc(thing)
    assert doc
    assert not doc.startswith(f"{name}("), "that is what dataclasses write by themselves"
    if not inspect.isclass(thing):
        return
    for member, value in vars(thing).items():
        function = value.fget if isinstance(value, property) else value
        if not member.startswith("_") and inspect.isfunction(function):
            assert inspect.getdoc(getattr(thing, member)), f"{name}.{member} has no docstring"


@every("name", _modules())
def test_each_modules_own_list_is_true(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert module.__doc__ or not Path(module.__file__).read_text(), "a module says what it is"
    names = getattr(module, "__all__", None)
    if names is None:
        return
    assert _sorted(list(names))
    for each in names:
        assert hasattr(module, each)


@every("module", ["instructor_stream_ext", "instructor_stream_ext.testing"])
def test_values_are_frozen_and_without_a_dict(module: str) -> None:
    """Only `Pending`, which a policy is asked about for each piece, changes."""
    names = importlib.import_module(module)
    kinds = [getattr(names, name) for name in names.__all__]
    values: list[Any] = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    assert len(values) > 15
    for kind in values:
        assert kind.__dataclass_params__.frozen or kind is instructor_stream_ext.Pending, kind
        assert "__dict__" not in dir(kind), kind


def test_options_are_given_by_name() -> None:
    for kind in (instructor_stream_ext.Limits, instructor_stream_ext.Timeouts, instructor_stream_ext.StreamStats):
        assert all(field.kw_only for field in dataclasses.fields(kind))
