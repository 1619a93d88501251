"""Small transformers that take token ids and a mask, and put out logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from edgekd.distill.objective import Objective


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


class Logits(nn.Module):
    """A transformers classifier as edgekd calls it: ids and mask in, one tensor out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.network(input_ids=ids, attention_mask=mask).logits


@pytest.fixture
def bert() -> Callable[..., nn.Module]:
    """A random BERT classifier of 3 classes over 40 token ids."""

    def build(layers: int = 2, width: int = 32, heads: int = 4, seed: int = 0, **options: Any) -> nn.Module:
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=40,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=2 * width,
            max_position_embeddings=16,
            num_labels=3,
            initializer_range=0.3,
            **options,
        )
        return Logits(BertForSequenceClassification(config))

    return build


@pytest.fixture
def tokens() -> tuple[Tensor, Tensor]:
    """Ids and mask of 3 sentences of 7, 4 and 1 tokens."""
    ids = torch.randint(1, 40, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    return ids * mask, mask


@pytest.fixture
def learn() -> Callable[..., Tensor]:
    """The total loss of a batch, as a training step computes it."""

    def call(
        objective: Objective,
        student: nn.Module,
        teacher: nn.Module,
        inputs: tuple[Tensor, ...],
        precision: torch.dtype = torch.float32,
    ) -> Tensor:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            with torch.no_grad():
                soft = teacher(*inputs)
            logits = student(*inputs)
        labels, mask = torch.tensor([0, 1, -100])[: len(logits)], inputs[1] if len(inputs) > 1 else None
        return objective(logits, labels, soft, mask=mask)[0]

    return call
