from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekd.compress.fold import Program, fold
from edgekd.errors import CompressError
from edgekd.models.resnet_blocks import CifarResnetModule


def relative_error(program: Program, model: nn.Module, x: torch.Tensor) -> float:
    modes = [module.training for module in model.modules()]
    with torch.no_grad():
        expected = model.eval()(x)
    for module, mode in zip(model.modules(), modes, strict=True):
        module.training = mode
    return float((program(x) - expected).abs().max() / expected.abs().max())


class Sequence(nn.Module):
    """Layers with a spatial mean and a linear layer behind, so that they are a classifier."""

    def __init__(self, *layers: nn.Module, channels: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(channels, 2)

    def forward(self, x):
        return self.head(self.layers(x).mean((2, 3)))


def conv(bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(3, 4, 3, bias=bias)


def test_resnet_is_folded_completely(randomised):
    torch.manual_seed(0)
    model = randomised(CifarResnetModule(1, 10, 3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.randn(4, 3, 32, 32)
    program = fold(model, (x,))
    assert relative_error(program, model, torch.randn(5, 3, 32, 32)) < 1e-5
    assert program(x[:1]).shape == (1, 10)
    assert "batch_norm" not in program.operators().values()
    assert program.layers()["conv2d_1"] == "layer1.0.conv1"
    assert program.layers()["add"] == "layer1.0.add"
    assert model.training and model.layer1[0].bn1.training
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_program_shares_no_tensor_with_the_model(small, program):
    own = {tensor.data_ptr() for tensor in small.state_dict().values()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in program.module.state_dict().values())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_conv_and_norm_become_one(randomised, bias, affine):
    model = randomised(Sequence(conv(bias), nn.BatchNorm2d(4, affine=affine), nn.ReLU()))
    program = fold(model, (torch.randn(2, 3, 6, 6),))
    assert list(program.operators().values()) == ["conv2d", "relu", "mean", "linear"]
    assert relative_error(program, model, torch.randn(3, 3, 6, 6)) < 1e-5


def test_folding_by_hand():
    # One weight 2, bias 1; gamma 3, beta 0.5, mean 4, var 3.75 + eps 0.25 = 4: s = 1.5; w = 3; b = (1 - 4) 1.5 + 0.5.
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.25), nn.Flatten())
    with torch.no_grad():
        model[0].weight.fill_(2), model[0].bias.fill_(1)
        model[1].weight.fill_(3), model[1].bias.fill_(0.5)
        model[1].running_mean.fill_(4), model[1].running_var.fill_(3.75)
    state = fold(model, (torch.randn(2, 1, 1, 1),)).module.state_dict()
    assert {name: float(value) for name, value in state.items()} == {"0.weight": 3.0, "0.bias": -4.0}


def test_norms_that_cannot_be_folded_stay(randomised):
    first = Sequence(nn.BatchNorm2d(3), nn.ReLU(), conv())
    unstored = Sequence(conv(), nn.BatchNorm2d(4, track_running_stats=False))
    for model in (first, unstored):
        program = fold(randomised(model), (torch.randn(2, 3, 6, 6),))
        assert "batch_norm" in program.operators().values()
        assert relative_error(program, model, torch.randn(2, 3, 6, 6)) < 1e-5


def test_norm_over_the_middle_axis_of_a_linear_layer_stays(randomised):
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.norm = nn.Linear(9, 3), nn.BatchNorm1d(3)

        def forward(self, x):
            return self.norm(self.mix(x.flatten(2))).sum(2)  # (B, 3, 9) -> (B, 3, 3): normalised over axis 1

    model = randomised(Tokens())
    program = fold(model, (torch.randn(2, 3, 3, 3),))
    assert "batch_norm" in program.operators().values()
    assert relative_error(program, model, torch.randn(4, 3, 3, 3)) < 1e-5


def test_linear_and_norm(randomised):
    model = randomised(nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5)))
    program = fold(model, (torch.randn(2, 3, 2, 2),))
    assert list(program.operators().values()) == ["flatten", "linear"]
    assert relative_error(program, model, torch.randn(4, 3, 2, 2)) < 1e-5


def test_conv_shared_by_two_norms(randomised):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.one, self.two = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.two(self.conv(self.one(self.conv(x)))).mean((2, 3))

    model = randomised(Shared())
    program = fold(model, (torch.randn(2, 3, 4, 4),))
    assert "batch_norm" not in program.operators().values()
    assert relative_error(program, model, torch.randn(3, 3, 4, 4)) < 1e-5


def test_conv_read_twice_is_not_folded(randomised):
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            y = self.conv(x)
            return (self.norm(y) + y).mean((2, 3))

    model = randomised(Twice())
    program = fold(model, (torch.randn(2, 3, 4, 4),))
    assert "batch_norm" in program.operators().values()
    assert relative_error(program, model, torch.randn(3, 3, 4, 4)) < 1e-5


def test_one_probe_sample_leaves_the_batch_free(small, images):
    program = fold(small, (images[:1],))
    assert program.example[0].shape[0] == 1
    assert program(images[:7]).shape == (7, 5)


