"""Adaptive pools of every size, spelled out, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgekd.compress.fold import fold


class Pooled(nn.Module):
    def __init__(self, kind: str, cells: tuple[int | None, int]) -> None:
        super().__init__()
        self.kind, self.cells = kind, cells

    def forward(self, x: Tensor) -> Tensor:
        pool = F.adaptive_avg_pool2d if self.kind == "average" else F.adaptive_max_pool2d
        return pool(x, self.cells).flatten(1)


@pytest.mark.parametrize("cells", [(1, 1), (3, 3), (6, 6), (4, 2), (3, 8), (7, 5), (9, 10), (None, 3)])
@pytest.mark.parametrize("kind", ["average", "largest"])
def test_equals_torch(kind: str, cells: tuple[int | None, int]) -> None:
    model = Pooled(kind, cells)
    program = fold(model, (torch.randn(4, 3, 8, 10),))
    x = torch.randn(3, 3, 8, 10)
    torch.testing.assert_close(program(x), model(x))
    kinds = set(program.operators().values())
    assert "adaptive_max_pool2d" not in kinds
    even = all(cell is None or size % cell == 0 for size, cell in zip((8, 10), cells, strict=True))
    assert ("adaptive_avg_pool2d" in kinds) is (kind == "average" and even)
