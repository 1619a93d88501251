"""Model sections: loading and keys."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from edgekd.errors import ModelError
from edgekd.models import ModelSection, load, model_key, parameter_count
from edgekd.models.checkpoint import save


def section(**fields: Any) -> ModelSection:
    return ModelSection.model_validate({"model": {"cifar_resnet": {"depth": 8}}, **fields})


def test_fresh_weights_follow_the_seed_and_not_the_callers_stream() -> None:
    one, two, other = (load(section(), 10, 3, seed) for seed in (1, 1, 2))
    torch.manual_seed(9)
    expected = torch.rand(2)
    torch.manual_seed(9)
    again = load(section(), 10, 3, 1)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(one.conv1.weight, two.conv1.weight) and torch.equal(one.conv1.weight, again.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)


def test_weights_from_a_file_relative_to_the_recipe(tmp_path: Path) -> None:
    model = load(section(), 10, 3, 5)
    save(model, tmp_path / "w.safetensors")
    found = ModelSection.model_validate(
        {"model": {"cifar_resnet": {"depth": 8}}, "weights": "w.safetensors"}, context={"folder": tmp_path}
    )
    assert found.weights_path() == tmp_path / "w.safetensors"
    assert torch.equal(load(found, 10, 3, 0).linear.weight, model.linear.weight)
    with pytest.raises(ModelError, match=r"linear\.weight: \(10, 64\), the model has \(7, 64\)"):
        load(found, 7, 3, 0)
    with pytest.raises(ModelError, match=r"conv1\.weight: \(16, 3, 3, 3\), the model has \(16, 1, 3, 3\)"):
        load(found, 10, 1, 0)


def test_keys_tell_architecture_and_weights_apart_and_no_paths(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        save(load(section(), 10, 3, seed), tmp_path / f"{name}.safetensors")
    a, b, c = (model_key(section(weights=tmp_path / f"{name}.safetensors")) for name in "abc")
    fresh = model_key(section())
    assert a == b != c and fresh != a
    assert model_key(section(model={"cifar_resnet": {"depth": 14}})) != fresh
    assert model_key(section(weights="pretrained"))["weights"] == "pretrained"
    with pytest.raises(ModelError, match="no such checkpoint"):
        model_key(section(weights=tmp_path / "absent.safetensors"))


def test_forms_and_refusals() -> None:
    assert section(weights="pretrained").weights_path() is None and section().weights_path() is None
    again = ModelSection.model_validate(section(weights="x.pt", train={"epochs": 2}).model_dump(mode="json"))
    assert again.weights_path() == Path("x.pt") and again.train is not None and again.train.epochs == 2
    for fields, message in [
        ({"weights": 3}, "path of a checkpoint"),
        ({"model": "cifar_resnt"}, "did you mean 'cifar_resnet'"),
        ({"model": {"cifar_resnet": {"depth": 9}}}, "8, 14"),
        ({"wieghts": None}, "wieghts"),
    ]:
        with pytest.raises(ValidationError, match=message):
            section(**fields)


def test_parameter_count_counts_shared_ones_once() -> None:
    tied = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert parameter_count(tied) == 9 + 3 + 3


def test_reading_a_recipe_and_its_keys_imports_no_torch() -> None:
    code = (
        "import sys; from edgekd.models import ModelSection, model_key; from edgekd.distill import DistillSection\n"
        "forms = ['cifar_resnet', {'torchvision': {'name': 'resnet50'}}, {'timm': {'name': 'resnet18'}},"
        " {'function': {'name': 'edgekd.models.resnet_blocks:CifarResnetModule'}}]\n"
        "for form in forms: model_key(ModelSection.model_validate({'model': form}))\n"
        "d = DistillSection.model_validate({'losses': ['ce', 'kl', {'hint': {'student': 'a', 'teacher': 'b'}},"
        " {'attention': {'pairs': {'a': 'b'}}}]}); d.warnings(); d.cache_key(); DistillSection.model_json_schema()\n"
        "heavy = {'torch', 'torchvision', 'timm', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
