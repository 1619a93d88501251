"""How many CPU threads this process may use."""

from __future__ import annotations

import os


def all_cores() -> int:
    """Cores that the process is allowed to run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
