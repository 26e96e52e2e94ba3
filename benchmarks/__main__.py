"""All benchmarks, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

for name in ("scanner.py", "footprint.py", "end_to_end.py", "listeners.py", "litellm.py", "replay.py", "hostile.py"):
    print(f"== benchmarks/{name}", flush=True)
    subprocess.run([sys.executable, HERE / name], check=True)
