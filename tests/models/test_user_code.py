"""Finding and hashing the user's modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekd.errors import ModelError
from edgekd.models.user_code import source_files, sources_digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "uc_single.py": "raise RuntimeError('hashing must not run this')",
        "uc_main.py": "import os, uc_helper\nfrom uc_pack import part\ndef f(): from uc_pack.sub import deep",
        "uc_helper.py": "from uc_single import x",
        "uc_pack/__init__.py": "",
        "uc_pack/part.py": "from . import sibling\nfrom .sub import deep",
        "uc_pack/sibling.py": "",
        "uc_pack/sub/__init__.py": "from ..cousin import *",
        "uc_pack/sub/deep.py": "",
        "uc_pack/cousin.py": "",
        "uc_pack/unused.py": "",
        "uc_space/inner.py": "",
        "uc_bad.py": "def (",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path, module: str) -> set[str]:
    return {path.relative_to(folder.resolve()).as_posix() for path in source_files(module)}


def test_the_module_and_what_it_imports_from_beside_it(folder: Path) -> None:
    assert names(folder, "uc_single") == {"uc_single.py"}
    assert names(folder, "uc_space.inner") == {"uc_space/inner.py"}
    assert names(folder, "uc_main") == {
        "uc_main.py", "uc_helper.py", "uc_single.py", "uc_pack/__init__.py", "uc_pack/part.py", "uc_pack/sibling.py",
        "uc_pack/sub/__init__.py", "uc_pack/sub/deep.py", "uc_pack/cousin.py",
    }  # fmt: skip


def test_a_change_in_any_of_them_changes_the_digest(folder: Path) -> None:
    before = sources_digest(source_files("uc_main"))
    (folder / "uc_pack/unused.py").write_text("x = 1")
    assert sources_digest(source_files("uc_main")) == before
    (folder / "uc_pack/cousin.py").write_text("x = 1")
    assert sources_digest(source_files("uc_main")) != before


def test_an_installed_package_is_hashed_alone(folder: Path) -> None:
    files = source_files("pydantic.main")
    assert all("pydantic" in path.parts for path in files) and len(files) > 1


def test_refusals(folder: Path) -> None:
    for module, message in [
        ("uc_absent", "no module 'uc_absent'"),
        ("uc_pack.absent", "no module 'uc_pack.absent'"),
        ("uc_bad", "no valid Python"),
    ]:
        with pytest.raises(ModelError, match=message):
            source_files(module)
