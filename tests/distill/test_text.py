"""Training, inference and caching on texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekd.data import DataSection, prepare
from edgekd.data.dataset import load_data
from edgekd.data.texts import TextData
from edgekd.distill import LOSSES, DistillSection, TrainSettings, train
from edgekd.distill.batches import TextBatches
from edgekd.distill.centroids import centroids, scored
from edgekd.distill.digest import weights_digest
from edgekd.distill.inference import predict
from edgekd.distill.loss import IGNORED, Loss, Outputs
from edgekd.distill.teacher_cache import TeacherCache
from edgekd.errors import ModelError
from edgekd.models import ModelSection, load
from edgekd.progress import QUIET, Progress

CPU = torch.device("cpu")
CE = [LOSSES.parse("ce")]
KD = [LOSSES.parse({"ce": {"weight": 0.1}}), LOSSES.parse({"kl": {"weight": 0.9, "temperature": 2}})]
Make = Callable[..., nn.Module]


@pytest.fixture(scope="module")
def texts(tickets: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> TextData:
    return prepared({"csv_text": {"path": str(tickets)}}, tiny_bert, tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def tagged(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> TextData:
    """120 texts; the words that name a thing are tagged B, all others O."""
    folder = tmp_path_factory.mktemp("tagged")
    chance = np.random.default_rng(0)
    words = ["card", "app", "transfer", "my", "the", "is", "lost", "cards", "helped"]
    lines: list[str] = []
    for _ in range(120):
        for word in chance.choice(words, chance.integers(2, 9)):
            lines.append(f"{word} {'B' if str(word).startswith(('card', 'app', 'transfer')) else 'O'}")
        lines.append("")
    (folder / "a.conll").write_text("\n".join(lines))
    return prepared({"conll": {"path": str(folder / "a.conll")}}, tiny_bert, folder, task="token_classification")


def prepared(reader: dict[str, Any], model: Path, folder: Path, **fields: Any) -> TextData:
    section = {"reader": reader, "tokenizer": str(model), "max_length": 24, **fields}
    prepare(DataSection.model_validate(section), 0, folder, QUIET)
    data = load_data(folder)
    assert isinstance(data, TextData)
    return data


@pytest.fixture
def make(tiny_bert: Path) -> Make:
    def build(classes: int = 3, seed: int = 0, **fields: Any) -> nn.Module:
        model = {"transformers": {"path": str(tiny_bert), **fields}}
        return load(ModelSection.model_validate({"model": model}), classes, 0, seed)

    return build


def settings(**fields: Any) -> TrainSettings:
    base = {"epochs": 3, "batch_size": 16, "optimizer": {"adamw": {"lr": 3e-3}}, "precision": "float32", "threads": 1}
    return TrainSettings.model_validate({**base, **fields})


def test_an_epoch_holds_every_text_once_in_batches_of_similar_length(texts: TextData) -> None:
    batches, rows, lengths = TextBatches(texts, CPU), texts.indices("train"), texts.texts.lengths
    epoch = batches.epoch(rows, 0, 1, 16)
    assert [len(batch) for batch in epoch] == [16] * (len(rows) // 16)
    seen = np.concatenate(epoch)
    assert len(set(seen.tolist())) == len(seen) and set(seen.tolist()) <= set(rows.tolist())
    assert all(np.array_equal(a, b) for a, b in zip(epoch, batches.epoch(rows, 0, 1, 16), strict=True))
    assert not np.array_equal(seen, np.concatenate(batches.epoch(rows, 0, 2, 16)))
    spread = np.mean([np.ptp(lengths[batch]) for batch in epoch])
    assert spread < np.ptp(lengths[rows]) / 3
    longest = [int(lengths[batch].max()) for batch in epoch]
    assert longest != sorted(longest)  # the batches themselves come in random order


def test_predictions_do_not_depend_on_order_or_company(texts: TextData, make: Make) -> None:
    model = make().train()
    rows = np.array([5, 0, 17, 5, 200])
    found = predict(model, texts, rows)
    assert model.training and found.shape == (5, 3)
    for row, logits in zip(rows, found, strict=True):
        np.testing.assert_allclose(predict(model, texts, np.array([row]))[0], logits, atol=1e-5)
    assert predict(model, texts, rows[:0]).shape == (0, 3)


def test_tokens_are_predicted_one_row_each(tagged: TextData, make: Make) -> None:
    model = make(2, task="token_classification").eval()
    rows = np.array([7, 2, 30])
    found = predict(model, tagged, rows)
    expected = [
        model(torch.tensor(tagged.texts[row][None]), torch.ones(1, len(tagged.texts[row])).long())[0] for row in rows
    ]
    np.testing.assert_allclose(found, torch.cat(expected).detach().numpy(), atol=1e-5)
    assert len(found) == len(tagged.targets(rows))
    logits, labels = scored(tagged, found, rows, None)
    assert len(logits) == len(labels) == (tagged.targets(rows) != IGNORED).sum() < len(found)


def test_learns_topics(texts: TextData, make: Make, tmp_path: Path) -> None:
    model = make()
    story = train(model, texts, settings(epochs=6), CE, seed=0, work=tmp_path, progress=QUIET)
    test = texts.indices("test")
    assert (predict(model, texts, test).argmax(1) == texts.labels[test]).mean() > 0.9
    assert story["best_validation_accuracy"] > 0.9


def test_learns_tags_with_cached_teacher_outputs(tagged: TextData, make: Make, tmp_path: Path) -> None:
    teacher = make(2, task="token_classification")
    train(teacher, tagged, settings(epochs=4), CE, seed=0, work=tmp_path / "teacher", progress=QUIET)
    section = DistillSection.model_validate({"losses": ["kl"], "train": settings().model_dump(mode="json")})
    cache = TeacherCache.write(tmp_path / "cache", teacher, tagged, section, seed=0, progress=QUIET)
    rows = tagged.indices("train")[[3, 1]]
    np.testing.assert_allclose(cache.logits(rows), predict(teacher, tagged, rows), atol=2e-3)
    student = make(2, seed=1, task="token_classification", layers=1)
    train(student, tagged, settings(epochs=4), KD, seed=0, work=tmp_path / "student", progress=QUIET, cache=cache)
    test = tagged.indices("test")
    logits, labels = scored(tagged, predict(student, tagged, test), test, None)
    assert (logits.argmax(1) == labels).mean() > 0.95


def test_cached_outputs_give_the_same_training_as_recomputed_ones(texts: TextData, make: Make, tmp_path: Path) -> None:
    teacher = make(seed=3)
    section = DistillSection.model_validate({"losses": ["kl"], "train": settings().model_dump(mode="json")})
    cache = TeacherCache.write(tmp_path / "cache", teacher, texts, section, seed=0, progress=QUIET)
    losses: list[float] = []
    for name, given in (("online", {"teacher": teacher}), ("cached", {"cache": cache})):
        story = train(make(), texts, settings(epochs=1), KD, seed=0, work=tmp_path / name, progress=QUIET, **given)
        losses.append(story["epochs"][0]["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_killed_training_ends_in_the_same_bits(texts: TextData, make: Make, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class Stops(Progress):
        """Stops after a number of steps, as a kill does; dropout makes the random stream count."""

        def track(self, items: Any, total: int, label: str) -> Any:
            for step, item in enumerate(QUIET.track(items, total, label)):
                if "epoch 2" in label and step == 4:
                    raise Killed
                yield item

    fields = {"checkpoint_every_s": 1e-6}
    whole, killed = make(), make()
    train(whole, texts, settings(**fields), CE, seed=0, work=tmp_path / "whole", progress=QUIET)
    with pytest.raises(Killed):
        train(killed, texts, settings(**fields), CE, seed=0, work=tmp_path / "killed", progress=Stops())
    again = make()
    train(again, texts, settings(**fields), CE, seed=0, work=tmp_path / "killed", progress=QUIET)
    assert weights_digest(again) == weights_digest(whole) != weights_digest(make())


def test_losses_see_the_mask_and_the_samples(texts: TextData, tagged: TextData, make: Make, tmp_path: Path) -> None:
    seen: list[Outputs] = []

    class Spy(Loss):
        needs_teacher = False

        def __call__(self, outputs: Outputs) -> torch.Tensor:
            seen.append(outputs)
            return outputs.student.square().mean()

    for data, model in ((texts, make()), (tagged, make(2, task="token_classification"))):
        train(model, data, settings(epochs=1), [Spy()], seed=0, work=tmp_path / str(len(seen)), progress=QUIET)
    for data, outputs in ((texts, seen[0]), (tagged, seen[-1])):
        assert outputs.mask is not None and outputs.samples is not None
        rows = outputs.samples.numpy()
        assert outputs.mask.sum(1).tolist() == data.texts.lengths[rows].tolist()
        assert outputs.labels.tolist() == data.targets(rows).tolist()
        assert len(outputs.student) == len(outputs.labels)


def test_embeddings_are_scored_by_the_nearest_centroid(texts: TextData, make: Make, tmp_path: Path) -> None:
    class Cosine(Loss):
        def __call__(self, outputs: Outputs) -> torch.Tensor:
            assert outputs.teacher is not None
            return 1 - (outputs.student * outputs.teacher).sum(1).mean()

    embedding = prepared_as(texts, "embedding")
    teacher, student = make(task="embedding", seed=5), make(task="embedding", layers=1)
    section = DistillSection.model_validate({"losses": ["kl"], "train": settings().model_dump(mode="json")})
    cache = TeacherCache.write(tmp_path / "cache", teacher, embedding, section, seed=0, progress=QUIET)
    assert cache.array.shape == (1, len(embedding.indices("train")), 32)
    story = train(student, embedding, settings(), [Cosine()], seed=0, work=tmp_path, progress=QUIET, cache=cache)
    rows, losses = story["epochs"], [row["train_loss"] for row in story["epochs"]]
    assert losses[-1] < losses[0] / 2 and all(row["validation_accuracy"] is not None for row in rows)
    found = predict(student, embedding, embedding.indices("train"))
    centers = centroids(found, embedding.targets(embedding.indices("train")), 3)
    for label in range(3):
        mean = found[embedding.labels[embedding.indices("train")] == label].mean(0)
        np.testing.assert_allclose(centers[label], mean / np.linalg.norm(mean), atol=1e-5)


def prepared_as(data: TextData, task: Any) -> TextData:
    from dataclasses import replace

    return replace(data, preprocess=replace(data.preprocess, task=task))


def test_other_models_are_refused(texts: TextData, make: Make, tmp_path: Path) -> None:
    def attempt(model: nn.Module) -> None:
        train(model, texts, settings(), CE, seed=0, work=tmp_path, progress=QUIET)

    with pytest.raises(ModelError, match="cannot read these texts"):
        attempt(nn.Linear(4, 3))
    with pytest.raises(ModelError, match="does not fit the data"):
        attempt(make(5))
    small = make()
    words: Any = small.get_submodule("bert.embeddings")
    words.word_embeddings = nn.Embedding(int(texts.texts.values.max()), 32)  # one token less than the texts have
    with pytest.raises(ModelError, match=r"cannot read these texts[\s\S]*out of range"):
        attempt(small)


def test_bfloat16_and_a_clipped_gradient_train_too(texts: TextData, make: Make, tmp_path: Path) -> None:
    fields = {"precision": "bfloat16", "clip_norm": 1.0, "epochs": 4}
    story = train(make(), texts, settings(**fields), CE, seed=0, work=tmp_path, progress=QUIET)
    assert story["precision"] == "bfloat16" and story["best_validation_accuracy"] > 0.8
