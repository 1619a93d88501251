"""Checkpoints: tensors by name, read without running any code from the file."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgekd.errors import ModelError, StoreError

if TYPE_CHECKING:
    from torch import Tensor, nn

# What unpickling raises of files that end early or contradict themselves.
BROKEN = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError, MemoryError),
    *(OverflowError, ImportError, zipfile.BadZipFile, struct.error),
)
WRAPPERS = ("state_dict", "model_state_dict", "model")
SAVE_AGAIN = "load it where you trust it and save its tensors: safetensors.torch.save_file(model.state_dict(), PATH)"
# Batches counted by batch normalisation: old checkpoints lack it, and inference does not read it.
COUNTER = "num_batches_tracked"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of a `torch.save` file read with `weights_only=True`.

    Looks inside `{"state_dict": {...}}` and the like, and drops the prefix `module.` that data-parallel training adds.

    Raises:
        ModelError: no such file, a damaged file, one whose unpickling would run code, or one without tensors.
    """
    if not path.is_file():
        raise ModelError("there is no such checkpoint", where=path, accepted="a .safetensors or .pt file")
    raw = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    return _tensors(raw, path)


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Copies the tensors into the model; all of them, or none.

    Args:
        model: changed in place.
        tensors: by name, as in `model.state_dict()`; `num_batches_tracked` counters may be missing.
        where: the checkpoint, for the message.

    Raises:
        ModelError: lists every missing, unexpected and differently shaped or typed tensor.
    """
    import torch

    own = model.state_dict()
    missing = [name for name in own if name not in tensors and not name.endswith(COUNTER)]
    unexpected = [name for name in tensors if name not in own]
    shapes = [
        f"{name}: {tuple(tensors[name].shape)}, the model has {tuple(value.shape)}"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    types = [
        f"{name}: {tensors[name].dtype}, the model has {value.dtype}"
        for name, value in own.items()
        if name in tensors and value.is_floating_point() != tensors[name].is_floating_point()
    ]
    # In the model's own precision: 1e300 is infinite in float32.
    kept = {name: value.to(own[name].dtype) if name in own and not types else value for name, value in tensors.items()}
    infinite = [
        name for name, value in kept.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    groups = {
        "missing in the checkpoint": missing,
        "not in the model": unexpected,
        "of another shape": shapes,
        "of another type": types,
        "with values that are not finite": infinite,
    }
    if any(groups.values()):
        lines = [
            f"  {len(rows)} {label}:\n" + "\n".join(f"    {row}" for row in rows)
            for label, rows in groups.items()
            if rows
        ]
        raise ModelError(
            "the checkpoint does not fit the model\n" + "\n".join(lines),
            where=where,
            accepted=f"the {len(own)} tensors of this model with {sum(map(len, groups.values()))} differences resolved",
        )
    model.load_state_dict(dict(tensors), strict=False)


def save(model: nn.Module, path: Path) -> None:
    """Writes the model's tensors as safetensors.

    Raises:
        StoreError: the file cannot be written.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

    # Cloned: safetensors stores dense tensors only, and refuses two that share memory.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    try:
        save_file(tensors, path)
    except (OSError, SafetensorError) as error:
        raise StoreError(f"the weights cannot be written: {error}", where=path) from error


def _is_safetensors(path: Path) -> bool:
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as stream:
        head = stream.read(9)
    return len(head) == 9 and head[8:] == b"{"


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "the checkpoint is damaged or no safetensors file", where=path, received=error, hint="fetch it again"
        ) from error


def _read_torch(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise ModelError(
                "the checkpoint is refused: reading it would run code that is stored in it",
                where=path,
                received=str(error).split("\n")[0],
                accepted="a safetensors file, or a torch.save file that holds tensors only",
                hint=SAVE_AGAIN,
            ) from error
        raise ModelError("the checkpoint is damaged", where=path, received=error, hint="fetch it again") from error
    except BROKEN as error:
        raise ModelError(
            "the checkpoint is damaged or no torch.save file", where=path, received=error, hint="fetch it again"
        ) from error


def _tensors(raw: object, path: Path) -> dict[str, Tensor]:
    import torch

    content, opened = raw, set[int]()
    while isinstance(content, Mapping) and id(cast(object, content)) not in opened:
        opened.add(id(cast(object, content)))
        outer = cast(Mapping[object, object], content)
        inner = next((outer[name] for name in WRAPPERS if isinstance(outer.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise ModelError(
            "the checkpoint holds no tensors by name", where=path, received=type(content).__name__, hint=SAVE_AGAIN
        )
    named = cast(Mapping[object, object], content)
    found = {str(name).removeprefix("module."): value for name, value in named.items()}
    if len(found) < len(named):
        twice = [str(name) for name in named if f"module.{name}" in named]
        raise ModelError(
            "the checkpoint holds tensors twice, with the prefix 'module.' and without",
            where=path,
            received=", ".join(twice[:5]),
            hint=SAVE_AGAIN,
        )
    others = [name for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if others or not found:
        raise ModelError(
            "the checkpoint holds something else than tensors by name",
            where=path,
            received=", ".join(others[:5]) or "nothing",
            hint=SAVE_AGAIN,
        )
    tensors = cast("dict[str, Tensor]", found)
    strange = [name for name, value in tensors.items() if _is_strange(value)]
    if strange:
        raise ModelError(
            "the checkpoint holds tensors that are sparse, quantized or without values",
            where=path,
            received=", ".join(strange[:5]),
            accepted="dense tensors of floating-point numbers",
            hint=SAVE_AGAIN,
        )
    return tensors


def _is_strange(tensor: Tensor) -> bool:
    import torch

    return tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta
