from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.data.paths import locate
from edgekd.errors import DataError


def test_what_exists_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zip").touch()
    assert locate(tmp_path / "a.zip") == tmp_path / "a.zip"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(Path("~/a.zip")) == tmp_path / "a.zip"


def test_what_is_missing_is_named_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "cifar10.zip").touch()
    with pytest.raises(DataError, match=r"did you mean 'cifar10.zip'") as caught:
        locate(tmp_path / "cifar.zip")
    assert str(tmp_path / "cifar.zip") in str(caught.value)
    with pytest.raises(DataError, match="no file or folder"):
        locate(tmp_path / "no" / "folder")
