from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import edgekd.data.readers.shipped as module
from edgekd.artifact import sha256_file
from edgekd.data.reader import READERS
from edgekd.errors import DataError

ROOT = module.shipped_folder()
SETS = module.read_manifest(ROOT)


@pytest.mark.parametrize("domain", sorted(SETS))
def test_the_manifest_tells_the_truth(domain: str) -> None:
    entry = SETS[domain]
    path = ROOT / entry["file"]
    assert sha256_file(path) == entry["sha256"]
    assert path.stat().st_size == entry["size_bytes"] < 3_000_000
    assert entry["licence"] and entry["provenance"]
    reader = READERS.parse({"shipped": {"domain": domain}})
    samples = list(reader.open().samples)
    assert len(samples) == entry["count"] == len(zipfile.ZipFile(path).namelist())
    assert len({np.asarray(sample.load()).tobytes() for sample in samples}) == len(samples)
    assert reader.terms() == entry["licence"]
    for name in entry.get("sources", {}):
        assert any(sample.origin.startswith(name) for sample in samples)


def test_every_file_is_in_the_manifest_and_in_the_readme() -> None:
    assert {path.name for path in ROOT.glob("*.zip")} == {entry["file"] for entry in SETS.values()}
    readme = (ROOT / "README.md").read_text()
    assert all(f"| `{domain}` | {entry['count']} |" in readme for domain, entry in SETS.items())


def test_digits_are_the_csvs_own_rows() -> None:
    rows = {sample.origin: sample for sample in READERS.parse("mnist5k").open().samples}
    listing = READERS.parse({"shipped": {"domain": "digits"}}).open()
    assert listing.classes == [str(digit) for digit in range(10)]
    for sample in listing.samples:
        row = rows[Path(sample.origin).stem]
        assert sample.label == row.label and np.array_equal(np.asarray(sample.load()), np.asarray(row.load()))


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(ROOT, tmp_path / "calibration_data")
    data = bytearray((copy / "digits.zip").read_bytes())
    data[1000] ^= 1
    (copy / "digits.zip").write_bytes(data)
    monkeypatch.setattr(module, "shipped_folder", lambda: copy)
    with pytest.raises(DataError, match="was changed"):
        READERS.parse({"shipped": {"domain": "digits"}}).open()


def test_a_misspelt_domain() -> None:
    with pytest.raises(ValidationError, match="did you mean 'digits'"):
        READERS.load("shipped").model_validate({"domain": "digit"})
