"""Resident memory of this process, and its peak since a moment.

Linux keeps the peak as VmHWM in /proc/self/status; writing 5 to /proc/self/clear_refs resets it to the present value
(proc(5)). Where that is not allowed the old peak stands, and a new one is only visible when it is higher.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def status_bytes(field: str) -> int | None:
    """`VmRSS` or `VmHWM` in bytes; None where the kernel does not tell."""
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def reset_peak() -> bool:
    """Sets the recorded peak to the present value; False where that is not possible."""
    try:
        CLEAR_REFS.write_text("5", encoding="utf-8")
    except OSError:
        return False
    rss, peak = status_bytes("VmRSS"), status_bytes("VmHWM")
    # Both are summed over per-CPU counters that lag by up to a few hundred pages, hence the megabyte.
    return rss is not None and peak is not None and peak <= rss + 2**20


class PeakMemory:
    """Peak resident memory above what the process had when this was made.

    Make it after the runtime is imported and the inputs are in memory, and before the model is opened.
    """

    def __init__(self) -> None:
        gc.collect()
        self.reset = reset_peak()
        self.base_bytes = status_bytes("VmRSS")
        self.old_peak_bytes = status_bytes("VmHWM")

    def result(self) -> dict[str, Any]:
        """`peak_rss_above_runtime_bytes` with how it was obtained, or None with the reason."""
        peak = status_bytes("VmHWM")
        base, old = self.base_bytes, self.old_peak_bytes
        value: int | None = None
        reason: str | None = None
        if peak is None or base is None or old is None:
            reason = "this system has no VmHWM in /proc/self/status"
        elif self.reset:
            value = max(0, peak - base)
        elif peak > old:
            value = peak - base
        else:
            reason = "the peak could not be reset, and the model's stayed below the one of importing the runtime"
        method = "VmHWM after a reset through clear_refs" if self.reset else "VmHWM without a reset"
        return {
            "rss_runtime_bytes": base,
            "peak_rss_above_runtime_bytes": value,
            "peak_rss_method": f"{method}, minus VmRSS before the model was opened" if value is not None else None,
            "peak_rss_reason": reason,
        }
