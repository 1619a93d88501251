"""torchvision's classifiers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edgekd.errors import ModelError
from edgekd.models import MODELS, ModelSection, ModelSource, load, model_key
from edgekd.models.checkpoint import save


def source(name: str) -> ModelSource:
    return MODELS.parse({"torchvision": {"name": name}})


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_any_number_of_classes_and_channels(name: str) -> None:
    model = load(ModelSection.model_validate({"model": {"torchvision": {"name": name}}}), 7, 1, 0).eval()
    assert model(torch.rand(2, 1, 64, 64)).shape == (2, 7)


def test_networks_with_auxiliary_heads_put_out_one_tensor_while_training() -> None:
    model = source("googlenet").build(5, 3).train()
    assert isinstance(model(torch.rand(2, 3, 64, 64)), torch.Tensor)


def test_pretrained_weights_are_kept_but_for_stem_and_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published file is stood in for by one with random tensors, in torch's own cache."""
    from torchvision.models import SqueezeNet1_1_Weights, squeezenet1_1

    original = squeezenet1_1(num_classes=1000)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = SqueezeNet1_1_Weights.DEFAULT.url.rsplit("/", 1)[1]
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(original.state_dict(), tmp_path / "hub" / "checkpoints" / name)
    model = source("squeezenet1_1").pretrained(4, 1)
    assert model(torch.rand(1, 1, 64, 64)).shape == (1, 4)
    torch.testing.assert_close(model.features[0].weight, original.features[0].weight.sum(1, keepdim=True))
    torch.testing.assert_close(model.features[3].squeeze.weight, original.features[3].squeeze.weight)


def test_weights_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # the discard port: refused at once
    with pytest.raises(ModelError, match=r"(?s)resnet18 cannot be fetched.*download\.pytorch\.org.*give its path"):
        source("resnet18").pretrained(10, 3)


def test_a_cached_file_that_runs_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet18_Weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(nn.Linear(2, 2), tmp_path / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rsplit("/", 1)[1])
    with pytest.raises(ModelError, match="cannot be fetched"):
        source("resnet18").pretrained(10, 3)


def test_a_local_checkpoint(tmp_path: Path) -> None:
    form = {"model": {"torchvision": {"name": "squeezenet1_1"}}}
    save(load(ModelSection.model_validate(form), 1000, 3, 3), tmp_path / "w.safetensors")
    chosen = ModelSection.model_validate({**form, "weights": tmp_path / "w.safetensors"})
    assert load(chosen, 1000, 3, 0)(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    with pytest.raises(ModelError, match="of another shape"):
        load(chosen, 10, 3, 0)
    assert "torchvision" in model_key(chosen)["identity"]


def test_a_misspelt_name() -> None:
    with pytest.raises(ModelError, match=r"(?s)no classifier 'resnet5'; did you mean 'resnet50'.*vgg16"):
        source("resnet5").build(10, 3)
    with pytest.raises(ModelError, match="no classifier"):
        source("deeplabv3_resnet50").build(10, 3)


def test_options_of_the_constructor() -> None:
    fields = {"name": "vit_b_16", "options": {"image_size": 32}}
    model = MODELS.parse({"torchvision": fields}).build(5, 3).eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(ModelError, match=r"(?s)did you mean 'dropout'.*unexpected keyword.*accepted: .*dropout"):
        MODELS.parse({"torchvision": {"name": "squeezenet1_1", "options": {"dropuot": 0.1}}}).build(5, 3)
