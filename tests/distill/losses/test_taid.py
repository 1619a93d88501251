"""TAID against a float64 loop of its algorithm, and a training that resumes in the same bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill import loop, train
from edgekd.distill.digest import weights_digest
from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.distill.settings import TrainSettings
from edgekd.errors import ModelError
from edgekd.progress import QUIET

LABELS = torch.zeros(3, dtype=torch.int64)
SHAPES = Shapes({}, {}, 4, 3)


def softmax(row: np.ndarray) -> list[float]:
    top = [math.exp(value - max(row)) for value in row]
    return [value / sum(top) for value in top]


def reference(batches: list[tuple[np.ndarray, np.ndarray]], start: float, end: float, alpha: float, beta: float) -> Any:
    """Losses and shares, step by step, in plain Python."""
    share, momentum, previous = start, 0.0, math.inf
    losses, shares = [], []
    for step, (student, teacher) in enumerate(batches):
        divergence = crossed = 0.0
        for s, t in zip(student, teacher, strict=True):
            p, q = softmax((1 - share) * s + share * t), softmax(s)
            divergence += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / len(student)
            crossed -= sum(a * math.log(b) for a, b in zip(p, q, strict=True)) / len(student)
        losses.append(divergence)
        if previous != math.inf:
            momentum = beta * momentum + (1 - beta) * (previous - crossed) / (previous + 1e-15)
            delta = alpha * (1 / (1 + math.exp(-momentum))) * (1 - share)
            share = min(end, max(start + (end - start) * step / len(batches), share + delta))
        previous = crossed
        shares.append(share)
    return losses, shares


@pytest.mark.parametrize(
    ("start", "end", "alpha", "beta"), [(0.4, 1.0, 5e-4, 0.99), (0.0, 0.8, 0.3, 0.5), (0.2, 0.9, 0, 0)]
)
def test_equals_the_algorithm(start: float, end: float, alpha: float, beta: float) -> None:
    rng = np.random.default_rng(1)
    batches = [(rng.normal(size=(3, 4)) * (1 + n), rng.normal(size=(3, 4)) * 3) for n in range(12)]
    loss = LOSSES.parse({"taid": {"t_start": start, "t_end": end, "alpha": alpha, "beta": beta}})
    state = loss.build(SHAPES)
    losses, shares = [], []
    for step, (student, teacher) in enumerate(batches):
        s, t = torch.from_numpy(student).requires_grad_(), torch.from_numpy(teacher)
        losses.append(float(loss(Outputs(s, LABELS, t, projector=state, progress=step / len(batches))).detach()))
        shares.append(float(state.get_buffer("share")))
    expected = reference(batches, start, end, alpha, beta)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(shares, expected[1], rtol=1e-6)
    assert shares == sorted(shares) and shares[-1] <= end


def test_gradient_and_identity() -> None:
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    loss = LOSSES.parse("taid")
    state = loss.build(SHAPES)
    loss(Outputs(student, LABELS, teacher, projector=state)).backward()
    mixed = 0.6 * student.detach() + 0.4 * teacher
    expected = (torch.softmax(student.detach(), 1) - torch.softmax(mixed, 1)) / 3
    torch.testing.assert_close(student.grad, expected)
    with torch.no_grad():
        before = {name: value.clone() for name, value in state.named_buffers()}
        assert float(loss(Outputs(student, LABELS, student.detach(), projector=state))) == pytest.approx(0, abs=1e-12)
    assert all(torch.equal(before[name], value) for name, value in state.named_buffers())


def test_refusals() -> None:
    loss = LOSSES.parse("taid")
    with pytest.raises(ModelError, match="call build"):
        loss(Outputs(torch.zeros(3, 4), LABELS, torch.zeros(3, 4)))
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        loss(Outputs(torch.zeros(3, 4), LABELS, projector=loss.build(SHAPES)))
    with pytest.raises(ValueError, match="must not be below t_start"):
        LOSSES.parse({"taid": {"t_start": 0.5, "t_end": 0.4}})


class Killed(Exception):
    """Stands for a kill, at a place of the test's choice."""


def test_a_resumed_training_ends_in_the_same_bits(
    data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainSettings.model_validate(
        {"epochs": 3, "batch_size": 16, "optimizer": {"sgd": {"lr": 0.1}}, "checkpoint_every_s": 1e-9, "threads": 1}
    )
    losses = [
        LOSSES.parse({"taid": {"alpha": 0.2, "beta": 0.5}}),
        LOSSES.parse({"ce": {"weight": {"from": 1, "to": 0}}}),
    ]

    def attempt(folder: str) -> str:
        torch.manual_seed(0)
        student, teacher = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3)) for _ in range(2))
        train(student, data, settings, losses, seed=1, work=tmp_path / folder, progress=QUIET, teacher=teacher)
        return weights_digest(student)

    peaceful = attempt("peace")
    write = loop.write_state
    for saves in (3, 5, 4):
        left = [saves]

        def save(folder: Path, state: dict[str, Any], left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            write(folder, state)

        monkeypatch.setattr(loop, "write_state", save)
        with pytest.raises(Killed):
            attempt("fire")
    monkeypatch.setattr(loop, "write_state", write)
    assert attempt("fire") == peaceful
    monkeypatch.setattr("edgekd.distill.losses.taid.Taid._advance", lambda *_: None)
    assert attempt("still") != peaceful  # the state matters, so that equality above says something
