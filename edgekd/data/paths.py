"""Where the user's data is."""

from __future__ import annotations

from pathlib import Path

from edgekd.errors import DataError, nearest


def locate(path: Path) -> Path:
    """The existing file or folder that a recipe means by `path`; `~` is the home folder.

    Raises:
        DataError: it is not there; the message offers the nearest name beside it.
    """
    place = path.expanduser()
    if place.exists():
        return place
    beside = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
    raise DataError(
        f"there is no file or folder {place}{nearest(place.name, beside)}",
        where="the recipe's data section",
        hint="correct the path in the recipe; a relative path starts at the recipe's folder",
    )
