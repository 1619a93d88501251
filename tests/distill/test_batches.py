"""ImageBatches: order and normalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from edgekd.data.arrays import ImageData, Preprocess
from edgekd.distill.batches import ImageBatches, epoch_order

CPU = torch.device("cpu")


def test_equals_the_preprocessing_of_the_artifacts(data: ImageData) -> None:
    rows = np.array([5, 0, 100])
    data = replace(data, preprocess=Preprocess((0.1, 0.5, 0.9), (0.2, 0.25, 0.3), (8, 8), 3))
    batch = ImageBatches(data, CPU).images(rows)
    np.testing.assert_allclose(batch.numpy(), data.preprocess.apply(data.images[rows]), atol=2e-6)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert ImageBatches(data, CPU).labels(rows).tolist() == [2, 0, 1]


def test_grey_images_of_any_shape(data: ImageData) -> None:
    grey = replace(data, images=data.images[:, :6, :, :1], preprocess=Preprocess((0.3,), (0.2,), (6, 8), 1))
    np.testing.assert_allclose(
        ImageBatches(grey, CPU).images(np.array([3, 4])).numpy(), grey.preprocess.apply(grey.images[[3, 4]]), atol=2e-6
    )


def test_order_is_a_new_permutation_each_epoch_and_the_same_for_the_same_seed() -> None:
    train = np.arange(10, 60)
    assert sorted(epoch_order(train, 0, 0)) == train.tolist()
    assert np.array_equal(epoch_order(train, 0, 1), epoch_order(train, 0, 1))
    assert not np.array_equal(epoch_order(train, 0, 0), epoch_order(train, 0, 1))
    assert not np.array_equal(epoch_order(train, 1, 0), epoch_order(train, 0, 0))
