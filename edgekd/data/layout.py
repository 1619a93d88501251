"""What the folders of an image tree mean: an optional wrapper, optional splits, then classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edgekd.data.dataset import Split
from edgekd.errors import DataError, nearest

Parts: TypeAlias = tuple[str, ...]

SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
ACCEPTED = "<class>/<image>, or train/<class>/<image> with test/ and validation/ beside train/"


@dataclass(frozen=True)
class Layout:
    """The meaning of each file of a tree.

    Attributes:
        classes: class names in label order; empty when the images lie in no class folders.
        labels: one per file; None when unlabelled.
        splits: one per file; None when the tree has no split folders.
    """

    classes: list[str]
    labels: list[int | None]
    splits: list[Split | None]


def detect(files: Sequence[Parts], folders: Iterable[Parts], class_names: list[str] | None, where: object) -> Layout:
    """Finds the layout of a tree of images.

    Args:
        files: path of every image below the root, as its parts.
        folders: path of every folder below the root: a class folder without images is found by it.
        class_names: the classes in label order; by default the folders' names, sorted.
        where: the root, for messages.

    Raises:
        DataError: the tree is none of the accepted layouts, or a class folder is not in `class_names`.
    """
    depth = _wrapper_depth(files)
    files = [parts[depth:] for parts in files]
    folders = [parts[depth:] for parts in folders if len(parts) > depth]
    loose = ["/".join(parts) for parts in files if len(parts) == 1]
    if len(loose) == len(files):
        return Layout([], [None] * len(files), [None] * len(files))
    if loose:
        raise DataError(
            f"{len(loose)} images lie outside the class folders", where=where, received=_some(loose), accepted=ACCEPTED
        )
    level = 1 if _has_splits(files, where) else 0
    splits: list[Split | None] = [SPLIT_FOLDERS[parts[0].lower()] if level else None for parts in files]
    found = {parts[level] for parts in files}
    found |= {
        parts[-1] for parts in folders if len(parts) == level + 1 and (not level or parts[0].lower() in SPLIT_FOLDERS)
    }
    classes = sorted(found) if class_names is None else class_names
    unknown = sorted(found - set(classes))
    if unknown:
        raise DataError(
            "class folders that class_names does not list" + nearest(unknown[0], classes),
            where=where,
            received=_some(unknown),
            accepted=", ".join(classes),
        )
    index = {name: label for label, name in enumerate(classes)}
    return Layout(classes, [index[parts[level]] for parts in files], splits)


def _wrapper_depth(files: Sequence[Parts]) -> int:
    """Number of folders that merely wrap everything, as archives of one folder have."""
    depth = 0
    while files and all(len(parts) > depth + 2 for parts in files):
        names = {parts[depth] for parts in files}
        if len(names) > 1 or next(iter(names)).lower() in SPLIT_FOLDERS:
            break
        depth += 1
    return depth


def _has_splits(files: Sequence[Parts], where: object) -> bool:
    tops = {parts[0] for parts in files}
    known = {name for name in tops if name.lower() in SPLIT_FOLDERS}
    if not known:
        return False
    deep = all(len(parts) >= 3 for parts in files if parts[0] in known)
    if not deep:
        if known == tops:
            raise DataError(
                "split folders without class folders below them", where=where, received=_some(tops), accepted=ACCEPTED
            )
        return False
    if known != tops:
        raise DataError(
            "split folders and other folders side by side",
            where=where,
            received=_some(tops),
            accepted=ACCEPTED,
            hint=f"move {_some(tops - known)} elsewhere",
        )
    if "train" not in {SPLIT_FOLDERS[name.lower()] for name in known}:
        raise DataError("there is no train folder", where=where, received=_some(tops), accepted=ACCEPTED)
    return True


def _some(names: Iterable[str], limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more
