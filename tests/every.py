"""Many small cases as one test: pytest's own work for a test is longer than what most of them do."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any

__all__ = ["every"]


def every(names: str, values: Collection[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with each of `values`, as `pytest.mark.parametrize` would, but as one test.

    The failure of one carries a note that says with which value it came. Use it for cases that take a millisecond;
    whatever is slower, or is told apart in a report, stays parametrized.
    """
    named = [name.strip() for name in names.split(",")]
    assert values, f"no case of {names}"

    def around(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**others: Any) -> None:
            for value in values:
                case = dict(zip(named, value if len(named) > 1 else (value,), strict=True))
                try:
                    test(**others, **case)
                except BaseException as error:
                    error.add_note(f"with {case}")
                    raise

        signature = inspect.signature(test)
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[parameter for name, parameter in signature.parameters.items() if name not in named]
        )
        return run

    return around
