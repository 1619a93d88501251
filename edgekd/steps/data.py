"""Step: decode the data once."""

from __future__ import annotations

from dataclasses import dataclass

from edgekd.backends import versions
from edgekd.data import DataSection, data_key, prepare
from edgekd.data.dataset import Dataset, load_data
from edgekd.steps.context import Context
from edgekd.store import Entry, key_of, source_digest

READING = ("edgekd.data.ragged", "edgekd.data.texts")
"""The code that makes a network's inputs of stored tokens: part of the key of whatever reads them."""


@dataclass(frozen=True)
class PreparedData:
    """The data entry with the digests that later steps depend on.

    Attributes:
        entry: the stored arrays.
        digest: of what training and evaluation see: images, labels, split, classes, normalisation.
        calibration_digest: of the calibration set alone, so that changing it retrains nothing.
    """

    entry: Entry
    digest: str
    calibration_digest: str

    def open(self) -> Dataset:
        """Memory-maps the arrays."""
        return load_data(self.entry.folder)


def prepare_data(context: Context, section: DataSection | None = None) -> PreparedData:
    """Samples, by default the recipe's: decoded or tokenised, split, with their calibration set."""
    recipe, section = context.recipe, section or context.recipe.data
    inputs = {
        "data": data_key(section, recipe.seed),
        "code": source_digest("edgekd.data"),
        "versions": versions("numpy", "pillow"),
    }
    return seen_data(
        context.store.get("data", inputs, lambda folder: prepare(section, recipe.seed, folder, context.progress))
    )


def seen_data(entry: Entry) -> PreparedData:
    """The entry with its digests."""
    facts = entry.info
    calibration = {name: value for name, value in entry.files.items() if name.startswith("calibration")}
    seen = {name: value for name, value in entry.files.items() if name not in calibration and name != "data.json"}
    digest = key_of({**seen, "classes": facts["classes"], "preprocess": facts["preprocess"]})
    return PreparedData(entry, digest, key_of(calibration))
