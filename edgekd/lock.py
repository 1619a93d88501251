"""One process at a time: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from edgekd.errors import StoreError

LOCK = ".lock"


@contextmanager
def waited_for(path: Path) -> Generator[None]:
    """Holds the lock file; waits while another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def held(folder: Path) -> Generator[None]:
    """Holds a run's folder.

    Raises:
        StoreError: another process holds it.
    """
    with (folder / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise StoreError(
                "another run writes into this folder",
                where=folder,
                received=f"process {lock.read().strip() or 'unknown'}",
                hint="wait for its end, or choose another folder with --out; both may share one --store",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
