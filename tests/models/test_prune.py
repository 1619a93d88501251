"""Structured pruning: the narrowed network is the original with the removed units' readers set to zero."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from edgekd.compress import CompressSection, compress
from edgekd.compress.fold import fold
from edgekd.compress.rules import QuantizationRules
from edgekd.errors import ModelError
from edgekd.export import FORMATS, export
from edgekd.models import parameter_count
from edgekd.models.attention import opened
from edgekd.models.axes import Atom
from edgekd.models.checkpoint import load_into, read_tensors, save
from edgekd.models.importance import importances, most_important, unfolded
from edgekd.models.macs import macs
from edgekd.models.narrow import shrink_to
from edgekd.models.prune import KINDS, Prune, inner_widths, prune
from edgekd.models.widths import Widths, widths
from edgekd.progress import Progress

from .networks import batch, cifar, images, lively, same, text, tokens, torchvision, vit

# Kind to the number of widths that the architecture has of it.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], list[Tensor]], dict[str, int]]] = {
    "cifar_resnet": (cifar, images, {"channels": 6}),
    "mobilenet_v2": (lambda: torchvision("mobilenet_v2"), images, {"channels": 20}),
    "squeezing": (lambda: torchvision("mobilenet_v3_small"), images, {"channels": 22, "ffn": 1}),
    "vgg": (lambda: torchvision("vgg11_bn").features, images, {"channels": 7}),
    "vit": (vit, lambda: images(16), {"ffn": 2, "heads": 2}),
    "bert": (text, tokens, {"ffn": 3, "heads": 2}),
    "eager": (lambda: text(attn_implementation="eager"), tokens, {"ffn": 3, "heads": 2}),
}


def run(model: nn.Module, inputs: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return model(*inputs)


def inner(found: Widths) -> list[Atom]:
    return [atom for kind in KINDS for atom in inner_widths(found, kind)]


def masked(model: nn.Module, found: Widths, kept: dict[Atom, Tensor]) -> nn.Module:
    """A copy of full size whose weights do not read the units that are not kept."""
    result = copy.deepcopy(model)
    tensors = result.state_dict()
    for atom, units in kept.items():
        gone = torch.ones(atom.size, dtype=torch.bool)
        gone[units] = False
        for axis in found.read[atom]:
            value = unfolded(tensors[axis.tensor], found.tensors[axis.tensor]).clone()
            value.index_fill_(axis.place, gone.nonzero().flatten(), 0.0)
            tensors[axis.tensor].copy_(value.reshape(tensors[axis.tensor].shape))
    return result


@pytest.mark.parametrize("name", NETWORKS)
def test_narrowed_is_masked(name: str) -> None:
    build, inputs, kinds = NETWORKS[name]
    model, example = build(), inputs()
    found = widths(model, example)
    assert {kind: len(atoms) for kind in KINDS if (atoms := inner_widths(found, kind))} == kinds
    scores = importances(model, found, inner(found), "magnitude", [])
    kept = {atom: most_important(score, max(1, round(atom.size / 2))) for atom, score in scores.items()}
    reference, before, parameters = masked(model, found, kept), run(model, example), parameter_count(model)
    prune(model, Prune(importance="magnitude", **dict.fromkeys(kinds, 0.5)), example, [])
    after = run(model, example)
    scale = float(before.abs().max())
    torch.testing.assert_close(after, run(reference, example), rtol=0, atol=1e-5 * scale)
    assert float((after - before).abs().max()) > 1e-3 * scale, "nothing that mattered was removed"
    assert parameter_count(model) < 0.8 * parameters


def test_the_weakest_filters_go_and_no_others() -> None:
    """Li et al. by hand: in each block, the filters of the smallest L1 norm, and the columns that read them."""
    model = cifar(8)
    block, expected = model.get_submodule("layer2.0"), copy.deepcopy(model.get_submodule("layer2.0"))
    norms = block.conv1.weight.abs().sum((1, 2, 3))
    strong = norms > norms.median()
    facts = prune(model, Prune(channels=0.5, importance="magnitude"), images(), [])
    assert facts == {"channels": {"layers": 3, "units_before": 112, "units_after": 56}}
    assert torch.equal(block.conv1.weight, expected.conv1.weight[strong])
    assert torch.equal(block.bn1.running_var, expected.bn1.running_var[strong])
    assert torch.equal(block.conv2.weight, expected.conv2.weight[:, strong])
    assert torch.equal(block.bn2.weight, expected.bn2.weight), "the residual stream keeps its width"


def test_what_a_norm_or_the_output_reads_is_kept() -> None:
    """Silencing the weights that read a unit does not silence a norm over it."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 8), nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.normalize(self.c(torch.relu(self.b(nn.functional.normalize(self.a(x), dim=-1)))))

    atoms = inner_widths(widths(Normed(), [torch.randn(2, 4)]), "ffn")
    assert [atom.size for atom in atoms] == [8]


