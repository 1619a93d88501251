"""Cached teacher outputs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill import DistillSection, teacher_cache
from edgekd.distill.batches import ImageBatches
from edgekd.distill.settings import Augment
from edgekd.distill.teacher_cache import LOGITS, RESUME, TeacherCache
from edgekd.errors import ModelError, StoreError
from edgekd.progress import QUIET, Progress

AUGMENT = {"crop_padding": 2, "flip": True}


def section(crops: int = 3) -> DistillSection:
    train = {"epochs": 9, "augment": AUGMENT}
    return DistillSection.model_validate({"losses": ["kl"], "train": train, "teacher_outputs": {"crops": crops}})


def teacher() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(288, 3)
    )


def test_rows_are_the_teachers_answers_to_the_students_pixels(data: ImageData, tmp_path: Path) -> None:
    model = teacher()
    cache = TeacherCache.write(tmp_path, model, data, section(), seed=4, progress=QUIET)
    assert cache.array.shape == (3, 96, 3) and cache.array.dtype == np.float16 and cache.crops == 3
    batches = ImageBatches(data, torch.device("cpu"), Augment.model_validate(AUGMENT), 4)
    rows = data.indices("train")[[70, 3, 41]]
    for epoch in (0, 1, 2, 5):
        with torch.no_grad():
            expected = model(batches.images(rows, epoch % 3)).numpy()
        np.testing.assert_allclose(cache.logits(rows, epoch), expected, rtol=1e-3, atol=1e-3)
    assert not np.allclose(cache.logits(rows, 0), cache.logits(rows, 1), atol=1e-3)


def test_without_augmentation_one_row_per_sample(data: ImageData, tmp_path: Path) -> None:
    plain = DistillSection.model_validate({"losses": ["kl"]})
    cache = TeacherCache.write(tmp_path, teacher(), data, plain, seed=4, progress=QUIET)
    assert cache.array.shape == (1, 96, 3)
    cache.check(Augment(), 99, data.indices("train"), 3)


class Interrupting(Progress):
    """Stops after so many chunks."""

    def track(self, iterable: Any, total: int | None, label: str) -> Any:
        for count, item in enumerate(iterable):
            if count == 4:
                raise KeyboardInterrupt
            yield item


@pytest.mark.parametrize("written", ["", "{}", '{"crops": 3, "chu', "[]", '{"chunks": null}'])
def test_half_a_record_of_progress_is_none(data: ImageData, tmp_path: Path, written: str) -> None:
    whole = TeacherCache.write(tmp_path / "whole", teacher(), data, section(), seed=4, progress=QUIET)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / RESUME).write_text(written)
    found = TeacherCache.write(tmp_path / "cut", teacher(), data, section(), seed=4, progress=QUIET)
    assert np.array_equal(found.array, whole.array)


def test_goes_on_where_it_was_interrupted(data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_cache, "BATCH", 10)
    monkeypatch.setattr(teacher_cache, "CHUNK", 30)
    TeacherCache.write(tmp_path / "whole", teacher(), data, section(), seed=4, progress=QUIET)
    with pytest.raises(KeyboardInterrupt):
        TeacherCache.write(tmp_path / "cut", teacher(), data, section(), seed=4, progress=Interrupting(quiet=True))
    with pytest.raises(StoreError, match="no finished cache"):
        TeacherCache.open(tmp_path / "cut")
    assert json.loads((tmp_path / "cut" / RESUME).read_text())["chunks"] == 4
    marked = np.load(tmp_path / "cut" / LOGITS, mmap_mode="r+")
    marked[0, 0] = 77  # a finished chunk is kept, not computed again
    marked.flush()
    TeacherCache.write(tmp_path / "cut", teacher(), data, section(), seed=4, progress=QUIET)
    whole, cut = np.load(tmp_path / "whole" / LOGITS), np.load(tmp_path / "cut" / LOGITS)
    assert (cut[0, 0] == 77).all()
    cut[0, 0] = whole[0, 0]
    assert np.array_equal(whole, cut)
    assert sorted(p.name for p in (tmp_path / "cut").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )


def test_another_seed_does_not_go_on_from_it(data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_cache, "CHUNK", 30)
    with pytest.raises(KeyboardInterrupt):
        TeacherCache.write(tmp_path / "cut", teacher(), data, section(), seed=4, progress=Interrupting(quiet=True))
    TeacherCache.write(tmp_path / "cut", teacher(), data, section(), seed=5, progress=QUIET)
    TeacherCache.write(tmp_path / "whole", teacher(), data, section(), seed=5, progress=QUIET)
    assert (tmp_path / "cut" / LOGITS).read_bytes() == (tmp_path / "whole" / LOGITS).read_bytes()


def test_a_cache_for_other_inputs_is_refused(data: ImageData, tmp_path: Path) -> None:
    cache = TeacherCache.write(tmp_path, teacher(), data, section(), seed=4, progress=QUIET)
    augment, rows = Augment.model_validate(AUGMENT), data.indices("train")
    cache.check(augment, 4, rows, 3)
    for arguments, word in [
        ((Augment(flip=True), 4, rows, 3), "augment"),
        ((augment, 5, rows, 3), "seed: 4"),
        ((augment, 4, rows[1:], 3), "samples"),
        ((augment, 4, rows, 10), "classes: 3"),
    ]:
        with pytest.raises(ModelError, match=word):
            cache.check(*arguments)


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_logits_beyond_float16_are_refused(data: ImageData, tmp_path: Path, value: float) -> None:
    model = teacher()
    with torch.no_grad():
        model[5].bias.fill_(value)
    with pytest.raises(ModelError, match="float16"):
        TeacherCache.write(tmp_path, model, data, section(), seed=4, progress=QUIET)


def test_covers_the_training_split_alone(data: ImageData, tmp_path: Path) -> None:
    fewer = replace(data, split=np.where(np.arange(192) < 96, data.split, 2).astype(np.uint8))
    cache = TeacherCache.write(tmp_path, teacher(), fewer, section(), seed=4, progress=QUIET)
    assert np.array_equal(cache.samples, fewer.indices("train"))
