"""Each error stands where it is looked for: in the tree, and in what front-ends are told."""

from __future__ import annotations

import re

import instructor_stream_ext
from instructor_stream_ext.core import errors
from instructor_stream_ext.core.errors import ClientNotSupported, MissingExtra, StreamError
from instructor_stream_ext.web.problems import problem_of

ERRORS = [getattr(errors, name) for name in errors.__all__ if name != "StreamError"]


def test_the_tree_has_each_with_its_second_base() -> None:
    tree = dict(re.findall(r"[├└]─ (\w+)(?: +\((?:instructor )?(\w+)\))?", errors.__doc__ or ""))
    bases = {error.__name__: [base.__name__ for base in error.__bases__ if base is not StreamError] for error in ERRORS}
    assert tree == {name: "".join(others) for name, others in bases.items()}


def test_each_is_public() -> None:
    assert {error.__name__ for error in ERRORS} <= {*instructor_stream_ext.__all__}


def test_front_ends_are_told_more_than_that_it_failed() -> None:
    before_any_stream = {ClientNotSupported, MissingExtra}
    for error in set(ERRORS) - before_any_stream:
        told = problem_of(error.__new__(error))
        assert told["message"] != "the stream failed", f"web/problems.py has no message for {told['type']!r}"