def test_heads_of_bert_by_hand() -> None:
    """Of 4 heads of size 4 in layer 0, two are made strong: their rows of q, k, v and columns of the output stay."""
    model = text()
    attention = model.net.bert.encoder.layer[0].attention
    rows = torch.tensor([0, 1, 2, 3, 8, 9, 10, 11])
    with torch.no_grad():
        attention.self.value.weight[rows] *= 10
    before = copy.deepcopy(attention)
    prune(model, Prune(heads=0.5, importance="magnitude"), tokens(), [])
    for name in ("query", "key", "value"):
        layer, old = getattr(attention.self, name), getattr(before.self, name)
        assert torch.equal(layer.weight, old.weight[rows]) and torch.equal(layer.bias, old.bias[rows])
    assert torch.equal(attention.output.dense.weight, before.output.dense.weight[:, rows])
    assert (attention.self.num_attention_heads, attention.self.all_head_size) == (2, 8)


@pytest.mark.parametrize("name", ["cifar_resnet", "vit", "bert", "mobilenet_v2"])
def test_a_pruned_network_opens_again(name: str, tmp_path: Path) -> None:
    build, inputs, kinds = NETWORKS[name]
    model = build()
    prune(model, Prune(importance="magnitude", **dict.fromkeys(kinds, 0.3)), inputs(), [])
    save(model, tmp_path / "model.safetensors")
    tensors, again = read_tensors(tmp_path / "model.safetensors"), build()
    shrink_to(again, tensors)
    load_into(again, tensors, "here")
    assert same(again, model) and torch.equal(run(again, inputs()), run(model, inputs()))
    assert str(again) == str(model), "every layer describes itself as the pruned one does"


def test_keeping_everything_changes_nothing() -> None:
    model, before = text(), text()
    shrink_to(model, before.state_dict())
    assert same(model, before)
    prune(model, Prune(heads=0.05, ffn=0.01), tokens(), [batch(tokens(), torch.tensor([0, 1]))])
    assert same(model, before)


def test_parameters_and_macs_are_those_of_the_narrow_network() -> None:
    model = cifar(8)
    parameters, products = parameter_count(model), macs(model, [torch.zeros(1, 3, 32, 32)])
    prune(model, Prune(channels=0.5, importance="magnitude"), images(), [])
    # Every block: 3x3 filters to half the channels and back, and the norm between.
    assert parameters - parameter_count(model) == sum(
        9 * (a + c) * c // 2 + c for a, c in ((16, 16), (16, 32), (32, 64))
    )
    stem, head = 9 * 3 * 16 * 32 * 32, 64 * 5
    assert 2 * (macs(model, [torch.zeros(1, 3, 32, 32)]) - stem - head) == products - stem - head


@pytest.mark.parametrize(
    ("build", "section", "expected"),
    [
        (cifar, {"heads": 0.5}, "no heads that can be pruned"),
        (cifar, {"ffn": 0.5, "heads": 0.5}, "no ffn and no heads"),
        (vit, {"channels": 0.5}, "0 layers with channels, 2 layers with ffn, 2 layers with heads"),
    ],
)
def test_nothing_to_prune(build: Callable[[], nn.Module], section: dict[str, float], expected: str) -> None:
    model = build()
    with pytest.raises(ModelError, match=expected):
        prune(model, Prune.model_validate(section), images(16 if build is vit else 32), [])
    assert same(model, build()), "a refusal changes nothing"


