"""`edgekd --help` against a bare `python -c "import typer, rich"`, and a second run of the unchanged demo.

Bound by: Python's start-up and imports. Medians of interleaved runs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 15


def seconds(command: list[str]) -> float:
    """Wall time of one command."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Prints the figures as one JSON line."""
    edgekd = str(Path(sys.executable).with_name("edgekd"))
    bare = [sys.executable, "-c", "import typer, rich"]
    pairs = [(seconds([edgekd, "--help"]), seconds(bare)) for _ in range(RUNS)]
    demo = [edgekd, "run", "runs/digits.yaml", "--out", "runs/digits", "--quiet"]
    subprocess.run(["make", "demo"], cwd=ROOT, check=True, capture_output=True)
    again = [seconds(demo) for _ in range(5)]
    help_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    row = {
        "benchmark": "cli",
        "help_s": round(help_s, 3),
        "bare_import_s": round(bare_s, 3),
        "ratio": round(help_s / bare_s, 2),
        "second_demo_run_s": round(statistics.median(again), 2),
        "limits": {"help_s": 0.4, "or_ratio": 3, "second_demo_run_s": 5},
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
