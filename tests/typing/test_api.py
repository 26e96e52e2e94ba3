"""pyright's word on `api.py`; mypy reads it with all other tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYRIGHT = shutil.which("pyright", path=str(Path(sys.executable).parent))


def _pyright(file: Path) -> subprocess.CompletedProcess[str]:
    assert PYRIGHT is not None
    command = [PYRIGHT, "--pythonpath", sys.executable, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent.parent)


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
@pytest.mark.parametrize("name", ["api", "refused", "seeing"])
def test_pyright_sees_the_types_that_the_contract_names(name: str) -> None:
    done = _pyright(HERE / f"{name}.py")
    assert done.returncode == 0, done.stdout
    assert "0 errors" in done.stdout
