"""Optional packages: imported when there, named with their pip line when not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.backends import need, versions
from edgekd.errors import MissingBackend


def test_an_installed_package_is_imported() -> None:
    assert need("json", extra="x").dumps([1]) == "[1]"


def test_an_absent_package_is_named_with_its_pip_line() -> None:
    with pytest.raises(MissingBackend) as caught:
        need("edgekd_no_such_backend.inner", extra="openvino")
    assert "'edgekd_no_such_backend' is not installed" in str(caught.value)
    assert "pip install 'edgekd[openvino]'" in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_broken_installation_is_not_called_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "edgekd_broken_backend.py").write_text("import edgekd_missing_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="edgekd_missing_dependency"):
        need("edgekd_broken_backend", extra="x")


def test_versions_are_read_without_importing() -> None:
    assert versions("numpy", "edgekd-no-such")["edgekd-no-such"] is None
    assert versions("numpy")["numpy"]
