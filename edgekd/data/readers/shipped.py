"""Small licensed samples that travel with edgekd, one set per domain: for calibration and first tries."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, cast

import yaml
from pydantic import field_validator

from edgekd.artifact import sha256_file
from edgekd.data.reader import Listing, Reader
from edgekd.data.readers.image_folder import ImageFolder
from edgekd.errors import DataError, nearest

MANIFEST = "manifest.yaml"


class Shipped(Reader):
    """One set of `calibration_data/`, verified against its manifest.

    Attributes:
        domain: name of the set, e.g. `digits` or `photos`.
    """

    parallel: ClassVar[bool] = True
    domain: str

    @field_validator("domain")
    @classmethod
    def _known(cls, value: str) -> str:
        domains = read_manifest(shipped_folder())
        if value not in domains:
            raise ValueError(
                f"there is no shipped set '{value}'{nearest(value, domains)} (accepted: {', '.join(domains)})"
            )
        return value

    def open(self) -> Listing:
        """Verifies and lists the set; see Reader.open."""
        path, entry = self._find()
        if sha256_file(path) != entry["sha256"]:
            raise DataError(
                "a shipped data file was changed",
                where=path,
                accepted=f"sha256 {entry['sha256']}",
                hint="reinstall edgekd",
            )
        return ImageFolder(path=path).open()

    def sources(self) -> list[Path]:
        """The set's zip."""
        return [self._find()[0]]

    def terms(self) -> str | None:
        """The licence that the manifest states."""
        return self.licence or str(self._find()[1]["licence"])

    def _find(self) -> tuple[Path, dict[str, Any]]:
        root = shipped_folder()
        entry = read_manifest(root)[self.domain]
        return root / str(entry["file"]), entry


def shipped_folder() -> Path:
    """`calibration_data/`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[2]
    for folder in (package / "_calibration_data", package.parent / "calibration_data"):
        if (folder / MANIFEST).is_file():
            return folder
    raise DataError("the shipped samples are missing", where=package, hint="reinstall edgekd")


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Domain to its entry: file, sha256, count, licence, provenance."""
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    return cast(dict[str, dict[str, Any]], yaml.safe_load(text)["sets"])
