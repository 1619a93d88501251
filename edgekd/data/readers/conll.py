"""Words and their tags from a CoNLL file: one word and its tag per line, an empty line after each text.

    The     O
    card    B-ITEM

Columns are separated by spaces or tabs; lines that begin with -DOCSTART- are left out.

Tjong Kim Sang, De Meulder 2003, CoNLL-2003 Shared Task, https://arxiv.org/abs/cs/0306050
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from edgekd.data.dataset import Split
from edgekd.data.paths import locate
from edgekd.data.reader import Listing, Reader, Sample
from edgekd.errors import DataError
from edgekd.recipe_path import RecipePath

Row = tuple[int, list[str], list[str]]


class Conll(Reader):
    """Texts whose words are labelled.

    Attributes:
        path: the file, UTF-8.
        test_path: a second file with the test split; null when the test split is to be drawn.
        word: column of the word, from 0; negative ones count from the end.
        tag: column of the tag; classes are the distinct tags, sorted.
    """

    kind: ClassVar[Literal["image", "text"]] = "text"
    labels_tokens: ClassVar[bool] = True
    path: RecipePath
    test_path: RecipePath | None = None
    word: int = 0
    tag: int = -1

    def open(self) -> Listing:
        """Reads all texts; see Reader.open."""
        own, test = (None if self.test_path is None else "train"), "test"
        parts: list[tuple[Split | None, Row]] = [(own, row) for row in self._texts(self.path)]
        if self.test_path is not None:
            parts.extend((test, row) for row in self._texts(self.test_path))
        classes = sorted({tag for _, (_, _, tags) in parts for tag in tags})
        index = {name: position for position, name in enumerate(classes)}
        samples = [
            Sample(
                f"{split or 'train'}/{line:08d}",
                partial(list[str], words),
                None,
                split,
                tuple(index[tag] for tag in tags),
            )
            for split, (line, words, tags) in parts
        ]
        return Listing(classes, samples)

    def names_parts(self) -> bool:
        """The columns, by their numbers."""
        return True

    def sources(self) -> list[Path]:
        """The files."""
        return [path.expanduser() for path in (self.path, self.test_path) if path is not None]

    def identity(self) -> dict[str, Any]:
        """The columns."""
        return {"word": self.word, "tag": self.tag}

    def _texts(self, given: Path) -> Iterator[Row]:
        """`(first line, words, tags)` of every text."""
        path = locate(given)
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError("the file is not UTF-8", where=path, hint="convert it: iconv -t utf-8") from error
        except OSError as error:
            raise DataError(f"the file cannot be read: {error.strerror}", where=path) from error
        words: list[str] = []
        tags: list[str] = []
        for number, line in enumerate([*lines, ""], start=1):
            columns = line.split()
            if not columns or columns[0] == "-DOCSTART-":
                if words:
                    yield number - len(words), words, tags
                words, tags = [], []
                continue
            try:
                word, tag = columns[self.word], columns[self.tag]
            except IndexError as error:
                raise DataError(
                    "a line lacks a column", where=f"{path}:{number}", received=line, accepted="a word and its tag"
                ) from error
            if len(columns) < 2:
                raise DataError("a word has no tag", where=f"{path}:{number}", received=line)
            words.append(word)
            tags.append(tag)
