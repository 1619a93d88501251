from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekd.compress.fold import fold
from edgekd.errors import CompressError


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)


def agrees(model: nn.Module) -> bool:
    x = torch.randn(3, 3, 4, 4)
    program = fold(model, (torch.randn(2, 3, 4, 4),))
    assert not any(name.endswith("_") for name in program.operators().values())
    with torch.no_grad():
        return torch.allclose(program(x), model(x.clone()), atol=1e-6)


def test_a_later_reader_of_the_changed_tensor_sees_the_change():
    class Reread(Layers):
        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            before = y * 2
            torch.relu_(y)
            return (y + before).mean((2, 3))

    assert agrees(Reread())


def test_accumulation():
    class Accumulate(Layers):
        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            y += x
            y.mul_(0.5).clamp_(min=0)
            return y.mean((2, 3))

    assert agrees(Accumulate())


def test_a_view_made_after_the_change():
    class Flat(Layers):
        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            torch.relu_(y)
            return y.flatten(1)

    assert agrees(Flat())


@pytest.mark.parametrize("through", ["view", "base"])
def test_a_change_seen_through_another_tensor_is_refused(through: str):
    class Aliased(Layers):
        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            flat = y.view(y.shape[0], -1)
            torch.relu_(flat if through == "view" else y)
            return flat + y.flatten(1)

    with pytest.raises(CompressError, match="in place"):
        fold(Aliased(), (torch.randn(2, 3, 4, 4),))
