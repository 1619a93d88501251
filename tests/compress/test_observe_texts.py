"""Token inputs: what calibration sees, and tensors' fingerprints text by text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.compress.observe import fingerprints, observe
from edgekd.errors import CompressError


def test_texts_of_several_lengths_are_counted_together(networks: Any) -> None:
    program = networks.program("token")
    batches = [networks.padded(networks.texts([length] * count)) for length, count in ((3, 2), (11, 5))]
    seen = observe(program, batches)
    assert seen.samples == 7
    last = list(program.operators())[-1]
    assert seen.histograms[last].counts.sum() == (3 * 2 + 11 * 5) * networks.CLASSES
    assert "input_ids" not in seen.histograms


def test_fingerprints_count_a_tensor_without_a_batch_axis_for_each_text(networks: Any) -> None:
    """As the files are run: text by text. Against the statistics of all texts' values put together."""
    program = networks.program("sequence")
    marks = fingerprints(program)
    (positions,) = [name for name, layer in program.layers().items() if layer == "bert.embeddings.position_embeddings"]
    table = networks.model("sequence").bert.embeddings.position_embeddings.weight.detach().numpy()
    values = np.tile(table[:9], (4, 1, 1)).astype(np.float64)
    expected = (values.mean(), values.std(), values.min(), values.max(), values.size)
    np.testing.assert_allclose(marks[positions], expected, rtol=1e-6, atol=1e-9)


def test_samples_of_another_kind_are_refused(networks: Any) -> None:
    with pytest.raises(CompressError, match="another shape"):
        observe(networks.program("sequence"), [(torch.zeros(2, 3, 8, 8).numpy(),)])
