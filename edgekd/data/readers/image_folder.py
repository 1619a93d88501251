"""Image files in class folders, in a folder or a zip, with train/, test/ and validation/ above them or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import field_validator

from edgekd.data.layout import ACCEPTED, detect
from edgekd.data.paths import locate
from edgekd.data.reader import Listing, Reader, Sample
from edgekd.data.trees import folder_tree, zip_tree
from edgekd.errors import DataError
from edgekd.recipe_path import RecipePath

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageFolder(Reader):
    """Class folders of images.

    Accepted: `<class>/<image>`, `train/<class>/<image>` with `test/` and `val/` or `validation/` beside it, either of
    them below one wrapping folder, or images alone (unlabelled: for calibration).

    Attributes:
        path: a folder or a .zip.
        class_names: folder names in label order, where a checkpoint expects another order than the sorted one.
    """

    parallel: ClassVar[bool] = True
    path: RecipePath
    class_names: list[str] | None = None

    @field_validator("class_names")
    @classmethod
    def _unique(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) != len(value):
            twice = sorted({name for name in value if value.count(name) > 1})
            raise ValueError(f"names each class once (twice: {', '.join(twice)})")
        return value

    def open(self) -> Listing:
        """Lists the images; see Reader.open."""
        root = locate(self.path)
        tree = folder_tree(root) if root.is_dir() else zip_tree(root)
        names = list(tree.images)
        if not names:
            raise DataError(
                "there are no images", where=root, received=f"{len(tree.others)} other files", accepted=ACCEPTED
            )
        folders = [tuple(name.split("/")) for name in tree.folders]
        layout = detect([tuple(name.split("/")) for name in names], folders, self.class_names, root)
        samples = [
            Sample(name, partial(_decode, tree.images[name]), label, split)
            for name, label, split in zip(names, layout.labels, layout.splits, strict=True)
        ]
        return Listing(layout.classes, samples, _about_others(tree.others))

    def names_parts(self) -> bool:
        """The classes, where their order is given."""
        return self.class_names is not None

    def sources(self) -> list[Path]:
        """The zip, or every image of the folder."""
        root = self.path.expanduser()
        return [root / name for name in folder_tree(root).images] if root.is_dir() else [root]

    def source_name(self, path: Path) -> str:
        """Path below the folder: labels and splits come from it. A zip's own name does not matter."""
        root = self.path.expanduser()
        return path.relative_to(root).as_posix() if root.is_dir() else ""

    def identity(self) -> dict[str, Any]:
        """The label order, and whether it is a folder or a zip."""
        return {"class_names": self.class_names, "container": "folder" if self.path.expanduser().is_dir() else "zip"}

    def place(self, origin: str) -> str:
        """The file's path, or `archive.zip!member`."""
        return f"{self.path}{'/' if self.path.expanduser().is_dir() else '!'}{origin}"


def _decode(read: Callable[[], bytes]) -> Image:
    from edgekd.data.decode import decode

    return decode(read())


def _about_others(others: list[str]) -> list[str]:
    if not others:
        return []
    shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return [f"{len(others)} files are no images by their suffix and were left out: {shown}"]
