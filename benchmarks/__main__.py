"""The benchmarks, one after the other: `python -m benchmarks [--quick | --all]`.

Without an option: ours beside its peers, and what a stream and an import cost, in under ten minutes. `--quick`
measures small sizes of the same in under one, `--all` all that is in this folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
QUICK: dict[str, list[str]] = {
    "end_to_end.py": ["--sizes", "1,4", "--reps", "2"],
    "peers.py": ["--quick", "--only", "ours;instructor;openai SDK's helper;pydantic-ai"],
}
USUAL: dict[str, list[str]] = {"footprint.py": [], "end_to_end.py": ["--sizes", "1,64"], "peers.py": []}
ALL: dict[str, list[str]] = {
    **USUAL,
    "scanner.py": [],
    "listeners.py": [],
    "sdks.py": [],
    "litellm.py": ["--sizes", "16,64", "--reps", "2"],
    "replay.py": [],
    "hostile.py": [],
    "many.py": [],
}

chosen = QUICK if "--quick" in sys.argv else ALL if "--all" in sys.argv else USUAL
for name, arguments in chosen.items():
    print(f"== benchmarks/{name}", flush=True)
    subprocess.run([sys.executable, HERE / name, *arguments], check=True)