class Encoder(nn.Module):
    """Torch's own encoder layer, which takes a short cut past its attention in evaluation mode."""

    def __init__(self, *, batch_first: bool) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 4, dim_feedforward=24, batch_first=batch_first)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).mean(1 if self.layer.self_attn.batch_first else 0))


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    sizes = {"image_size": 16, "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 16, "mlp_dim": 24}
    return lively(lambda: VisionTransformer(**sizes, num_classes=5))


@pytest.mark.parametrize(
    ("build", "example"),
    [
        (torchvision_vit, images(16)),
        (lambda: lively(lambda: Encoder(batch_first=True)), [torch.randn(3, 7, 16)]),
        (lambda: lively(lambda: Encoder(batch_first=False)), [torch.randn(7, 3, 16)]),
    ],
    ids=["torchvision", "batch first", "time first"],
)
def test_heads_of_torchs_own_attention(build: Callable[[], nn.Module], example: list[Tensor], tmp_path: Path) -> None:
    model, whole = build(), build()
    before = run(model, example)
    for module in whole.modules():
        opened(module)
    torch.testing.assert_close(run(whole, example), before, rtol=0, atol=1e-5)
    found = widths(whole, example)
    kept = {
        atom: most_important(score, 3)
        for atom, score in importances(whole, found, inner_widths(found, "heads"), "magnitude", []).items()
    }
    facts = prune(model, Prune(heads=0.25, importance="magnitude"), example, [])
    layers = len(kept)
    assert facts == {"heads": {"layers": layers, "units_before": 4 * layers, "units_after": 3 * layers}}
    after = run(model, example)
    torch.testing.assert_close(after, run(masked(whole, found, kept), example), rtol=0, atol=1e-5)
    assert float((after - before).abs().max()) > 1e-3
    attention = next(module for module in model.modules() if isinstance(module, nn.MultiheadAttention))
    assert (attention.num_heads, tuple(attention.in_proj_weight.shape)) == (3, (36, 16))

    save(model, tmp_path / "model.safetensors")
    again, tensors = build(), read_tensors(tmp_path / "model.safetensors")
    shrink_to(again, tensors)
    load_into(again, tensors, "the file")
    assert torch.equal(run(again, example), after)
    taylor = build()
    prune(taylor, Prune(heads=0.25), example, [lambda network: network(*example).pow(2).mean()])
    assert parameter_count(taylor) == parameter_count(model)


def test_heads_of_an_attention_across_sequences_stay() -> None:
    class Across(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn, self.head = nn.MultiheadAttention(16, 4, batch_first=True), nn.Linear(16, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.attn(x, x.flip(1), x.flip(1))[0].mean(1))

    with pytest.raises(ModelError, match=r"(?s)where a sequence attends to all of itself.*another sequence"):
        prune(Across(), Prune(heads=0.5, importance="magnitude"), [torch.randn(2, 5, 16)], [])


class Stubborn(nn.Module):
    """An attention that counts its heads under a name that nobody knows."""

    def __init__(self, infer: bool) -> None:
        super().__init__()
        self.qkv, self.out, self.parts = nn.Linear(8, 24), nn.Linear(8, 3), 4
        self.size = -1 if infer else 2

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(2, 5, 3, self.parts, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        y = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(y)[:, 0]


@pytest.mark.parametrize(("infer", "expected"), [(False, "shape .* is invalid"), (True, "relative error")])
def test_heads_counted_in_a_way_of_its_own(infer: bool, expected: str) -> None:
    """Fails loudly, and also where the shapes would fit by accident and every head would lose dimensions instead."""
    torch.manual_seed(0)
    with pytest.raises(ModelError, match=f"(?s)does not answer as .*{expected}"):
        prune(Stubborn(infer), Prune(heads=0.5, importance="magnitude"), [torch.randn(2, 5, 8)], [])


def test_what_cannot_be_captured_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(ModelError, match="cannot be captured"):
        widths(Branching(), images())


@pytest.mark.parametrize("fields", [{}, {"channels": 0}, {"heads": 1}, {"ffn": 1.5}, {"channels": 0.5, "layers": 2}])
def test_impossible_shares(fields: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Prune.model_validate(fields)


def test_a_pruned_network_becomes_an_int8_file(tmp_path: Path) -> None:
    model = cifar(8)
    prune(model, Prune(channels=0.5, importance="magnitude"), images(), [])
    samples = images(count=16)[0]
    program = fold(model, (samples[:8],))
    rules, section = (
        QuantizationRules(),
        CompressSection.model_validate({"method": {"int8_static": {"ranges": "minmax"}}}),
    )
    description = compress(program, lambda: iter([(samples.numpy(),)]), section, rules, Progress(quiet=True))
    exported = export(program, description, FORMATS.parse("onnx"), tmp_path, rules)
    assert exported.notes["integer_kernels"]["Conv"] == 7 and not exported.notes["float_kernels"].get("Conv")
    session = ort.InferenceSession(str(tmp_path / exported.entry))
    (found,) = session.run(None, {exported.inputs[0].name: samples.numpy()})
    expected = run(model, [samples]).numpy()
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert (tmp_path / exported.entry).stat().st_size < 1.6 * parameter_count(model) + 30_000
