"""Text networks: captured at a free batch and length, with answers that padding does not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.compress.fold import fold
from edgekd.errors import CompressError

KINDS = ["sequence", "token", "embedding"]


def tensors(pair: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in pair)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[1], [7], [3, 24, 11], [9] * 5])
def test_every_batch_and_length_equals_the_network(kind: str, lengths: list[int], networks: Any) -> None:
    rows = networks.texts(lengths, seed=2)
    found = networks.program(kind)(*tensors(networks.padded(rows))).numpy()
    if kind == "token":
        found = np.concatenate([row[: len(text)] for row, text in zip(found, rows, strict=True)])
    np.testing.assert_allclose(found, networks.answers(kind, rows), atol=2e-6)


def test_inputs_have_names_and_free_axes(networks: Any) -> None:
    program = networks.program("sequence")
    assert program.names == ("input_ids", "attention_mask")
    assert program.max_tokens == networks.LONGEST
    assert [sorted(axes) for axes in program.dynamic_shapes] == [[0, 1], [0, 1]]
    assert [tuple(part.shape) for part in program.sample(2)] == [(1, 9), (1, 9)]


def test_one_text_of_one_token_is_enough_to_capture(networks: Any) -> None:
    example = tensors(networks.padded(networks.texts([1])))
    program = fold(networks.model("sequence"), example, networks.LONGEST)
    rows = networks.texts([4, 4])
    np.testing.assert_allclose(program(*tensors(networks.padded(rows))), networks.answers("sequence", rows), atol=2e-6)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ((torch.ones(2, 3, dtype=torch.int64),), "must be texts"),
        ((torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 4, dtype=torch.int64)), "must be texts"),
        ((torch.ones(0, 3, dtype=torch.int64), torch.ones(0, 3, dtype=torch.int64)), "must be texts"),
        ((torch.ones(1, 2, dtype=torch.int64), torch.tensor([[1, 0]])), "texts of one length"),
    ],
)
def test_other_probe_batches_are_refused(example: tuple[torch.Tensor, ...], message: str, networks: Any) -> None:
    with pytest.raises(CompressError, match=message):
        fold(networks.model("sequence"), example, networks.LONGEST)


def test_a_network_for_one_length_is_refused() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(9, 4), nn.Linear(12, 2)

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(input_ids * attention_mask).reshape(-1, 12))

    ones = torch.ones(2, 3, dtype=torch.int64)
    with pytest.raises(CompressError, match="free number of tokens"):
        fold(Fixed(), (ones, ones.clone()), 8)
