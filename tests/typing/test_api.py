"""pyright's word on the files beside this one; mypy reads them with all other tests."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYRIGHT = shutil.which("pyright", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_pyright_sees_the_types_that_the_contract_names() -> None:
    assert PYRIGHT is not None
    files = [str(HERE / f"{name}.py") for name in ("api", "refused", "seeing")]
    done = subprocess.run(
        [PYRIGHT, "--pythonpath", sys.executable, *files],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parent.parent,
    )
    assert done.returncode == 0, done.stdout
    assert "0 errors" in done.stdout
