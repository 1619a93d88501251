"""Tiny BERT networks with every kind of output, described and exported once per process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from edgekd.artifact import Artifact
from edgekd.compress import CompressSection, compress
from edgekd.compress.description import Description
from edgekd.compress.fold import Program, fold
from edgekd.compress.rules import QuantizationRules
from edgekd.export import FORMATS, Exported, export
from edgekd.progress import QUIET

VOCABULARY, WIDTH, CLASSES, LONGEST, PAD = 100, 32, 5, 24, 0
LAYERS = 2
LINEAR = 6 * LAYERS


class TinyBert(nn.Module):
    """`sequence` logits `(B, K)`, `token` logits `(B, T, K)`, or a mean-pooled `embedding` `(B, D)`."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=LONGEST,
            attn_implementation="eager",
        )
        self.kind = kind
        self.bert = BertModel(config, add_pooling_layer=False)
        if kind != "embedding":
            self.head = nn.Linear(WIDTH, CLASSES)
        for parameter in self.parameters():
            # Biases and factors of a trained network: none is 0 or 1, which exporters would fold away.
            if parameter.ndim == 1:
                nn.init.normal_(parameter, 0.5, 0.3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * -1e4  # (B, 1, 1, T)
        hidden = self.bert(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=torch.arange(input_ids.shape[1], device=input_ids.device)[None],
            token_type_ids=torch.zeros_like(input_ids),
        ).last_hidden_state  # (B, T, D)
        if self.kind == "sequence":
            return self.head(hidden[:, 0])
        if self.kind == "token":
            return self.head(hidden)
        weights = attention_mask[:, :, None].to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1)


def texts(lengths: list[int], seed: int = 1) -> list[np.ndarray]:
    """Random token ids, int64, one array per text."""
    generator = np.random.default_rng(seed)
    return [generator.integers(1, VOCABULARY, length) for length in lengths]


def padded(rows: list[np.ndarray], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and mask, `(B, T)` int64."""
    width = length or max(map(len, rows))
    ids, mask = (np.zeros((len(rows), width), np.int64) for _ in range(2))
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = row, 1
    return ids, mask


def answers(kind: str, rows: list[np.ndarray]) -> np.ndarray:
    """Torch's own, text by text without padding: `(N, K)`, or all tokens' `(T, K)`."""
    with torch.no_grad():
        found = [model(kind)(*(torch.from_numpy(array) for array in padded([row]))).numpy() for row in rows]
    return np.concatenate([item[0] if item.ndim == 3 else item for item in found])


@cache
def model(kind: str) -> TinyBert:
    return TinyBert(kind).eval()


@cache
def program(kind: str) -> Program:
    example = tuple(torch.from_numpy(array) for array in padded(texts([9] * 4)))
    return fold(model(kind), example, LONGEST)


@cache
def description(kind: str, method: str, keep: str = "") -> Description:
    batches = [padded(texts([length] * 8, seed=length)) for length in (5, 9, 20)]
    section = CompressSection.model_validate({"method": method, "keep_float": [keep] if keep else []})
    return compress(program(kind), lambda: iter(batches), section, QuantizationRules(), QUIET)


@cache
def exported(kind: str, name: str, method: str | None) -> tuple[Exported, Path]:
    """What a format wrote, as an artifact."""
    folder = Path(tempfile.mkdtemp(prefix="edgekd-tiny-bert-"))
    described = None if method is None else description(kind, method)
    found = export(program(kind), described, FORMATS.parse(name), folder, QuantizationRules())
    task = {"sequence": "sequence_classification", "token": "token_classification", "embedding": "embedding"}[kind]
    Artifact(
        model="student",
        format=name,
        precision="float32" if method is None else "int8",
        target="x86-avx2",
        runtime=FORMATS.load(name).runtime,
        entry=found.entry,
        inputs=found.inputs,
        outputs=found.outputs,
        classes=[str(index) for index in range(CLASSES)],
        preprocess={"kind": "text", "max_length": LONGEST, "pad_id": PAD, "task": task, "tokenizer": "tokenizer.json"},
        notes=found.notes,
    ).save(folder)
    return found, folder
