"""timm's classifiers."""

from __future__ import annotations

import pytest
import torch

from edgekd.errors import ModelError
from edgekd.models import MODELS, ModelSection, load, model_key

pytest.importorskip("timm")


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "mobilenetv3_small_050.lamb_in1k"])
def test_any_number_of_classes_and_channels(name: str) -> None:
    model = load(ModelSection.model_validate({"model": {"timm": {"name": name}}}), 7, 1, 0).eval()
    assert model(torch.rand(2, 1, 64, 64)).shape == (2, 7)


def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"(?s)resnet10t cannot be fetched.*give the file's path"):
        MODELS.parse({"timm": {"name": "resnet10t"}}).pretrained(10, 3)


def test_a_misspelt_name() -> None:
    with pytest.raises(ModelError, match=r"(?s)no model 'resnet5o'; did you mean 'resnet\d+.*timm\.list_models"):
        MODELS.parse({"timm": {"name": "resnet5o"}}).build(10, 3)


def test_the_key_names_the_version() -> None:
    section = ModelSection.model_validate({"model": {"timm": {"name": "resnet10t"}}})
    assert model_key(section)["identity"]["timm"]


def test_options_of_the_constructor() -> None:
    model = MODELS.parse({"timm": {"name": "deit_tiny_patch16_224", "options": {"img_size": 32, "patch_size": 8}}})
    assert model.build(5, 3).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(ModelError, match=r"(?s)did you mean 'img_size'.*accepted: .*patch_size"):
        MODELS.parse({"timm": {"name": "deit_tiny_patch16_224", "options": {"img_sze": 32}}}).build(5, 3)
