"""Where a command ends: exceptions of the system and of the user's own code become errors with their place.

What is neither is a defect of edgekd, and keeps its traceback.
"""

from __future__ import annotations

import errno
import shutil
import sysconfig
import traceback
from pathlib import Path

from pydantic import ValidationError

from edgekd.errors import EdgekdError, ModelError, RecipeError, StoreError

KEPT = "nothing is lost: run the same command again to continue"


def explained(error: Exception) -> EdgekdError | None:
    """What the user is told; None for a defect."""
    if isinstance(error, EdgekdError):
        return error
    if isinstance(error, OSError):
        return of_system(error, Path.cwd())
    if isinstance(error, MemoryError):
        return EdgekdError("this machine's memory is too small for it", received=str(error) or None, hint=KEPT)
    if isinstance(error, ValidationError):
        rows = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}, received {item['input']!r}" for item in error.errors()
        ]
        return RecipeError("an option is wrong", where="; ".join(rows))
    place = user_code_in(error)
    if place is None:
        return None
    return ModelError(f"your own code failed: {type(error).__name__}: {str(error).strip()[:300]}", where=place)


def user_code_in(error: BaseException) -> str | None:
    """`file:line` of the innermost frame that is neither edgekd's, nor an installed package's, nor Python's."""
    paths = sysconfig.get_paths()
    foreign = [Path(paths[name]).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    foreign.append(Path(__file__).resolve().parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(path.resolve().is_relative_to(folder) for folder in foreign):
            return f"{path}:{frame.lineno}: {frame.line or ''}".rstrip(": ")
    return None


def of_system(error: OSError, place: Path) -> StoreError:
    """A failed read or write: a full disk, a missing permission, a folder that is none.

    Args:
        error: as the system raised it.
        place: where it happened, if the error names no file.
    """
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            "the disk is full" if error.errno != errno.EFBIG else "the file would be larger than is allowed",
            where=where,
            received=f"{_free(Path(where)) / 1e6:.0f} MB free",
            hint=f"free some space or choose another place with --store or --out; {KEPT}",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return StoreError(
            f"a place cannot be written: {error.strerror}",
            where=where,
            accepted="a folder that you may write to",
            hint="choose another with --store (EDGEKD_STORE) or --out",
        )
    return StoreError(f"a file could not be read or written: {error}", where=where, hint=KEPT)


def _free(path: Path) -> int:
    found = next((parent for parent in (path, *path.parents) if parent.exists()), None)
    return shutil.disk_usage(found).free if found else 0
