"""Token inputs: what calibration sees, and tensors' fingerprints text by text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgekd.compress.observe import fingerprints, observe
from edgekd.errors import CompressError


def test_texts_of_several_lengths_are_counted_together(tiny_bert: Any) -> None:
    program = tiny_bert.program("token")
    batches = [tiny_bert.padded(tiny_bert.texts([length] * count)) for length, count in ((3, 2), (11, 5))]
    seen = observe(program, batches)
    assert seen.samples == 7
    last = list(program.operators())[-1]
    assert seen.histograms[last].counts.sum() == (3 * 2 + 11 * 5) * tiny_bert.CLASSES
    assert "input_ids" not in seen.histograms


def test_fingerprints_count_a_tensor_without_a_batch_axis_for_each_text(tiny_bert: Any) -> None:
    """As the files are run: text by text. Against the statistics of all texts' values put together."""
    program = tiny_bert.program("sequence")
    marks = fingerprints(program)
    (positions,) = [name for name, layer in program.layers().items() if layer == "bert.embeddings.position_embeddings"]
    table = tiny_bert.model("sequence").bert.embeddings.position_embeddings.weight.detach().numpy()
    values = np.tile(table[:9], (4, 1, 1)).astype(np.float64)
    expected = (values.mean(), values.std(), values.min(), values.max(), values.size)
    np.testing.assert_allclose(marks[positions], expected, rtol=1e-6, atol=1e-9)


def test_samples_of_another_kind_are_refused(tiny_bert: Any) -> None:
    with pytest.raises(CompressError, match="another shape"):
        observe(tiny_bert.program("sequence"), [(torch.zeros(2, 3, 8, 8).numpy(),)])
