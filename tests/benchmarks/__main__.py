"""Runs benchmarks by name (all of them without a name), one process each so that they do not disturb each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("bench_*.py"))


def main() -> int:
    """Runs each named benchmark as its own process; returns the number that failed."""
    chosen = [f"bench_{name.removeprefix('bench_')}" for name in sys.argv[1:]] or NAMES
    unknown = [name for name in chosen if name not in NAMES]
    if unknown:
        print(f"no benchmark {unknown}; there are: {', '.join(name.removeprefix('bench_') for name in NAMES)}")
        return 2
    failed = 0
    for name in chosen:
        print(f"--- {name}", file=sys.stderr, flush=True)
        failed += subprocess.call([sys.executable, "-m", f"tests.benchmarks.{name}"], cwd=HERE.parents[1]) != 0
    print(json.dumps({"benchmarks": len(chosen), "failed": failed}))
    return failed


raise SystemExit(main())
