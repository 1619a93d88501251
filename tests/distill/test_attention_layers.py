"""Attention layers found by name, in transformers, timm and torchvision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.attention_layers import attention_layer_of, attention_layers, embeddings_layer, head_counts
from edgekd.distill.taps import Taps, layers_of
from edgekd.errors import ModelError


def names(model: nn.Module) -> list[str]:
    return list(layers_of(model))


def bert() -> nn.Module:
    from transformers import BertConfig, BertModel

    return BertModel(BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=11, num_attention_heads=2)).eval()


def distilbert() -> nn.Module:
    from transformers import DistilBertConfig, DistilBertModel

    return DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, n_layers=2, n_heads=4, hidden_dim=8)).eval()


def vit() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(img_size=8, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=2).eval()


def torchvision_vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    sizes = {"image_size": 8, "patch_size": 4, "num_layers": 2, "num_heads": 3, "hidden_dim": 12, "mlp_dim": 16}
    model = VisionTransformer(**sizes, num_classes=2).eval()
    for block in model.encoder.layers:
        nn.init.normal_(block.self_attention.in_proj_bias)
    return model


def test_found_in_order_with_their_heads_and_embeddings() -> None:
    found = attention_layers(names(bert()), "x", "student")
    assert [layer.name for layer in found] == [f"encoder.layer.{i}.attention.self" for i in range(11)]
    assert found[10].projections == tuple(
        f"encoder.layer.10.attention.self.{part}" for part in ("query", "key", "value")
    )
    assert set(head_counts(bert()).values()) == {2} and embeddings_layer(names(bert())) == "embeddings"
    found = attention_layers(names(distilbert()), "x", "student")
    assert found[1].projections[0] == "transformer.layer.1.attention.q_lin"
    assert head_counts(distilbert()) == {f"transformer.layer.{i}.attention": 4 for i in range(2)}
    assert [layer.projections for layer in attention_layers(names(vit()), "x", "student")] == [
        ("blocks.0.attn.qkv",),
        ("blocks.1.attn.qkv",),
    ]
    assert (
        head_counts(vit()) == {"blocks.0.attn": 3, "blocks.1.attn": 3} and embeddings_layer(names(vit())) == "pos_drop"
    )


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    split = [part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key, value)]
    return torch.nn.functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(
    ("model", "output", "example"),
    [
        (bert, "encoder.layer.1.attention.self", torch.arange(8).view(2, 4)),
        (distilbert, None, torch.arange(8).view(2, 4)),
        (vit, None, torch.randn(2, 3, 8, 8)),
    ],
    ids=["bert", "distilbert", "vit"],
)
def test_queries_keys_and_values_are_what_the_network_attends_with(
    model: Callable[[], nn.Module], output: str | None, example: Tensor
) -> None:
    network = model()
    layer = attention_layers(names(network), "x", "student")[1]
    # Where the module projects its context before putting it out, what enters the projection is compared.
    following = {"transformer.layer.1.attention": "out_lin", "blocks.1.attn": "proj"}.get(layer.name)
    seen: list[Tensor] = []
    if following:
        network.get_submodule(f"{layer.name}.{following}").register_forward_pre_hook(
            lambda _, args: seen.append(args[0])
        )
    taps = [*layer.projections, *([output] if output else [])]
    with torch.no_grad(), Taps(network, taps, "student") as caught:
        network(example)
    context = caught.values[output] if output else seen[0]
    query, key, value = layer.qkv(caught.values)
    torch.testing.assert_close(
        attend(query, key, value, head_counts(network)[layer.name]), context, atol=1e-5, rtol=1e-4
    )
    shapes = {name: tuple(tensor.shape) for name, tensor in caught.values.items()}
    assert layer.width(shapes) == (context.shape[1], context.shape[2])


@pytest.mark.parametrize("training", [False, True])
def test_the_packed_projection_of_torch_is_what_it_attends_with(training: bool) -> None:
    network = torchvision_vit().train(training)
    layer = attention_layers(names(network), "x", "student")[1]
    attention = network.get_submodule(layer.name)
    assert layer.projections == (f"{layer.name}.in_proj",) and head_counts(network)[layer.name] == 3
    with Taps(network, [*layer.projections, layer.name], "student") as caught:
        network(torch.randn(2, 3, 8, 8))
    context = attend(*layer.qkv(caught.values), 3)
    torch.testing.assert_close(attention.out_proj(context), caught.values[layer.name], atol=1e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(caught.values[layer.projections[0]].sum(), attention.in_proj_bias)
    assert torch.equal(gradient, torch.full((36,), 2.0 * 5))  # two images of five tokens
    assert not attention._forward_pre_hooks


def test_a_packed_projection_of_time_first_sequences_and_of_two_sequences() -> None:
    class Attends(nn.Module):
        def __init__(self, *, across: bool) -> None:
            super().__init__()
            self.attn, self.across = nn.MultiheadAttention(4, 2), across  # (T, B, H)

        def forward(self, x: Tensor) -> Tensor:
            return self.attn(x, value=x, key=2 * x if self.across else x)[0]

    x = torch.randn(3, 2, 4)
    model = Attends(across=False)
    with Taps(model, ["attn.in_proj"], "teacher") as caught:
        model(x)
    expected = torch.nn.functional.linear(x.transpose(0, 1), model.attn.in_proj_weight, model.attn.in_proj_bias)
    torch.testing.assert_close(caught.values["attn.in_proj"], expected)
    model = Attends(across=True)
    with Taps(model, ["attn.in_proj"], "teacher"), pytest.raises(ModelError, match="another sequence than its own"):
        model(x)


def test_a_blocks_attention_layer_and_refusals() -> None:
    found = attention_layer_of("encoder.layer.1", names(bert()), "x", "student")
    assert found.name == "encoder.layer.1.attention.self"  # and not that of encoder.layer.10
    assert attention_layer_of(found.name, names(bert()), "x", "student") == found
    with pytest.raises(ModelError, match=r"(?s)teacher's layer 'pooler' holds no.*encoder\.layer\.0\.attention\.self"):
        attention_layer_of("pooler", names(bert()), "x", "teacher")
    with pytest.raises(ModelError, match=r"(?s)'x' compares attention layers.*student has none.*query, key, value"):
        attention_layers(names(nn.Sequential(nn.Linear(2, 2))), "x", "student")
    with pytest.raises(ModelError, match="one shape"):
        found.width(dict.fromkeys(found.projections, (2, 3, 8)) | {found.projections[1]: (2, 3, 4)})


def test_heads_come_from_the_nearest_module_or_its_config() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.ModuleList([Inner(), Inner()])
            self.layer[1].num_heads = 2

    model = Outer()
    assert head_counts(model) == {"layer.0": 0, "layer.1": 2}
    model.config = type("Config", (), {"num_attention_heads": 4})()
    assert head_counts(model) == {"layer.0": 4, "layer.1": 2}
