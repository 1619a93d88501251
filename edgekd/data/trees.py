"""Image files of a folder or of a zip, listed in an order that does not depend on the disk, and read safely."""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from edgekd.data.reader import CorruptSample
from edgekd.errors import DataError

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".jp2", ".avif")
)
_ENCRYPTED = 0x1
# Pillow refuses what decodes to more pixels; archives exist whose members unpack to all of a machine's memory.
LARGEST_BYTES = 500_000_000


@dataclass(frozen=True)
class Tree:
    """The files below a root.

    Attributes:
        images: relative POSIX path of every image to what reads its bytes, sorted by path.
        folders: relative POSIX path of every folder.
        others: relative POSIX path of every file that is no image, by its suffix.
    """

    images: dict[str, Callable[[], bytes]]
    folders: list[str]
    others: list[str]


def folder_tree(root: Path) -> Tree:
    """The files below a folder; links are followed, hidden files and folders are not listed.

    Raises:
        DataError: a folder cannot be read.
    """
    files, folders = _walk(root)
    images = {name: partial(_read_file, root / name) for name in files if _is_image(name)}
    return Tree(dict(images), folders, [name for name in files if not _is_image(name)])


def zip_tree(path: Path) -> Tree:
    """The members of a zip; nothing is extracted to the disk.

    Raises:
        DataError: no complete zip, an encrypted one, a member whose path leaves the archive, or a path twice.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"the archive cannot be opened: {error}", where=path, accepted="a folder, or a complete zip file"
        ) from error
    members: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    for info in archive.infolist():
        name = _safe_name(info.filename, path)
        if _hidden(name.split("/")):
            continue
        if info.flag_bits & _ENCRYPTED:
            raise DataError("the archive is encrypted", where=f"{path}!{name}", accepted="a zip without a password")
        folders.update(name[:slash] for slash in _slashes(name))
        if name.endswith("/"):
            continue
        if name in members:
            raise DataError("the archive holds a path twice", where=path, received=name)
        members[name] = info
    images = {name: partial(_read_member, archive, members[name]) for name in sorted(members) if _is_image(name)}
    return Tree(dict(images), sorted(folders), sorted(name for name in members if not _is_image(name)))


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _hidden(parts: list[str]) -> bool:
    return any(part.startswith(".") or part in ("__MACOSX", "Thumbs.db", "desktop.ini") for part in parts)


def _slashes(name: str) -> list[int]:
    return [index for index, letter in enumerate(name) if letter == "/"]


def _walk(root: Path) -> tuple[list[str], list[str]]:
    files: list[str] = []
    folders: list[str] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise DataError(f"a data folder cannot be read: {error.strerror}", where=error.filename) from error

    for current, below, names in os.walk(root, followlinks=True, onerror=refuse):
        status = Path(current).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back up
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not _hidden([name]))
        relative = os.path.relpath(current, root)
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        folders.extend(_textual(root, prefix + name) for name in below)
        files.extend(_readable(root, prefix + name) for name in names if not _hidden([name]))
    return sorted(files), sorted(folders)


def _textual(root: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "the name of a data file or folder is no text",
            where=root,
            received=repr(name),
            accepted="names in UTF-8",
        ) from error
    return name


def _readable(root: Path, name: str) -> str:
    """The name of a file; of pipes and devices, reading would not end."""
    path = root / _textual(root, name)
    if path.exists() and not path.is_file():
        raise DataError("a data file is a pipe or a device", where=path, accepted="files and links to files")
    return name


def _safe_name(raw: str, path: Path) -> str:
    name = raw.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
        raise DataError(
            "the archive holds a path that leaves it",
            where=path,
            received=raw,
            accepted="relative paths without '..'",
            hint="do not use this archive: it was made to overwrite files",
        )
    return name.removeprefix("./")


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise CorruptSample(f"{path.stat().st_size} bytes are no picture (accepted: up to {LARGEST_BYTES})")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"a data file cannot be read: {error.strerror}", where=path) from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > LARGEST_BYTES:
        raise CorruptSample(f"it unpacks to {info.file_size} bytes (accepted: up to {LARGEST_BYTES})")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise CorruptSample(f"the archive's member cannot be unpacked: {error}") from error
    except OSError as error:
        raise DataError(f"the archive cannot be read: {error}", where=archive.filename) from error
