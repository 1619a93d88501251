"""Small networks of every family, with weights and statistics that are not all alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgekd.models import MODELS


class Text(nn.Module):
    """A BERT classifier called with ids and mask in order, as the training loop calls text models."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        from transformers import BertConfig, BertForSequenceClassification

        sizes = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
        more = {"intermediate_size": 24, "max_position_embeddings": 12, "num_labels": 3}
        self.net = BertForSequenceClassification(BertConfig(**{**sizes, **more, **config}))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.net(input_ids=input_ids, attention_mask=attention_mask).logits


def text(**config: Any) -> nn.Module:
    return lively(lambda: Text(**config))


def cifar(depth: int = 14) -> nn.Module:
    return lively(lambda: MODELS.parse({"cifar_resnet": {"depth": depth}}).build(5, 3))


def vit(**config: Any) -> nn.Module:
    import timm

    sizes = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 4, "num_classes": 5}
    return lively(lambda: timm.create_model("vit_tiny_patch16_224", **{**sizes, **config}))


def torchvision(name: str) -> nn.Module:
    import torchvision

    return lively(lambda: getattr(torchvision.models, name)(num_classes=5))


def lively(build: Any) -> nn.Module:
    """In evaluation mode; norms, biases and embeddings get values that make every unit count."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, module.in_features**-0.5)
            elif isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0, (2 / module.weight[0].numel()) ** 0.5)
            if isinstance(getattr(module, "bias", None), nn.Parameter):
                nn.init.normal_(module.bias, 0, 0.3)
    return model


def images(size: int = 32, count: int = 2) -> list[Tensor]:
    return [torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))]


def tokens(count: int = 2, length: int = 7) -> list[Tensor]:
    ids = torch.randint(1, 40, (count, length), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, length - 2 :] = 0
    return [ids, mask]


def same(left: nn.Module, right: nn.Module) -> bool:
    own, other = left.state_dict(), right.state_dict()
    return own.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in own.items())


def batch(inputs: list[Tensor], labels: Tensor) -> Callable[[nn.Module], Tensor]:
    return lambda model: cross_entropy(model(*inputs), labels)
