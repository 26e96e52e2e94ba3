"""All benchmarks, one after the other: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
QUICK: dict[str, list[str]] = {
    "scanner.py": ["--sizes", "1,16"],
    "end_to_end.py": ["--sizes", "1,4", "--reps", "2"],
    "peers.py": ["--quick", "--only", "ours;instructor;pydantic-ai;openai SDK's helper"],
}
"""What `--quick` measures, in under a minute, and how."""
ALL = ["scanner.py", "footprint.py", "end_to_end.py", "listeners.py", "litellm.py", "replay.py", "hostile.py"]
ALL += ["peers.py"]

chosen = QUICK if "--quick" in sys.argv else {name: [] for name in ALL}
for name, arguments in chosen.items():
    print(f"== benchmarks/{name}", flush=True)
    subprocess.run([sys.executable, HERE / name, *arguments], check=True)
