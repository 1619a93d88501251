"""Ensembles of teachers: the arithmetic against slow loops, and reading several caches as one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill import LOSSES, DistillSection, TrainSettings, train
from edgekd.distill.digest import weights_digest
from edgekd.distill.ensemble import EnsembleCache, confidence, mixed, shares_of
from edgekd.distill.settings import Augment
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.errors import ModelError
from edgekd.progress import QUIET

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 4, (3, 5, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2])


def softmax(row: np.ndarray) -> np.ndarray:
    return np.exp(row - row.max()) / np.exp(row - row.max()).sum()


def test_confidence_is_equation_of_the_paper() -> None:
    found = confidence(LOGITS, LABELS)
    for sample in range(5):
        losses = [-math.log(softmax(LOGITS[m, sample].astype(np.float64))[LABELS[sample]]) for m in range(3)]
        total = sum(math.exp(loss) for loss in losses)
        expected = [(1 - math.exp(loss) / total) / 2 for loss in losses]
        np.testing.assert_allclose(found[:, sample], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.sum(0), 1, rtol=1e-5)


def test_all_count_the_same_without_a_label() -> None:
    wide = np.repeat(LOGITS, 30, axis=2)  # 120 classes: -100 would be one of them
    found = confidence(wide, np.array([0, -100, 1, -100, 2]))
    np.testing.assert_allclose(found[:, [1, 3]], 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(found[:, [0, 2, 4]], confidence(wide, np.array([0, 0, 1, 0, 2]))[:, [0, 2, 4]])


def test_confidence_trusts_who_is_right_and_survives_large_logits() -> None:
    logits = np.zeros((2, 1, 2), np.float32)
    logits[0, 0], logits[1, 0] = [60000, -60000], [-60000, 60000]
    np.testing.assert_array_equal(confidence(logits, np.array([0])), [[1], [0]])
    np.testing.assert_array_equal(confidence(np.zeros((2, 1, 2), np.float32), np.array([1])), [[0.5], [0.5]])


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_mixed_logits_are_the_geometric_mean_at_every_temperature(temperature: float) -> None:
    shares = shares_of([1, 2, 5])
    np.testing.assert_allclose(shares, [0.125, 0.25, 0.625])
    found = mixed(LOGITS, shares)
    for sample in range(5):
        product = np.ones(4)
        for m in range(3):
            product *= softmax(LOGITS[m, sample] / temperature) ** shares[m]
        np.testing.assert_allclose(softmax(found[sample] / temperature), product / product.sum(), rtol=1e-4)


def test_shares_of_each_sample() -> None:
    shares = confidence(LOGITS, LABELS)
    found = mixed(LOGITS, shares)
    for sample in range(5):
        expected = sum(shares[m, sample] * LOGITS[m, sample] for m in range(3))
        np.testing.assert_allclose(found[sample], expected, rtol=1e-5)


def network(width: int) -> nn.Sequential:
    torch.manual_seed(width)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))


@pytest.fixture
def section() -> DistillSection:
    training = {
        "epochs": 2,
        "batch_size": 16,
        "optimizer": {"sgd": {"lr": 0.1}},
        "augment": {"flip": True},
        "threads": 1,
    }
    return DistillSection.model_validate({"losses": ["kl"], "train": training, "teacher_outputs": {"crops": 2}})


@pytest.fixture
def members(data: ImageData, section: DistillSection, tmp_path: Path) -> list[TeacherCache]:
    return [
        TeacherCache.write(tmp_path / str(width), network(width), data, section, seed=3, progress=QUIET)
        for width in (4, 6)
    ]


def test_reads_the_caches_as_one(data: ImageData, members: list[TeacherCache]) -> None:
    rows = data.indices("train")[[5, 2, 40]]
    for variant in (0, 1, 2):
        each = np.stack([member.logits(rows, variant) for member in members])
        by_weight = EnsembleCache(members, shares_of([1, 3]), data.labels).logits(rows, variant)
        np.testing.assert_array_equal(by_weight, np.float32(0.25) * each[0] + np.float32(0.75) * each[1])
        by_confidence = EnsembleCache(members, None, data.labels).logits(rows, variant)
        np.testing.assert_array_equal(by_confidence, mixed(each, confidence(each, data.labels[rows])))
        own = np.zeros((2, len(data.labels)), np.float32)
        own[0, rows[0]] = own[1, rows[1:]] = 1
        by_sample = EnsembleCache(members, own, data.labels).logits(rows, variant)
        np.testing.assert_array_equal(by_sample, np.stack([each[0, 0], each[1, 1], each[1, 2]]))


def test_refuses_other_pixels_and_knows_its_mixture(data: ImageData, members: list[TeacherCache]) -> None:
    cache = EnsembleCache(members, shares_of([1, 1]), data.labels)
    cache.check(Augment(flip=True), 3, data.indices("train"), 3)
    with pytest.raises(ModelError, match="other inputs"):
        cache.check(Augment(flip=True), 4, data.indices("train"), 3)
    facts = [
        EnsembleCache(members, shares, data.labels).facts for shares in (shares_of([1, 1]), shares_of([1, 2]), None)
    ]
    assert facts[0] != facts[1] != facts[2] != facts[0] and cache.crops == 2


def test_a_training_reads_it(
    data: ImageData, section: DistillSection, members: list[TeacherCache], tmp_path: Path
) -> None:
    """One member with all the say is that teacher alone, bit for bit."""
    digests = []
    for name, cache in (
        ("one", members[1]),
        ("mixed", EnsembleCache(members, np.array([0, 1], np.float32), data.labels)),
        ("both", EnsembleCache(members, None, data.labels)),
    ):
        student = network(5)
        settings: TrainSettings = section.train
        losses = [LOSSES.parse("kl")]
        train(student, data, settings, losses, seed=3, work=tmp_path / name, progress=QUIET, cache=cache)
        digests.append(weights_digest(student))
    assert digests[0] == digests[1] != digests[2]
