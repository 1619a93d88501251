"""The key of prepared data: a hash of every input that can change it, and of nothing else."""

from __future__ import annotations

import hashlib
from typing import Any

from edgekd.artifact import sha256_file
from edgekd.backends import versions
from edgekd.data.paths import locate
from edgekd.data.reader import Reader
from edgekd.data.section import DataSection
from edgekd.errors import DataError
from edgekd.model_folder import file_digest


def reader_key(reader: Reader) -> dict[str, Any]:
    """What decides a source's content (JSON): its identity, and the bytes of its files under their relative names.

    Raises:
        DataError: a source file is missing or cannot be read.
    """
    reader.fetch()
    total = hashlib.sha256()
    for path in reader.sources():
        try:
            digest = sha256_file(locate(path))
        except OSError as error:
            raise DataError(f"a data file cannot be read: {error.strerror}", where=path) from error
        total.update(f"{reader.source_name(path)}\0{digest}\n".encode("utf-8", "surrogateescape"))
    return {
        "reader": reader.method_name,
        "identity": reader.identity(),
        "licence": reader.terms(),
        "sources_sha256": total.hexdigest(),
    }


def data_key(section: DataSection, seed: int) -> dict[str, Any]:
    """Everything that can change the result of `prepare` (JSON).

    A folder that moved keeps its key; a changed byte, class folder, option or seed does not. Pillow is part of it
    because its JPEG decoder and its resampling decide the pixels.

    Raises:
        DataError: a source is missing or cannot be read.
        MissingBackend: a source lives in a package that is not installed.
    """
    calibration = section.calibration
    own = None if calibration.reader is None else reader_key(calibration.reader)
    return {
        **reader_key(section.reader),
        **section.model_dump(mode="json", exclude={"reader", "calibration", "tokenizer"}),
        "tokenizer": None if section.tokenizer is None else file_digest(section.tokenizer_file()),
        "calibration": {"samples": calibration.samples, "reader": own},
        "seed": seed,
        "versions": versions("pillow", "numpy", *(["tokenizers"] if section.tokenizer else [])),
    }
