"""Contrastive distillation against a float64 loop over samples and negatives, and its memory bank."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError

CRD = LOSSES.parse({"crd": {"width": 4, "negatives": 50, "temperature": 0.5, "momentum": 0.25}})


def built(loss: Any = CRD, samples: int = 12) -> Any:
    torch.manual_seed(0)
    return loss.build(Shapes({}, {}, 3, samples, student_width=3, teacher_width=5)).double()


def batch(samples: list[int], labels: list[int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(len(samples), 3, dtype=torch.float64, generator=generator)
    teacher = torch.randn(len(samples), 5, dtype=torch.float64, generator=generator)
    return student, teacher, torch.tensor(samples), torch.tensor(labels)


def value(memory: Any, given: tuple[Tensor, Tensor, Tensor, Tensor], loss: Any = CRD) -> Tensor:
    student, teacher, samples, labels = given
    return loss(Outputs(student, labels, teacher, projector=memory, samples=samples))


class Reference:
    """The docstring's formula, a sample and a negative at a time."""

    def __init__(self, memory: Any, loss: Any = CRD) -> None:
        self.weights = {
            name: (module.weight.detach().numpy().copy(), module.bias.detach().numpy().copy())
            for name, module in (("student", memory.student), ("teacher", memory.teacher))
        }
        self.loss = loss
        self.banks = {
            name: dict(enumerate(memory.get_buffer(f"{name}_bank").numpy().copy())) for name in ("student", "teacher")
        }
        self.labels: dict[int, int] = {}
        self.z: dict[str, float] = {}

    def embed(self, name: str, row: np.ndarray) -> np.ndarray:
        weight, bias = self.weights[name]
        found = weight @ row + bias
        return found / math.sqrt(float(found @ found))

    def __call__(self, given: tuple[Tensor, Tensor, Tensor, Tensor]) -> float:
        samples, labels = given[2].tolist(), given[3].tolist()
        new = {
            name: [self.embed(name, row) for row in rows.numpy()]
            for name, rows in (("student", given[0]), ("teacher", given[1]))
        }
        total = 0.0
        for anchor, other in (("student", "teacher"), ("teacher", "student")):
            exponentials = [
                [
                    math.exp(float(vector @ self.banks[other][row]) / self.loss.temperature)
                    for row in self.banks[other]
                    if row != sample and (label == -100 or self.labels.get(row) != label)
                ]
                for sample, label, vector in zip(samples, labels, new[anchor], strict=True)
            ]
            every = [found for row in exponentials for found in row]
            if every:
                self.z.setdefault(anchor, sum(every) / len(every))
            shift = self.loss.negatives * self.z.get(anchor, 1.0)
            for u, sample, row in zip(new[anchor], samples, exponentials, strict=True):
                agreement = math.exp(float(u @ self.banks[other][sample]) / self.loss.temperature)
                total -= math.log(agreement / (agreement + shift))
                apart = [math.log(1 - found / (found + shift)) for found in row]
                total -= self.loss.negatives * sum(apart) / max(len(apart), 1)
        for name, bank in self.banks.items():
            for sample, vector in zip(samples, new[name], strict=True):
                mixed = self.loss.momentum * bank[sample] + (1 - self.loss.momentum) * vector
                bank[sample] = mixed / math.sqrt(float(mixed @ mixed))
        self.labels |= dict(zip(samples, labels, strict=True))
        return total / len(samples)


def test_equals_the_formula_over_steps() -> None:
    memory = built()
    reference = Reference(memory)
    steps = [
        batch([3, 7, 0, 11], [0, 1, 1, 2], seed=1),
        batch([5, 3, 2, 9], [2, 0, 0, -100], seed=2),  # 3 is seen again, 9 has no label
        batch([7, 3], [1, 0], seed=3),  # class 2 is absent
        batch([1], [2], seed=4),
    ]
    for given in steps:
        assert float(value(memory, given).detach()) == pytest.approx(reference(given), rel=1e-9)
    for name, bank in reference.banks.items():
        rows = sorted(bank)
        found = memory.get_buffer(f"{name}_bank")
        np.testing.assert_allclose(found[rows].numpy(), [bank[row] for row in rows], rtol=1e-10)


def test_without_any_negative_only_the_positive_counts() -> None:
    memory = built(samples=1)
    reference, given = Reference(memory), batch([0], [1])
    assert float(value(memory, given).detach()) == pytest.approx(reference(given), rel=1e-9)
    assert bool(memory.student_log_z.isnan())


def test_gradient_reaches_the_student_and_both_embeddings() -> None:
    memory = built()
    value(memory, batch([0, 1, 2, 3], [0, 0, 2, 2]))
    saved = {name: buffer.clone() for name, buffer in memory.named_buffers()}
    student, teacher, samples, labels = batch([2, 3, 6], [2, 2, 1], seed=1)
    student.requires_grad_()

    def run(rows: Tensor) -> Tensor:
        for name, buffer in memory.named_buffers():
            buffer.copy_(saved[name])
        return value(memory, (rows, teacher, samples, labels))

    assert torch.autograd.gradcheck(run, student)
    run(student).backward()
    for module in (memory.student, memory.teacher):
        assert float(module.weight.grad.abs().sum()) > 0
    assert not any(buffer.requires_grad for buffer in memory.buffers())


