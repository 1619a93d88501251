"""The checkpoint file: round trip, damage, full disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgekd.distill.state import STATE, has_state, read_state, write_state
from edgekd.errors import StoreError


def test_round_trip_keeps_bits_types_and_memory_order(tmp_path: Path) -> None:
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    write_state(tmp_path / "new" / "folder", {"w": weight, "epoch": 3, "best": None, "rows": [{"loss": 0.1}]})
    state = read_state(tmp_path / "new" / "folder")
    assert state is not None
    assert torch.equal(state["w"], weight) and state["w"].stride() == weight.stride()
    assert (state["epoch"], state["best"], state["rows"]) == (3, None, [{"loss": 0.1}])


def test_nothing_there(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None and not has_state(tmp_path)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damage_is_found(tmp_path: Path, damage: str) -> None:
    write_state(tmp_path, {"w": torch.randn(100)})
    content = bytearray((tmp_path / STATE).read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    (tmp_path / STATE).write_bytes({"flip": content, "cut": content[:-10], "empty": b""}[damage])
    assert read_state(tmp_path) is None and has_state(tmp_path)


def test_a_failed_write_keeps_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, {"epoch": 1})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_state(tmp_path, {"epoch": 2})
    monkeypatch.undo()
    assert read_state(tmp_path) == {"epoch": 1}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        write_state(tmp_path / "file" / "work", {})
