"""A dataset with image and label columns, from the Hugging Face Hub at a fixed commit or from local files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import model_validator

from edgekd.backends import need
from edgekd.data.dataset import Split
from edgekd.data.paths import locate
from edgekd.data.reader import Content, CorruptSample, Listing, Reader, Sample
from edgekd.data.trees import folder_tree
from edgekd.errors import DataError, nearest
from edgekd.recipe_path import RecipePath

# Written by `save_to_disk`: of a DatasetDict, and of a Dataset.
_SAVED = ("dataset_dict.json", "state.json")


class HuggingFace(Reader):
    """A dataset read by the `datasets` library.

    Attributes:
        path: a local folder: raw files, or written by `save_to_disk`.
        name: instead of `path`: a dataset of the Hub (`owner/name`), or, with `data_files`, what kind of files they
            are (`parquet`, `arrow`, ...).
        data_files: local files, by split name: `{train: [a.parquet], test: [b.parquet]}`.
        config: the dataset's configuration, where it has several.
        revision: full commit hash of a Hub dataset; required there, because a branch changes.
        image: name of the image column.
        label: name of the label column; null for an unlabelled set (calibration).
        train: name of the training split.
        validation: name of the validation split; null draws it.
        test: name of the test split; null draws it.
    """

    path: RecipePath | None = None
    name: str | None = None
    data_files: dict[str, list[RecipePath]] | None = None
    config: str | None = None
    revision: str | None = None
    image: str = "image"
    label: str | None = "label"
    train: str = "train"
    validation: str | None = None
    test: str | None = None

    @model_validator(mode="after")
    def _fixed_content(self) -> HuggingFace:
        if (self.path is None) == (self.name is None):
            raise ValueError(
                "give either path (a local folder) or name (a dataset of the Hub, or a kind of data_files)"
            )
        if self.data_files is not None and self.name is None:
            raise ValueError("data_files needs name: the kind of the files, e.g. parquet")
        if self.name is not None and self.data_files is None and self.revision is None:
            raise ValueError(
                "a dataset of the Hub needs revision, its full commit hash, because a branch changes; "
                "it is on the dataset's page under 'Files and versions'"
            )
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision must be a full commit hash of 40 hex digits (received '{self.revision}')")
        return self

    def open(self) -> Listing:
        """Loads the dataset; see Reader.open."""
        library = need("datasets", extra="datasets")
        library.disable_progress_bars()  # they write control characters even without a terminal
        loaded: dict[str, Any] = self._load(library)
        wanted: dict[Split, str | None] = {"train": self.train, "validation": self.validation, "test": self.test}
        parts: list[tuple[Split, Any]] = []
        for split, name in wanted.items():
            if name is None:
                continue
            if name not in loaded:
                accepted = ", ".join(loaded)
                raise DataError(
                    f"there is no split '{name}'{nearest(name, loaded)}", where=self._where(), accepted=accepted
                )
            parts.append((split, self._with_raw_images(library, loaded[name])))
        classes, labels = self._labels(library, [dataset for _, dataset in parts])
        samples = [
            Sample(f"{split}/{row:08d}", partial(_decode, dataset, self.image, row), label, split)
            for (split, dataset), of_split in zip(parts, labels, strict=True)
            for row, label in enumerate(of_split)
        ]
        return Listing(classes, samples)

    def names_parts(self) -> bool:
        """The columns and splits, of local files."""
        return self.revision is None

    def sources(self) -> list[Path]:
        """The local files; none for a Hub dataset, which its commit identifies."""
        if self.data_files is not None:
            return [path.expanduser() for split in sorted(self.data_files) for path in self.data_files[split]]
        if self.path is None:
            return []
        root = self.path.expanduser()
        if not root.is_dir():
            return [root]
        tree = folder_tree(root)
        # The one hidden file that the library reads: it can redefine the splits.
        settings = [name for name in (".huggingface.yaml",) if (root / name).is_file()]
        return [root / name for name in sorted([*tree.images, *tree.others, *settings])]

    def source_name(self, path: Path) -> str:
        """Path below the local folder: labels and splits can come from it."""
        return "" if self.path is None else path.relative_to(self.path.expanduser()).as_posix()

    def identity(self) -> dict[str, Any]:
        """Columns, splits and configuration; the name and commit of a Hub dataset; how many files a split has."""
        dumped = self.model_dump(mode="json", exclude={"path", "data_files", "licence"})
        files = None if self.data_files is None else {split: len(paths) for split, paths in self.data_files.items()}
        return {**dumped[self.method_name], "files": files}

    def _where(self) -> str:
        return str(self.path or self.name)

    def _load(self, library: Any) -> dict[str, Any]:
        # The library's cache knows local files by their modification time alone; reading them anew costs little and
        # cannot return the content of an older file.
        anew = library.DownloadMode.FORCE_REDOWNLOAD
        try:
            if self.data_files is not None:
                files = {split: [str(locate(path)) for path in paths] for split, paths in self.data_files.items()}
                return library.load_dataset(self.name, self.config, data_files=files, download_mode=anew)
            if self.path is None:
                return library.load_dataset(self.name, self.config, revision=self.revision)
            root = locate(self.path)
            if any((root / name).is_file() for name in _SAVED):
                saved: Any = library.load_from_disk(str(root))
                return saved if hasattr(saved, "keys") else {self.train: saved}
            return library.load_dataset(str(root), self.config, download_mode=anew)
        except (OSError, ValueError, RuntimeError, library.exceptions.DatasetsError) as error:
            raise DataError(f"the dataset cannot be loaded: {error}", where=self._where()) from error

    def _with_raw_images(self, library: Any, dataset: Any) -> Any:
        """The dataset with undecoded images, so that a corrupt one is found by name and not by a crash."""
        columns: list[str] = list(dataset.column_names)
        for column in (self.image, self.label):
            if column is not None and column not in columns:
                raise DataError(
                    f"there is no column '{column}'{nearest(column, columns)}",
                    where=self._where(),
                    accepted=", ".join(columns),
                )
        feature = dataset.features[self.image]
        if not isinstance(feature, library.Image) and getattr(feature, "dtype", None) != "binary":
            raise DataError(f"the column '{self.image}' holds no images", where=self._where(), received=feature)
        return dataset.cast_column(self.image, library.Image(decode=False))

    def _labels(self, library: Any, parts: Sequence[Any]) -> tuple[list[str], list[list[int | None]]]:
        """Class names, and the label of every row of every part."""
        if self.label is None:
            return [], [[None] * len(part) for part in parts]
        columns: list[list[Any]] = [list(part[self.label]) for part in parts]
        feature = parts[0].features[self.label]
        if isinstance(feature, library.ClassLabel):
            names: list[str] = list(feature.names)
            return names, [[-1 if value is None else int(value) for value in column] for column in columns]
        values = {value for column in columns for value in column}
        if not all(isinstance(value, str | int) for value in values):
            raise DataError(
                f"the column '{self.label}' holds no class labels",
                where=self._where(),
                received=feature,
                accepted="text or integers",
            )
        ordered = sorted(values)
        index = {value: position for position, value in enumerate(ordered)}
        return [str(value) for value in ordered], [[index[value] for value in column] for column in columns]


def _decode(dataset: Any, column: str, row: int) -> Content:
    from edgekd.data.decode import decode

    stored = cast("dict[str, Any] | None", dataset[row][column])
    if stored is None:
        raise CorruptSample("the row has no image")
    if stored["bytes"] is not None:
        return decode(stored["bytes"])
    try:
        return decode(Path(stored["path"]).read_bytes())
    except OSError as error:
        raise CorruptSample(f"its file cannot be read: {error.strerror}") from error
