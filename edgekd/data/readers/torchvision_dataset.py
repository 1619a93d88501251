"""A classification dataset of torchvision by its class name, e.g. CIFAR10, SVHN, Flowers102."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from pydantic import Field

from edgekd.backends import versions
from edgekd.data.dataset import Split
from edgekd.data.reader import Content, CorruptSample, Listing, Reader, Sample
from edgekd.data.trees import folder_tree
from edgekd.errors import DataError, nearest
from edgekd.recipe_path import RecipePath

# Where torchvision's datasets keep their labels; those that have none of these are read once to collect them.
_LABEL_ATTRIBUTES = ("targets", "labels", "_labels", "y")
_PAIR_ATTRIBUTES = ("_samples", "samples")


class TorchvisionDataset(Reader):
    """A dataset of `torchvision.datasets` with its own train and test splits, when it has them.

    Attributes:
        name: class name, e.g. `CIFAR10`.
        root: folder of this dataset alone: all its files are hashed to notice changes. Null for FakeData.
        download: fetch it into `root` when the folder is empty or missing.
        train_split: for datasets with a `split` argument: which one to train on; null takes torchvision's default.
        test_split: for datasets with a `split` argument: which one to score on; null draws the test split.
        options: further arguments of the dataset's class.
    """

    name: str
    root: RecipePath | None = None
    download: bool = False
    train_split: str | None = None
    test_split: str | None = "test"
    options: dict[str, str | int | float | bool | list[int]] = Field(default_factory=dict)

    def open(self) -> Listing:
        """Opens the dataset, downloading it when asked to; see Reader.open."""
        found, arguments = self._class()
        parts: list[tuple[Split | None, Any]]
        if "train" in arguments:
            parts = [("train", self._build(train=True)), ("test", self._build(train=False))]
        elif "split" in arguments and "split" not in self.options:
            train = {} if self.train_split is None else {"split": self.train_split}
            parts = [("train", self._build(**train))]
            if self.test_split is not None:
                parts.append(("test", self._build(split=self.test_split)))
        else:
            parts = [(None, self._build())]
        samples: list[Sample] = []
        for split, dataset in parts:
            for row, label in enumerate(self._labels(dataset)):
                samples.append(Sample(f"{split or 'all'}/{row:08d}", partial(_load, dataset, row), label, split))
        return Listing(_class_names(found, parts[0][1], samples), samples)

    def fetch(self) -> None:
        """Downloads the dataset when that is asked for and `root` is empty or missing."""
        if self.download and self.root is not None:
            root = self.root.expanduser()
            if not (root.is_dir() and any(root.iterdir())):
                self.open()

    def sources(self) -> list[Path]:
        """Every file below `root`."""
        if self.root is None:
            return []
        root = self.root.expanduser()
        if not root.is_dir():
            return [] if self.download else [root]
        tree = folder_tree(root)
        return [root / name for name in sorted([*tree.images, *tree.others])]

    def source_name(self, path: Path) -> str:
        """Path below `root`: some datasets take labels from folder names."""
        return path.relative_to((self.root or Path()).expanduser()).as_posix()

    def identity(self) -> dict[str, Any]:
        """Name, splits, options, and torchvision's version, whose code reads the files."""
        fields = self.model_dump(mode="json", include={"name", "train_split", "test_split", "options"})
        return {**fields[self.method_name], **versions("torchvision")}

    def _class(self) -> tuple[type[Any], set[str]]:
        """The dataset's class and the names of its constructor's arguments."""
        from torchvision import datasets

        names: list[str] = list(datasets.__all__)
        if self.name not in names:
            raise DataError(
                f"torchvision has no dataset '{self.name}'{nearest(self.name, names)}", where="torchvision.datasets"
            )
        found: type[Any] = getattr(datasets, self.name)
        arguments = _arguments(found)
        unknown = sorted(set(self.options) - arguments)
        if unknown:
            accepted = ", ".join(sorted(arguments - {"root", "download", "transform", "target_transform"}))
            raise DataError(
                f"{self.name} does not take '{unknown[0]}'{nearest(unknown[0], arguments)}",
                where=f"torchvision.datasets.{self.name}",
                accepted=accepted,
            )
        return found, arguments

    def _build(self, **split: Any) -> Any:
        found, arguments = self._class()
        given: dict[str, Any] = {**self.options, **split}
        if "root" in arguments:
            if self.root is None:
                raise DataError(f"{self.name} needs a root folder", where="torchvision_dataset.root")
            given["root"] = str(self.root.expanduser())
        if "download" in arguments:
            given["download"] = self.download
        try:
            return found(**given)
        except (RuntimeError, OSError, ValueError, TypeError) as error:
            hint = "set download: true to fetch it" if "download" in arguments and not self.download else None
            raise DataError(
                f"{self.name} cannot be opened: {error}",
                where=self.root or self.name,
                received=split or None,
                hint=hint,
            ) from error

    def _labels(self, dataset: Any) -> list[int]:
        raw = next((getattr(dataset, name) for name in _LABEL_ATTRIBUTES if hasattr(dataset, name)), None)
        pairs = next((getattr(dataset, name) for name in _PAIR_ATTRIBUTES if hasattr(dataset, name)), None)
        if raw is None:
            raw = [pair[1] for pair in pairs] if pairs is not None else _read_labels(dataset, self.name)
        labels: list[int] = []
        for value in raw:
            plain = value.item() if getattr(value, "ndim", None) == 0 else value
            if isinstance(plain, bool) or not isinstance(plain, int):
                raise DataError(
                    f"{self.name} is no classification dataset",
                    where=f"torchvision.datasets.{self.name}",
                    received=f"a label of type {type(plain).__name__}",
                    accepted="one class index per image",
                )
            labels.append(plain)
        return labels


def _read_labels(dataset: Any, name: str) -> list[Any]:
    """The labels of a dataset that gives them only together with the decoded image."""
    from edgekd.data.decode import BROKEN

    labels: list[Any] = []
    for row in range(len(dataset)):
        try:
            labels.append(dataset[row][1])
        except BROKEN as error:
            raise DataError(f"an image of {name} cannot be decoded: {error}", where=f"row {row}") from error
    return labels


def _arguments(found: type[Any]) -> set[str]:
    """Names of the constructor's arguments; those of base classes too where it passes `**kwargs` on."""
    names: set[str] = set()
    for base in found.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {entry.name for entry in parameters if entry.kind is not inspect.Parameter.VAR_KEYWORD}
        if all(entry.kind is not inspect.Parameter.VAR_KEYWORD for entry in parameters):
            break
    return names - {"self"}


def _class_names(found: type[Any], dataset: Any, samples: Sequence[Sample]) -> list[str]:
    count = 1 + max((sample.label or 0 for sample in samples), default=-1)
    names: object = getattr(dataset, "classes", None) or getattr(found, "classes", None)
    if isinstance(names, list | tuple) and len(cast(Sequence[object], names)) >= count:
        return [str(name) for name in cast(Sequence[object], names)]
    return [str(label) for label in range(count)]


def _load(dataset: Any, row: int) -> Content:
    from edgekd.data.decode import BROKEN

    try:
        return dataset[row][0]
    except BROKEN as error:
        raise CorruptSample(str(error) or type(error).__name__) from error
