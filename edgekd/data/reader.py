"""Reader: the contract of a data source. One file of `edgekd/data/readers/` each.

A reader lists its samples without decoding them; each sample decodes itself when asked. So the data can be sorted,
split and counted first, and then streamed once in bounded memory, whatever the order on the disk.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekd.data.dataset import Split
from edgekd.family import Family, Method

if TYPE_CHECKING:
    from PIL import Image

Content: TypeAlias = "Image.Image | NDArray[np.uint8] | str | list[str]"


class CorruptSample(Exception):
    """One sample cannot be decoded; its message is the reason. Never reaches the user as it is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, not decoded yet.

    Attributes:
        origin: where it is within its source, e.g. `train/cat/0001.jpg`: unique, and free of the source's own path.
        load: decodes it: a PIL image, a uint8 array `(H, W)` or `(H, W, C)`, a text, or the words of a text; raises
            CorruptSample.
        label: index into the classes, or None for an unlabelled sample.
        split: the split that the source itself puts it in, or None.
        tags: index into the classes of each word, where the source labels words.
    """

    origin: str
    load: Callable[[], Content]
    label: int | None = None
    split: Split | None = None
    tags: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source holds.

    Attributes:
        classes: class names in label order; empty when the source is unlabelled.
        samples: every sample, not decoded.
        warnings: what the user should know about the source, e.g. files that are no images.
    """

    classes: list[str]
    samples: Sequence[Sample]
    warnings: list[str] = field(default_factory=list[str])


class Reader(Method):
    """A data source.

    Attributes:
        licence: licence of the data, an SPDX identifier or a sentence; goes into the manifests of what is made from it.
        kind: what its samples are.
        labels_tokens: it labels the words of a text, not the text as a whole.
        parallel: samples may be loaded from several threads at once.
    """

    licence: str | None = None
    kind: ClassVar[Literal["image", "text"]] = "image"
    labels_tokens: ClassVar[bool] = False
    parallel: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> Listing:
        """Lists the samples.

        Raises:
            DataError: the source is missing, unreadable as a whole, or inconsistent.
            MissingBackend: the package that reads it is not installed.
        """

    @abstractmethod
    def sources(self) -> list[Path]:
        """The files whose bytes decide the content, in a fixed order; empty when `identity` alone decides it.

        A path that does not exist is given as it is: the caller finds it missing.
        """

    def names_parts(self) -> bool:
        """Whether a recipe names columns, classes or splits of it that `open` looks up in seconds, fetching nothing."""
        return False

    def fetch(self) -> None:
        """Brings a remote source onto this machine, when the recipe asks for it; runs before `sources` are hashed."""

    def identity(self) -> dict[str, Any]:
        """Everything else that decides the content (JSON): options and versions; never a path or a date."""
        return {}

    def source_name(self, path: Path) -> str:
        """The part of a source file's path that decides the content: none, unless labels come from folder names."""
        return ""

    def terms(self) -> str | None:
        """The licence of the data: the recipe's word, or what the source itself says."""
        return self.licence

    def place(self, origin: str) -> str:
        """A sample's origin as the user can find it, for messages."""
        return f"{self.method_name}:{origin}"


READERS = Family("edgekd.data.readers", Reader)
