"""A teacher stays as it is."""

from __future__ import annotations

import pytest
from torch import nn

from edgekd.distill.digest import weights_digest
from edgekd.distill.teacher import freeze, verify_frozen, verify_unchanged
from edgekd.errors import ModelError


class Stubborn(nn.Module):
    """Dropout that ignores eval()."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()

    def train(self, mode: bool = True) -> Stubborn:
        return self


def test_freezes() -> None:
    teacher = freeze(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_teacher_that_stays_in_training_mode_is_refused() -> None:
    with pytest.raises(ModelError, match=r"(?s)not frozen.*0\.drop"):
        freeze(nn.Sequential(Stubborn()))


def test_verify_finds_what_was_thawed_later() -> None:
    teacher = freeze(nn.Sequential(nn.Linear(2, 2)))
    teacher[0].bias.requires_grad_(True)
    with pytest.raises(ModelError, match=r"learning: 0\.bias"):
        verify_frozen(teacher)
    teacher[0].bias.requires_grad_(False)
    teacher.train()
    with pytest.raises(ModelError, match="training mode"):
        verify_frozen(teacher)


def test_verify_finds_what_was_written_to() -> None:
    teacher = freeze(nn.BatchNorm1d(2))
    before = weights_digest(teacher)
    verify_unchanged(teacher, before)
    teacher.running_mean += 1  # pyright: ignore
    with pytest.raises(ModelError, match="changed while it taught"):
        verify_unchanged(teacher, before)
