"""Step: decode the data once."""

from __future__ import annotations

from dataclasses import dataclass

from edgekd.backends import versions
from edgekd.data import DataSection, data_key, prepare
from edgekd.data.arrays import ImageData
from edgekd.steps.context import Context
from edgekd.store import Entry, key_of, source_digest


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

    def open(self) -> ImageData:
        """Memory-maps the arrays."""
        return ImageData.load(self.entry.folder)


def prepare_data(context: Context, section: DataSection | None = None) -> PreparedData:
    """Images, by default the recipe's: decoded, split, with their calibration set."""
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
    seen = {name: entry.files[name] for name in ("images.npy", "labels.npy", "split.npy")}
    digest = key_of({**seen, "classes": facts["classes"], "preprocess": facts["preprocess"]})
    return PreparedData(entry, digest, entry.files["calibration.npy"])
