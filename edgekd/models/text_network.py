"""A transformer encoder with a head. Imports torch; the source file that a recipe names stays light.

    h = encoder(ids, mask)                                   (B, T, D)
    sequence_classification:  W dropout(mean over real tokens of h) + b          (B, K)
    token_classification:     W dropout(h) + b                                   (B, T, K)
    embedding:                v / ||v||_2,  v = mean over real tokens of h [times W]     (B, D)

The mean over real tokens is the pooling that sentence-transformers models are trained with (Reimers, Gurevych 2019,
https://arxiv.org/abs/1908.10084); a [CLS] vector carries nothing of use in them.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

# Added to the scores of padding. Not the smallest float: exp(-1e4) is 0 in float32 as well, and sums stay finite.
MASKED = -1e4


class TextNetwork(nn.Module):
    """`(B, T)` int64 token ids and attention mask to logits or embeddings.

    Args:
        encoder: a bare `transformers` encoder; it keeps its usual name (`bert`, `distilbert`, `roberta`), so that its
            layers are `bert.encoder.layer.0` and so on.
        task: which head.
        outputs: number of classes; of an embedding's dimensions, or 0 for those of the encoder.
        dropout: before the head.
    """

    def __init__(self, encoder: Any, task: str, outputs: int, dropout: float) -> None:
        super().__init__()
        encoder.pooler = None  # a [CLS] projection that no head here reads
        self.name: str = encoder.base_model_prefix
        self.task = task
        setattr(self, self.name, encoder)
        accepted = inspect.signature(encoder.forward).parameters
        self._types = "token_type_ids" in accepted
        # RoBERTa counts positions from behind its padding id.
        self._first = encoder.config.pad_token_id + 1 if "roberta" in encoder.config.model_type else 0
        width: int = encoder.config.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, outputs) if outputs else nn.Identity()
        if outputs:
            nn.init.normal_(self.classifier.weight, std=encoder.config.initializer_range)  # pyright: ignore
            nn.init.zeros_(self.classifier.bias)  # pyright: ignore

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """See the module's docstring."""
        # A 4-D mask passes through `transformers` untouched; from a 2-D one it would build some 40 nodes.
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * MASKED  # (B, 1, 1, T)
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None] + self._first  # (1, T)
        options = {"token_type_ids": torch.zeros_like(input_ids)} if self._types else {}
        encoder = getattr(self, self.name)
        hidden = encoder(input_ids=input_ids, attention_mask=mask, position_ids=positions, **options)[0]  # (B, T, D)
        if self.task == "token_classification":
            return self.classifier(self.dropout(hidden))
        weights = attention_mask[:, :, None].to(hidden.dtype)  # (B, T, 1)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)  # (B, D)
        if self.task == "embedding":
            return nn.functional.normalize(self.classifier(pooled), dim=-1)
        return self.classifier(self.dropout(pooled))
