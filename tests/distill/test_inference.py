"""Prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.data.arrays import ImageData
from edgekd.distill.inference import predict
from edgekd.errors import ModelError


def test_rows_in_the_order_asked_for_in_any_batch_size(data: ImageData) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 3)).train()
    model[1].eval()
    rows = np.array([7, 3, 150, 3, 0])
    expected = model.eval()(torch.from_numpy(data.preprocess.apply(data.images[rows]))).detach().numpy()
    model.train()
    model[1].eval()
    for batch_size in (1, 2, 100):
        np.testing.assert_allclose(predict(model, data, rows, batch_size), expected, rtol=1e-4, atol=1e-5)
    assert (model.training, model[1].training, model[2].training) == (True, False, True)
    assert predict(model, data, rows[:0]).shape == (0, 3)


@pytest.mark.parametrize("model", [nn.Flatten(), nn.Sequential(nn.Flatten(), nn.LSTM(192, 3))])
def test_other_outputs_are_refused(model: nn.Module, data: ImageData) -> None:
    with pytest.raises(ModelError, match="does not fit the data"):
        predict(model, data, np.arange(4))
