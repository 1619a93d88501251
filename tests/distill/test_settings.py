"""Training settings: defaults and keys."""

from __future__ import annotations

from edgekd.distill import TrainSettings


def test_the_key_holds_everything_but_the_checkpoint_interval() -> None:
    base = TrainSettings()
    assert base.model_copy(update={"checkpoint_every_s": 1.0}).key() == base.key()
    assert base.model_copy(update={"epochs": 11}).key() != base.key()
    assert set(base.key()) == set(TrainSettings.model_fields) - {"checkpoint_every_s"}
    assert base.key()["optimizer"] == {"sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}}


def test_an_augmentation_is_true_when_it_changes_anything() -> None:
    settings = TrainSettings.model_validate({"augment": {"flip": True}})
    assert settings.augment and not TrainSettings().augment
