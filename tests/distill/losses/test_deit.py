"""The distillation token against a float64 loop, on timm's distilled transformer, and exported as one model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.distill.loss import LOSSES, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.errors import ModelError
from edgekd.export import FORMATS, export
from edgekd.models import MODELS

HARD, SOFT = LOSSES.parse("deit"), LOSSES.parse({"deit": {"variant": "soft", "alpha": 0.1, "temperature": 2.0}})


def vit(classes: int = 3, **options: Any) -> Any:
    from timm.models.deit import VisionTransformerDistilled

    torch.manual_seed(0)
    sizes = {"img_size": 8, "patch_size": 4, "embed_dim": 12, "depth": 2, "num_heads": 3} | options
    model = VisionTransformerDistilled(num_classes=classes, **sizes)
    for parameter in model.parameters():  # fresh heads are near zero: nothing could be told apart
        nn.init.normal_(parameter, std=0.3)
    return model


def log_softmax(row: np.ndarray) -> list[float]:
    top = math.log(sum(math.exp(float(x)) for x in row))
    return [float(x) - top for x in row]


def reference(head: np.ndarray, dist: np.ndarray, teacher: np.ndarray, labels: list[int], loss: Any) -> float:
    truths = [-log_softmax(z)[y] for z, y in zip(head, labels, strict=True) if y != -100]
    taught = []
    for z, t in zip(dist, teacher, strict=True):
        if loss.variant == "hard":
            taught.append(-log_softmax(z)[int(np.argmax(t))])
        else:
            log_p, log_q = log_softmax(t / loss.temperature), log_softmax(z / loss.temperature)
            divergence = sum(math.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True))
            taught.append(loss.temperature**2 * divergence)
    return (1 - loss.alpha) * sum(truths) / max(len(truths), 1) + loss.alpha * sum(taught) / len(taught)


def outputs(head: Tensor, dist: Tensor, teacher: Tensor | None, labels: list[int]) -> Outputs:
    taps = {"head": head, "head_dist": dist}
    return Outputs((head + dist) / 2, torch.tensor(labels), teacher, taps)


@pytest.mark.parametrize("loss", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("labels", [[0, 3, 1, 0], [2, -100, -100, 1], [-100] * 4, [1]])
def test_equals_the_formula(loss: Any, labels: list[int]) -> None:
    rng = np.random.default_rng(0)
    head, dist, teacher = rng.normal(0, 2, (3, len(labels), 4))
    value = loss(outputs(*(torch.from_numpy(x) for x in (head, dist, teacher)), labels))
    assert float(value) == pytest.approx(reference(head, dist, teacher, labels, loss), rel=1e-10)


@pytest.mark.parametrize("loss", [HARD, SOFT], ids=["hard", "soft"])
def test_gradient_splits_over_the_heads(loss: Any) -> None:
    head, dist = (torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    teacher = torch.randn(3, 4, dtype=torch.float64)
    labels = [0, -100, 2]
    assert torch.autograd.gradcheck(lambda z, d: loss(outputs(z, d, teacher, labels)), (head, dist))
    loss(outputs(head, dist, teacher, labels)).backward()
    assert torch.equal(head.grad[1], torch.zeros(4, dtype=torch.float64))  # no label: the class token learns nothing
    assert float(dist.grad[1].abs().sum()) > 0


def test_a_soft_teacher_that_is_copied_leaves_the_labels_term() -> None:
    head, dist = torch.randn(2, 3), torch.randn(2, 3)
    expected = 0.9 * torch.nn.functional.cross_entropy(head, torch.tensor([0, 1]))
    torch.testing.assert_close(SOFT(outputs(head, dist, dist, [0, 1])), expected)


def test_half_precision() -> None:
    head, dist, teacher = torch.randn(3, 4, 5).unbind()
    labels = [0, 1, 2, 3]
    for loss in (HARD, SOFT):
        half = loss(outputs(head.bfloat16(), dist.bfloat16(), teacher.bfloat16(), labels))
        assert float(half) == pytest.approx(float(loss(outputs(head, dist, teacher, labels))), rel=0.05)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_timms_distilled_transformers_put_out_one_tensor_the_average(mode: str) -> None:
    model = MODELS.parse({"timm": {"name": "deit_tiny_distilled_patch16_224"}}).build(5, 3)
    assert getattr(model.train(mode == "train"), "distilled_training") is False  # noqa: B009
    small = vit().train(mode == "train")
    x = torch.randn(2, 3, 8, 8)
    features = small.forward_features(x)
    expected = (small.head(features[:, 0]) + small.head_dist(features[:, 1])) / 2
    torch.testing.assert_close(small(x), expected)


def test_the_objective_teaches_both_heads_of_a_timm_student() -> None:
    student, teacher = vit(), nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    x, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    objective = Objective([HARD], student, None, [x], classes=3)
    assert not objective.taps_teacher and HARD.needs_teacher and not HARD.compares_layers()
    soft = teacher(x).detach()
    total, _ = objective(student(x), labels, soft)
    features = student.forward_features(x)
    ce = torch.nn.functional.cross_entropy
    expected = ce(student.head(features[:, 0]), labels) / 2 + ce(student.head_dist(features[:, 1]), soft.argmax(1)) / 2
    torch.testing.assert_close(total, expected)
    total.backward()
    assert float(student.dist_token.grad.abs().sum()) > 0 and float(student.cls_token.grad.abs().sum()) > 0
    objective.close()


@pytest.fixture
def run_onnx() -> Callable[[Path, Tensor], np.ndarray]:
    import onnxruntime

    def run(path: Path, x: Tensor) -> np.ndarray:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        assert [output.name for output in session.get_outputs()] == ["logits"]
        return session.run(None, {"input": x.numpy()})[0]

    return run


def test_exports_as_one_model_that_averages_the_heads(tmp_path: Path, run_onnx: Callable[..., np.ndarray]) -> None:
    model, x = vit().eval(), torch.randn(4, 3, 8, 8)
    program = fold(model, (x,))
    exported = export(program, None, FORMATS.parse("onnx"), tmp_path, QuantizationRules())
    with torch.no_grad():
        features = model.forward_features(x)
        expected = (model.head(features[:, 0]) + model.head_dist(features[:, 1])) / 2
        torch.testing.assert_close(program(x), expected, atol=1e-5, rtol=1e-4)
        assert float((model.head(features[:, 0]) - model.head_dist(features[:, 1])).abs().max()) > 0.1
    np.testing.assert_allclose(run_onnx(tmp_path / exported.entry, x), expected, atol=1e-5, rtol=1e-4)


def test_refusals() -> None:
    with pytest.raises(ModelError, match="two heads that classify"):
        HARD.build(Shapes({"head": (2, 4), "head_dist": (2, 5)}, {}, 4))
    with pytest.raises(ModelError, match="needs the teacher's outputs"):
        HARD(outputs(torch.zeros(1, 2), torch.zeros(1, 2), None, [0]))
    with pytest.raises(ModelError, match="no layer 'head'"):
        Objective([HARD], nn.Sequential(nn.Linear(2, 2)), None, [torch.zeros(2, 2)], classes=2)