def test_negatives_are_drawn_from_all_samples_by_torchs_stream() -> None:
    loss = LOSSES.parse({"crd": {"width": 4, "negatives": 3}})
    visited = built(loss, samples=40).visited
    drawn = [loss._rows(visited) for _ in range(80)]
    assert {len(rows) for rows in drawn} == {3} and set(torch.cat(drawn).tolist()) == set(range(40))
    state = torch.get_rng_state()
    first = loss._rows(visited)
    torch.set_rng_state(state)
    assert torch.equal(first, loss._rows(visited))


@pytest.mark.parametrize("negatives", [3, 50])
def test_negatives_are_samples_that_the_training_visits(negatives: int) -> None:
    loss = LOSSES.parse({"crd": {"width": 4, "negatives": negatives}})
    shapes = Shapes({}, {}, 3, 12, student_width=3, teacher_width=5, visited=np.array([1, 4, 5, 9]))
    memory: Any = loss.build(shapes)
    drawn = [loss._rows(memory.visited) for _ in range(40)]
    assert set(torch.cat(drawn).tolist()) == {1, 4, 5, 9}


def test_the_expectation_over_draws_is_the_loss_over_all_samples() -> None:
    few = LOSSES.parse({"crd": {"width": 4, "negatives": 20}})
    visited = built(few, samples=64).visited
    scores = torch.randn(64, dtype=torch.float64)
    positive, log_z = torch.zeros(1, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    found = []
    for _ in range(400):
        rows = few._rows(visited)
        found.append(float(few._contrast(positive, scores[rows][None], torch.ones(1, 20, dtype=torch.bool), log_z)))
    exact = float(few._contrast(positive, scores[None], torch.ones(1, 64, dtype=torch.bool), log_z))
    assert np.mean(found) == pytest.approx(exact, abs=4 * np.std(found) / 20)


def test_learns_to_agree() -> None:
    """Minimising it brings each sample's two embeddings closer than those of different samples."""
    torch.manual_seed(0)
    memory = built().float()
    teacher = torch.randn(12, 5)
    student = nn.Parameter(torch.randn(12, 3))
    optimizer = torch.optim.Adam([student, *memory.parameters()], 0.05)
    samples, labels = torch.arange(12), torch.full((12,), -100)
    for _ in range(60):
        optimizer.zero_grad()
        CRD(Outputs(student, labels, teacher, projector=memory, samples=samples)).backward()
        optimizer.step()
    unit = torch.nn.functional.normalize
    agreement = unit(memory.student(student)) @ unit(memory.teacher(teacher)).T
    others = agreement[~torch.eye(12, dtype=torch.bool)]
    assert float((agreement.diagonal().mean() - others.mean()).detach()) > 0.5


def test_the_banks_are_in_the_checkpoint_and_cost_what_it_says() -> None:
    student, teacher = nn.Linear(6, 3), nn.Linear(6, 5).eval()
    x = torch.randn(4, 6)
    objective = Objective([LOSSES.parse("crd")], student, teacher, [x], classes=3, samples=100)
    state = objective.projectors.state_dict()
    banks = {name: tensor for name, tensor in state.items() if name.endswith(("bank", "labels"))}
    assert sum(t.numel() * t.element_size() for t in banks.values()) == LOSSES.parse("crd").memory_bytes(100)
    assert LOSSES.parse("crd").memory_bytes(50000) == 50000 * 1032
    labels, rows = torch.tensor([0, 1, 2, 0]), torch.tensor([5, 99, 0, 6])
    total, _ = objective(student(x).bfloat16(), labels, teacher(x).detach().bfloat16(), samples=rows)
    total.backward()
    assert bool(student.weight.grad.isfinite().all())
    saved = {name: tensor.clone() for name, tensor in objective.projectors.state_dict().items()}
    again = Objective([LOSSES.parse("crd")], student, teacher, [x], classes=3, samples=100)
    again.projectors.load_state_dict(saved)
    arguments = (student(x).detach(), labels, teacher(x).detach())
    torch.manual_seed(3)
    expected = objective(*arguments, samples=rows.flip(0))[0]
    torch.manual_seed(3)
    assert torch.equal(again(*arguments, samples=rows.flip(0))[0], expected)
    objective.close()
    again.close()


def test_layers_are_pooled() -> None:
    loss = LOSSES.parse({"crd": {"student": "a", "teacher": "b", "width": 4}})
    assert loss.compares_layers() and not CRD.compares_layers()
    memory: Any = loss.build(Shapes({"a": (2, 3, 4, 4)}, {"b": (2, 7, 5)}, 3, 10))
    assert memory.student.weight.shape == (4, 3) and memory.teacher.weight.shape == (4, 5)


def test_refusals() -> None:
    with pytest.raises(ModelError, match="known size"):
        CRD.build(Shapes({}, {}, 3, 0, 3, 5))
    student, teacher, samples, labels = batch([0, 1], [0, 1])
    with pytest.raises(ModelError, match=r"(?s)whole samples.*no samples"):
        CRD(Outputs(student, labels, teacher, projector=built()))
    with pytest.raises(ModelError, match="not of tokens"):
        CRD(Outputs(student, labels, teacher, projector=built(), samples=samples[:1]))
    with pytest.raises(ModelError, match="projector"):
        CRD(Outputs(student, labels, teacher, samples=samples))
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        CRD(Outputs(student, labels, projector=built(), samples=samples))
