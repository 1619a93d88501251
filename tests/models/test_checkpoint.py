"""Checkpoints: safe reading, and one error for all mismatches."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edgekd.errors import ModelError, StoreError
from edgekd.models.checkpoint import load_into, read_tensors, save


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def same(left: nn.Module, right: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True))


def test_safetensors_round_trip_of_channels_last_and_tied_weights(tmp_path: Path) -> None:
    model = network().to(memory_format=torch.channels_last)
    save(model, tmp_path / "model.safetensors")
    other = network()
    load_into(other, read_tensors(tmp_path / "model.safetensors"), "here")
    assert same(model, other)
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save(tied, tmp_path / "tied.safetensors")
    assert torch.equal(read_tensors(tmp_path / "tied.safetensors")["1.weight"], tied[0].weight)


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module", "both", "model", "ordered", "legacy"])
def test_torch_files_in_their_usual_forms(tmp_path: Path, wrap: str) -> None:
    model = network()
    tensors: dict[str, Any] = dict(model.state_dict())
    if wrap in ("module", "both"):
        tensors = {f"module.{name}": value for name, value in tensors.items()}
    content: Any = {"state_dict": tensors, "epoch": 3} if wrap in ("state_dict", "both") else tensors
    content = {"model": tensors, "args": [1]} if wrap == "model" else content
    content = OrderedDict(tensors) if wrap == "ordered" else content
    torch.save(content, tmp_path / "model.pt", _use_new_zipfile_serialization=wrap != "legacy")
    other = network()
    load_into(other, read_tensors(tmp_path / "model.pt"), "here")
    assert same(model, other)


HARMLESS = torch.ones(2)
WITHIN: dict[str, Any] = {"epoch": 1}
WITHIN["model"] = WITHIN
STRANGE = {
    "sparse": torch.eye(2).to_sparse(),
    "quantized": torch.quantize_per_tensor(HARMLESS, 0.1, 0, torch.qint8),
    "meta": torch.ones(2, device="meta"),
}


def test_a_checkpoint_that_contains_itself_is_refused(tmp_path: Path) -> None:
    torch.save(WITHIN, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="something else than tensors"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("kind", STRANGE)
def test_tensors_without_plain_values_are_refused(tmp_path: Path, kind: str) -> None:
    torch.save({"a": HARMLESS, "b": STRANGE[kind]}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"(?s)sparse, quantized or without values.*received: b"):
        read_tensors(tmp_path / "model.pt")


def test_a_tensor_with_the_prefix_of_data_parallel_and_without(tmp_path: Path) -> None:
    torch.save({"module.0.weight": HARMLESS, "0.weight": HARMLESS, "1.bias": HARMLESS}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"(?s)twice.*received: 0\.weight"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("length", [*range(0, 400, 7)])
def test_a_pickle_that_ends_early(tmp_path: Path, length: int) -> None:
    torch.save(dict(network().state_dict()), tmp_path / "whole.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "model.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:length])
    with pytest.raises(ModelError):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_values_of_another_type_are_refused(dtype: torch.dtype) -> None:
    model = network()
    given = {name: value.to(dtype) if name == "3.bias" else value for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"1 of another type:\n    3\.bias"):
        load_into(model, given, "here")


def test_values_that_the_models_precision_does_not_hold() -> None:
    model = network()
    given = {name: value.double() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    given["3.bias"][0] = 1e300
    with pytest.raises(ModelError, match=r"not finite:\n    3\.bias"):
        load_into(model, given, "here")


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.fuse),)


@pytest.mark.parametrize("form", ["torch", "legacy", "pickle"])
def test_a_file_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, form: str) -> None:
    content = {"weight": torch.zeros(2), "bomb": Bomb(tmp_path / "exploded")}
    path = tmp_path / "model.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(ModelError, match=r"(?s)refused: reading it would run code.*save_file"):
        read_tensors(path)
    assert not (tmp_path / "exploded").exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "model.pt")
    with pytest.raises(ModelError, match="refused"):
        read_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, suffix: str, keep: float) -> None:
    path = tmp_path / f"model{suffix}"
    save(network(), path) if suffix == ".safetensors" else torch.save(network().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ModelError, match="damaged"):
        read_tensors(path)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such checkpoint"):
        read_tensors(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("hello, this is a text")
    with pytest.raises(ModelError, match="damaged"):
        read_tensors(tmp_path / "text.pt")
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="no tensors by name"):
        read_tensors(tmp_path / "list.pt")
    torch.save({"epoch": 3, "weight": torch.zeros(2)}, tmp_path / "mixed.pt")
    with pytest.raises(ModelError, match=r"(?s)something else.*epoch"):
        read_tensors(tmp_path / "mixed.pt")


def test_every_mismatch_is_in_one_error_and_nothing_is_loaded() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    tensors = {name: torch.ones_like(value) for name, value in before.items()}
    del tensors["0.bias"], tensors["1.weight"], tensors["1.num_batches_tracked"]
    tensors["3.weight"] = torch.zeros(5, 16)
    tensors["extra.weight"] = torch.zeros(1)
    tensors["0.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(ModelError) as caught:
        load_into(model, tensors, "the/file.pt")
    text = str(caught.value)
    for part in (
        "2 missing in the checkpoint", "0.bias", "1.weight", "1 not in the model", "extra.weight", "1 of another shape",
        "3.weight: (5, 16), the model has (2, 16)", "not finite", "0.weight", "the/file.pt",
    ):  # fmt: skip
        assert part in text
    assert "num_batches_tracked" not in text
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_batch_counters_may_be_missing() -> None:
    model, source = network(), network()
    tensors = {name: value for name, value in source.state_dict().items() if "tracked" not in name}
    load_into(model, tensors, "here")
    assert torch.equal(model[0].weight, source[0].weight)


def test_an_unwritable_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        save(network(), tmp_path / "no" / "folder" / "model.safetensors")
