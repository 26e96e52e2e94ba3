"""Errors that say what is wrong with a cassette, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["RECORD", "RESTORE", "CassetteError"]

RECORD = "record the cassette again with --record-mode=rewrite"
RESTORE = f"restore the file from version control, or {RECORD}"
"""The advice to restore a file."""


class CassetteError(Exception):
    """A cassette cannot be used.

    Args:
        path: Of the file at fault.
        line: Where in it, from 1.
        problem: What is wrong.
        advice: What to do.
    """

    def __init__(self, path: Path | str, line: int, problem: str, advice: str = RECORD) -> None:
        super().__init__(f"{_shown(Path(path))}:{line}: {problem}; {advice}")
        self.path = Path(path)
        self.line = line
        self.problem = problem
        self.advice = advice

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.line, self.problem, self.advice))


def _shown(path: Path) -> Path:
    """Return the path as one would type it here."""
    try:
        return path.absolute().relative_to(Path.cwd())
    except ValueError:
        return path
