"""Temporary folders that name their owner, so that what a killed process left behind is found and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# Process numbers are those of one namespace: what a container shares /tmp with has others.
_SPACE = Path("/proc/self/ns/pid")


@contextmanager
def scratch() -> Generator[Path]:
    """An empty folder that is removed at the end; those of processes that are gone are removed first."""
    root, space = Path(tempfile.gettempdir()), _SPACE.stat().st_ino if _SPACE.exists() else 0
    for left in root.glob(f"edgekd-{space}-*-*"):
        if not _runs(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"edgekd-{space}-{os.getpid()}-") as folder:
        yield Path(folder)


def _runs(process: int) -> bool:
    try:
        with suppress(PermissionError):  # another user's
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
