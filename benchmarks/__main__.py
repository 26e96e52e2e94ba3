"""The benchmarks, one after the other: `python -m benchmarks [--quick | --all]`.

Without an option: ours beside its peers, and what a stream and an import cost, in 10 to 15 minutes. `--quick`
measures small sizes of the same in under one, `--all` all that is in this folder.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

HERE = Path(__file__).parent
QUICK: dict[str, list[str]] = {
    "footprint.py": ["--sizes", "1", "--reps", "1"],
    "end_to_end.py": ["--sizes", "1,4", "--reps", "2"],
    "peers.py": ["--quick", "--only", "ours;instructor;openai SDK's helper;pydantic-ai"],
}
USUAL: dict[str, list[str]] = {"footprint.py": [], "end_to_end.py": ["--sizes", "1,64", "--reps", "7"], "peers.py": []}
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
with Progress(
    console=Console(stderr=True), disable=not sys.stderr.isatty(), redirect_stdout=sys.stdout.isatty()
) as progress:
    for name, arguments in progress.track(list(chosen.items()), description="benchmarks"):
        print(f"== benchmarks/{name}", flush=True)
        command = [sys.executable, "-u", HERE / name, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            for line in running.stdout or ():
                print(line, end="", flush=True)
        if running.returncode:
            sys.exit(running.returncode)