def test_exports_to_onnx_with_free_batch(program, images, tmp_path: Path):
    runtime = pytest.importorskip("onnxruntime")
    exported = torch.onnx.export(
        program.module,
        (images[:2],),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        input_names=["input"],
        verbose=False,
    )
    exported.save(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for size in (1, 5):
        answer = session.run(None, {"input": images[:size].numpy()})[0]
        np.testing.assert_allclose(answer, program(images[:size]).numpy(), rtol=1e-4, atol=1e-5)


def test_refuses_what_depends_on_values():
    class Branching(Sequence):
        def forward(self, x):
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(CompressError, match="captured"):
        fold(Branching(conv()), (torch.randn(2, 3, 6, 6),))


def test_refuses_a_fixed_batch():
    class Fixed(Sequence):
        def forward(self, x):
            return super().forward(x.reshape(2, 3, 6, 6))

    with pytest.raises(CompressError, match="free batch size"):
        fold(Fixed(conv()), (torch.randn(2, 3, 6, 6),))


def test_refuses_two_outputs():
    class Two(Sequence):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(CompressError, match="one tensor"):
        fold(Two(conv()), (torch.randn(2, 3, 6, 6),))


def test_names_the_layer_with_nan_weights():
    model = Sequence(conv(), nn.ReLU(), nn.Conv2d(4, 4, 1))
    with torch.no_grad():
        model.layers[2].weight[0] = float("nan")
    with pytest.raises(CompressError, match=r"layers\.2"):
        fold(model, (torch.randn(2, 3, 6, 6),))


def test_refuses_a_probe_that_is_no_image_batch(small):
    with pytest.raises(CompressError, match="probe batch"):
        fold(small, (torch.randn(3, 8, 8),))


class Middle(nn.Module):
    """A convolution, something odd, and a classifier."""

    def __init__(self, odd: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc, self.odd = nn.Conv2d(1, 8, 3), nn.Linear(8, 10), odd

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.odd(self.conv(x).mean((2, 3))))


@pytest.mark.parametrize(
    "odd",
    [
        lambda x: x.reshape(8, -1),
        lambda x: torch.stack([row * 2 for row in x]),
        lambda x: torch.cat([x, torch.zeros(8, 1)], 1)[:, :8],
    ],
)
def test_a_batch_size_that_is_built_in_is_told_as_such(odd: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(CompressError, match="the network has a batch size built in: it takes 8 alone") as caught:
        fold(Middle(odd), (torch.randn(8, 1, 5, 5),))
    assert "x.reshape(x.shape[0], -1)" in str(caught.value)


def test_the_line_that_torch_blames_is_told_without_its_graph() -> None:
    def choose(x: Tensor) -> Tensor:
        return x if x.sum() > 0 else x * 2

    with pytest.raises(CompressError, match=r"test_fold.py:\d+: return x if x.sum\(\) > 0") as caught:
        fold(Middle(choose), (torch.randn(8, 1, 5, 5),))
    assert len(str(caught.value).splitlines()) == 3


def test_whatever_a_network_raises_is_a_reason() -> None:
    with pytest.raises(CompressError, match=r"AttributeError: .* has no attribute 'nothing'"):
        fold(Middle(lambda x: x.nothing), (torch.randn(8, 1, 5, 5),))


class Scaled(nn.Module):
    """Factors per channel and a normalisation, after layers whose axes are moved in between."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.conv, self.linear, self.norm = nn.Conv2d(3, 6, 3), nn.Linear(6, 8), nn.BatchNorm1d(8)
        self.factor, self.form, self.head = nn.Parameter(torch.rand(8) + 0.5), form, nn.Linear(8, 2)
        for tensor in (self.norm.running_mean, self.norm.weight.data, self.norm.running_var):
            tensor.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(self.conv(x).permute(0, 2, 3, 1))  # (B, H, W, 8)
        if self.form == "last":
            x = (self.factor * x).permute(0, 3, 1, 2)
        elif self.form == "moved":  # ConvNeXt
            x = x.permute(0, 3, 1, 2) * self.factor.reshape(1, -1, 1, 1)
        elif self.form == "flat":  # LeViT
            x = self.norm(x.flatten(0, 2)).reshape(x.shape).permute(0, 3, 1, 2)
        else:
            x = self.norm(x.flatten(1, 2).transpose(1, 2)).unsqueeze(3)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("form", ["last", "moved", "flat", "transposed"])
def test_factors_and_norms_fold_through_moved_axes(form: str) -> None:
    torch.manual_seed(0)
    model, x = Scaled(form).eval(), torch.randn(4, 3, 6, 6)
    program = fold(model, (x,))
    assert relative_error(program, model, torch.randn(3, 3, 6, 6)) < 1e-5
    assert not {"mul", "batch_norm"} & set(program.operators().values())


def test_a_factor_along_another_axis_or_of_a_shared_value_stays() -> None:
    class Kept(nn.Module):
        def __init__(self, shared: bool) -> None:
            super().__init__()
            self.linear, self.factor, self.shared = nn.Linear(6, 6), nn.Parameter(torch.rand(6) + 0.5), shared

        def forward(self, x: Tensor) -> Tensor:
            x = self.linear(x[:, 0])  # (B, 6, 6)
            y = x * (self.factor if self.shared else self.factor[:, None])
            return (y + x if self.shared else y).flatten(1)

    for shared in (True, False):
        model, x = Kept(shared).eval(), torch.randn(4, 1, 6, 6)
        program = fold(model, (x,))
        assert relative_error(program, model, x) < 1e-5 and "mul" in program.operators().values()
