"""The wheel carries the board profiles, the shipped recipes, the calibration samples and the agent."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from .conftest import ROOT


def test_the_wheel_is_complete_and_works_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(site)
    for path in (ROOT / "targets").glob("*.yaml"):
        assert f"edgekd/_targets/{path.name}" in names
    for name in ("recipes/digits.yaml", "benchmark/agent/__main__.py", "_calibration_data/manifest.yaml", "py.typed"):
        assert f"edgekd/{name}" in names
    assert not any(name.startswith("tests/") or "__pycache__" in name for name in names)
    program = (
        "from edgekd.target import Target; from edgekd.listing import shipped_recipes; from edgekd.data.reader import "
        "READERS; import edgekd; r = READERS.parse({'shipped': {'domain': 'digits'}}); "
        "print(edgekd.__file__, Target.load('raspberry-pi-5').title, *shipped_recipes(), len(r.open().classes))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(site) in done.stdout and "Raspberry Pi 5" in done.stdout and "digits" in done.stdout
