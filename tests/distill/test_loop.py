"""The training loop: it learns, it can be killed, it equals a plain loop, it selects, it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from edgekd.data.arrays import ImageData
from edgekd.distill import LOSSES, DistillSection, TrainSettings, train
from edgekd.distill.batches import epoch_order
from edgekd.distill.digest import weights_digest
from edgekd.distill.inference import predict
from edgekd.distill.state import STATE
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.errors import DataError, EdgekdError, ModelError, RecipeError
from edgekd.progress import QUIET, Progress

CE = [LOSSES.parse("ce")]
KD = [LOSSES.parse({"ce": {"weight": 0.1}}), LOSSES.parse({"kl": {"weight": 0.9}})]


def settings(**fields: Any) -> TrainSettings:
    base = {"epochs": 3, "batch_size": 16, "optimizer": {"sgd": {"lr": 0.1}}, "precision": "float32", "threads": 1}
    return TrainSettings.model_validate({**base, **fields})


def network(seed: int = 0, dropout: float = 0.0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(dropout), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    )  # fmt: skip


def accuracy(model: nn.Module, data: ImageData, split: Any = "test") -> float:
    rows = data.indices(split)
    return float((predict(model, data, rows).argmax(1) == data.labels[rows]).mean())


def test_learns_and_leaves_the_best_weights(data: ImageData, tmp_path: Path) -> None:
    model = network()
    assert accuracy(model, data) < 0.6
    story = train(model, data, settings(epochs=6), CE, seed=0, work=tmp_path, progress=QUIET)
    assert accuracy(model, data) > 0.9
    rows = story["epochs"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6] and rows[-1]["train_loss"] < rows[0]["train_loss"]
    best = max(row["validation_accuracy"] for row in rows)
    first = next(row["epoch"] for row in rows if row["validation_accuracy"] == best)
    assert (story["best_epoch"], story["best_validation_accuracy"]) == (first, best)
    assert accuracy(model, data, "validation") == best
    assert not model.training and all(p.is_contiguous() for p in model.parameters())
    json.dumps(story, allow_nan=False)


def test_equals_a_plain_torch_loop(data: ImageData, tmp_path: Path) -> None:
    """Batch order, schedule, decay, clipping and losses, spelt out; one epoch of 6 steps."""
    teacher = network(1)
    chosen = settings(
        epochs=1,
        optimizer={"sgd": {"lr": 0.05, "weight_decay": 0.1}},
        schedule={"cosine": {"warmup_steps": 2}},
        clip_norm=0.5,
    )
    model = network()
    train(model, data, chosen, KD, seed=4, work=tmp_path, progress=QUIET, teacher=teacher)

    plain = network()
    plain.train()
    decayed = [p for p in plain.parameters() if p.ndim > 1]
    free = [p for p in plain.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0}],
        lr=0,
        momentum=0.9,
        nesterov=True,
    )
    order = epoch_order(data.indices("train"), 4, 0)
    factors = [1 / 3, 2 / 3, *((1 + np.cos(np.pi * k / 4)) / 2 for k in range(4))]
    for step, factor in enumerate(factors):
        rows = order[step * 16 : step * 16 + 16]
        x = torch.from_numpy(data.preprocess.apply(data.images[rows]))
        with torch.no_grad():
            p = functional.softmax(teacher.eval()(x) / 4, 1)
        logits = plain(x)
        hard = functional.cross_entropy(logits, torch.from_numpy(data.labels[rows]))
        soft = (p * (p.log() - functional.log_softmax(logits / 4, 1))).sum(1).mean() * 16
        optimizer.zero_grad()
        (0.1 * hard + 0.9 * soft).backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * factor
        optimizer.step()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=2e-4, atol=2e-5, msg=name)


def test_killed_at_random_moments_ends_in_the_same_bits(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_training.py")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path), "3", "11"],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert result["killed"] == 3 and result["distinct_states"] == 3
    assert result["fire"] == result["peace"]


def test_an_interrupted_step_goes_on_from_the_middle_of_an_epoch(data: ImageData, tmp_path: Path) -> None:
    class Interrupting(Progress):
        def track(self, iterable: Any, total: int | None, label: str) -> Any:
            for count, item in enumerate(iterable):
                if label.startswith("epoch 2") and count == 3:
                    raise KeyboardInterrupt
                yield item

    chosen = settings(epochs=3, checkpoint_every_s=1e-6, augment={"crop_padding": 1, "flip": True})
    whole, broken, resumed = network(dropout=0.5), network(dropout=0.5), network(dropout=0.5)
    expected = train(whole, data, chosen, CE, seed=0, work=tmp_path / "a", progress=QUIET)
    with pytest.raises(KeyboardInterrupt):
        train(broken, data, chosen, CE, seed=0, work=tmp_path / "b", progress=Interrupting(quiet=True))
    torch.manual_seed(999)
    story = train(resumed, data, chosen, CE, seed=0, work=tmp_path / "b", progress=QUIET)
    assert weights_digest(resumed) == weights_digest(whole)
    assert [row["terms"] for row in story["epochs"]] == [row["terms"] for row in expected["epochs"]]


def test_a_finished_training_is_not_repeated(data: ImageData, tmp_path: Path) -> None:
    first, second = network(), network()
    story = train(first, data, settings(), CE, seed=0, work=tmp_path, progress=QUIET)
    before = (tmp_path / STATE).stat().st_mtime_ns
    assert train(second, data, settings(), CE, seed=0, work=tmp_path, progress=QUIET) == story
    assert weights_digest(first) == weights_digest(second)
    assert (tmp_path / STATE).stat().st_mtime_ns == before


def test_a_damaged_or_foreign_checkpoint_is_named_and_not_used(
    data: ImageData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = network()
    train(model, data, settings(), CE, seed=0, work=tmp_path, progress=QUIET)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-5])
    again = network()
    train(again, data, settings(), CE, seed=0, work=tmp_path, progress=QUIET)
    assert "damaged" in capsys.readouterr().err
    assert weights_digest(again) == weights_digest(model)
    other, fresh = network(), network()
    train(other, data, settings(), CE, seed=1, work=tmp_path, progress=QUIET)
    assert "another training" in capsys.readouterr().err
    train(fresh, data, settings(), CE, seed=1, work=tmp_path / "fresh", progress=QUIET)
    assert weights_digest(other) == weights_digest(fresh) != weights_digest(model)


def test_the_teacher_does_not_change_and_the_caller_keeps_its_random_stream(data: ImageData, tmp_path: Path) -> None:
    teacher = network(1, dropout=0.5)
    before = weights_digest(teacher)
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    train(model, data, settings(threads=2), KD, seed=0, work=tmp_path, progress=QUIET, teacher=teacher)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    assert weights_digest(teacher) == before
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())


def test_cached_outputs_give_the_same_training_as_recomputed_ones(data: ImageData, tmp_path: Path) -> None:
    augment = {"crop_padding": 2, "flip": True}
    chosen = settings(epochs=2, augment=augment)
    section = DistillSection.model_validate({"losses": KD, "train": chosen, "teacher_outputs": {"crops": 2}})
    teacher = network(1)
    train(teacher, data, settings(), CE, seed=0, work=tmp_path / "teacher", progress=QUIET)
    cache = TeacherCache.write(tmp_path / "cache", teacher, data, section, seed=3, progress=QUIET)
    cached, online = network(), network()
    one = train(cached, data, chosen, KD, seed=3, work=tmp_path / "c", progress=QUIET, cache=cache)
    two = train(online, data, chosen, KD, seed=3, work=tmp_path / "o", progress=QUIET, teacher=teacher)
    for left, right in zip(one["epochs"], two["epochs"], strict=True):
        assert left["train_loss"] == pytest.approx(right["train_loss"], rel=2e-3)
        assert left["terms"]["kl"] == pytest.approx(right["terms"]["kl"], rel=5e-3, abs=1e-3)


def test_hints_train_a_projector_that_is_dropped(data: ImageData, tmp_path: Path) -> None:
    losses = [*KD, LOSSES.parse({"hint": {"student": "2", "teacher": "2", "weight": 2}})]
    losses.append(LOSSES.parse({"attention": {"pairs": {"2": "2"}}}))
    model, names = network(), set(network().state_dict())
    story = train(model, data, settings(epochs=6), losses, seed=0, work=tmp_path, progress=QUIET, teacher=network(1))
    rows = story["epochs"]
    assert set(rows[0]["terms"]) == {"ce", "kl", "hint", "attention"}
    assert rows[-1]["terms"]["hint"] < 0.7 * rows[0]["terms"]["hint"]
    weights = {"ce": 0.1, "kl": 0.9, "hint": 2, "attention": 1000}
    total = sum(weights[name] * value for name, value in rows[0]["terms"].items())
    assert rows[0]["train_loss"] == pytest.approx(total, rel=1e-5)
    assert set(model.state_dict()) == names
    assert not any(module._forward_hooks for module in model.modules())


def test_stops_early_and_keeps_the_best(data: ImageData, tmp_path: Path) -> None:
    noise = replace(data, labels=np.random.default_rng(0).integers(0, 3, len(data.labels)))
    model = network()
    story = train(model, noise, settings(epochs=40, patience=2), CE, seed=0, work=tmp_path, progress=QUIET)
    assert story["stopped_early"] and len(story["epochs"]) == story["best_epoch"] + 2
    assert accuracy(model, noise, "validation") == story["best_validation_accuracy"]


def test_without_validation_the_last_epoch_counts(data: ImageData, tmp_path: Path) -> None:
    unsplit = replace(data, split=np.where(data.split == 1, 0, data.split).astype(np.uint8))
    story = train(network(), unsplit, settings(epochs=2), CE, seed=0, work=tmp_path, progress=QUIET)
    assert story["best_epoch"] == 2 and story["best_validation_accuracy"] is None


def test_bfloat16_trains_too(data: ImageData, tmp_path: Path) -> None:
    model = network()
    story = train(model, data, settings(precision="bfloat16", epochs=6), KD, seed=0, work=tmp_path, progress=QUIET,
                  teacher=network(1))  # fmt: skip
    assert story["precision"] == "bfloat16"
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in model.parameters())


def test_divergence_is_an_error(data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(EdgekdError, match=r"(?s)diverged.*epoch \d.*lower the learning rate"):
        train(network(), data, settings(optimizer={"sgd": {"lr": 1e30}}), CE, seed=0, work=tmp_path, progress=QUIET)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"schedule": {"cosine": {"warmup_steps": 18}}}, RecipeError, "fewer than 18: 3 epochs of 6 steps"),
        ({"precision": "float16"}, RecipeError, "CUDA"),
    ],
)
def test_impossible_settings(
    fields: dict[str, Any], error: type[Exception], message: str, data: ImageData, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        train(network(), data, settings(**fields), CE, seed=0, work=tmp_path, progress=QUIET)


def test_impossible_data_and_models(data: ImageData, tmp_path: Path) -> None:
    def attempt(model: nn.Module, data: ImageData, **options: Any) -> None:
        chosen = options.pop("settings", settings())
        train(model, data, chosen, options.pop("losses", CE), seed=0, work=tmp_path, progress=QUIET, **options)

    untrained = replace(data, split=np.ones_like(data.split))
    with pytest.raises(DataError, match="0 images"):
        attempt(network(), untrained)
    unvalidated = replace(data, split=np.zeros_like(data.split))
    with pytest.raises(RecipeError, match="validation split"):
        attempt(network(), unvalidated, settings=settings(patience=2))
    with pytest.raises(ModelError, match="need a teacher"):
        attempt(network(), data, losses=KD)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(192, 7))
    with pytest.raises(ModelError, match=r"(?s)does not fit the data.*2 x 3"):
        attempt(wide, data)
    with pytest.raises(ModelError, match=r"(?s)does not fit the data.*2 x 3"):
        attempt(network(), data, losses=KD, teacher=wide)
    with pytest.raises(ModelError, match=r"(?s)student cannot read these images.*3, 8, 8"):
        attempt(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), data)
    hint = [LOSSES.parse({"hint": {"student": "2", "teacher": "layer9"}})]
    with pytest.raises(ModelError, match="teacher has no layer 'layer9'"):
        attempt(network(), data, losses=hint, teacher=network())


class Restless(nn.Module):
    """A teacher that counts its calls in a buffer."""

    calls: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = network(1)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.inner(images)


def test_a_teacher_that_changes_while_it_teaches_is_refused(data: ImageData, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="changed while it taught"):
        train(network(), data, settings(epochs=1), KD, seed=0, work=tmp_path, progress=QUIET, teacher=Restless())


def test_every_epoch_is_told_after_it_is_saved_and_may_end_the_training(data: ImageData, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    class Watching(Progress):
        def epoch(self, row: Any) -> None:
            assert (tmp_path / STATE).is_file()
            told.append(row)
            if row["epoch"] == 2:
                raise Stop

    told: list[Any] = []
    with pytest.raises(Stop):
        train(network(), data, settings(), CE, seed=0, work=tmp_path, progress=Watching(quiet=True))
    story = train(network(), data, settings(), CE, seed=0, work=tmp_path, progress=QUIET)
    assert told == story["epochs"][:2] and len(story["epochs"]) == 3
