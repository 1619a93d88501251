"""What holds for every loss, or for every loss that compares logits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.loss import IGNORED, LOSSES, Loss, Outputs, Shapes
from edgekd.distill.objective import Objective
from edgekd.distill.ramp import mean_of
from edgekd.errors import ModelError

RESPONSE = ["kl", "soft_ce", "dkd", "logit_standardization", "dist"]
PAIRS = {"pairs": "uniform"}
FEATURES: list[Any] = [
    {"hint": PAIRS},
    {"hint": {**PAIRS, "adapter": "teacher", "resize": "interpolate", "normalize": True}},
    {"hint": {**PAIRS, "adapter_form": "conv_norm_relu"}},
    {"attention": {**PAIRS, "weight": 1}},
    {"low_rank": PAIRS},
    {"review": PAIRS},
    {"mgd": PAIRS},
]
EVERY: list[Any] = ["ce", *RESPONSE, *FEATURES]


def names(forms: list[Any]) -> list[str]:
    return [form if isinstance(form, str) else f"{next(iter(form))}-{i}" for i, form in enumerate(forms)]


class Network(nn.Module):
    """Two stages of given widths that halve the image, and a classifier."""

    def __init__(self, *widths: int, stem: int = 1) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, widths[0], 3, stem, padding=1), nn.Tanh())
        self.stage2 = nn.Sequential(nn.Conv2d(widths[0], widths[1], 3, 2, padding=1), nn.Tanh())
        self.head = nn.Linear(widths[1], 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stage2(self.stage1(images)).mean((2, 3)))


def logits(seed: int, rows: int = 5, scale: float = 1.0) -> Tensor:
    return torch.randn(rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def respond(form: Any, student: Tensor, teacher: Tensor, labels: Tensor | None = None) -> Tensor:
    if labels is None:
        labels = torch.arange(len(student)) % 4
    return LOSSES.parse(form)(Outputs(student, labels, teacher))


@pytest.mark.parametrize("name", RESPONSE)
def test_response_gradient(name: str) -> None:
    student = logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: respond(name, s, logits(1)), student)


@pytest.mark.parametrize("name", [name for name in RESPONSE if name != "soft_ce"])
@pytest.mark.parametrize("rows", [1, 5])
def test_response_is_zero_for_the_teachers_own_logits(name: str, rows: int) -> None:
    teacher = logits(1, rows, 5)
    student = teacher.clone().requires_grad_()
    loss = respond(name, student, teacher)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-10)
    assert student.grad is not None and float(student.grad.abs().max()) < 1e-9


@pytest.mark.parametrize("name", RESPONSE)
def test_response_ignores_a_shift_of_the_logits(name: str) -> None:
    student, teacher = logits(0), logits(1)
    torch.testing.assert_close(respond(name, student + 3, teacher - 7), respond(name, student, teacher))


@pytest.mark.parametrize("name", RESPONSE)
def test_response_gradient_keeps_its_size_when_the_temperature_grows(name: str) -> None:
    sizes: list[float] = []
    for temperature in (100.0, 200.0):
        student = logits(0).requires_grad_()
        respond({name: {"temperature": temperature}}, student, logits(1)).backward()
        assert student.grad is not None
        sizes.append(float(student.grad.norm()))
    assert sizes[0] > 1e-3 and sizes[1] == pytest.approx(sizes[0], rel=0.05)


@pytest.mark.parametrize("name", ["ce", *RESPONSE])
def test_response_in_float32_far_out_stays_finite(name: str) -> None:
    student = logits(0, scale=100).float().requires_grad_()
    loss = respond(name, student, logits(1, scale=100).float())
    loss.backward()
    assert loss.isfinite() and student.grad is not None and student.grad.isfinite().all()


@pytest.mark.parametrize("name", ["ce", *RESPONSE])
def test_response_gradient_is_bounded_where_a_head_starts_at_zero(name: str) -> None:
    student = torch.zeros(64, 10, requires_grad=True)
    teacher = 4 * torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    loss: Loss = LOSSES.parse(name)
    (mean_of(loss.weight) * loss(Outputs(student, teacher.argmax(1), teacher))).backward()
    assert student.grad is not None and 1e-2 < float(student.grad.norm()) < 10


@pytest.mark.parametrize("name", ["ce", "dkd"])
def test_ignored_labels_are_left_out(name: str) -> None:
    labels = torch.tensor([0, IGNORED, 2, IGNORED, 0])
    kept = labels != IGNORED
    student = logits(0).requires_grad_()
    loss = respond(name, student, logits(1), labels)
    torch.testing.assert_close(loss, respond(name, student[kept], logits(1)[kept], labels[kept]))
    loss.backward()
    assert student.grad is not None and not student.grad[~kept].any()
    nothing = respond(name, student, logits(1), torch.full((5,), IGNORED))
    nothing.backward()
    assert float(nothing.detach()) == 0


@pytest.mark.parametrize("name", RESPONSE)
def test_response_refuses_a_missing_or_differently_sized_teacher(name: str) -> None:
    with pytest.raises(ModelError, match=f"'{name}' needs the teacher's outputs"):
        LOSSES.parse(name)(Outputs(torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)))
    with pytest.raises(ModelError, match="same number of classes"):
        respond(name, torch.zeros(3, 4), torch.zeros(3, 5))


@pytest.mark.parametrize("form", FEATURES, ids=names(FEATURES))
def test_feature_gradient(form: Any) -> None:
    name, fields = next(iter(form.items()))
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"a": "x", "b": "y"}}})
    generator = torch.Generator().manual_seed(0)
    shapes = {"a": (2, 2, 4, 4), "b": (2, 3, 2, 2)}, {"x": (2, 3, 4, 4), "y": (2, 4, 4, 4)}
    first, second, x, y = (
        torch.randn(shape, dtype=torch.float64, generator=generator) for side in shapes for shape in side.values()
    )
    projector = loss.build(Shapes(*shapes))
    projector = None if projector is None else projector.double()
    labels = torch.zeros(2, dtype=torch.int64)

    def value(a: Tensor, b: Tensor) -> Tensor:
        torch.manual_seed(0)
        return loss(Outputs(torch.zeros(2, 4), labels, None, {"a": a, "b": b}, {"x": x, "y": y}, projector))

    assert torch.autograd.gradcheck(value, (first.requires_grad_(), second.requires_grad_()))


@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("form", EVERY, ids=names(EVERY))
def test_one_step_of_two_networks(form: Any, batch: int) -> None:
    """Other widths and sizes, bfloat16, one sample, classes that the batch lacks: finite, and the student learns."""
    torch.manual_seed(0)
    student, teacher = Network(4, 6, stem=2), Network(5, 8).eval().requires_grad_(False)
    objective = Objective([LOSSES.parse(form)], student, teacher, [torch.randn(2, 3, 8, 8)], classes=4)
    images, labels = torch.randn(batch, 3, 8, 8), torch.ones(batch, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        soft, hard = teacher(images), student(images)
    total, terms = objective(hard, labels, soft)
    total.backward()
    objective.close()
    assert total.dtype == torch.float32 and total.isfinite() and terms.isfinite().all()
    gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.abs().sum() > 0 for gradient in gradients)
    for parameter in objective.projectors.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()


ADAPTED: list[tuple[str, dict[str, Any]]] = [("hint", {}), ("low_rank", {}), ("mgd", {"ratio": 0}), ("review", {})]


@pytest.mark.parametrize(("name", "fields"), ADAPTED)
def test_adapters_compute_as_the_networks_do(name: str, fields: dict[str, Any]) -> None:
    """Of bfloat16 features every convolution of an adapter is bfloat16, and the loss float32 and nearly the same."""
    torch.manual_seed(0)
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"a": "x"}}})
    student, teacher = torch.randn(6, 4, 8, 8), torch.randn(6, 5, 8, 8)
    projector = loss.build(Shapes({"a": (2, 4, 8, 8)}, {"x": (2, 5, 8, 8)}))
    assert projector is not None
    seen: list[torch.dtype] = []
    for module in projector.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    labels = torch.zeros(6, dtype=torch.int64)

    def value(dtype: torch.dtype) -> Tensor:
        seen.clear()
        taps = {"a": student.to(dtype)}, {"x": teacher.to(dtype)}
        return loss(Outputs(torch.zeros(6, 4), labels, None, *taps, projector)).detach()

    precise = value(torch.float32)
    assert seen and set(seen) == {torch.float32}
    half = value(torch.bfloat16)
    assert seen and set(seen) == {torch.bfloat16} and half.dtype == torch.float32
    assert float(half) == pytest.approx(float(precise), rel=0.02)


TOKENS: list[Any] = [{"hint": {}}, {"hint": {"adapter_form": "conv_norm_relu"}}, {"low_rank": {}}]


@pytest.mark.parametrize("form", [*TOKENS, {"hint": {"normalize": True}}, {"similarity": {}}])
def test_a_batch_of_padding_alone_counts_for_nothing(form: Any) -> None:
    name, fields = next(iter(form.items()))
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"a": "x"}}})
    projector = loss.build(Shapes({"a": (3, 6, 4)}, {"x": (3, 6, 5)}))
    student, labels = torch.randn(3, 6, 4, requires_grad=True), torch.zeros(3, dtype=torch.int64)
    taps, mask = ({"a": student}, {"x": torch.randn(3, 6, 5)}), torch.zeros(3, 6, dtype=torch.bool)
    value = loss(Outputs(torch.zeros(3, 4), labels, None, *taps, projector, mask=mask))
    value.backward()
    assert float(value.detach()) == 0 and student.grad is not None and not student.grad.any()


@pytest.mark.parametrize("form", [*FEATURES, {"similarity": {}}], ids=names([*FEATURES, {"similarity": {}}]))
def test_features_of_a_thousand_in_a_half_precision_step(form: Any) -> None:
    """Also where the caller computes the loss under autocast, as a step of its own would."""
    student, teacher = Network(4, 6), Network(5, 8).eval().requires_grad_(False)
    name, fields = next(iter(form.items()))
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"stage1.0": "stage1.0"}}})
    objective = Objective([loss], student, teacher, [torch.randn(2, 3, 8, 8)], classes=4)
    with torch.autocast("cpu", dtype=torch.float16):
        images = 4e3 * torch.randn(6, 3, 8, 8)
        total, _ = objective(student(images), torch.zeros(6, dtype=torch.int64), teacher(images))
    assert float(teacher.stage1[0](images).abs().max()) > 1e3
    objective.close()
    assert total.isfinite()


@pytest.mark.parametrize("form", TOKENS)
def test_padding_counts_for_nothing(form: Any) -> None:
    name, fields = next(iter(form.items()))
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"a": "x"}}})
    student, teacher = torch.randn(3, 6, 4), torch.randn(3, 6, 5)
    projector = loss.build(Shapes({"a": (3, 6, 4)}, {"x": (3, 6, 5)}))
    mask = torch.arange(6) < torch.tensor([6, 2, 4])[:, None]

    def value(a: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        labels = torch.zeros(3, dtype=torch.int64)
        return loss(Outputs(torch.zeros(3, 4), labels, None, {"a": a}, {"x": x}, projector, mask=mask))

    expected = value(student, teacher, mask)
    student, teacher = (torch.where(mask[:, :, None], side, 1e6) for side in (student, teacher))
    torch.testing.assert_close(value(student, teacher, mask), expected)
    assert float(value(student, teacher, torch.ones_like(mask)).detach()) != float(expected.detach())


@pytest.mark.parametrize("form", [{"hint": {"adapter_form": "conv_norm_relu"}}, {"low_rank": {}}, {"review": {}}])
def test_a_single_row_has_no_batch_statistics_and_stays_finite(form: Any) -> None:
    name, fields = next(iter(form.items()))
    loss: Loss = LOSSES.parse({name: {**fields, "pairs": {"a": "x"}}})
    projector = loss.build(Shapes({"a": (2, 4)}, {"x": (2, 5)}))
    student = torch.randn(1, 4, requires_grad=True)
    taps, labels = ({"a": student}, {"x": torch.randn(1, 5)}), torch.zeros(1, dtype=torch.int64)
    value = loss(Outputs(torch.zeros(1, 4), labels, None, *taps, projector))
    value.backward()
    assert value.isfinite() and student.grad is not None and student.grad.isfinite().all()


@pytest.mark.parametrize(("name", "rounding"), [("minilm", 1e-6), ("tinybert", 1e-9)])
@pytest.mark.parametrize(("seed", "zero"), [(0, True), (5, False)])
def test_longer_padding_changes_nothing_and_a_copy_has_no_loss(
    bert: Any, tokens: Any, learn: Any, name: str, rounding: float, seed: int, zero: bool
) -> None:
    student, teacher = bert(2, seed=seed).eval(), bert(2, seed=0).eval()
    objective = Objective([LOSSES.parse(name)], student, teacher, tokens, classes=3)
    batches = [tuple(nn.functional.pad(part, (0, extra)) for part in tokens) for extra in (0, 4)]
    short, long = (float(learn(objective, student, teacher, batch).detach()) for batch in batches)
    assert short == pytest.approx(long, rel=1e-4, abs=rounding) and (short < rounding) == zero
    objective.close()
