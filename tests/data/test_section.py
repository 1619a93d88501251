from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgekd.data import DataSection

READER = {"image_folder": {"path": "somewhere"}}


def parse(**fields: object) -> DataSection:
    return DataSection.model_validate({"reader": READER, "size": [32, 16], **fields})


def test_defaults_and_recipe_form_round_trip() -> None:
    section = parse(calibration={"samples": 8, "reader": "mnist5k"})
    assert (section.validation, section.test, section.channels, section.on_corrupt) == (0.1, 0.2, 3, "refuse")
    dumped = section.model_dump(mode="json")
    assert dumped["reader"] == {"image_folder": {"licence": None, "path": "somewhere", "class_names": None}}
    assert DataSection.model_validate(dumped) == section


def test_one_number_is_a_square() -> None:
    assert parse(size=24).size == (24, 24)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"validation": 10}, "for 10 percent write 0.1"),
        ({"test": 0}, "between 0 and 1"),
        ({"test": 1.0}, "between 0 and 1"),
        ({"size": [0, 4]}, "greater than or equal to 1"),
        ({"channels": 4}, "1 or 3"),
        ({"normalize": "imagenet"}, "'auto', or a mapping"),
        ({"normalize": {"mean": [127, 127, 127], "std": [0.2, 0.2, 0.2]}}, "divide 0..255 values by 255"),
        ({"normalize": {"mean": [0.5], "std": [0.5]}}, "normalize.mean has 1 values for channels: 3"),
        ({"normalize": {"mean": [0.5] * 3, "std": [0.5, 0.5, 0]}}, "above 0"),
        ({"on_corrupt": "ignore"}, "'refuse' or 'skip'"),
        ({"calibration": {"samples": 0}}, "greater than or equal to 1"),
        ({"reader": "image_foldr"}, "did you mean 'image_folder'"),
        ({"reader": {"image_folder": {"path": "x", "class_names": ["a", "b", "a"]}}}, "twice: a"),
        ({"validaton": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_mistakes_are_explained(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=None) as caught:
        parse(**fields)
    assert said in str(caught.value)
