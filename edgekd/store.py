"""Content-addressed stage results: look up, build atomically, verify, resume.

    <root>/<stage>/<key>/          a finished result: its files and entry.json
    <root>/<stage>/<key>.work/     a result being built; what a killed run left here is handed back to the next one
    <root>/<stage>/<key>.lock      held while building, so that two runs do not build the same thing at once

The key is the SHA-256 of everything that can change the result (`key_of`). An entry's digest is that of its files'
bytes: the keys of later stages are made of digests, so that nothing downstream depends on a name, a path or a date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekd.artifact import sha256_file
from edgekd.boundary import of_system
from edgekd.lock import waited_for

ENTRY = "entry.json"
TEMPORARY = ".*.tmp"
"""What `write_atomically` calls a file until it is whole."""


def key_of(inputs: Mapping[str, Any]) -> str:
    """Hex SHA-256 of the canonical JSON of `inputs`.

    Raises:
        TypeError: a value that JSON cannot hold exactly.
    """
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def source_digest(*packages: str) -> str:
    """Hex SHA-256 of the source code of packages or modules of edgekd: code is an input like any other."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for package in packages:
        path = root.joinpath(*package.split(".")[1:])
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


@dataclass(frozen=True)
class Entry:
    """A finished stage result.

    Attributes:
        folder: where its files are.
        files: SHA-256 of each file, by its path inside the folder.
        digest: SHA-256 over the names and bytes of its files.
        info: what the stage reported (JSON); not part of the digest, so timings may be in it.
        fresh: this run built it.
    """

    folder: Path
    files: dict[str, str]
    digest: str
    info: dict[str, Any]
    fresh: bool = False


@dataclass(frozen=True)
class Store:
    """A folder of stage results.

    Attributes:
        root: created when first written to.
        warn: called with one line when a damaged result is found and rebuilt.
    """

    root: Path
    warn: Callable[[str], None]

    def find(self, stage: str, key: str) -> Entry | None:
        """The verified result, or None when there is none. A damaged one is reported, moved aside and not returned."""
        entry, damaged = self._read(stage, key)
        if not damaged:
            return entry
        with self._locked(stage, key):
            return self._settled(stage, key)

    def _settled(self, stage: str, key: str) -> Entry | None:
        """What `find` returns, where the lock is held: what another process has just rebuilt is not moved."""
        entry, damaged = self._read(stage, key)
        if damaged:
            folder = self.root / stage / key
            aside = folder.with_suffix(".damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            self.warn(
                f"stored result {stage}/{key[:12]} is damaged ({', '.join(damaged)}); "
                f"it is rebuilt, the old files are in {aside}"
            )
        return entry

    def _read(self, stage: str, key: str) -> tuple[Entry | None, list[str]]:
        """The result where it is there and whole, and the names of the files that are not what was stored."""
        folder = self.root / stage / key
        try:
            record = json.loads((folder / ENTRY).read_text(encoding="utf-8"))
            files: dict[str, str] = record["files"]
            damaged = [name for name, digest in files.items() if _damaged(folder / name, digest)]
            if record["digest"] != _digest(files) or record["info_sha256"] != _info_digest(record["info"]):
                damaged.append(ENTRY)
            return (None, damaged) if damaged else (Entry(folder, files, record["digest"], record["info"]), [])
        except (FileNotFoundError, NotADirectoryError):
            return None, [ENTRY] if folder.is_dir() else []
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            return None, [ENTRY]

    def get(self, stage: str, inputs: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Entry:
        """The result for `inputs`, building it when it is not there.

        Args:
            stage: folder name, e.g. `"student"`.
            inputs: everything that can change the result.
            build: writes files into the folder it is given (which may hold what an earlier, killed attempt left)
                and returns the info. Names starting with `resume` are dropped when it returns.

        Raises:
            StoreError: the store cannot be written; what was made so far stays for the next run.
        """
        key = key_of(inputs)
        found, _ = self._read(stage, key)
        if found is not None:
            return found
        try:
            with self._locked(stage, key):
                found = self._settled(stage, key)
                return found if found is not None else self._build(stage, key, inputs, build)
        except OSError as error:
            raise of_system(error, self.root) from error

    def _build(
        self, stage: str, key: str, inputs: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]
    ) -> Entry:
        work = self.root / stage / f"{key}.work"
        work.mkdir(parents=True, exist_ok=True)
        info = json.loads(json.dumps(build(work), allow_nan=False))
        # What a killed attempt was in the middle of writing is no part of the result.
        for path in [*work.glob("resume*"), *work.rglob(TEMPORARY)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        files = {
            path.relative_to(work).as_posix(): path
            for path in sorted(work.rglob("*"))
            if path.is_file() and path.name != ENTRY
        }
        digests = {name: sha256_file(path) for name, path in files.items()}
        for path in files.values():
            sync(path)
        digest = _digest(digests)
        record = {
            "stage": stage,
            "inputs": dict(inputs),
            "files": digests,
            "digest": digest,
            "info": info,
            "info_sha256": _info_digest(info),
        }
        write_atomically(work / ENTRY, json.dumps(record, indent=1, sort_keys=True))
        final = self.root / stage / key
        work.rename(final)
        sync(final.parent)
        return Entry(final, digests, digest, info, fresh=True)

    def _locked(self, stage: str, key: str) -> AbstractContextManager[None]:
        return waited_for(self.root / stage / f"{key}.lock")


def write_atomically(path: Path, text: str) -> None:
    """Replaces a text file so that a kill at any moment leaves the old or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    sync(temporary)
    temporary.replace(path)


def _digest(files: Mapping[str, str]) -> str:
    return key_of({"files": dict(files)})


def _info_digest(info: Mapping[str, Any]) -> str:
    return key_of({"info": dict(info)})


def _damaged(path: Path, digest: str) -> bool:
    return not path.is_file() or sha256_file(path) != digest


def sync(path: Path) -> None:
    """Makes a file's bytes, or a rename inside a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
