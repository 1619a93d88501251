"""Where and how precisely a training computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch

from edgekd.errors import RecipeError

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def training_device() -> torch.device:
    """The first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(setting: str, device: torch.device) -> str:
    """`float32`, `bfloat16` or `float16` for a recipe's `precision`.

    `auto` computes in fewer bits only where the hardware multiplies them faster: bfloat16 on CUDA from Ampere on and on
    CPUs with AVX512-BF16 or AMX, float16 on older CUDA devices.

    Raises:
        RecipeError: float16 on a CPU, which has no fast float16 kernels to train with.
    """
    if setting == "float16" and device.type == "cpu":
        raise RecipeError(
            "float16 training needs a CUDA device",
            where="train.precision",
            received="float16 on a CPU",
            accepted="auto, float32, bfloat16",
        )
    if setting != "auto":
        return setting
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    flags = cast(dict[str, Any], torch.cpu.get_capabilities())
    return "bfloat16" if flags.get("avx512_bf16") or flags.get("amx_bf16") else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """The context in which a forward pass runs."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])
