"""Teacher outputs on disk: float16 logits (or embeddings) of every training sample, computed once.

Where tokens are classified a sample has one row per token, and `counts` says how many.

With augmentation the teacher sees a fixed number of variants ("crops") of each sample; in epoch e the student trains on
variant `e mod crops`, which is pixel for pixel what the teacher saw, because the augmentation is a pure function of
(seed, variant, sample).

Writing goes on where a killed attempt stopped: rows are filled chunk by chunk in a fixed order, and a chunk counts once
its bytes are on disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekd.data.dataset import Dataset
from edgekd.data.ragged import spans
from edgekd.distill.batches import batches_of
from edgekd.distill.digest import data_digest, weights_digest
from edgekd.distill.inference import logits_of, probe, width_of
from edgekd.distill.precision import training_device
from edgekd.distill.settings import Augment
from edgekd.distill.teacher import freeze
from edgekd.errors import ModelError, StoreError
from edgekd.models.modules import place
from edgekd.progress import Progress
from edgekd.store import write_atomically

if TYPE_CHECKING:
    from edgekd.distill.section import DistillSection

LOGITS = "logits.npy"
SAMPLES = "samples.npy"
FACTS = "cache.json"
RESUME = "resume-cache.json"
BATCH = 256
CHUNK = 8 * BATCH


@dataclass(frozen=True)
class TeacherCache:
    """Memory-mapped teacher logits.

    Attributes:
        array: `(crops, rows, K)` float16.
        samples: `(N,)` int64, the sample indices, sorted.
        counts: `(N,)` int64, rows of each sample: 1, or its tokens.
        facts: what was cached: crops, augmentation, seed, teacher and data digests.
    """

    array: NDArray[np.float16]
    samples: NDArray[np.int64]
    counts: NDArray[np.int64]
    facts: dict[str, Any]

    @property
    def crops(self) -> int:
        """Variants per sample."""
        return self.array.shape[0]

    @property
    def width(self) -> int:
        """Values per row: classes, or the length of an embedding."""
        return self.array.shape[2]

    def logits(self, indices: NDArray[np.int64], variant: int = 0) -> NDArray[np.float32]:
        """`(B, K)` float32 logits of these samples' rows in variant `variant mod crops`."""
        places = np.searchsorted(self.samples, indices)
        rows = spans((np.cumsum(self.counts) - self.counts)[places], self.counts[places])
        return self.array[variant % self.crops, rows].astype(np.float32)

    def check(self, augment: Augment, seed: int, train: NDArray[np.int64], classes: int) -> None:
        """Refuses a cache that was made for other pixels.

        Raises:
            ModelError: augmentation, seed, samples or number of classes differ.
        """
        wanted = {"augment": augment.model_dump(mode="json"), "classes": classes}
        if augment:
            wanted["seed"] = seed
        differing = [name for name, value in wanted.items() if self.facts[name] != value]
        if not np.array_equal(self.samples, train):
            differing.append("samples")
        if differing:
            raise ModelError(
                "the cached teacher outputs belong to other inputs",
                received=", ".join(f"{name}: {self.facts.get(name, 'others')}" for name in differing),
                accepted=", ".join(f"{name}: {wanted.get(name, 'the training split')}" for name in differing),
            )

    @classmethod
    def open(cls, folder: Path) -> TeacherCache:
        """Opens a finished cache without reading it.

        Raises:
            StoreError: there is none, or it was not finished.
        """
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            array = np.load(folder / LOGITS, mmap_mode="r")
            samples, counts = np.load(folder / SAMPLES)
        except (OSError, ValueError) as error:
            raise StoreError("there is no finished cache of teacher outputs", where=folder, received=error) from error
        return cls(array, samples, counts, facts)

    @classmethod
    def write(
        cls,
        folder: Path,
        teacher: nn.Module,
        data: Dataset,
        section: DistillSection,
        *,
        seed: int,
        progress: Progress,
    ) -> TeacherCache:
        """Computes the teacher's logits on the training split, going on where a killed attempt stopped.

        Args:
            folder: created when it does not exist.
            teacher: frozen here, in place.
            data: the prepared samples.
            section: its augmentation and number of crops are cached; `recomputed` counts as one crop.
            seed: of the training.
            progress: where progress is shown.

        Raises:
            ModelError: the outputs do not fit the data, or leave the range of float16.
        """
        folder.mkdir(parents=True, exist_ok=True)
        augment, crops = section.train.augment, section.cached_crops() or 1
        samples = data.indices("train")
        facts = {
            "crops": crops,
            "augment": augment.model_dump(mode="json"),
            "seed": seed,
            "classes": len(data.classes),
            "teacher": weights_digest(teacher),
            "data": data_digest(data),
        }
        device = training_device()
        place(freeze(teacher), device, channels_last=True)
        batches = batches_of(data, device, augment, seed)
        width = probe(teacher, batches, samples, width_of(data), "teacher")
        counts = batches.counts(samples)
        ends = np.concatenate([[0], np.cumsum(counts)])
        done = _chunks_done(folder, facts)
        shape = (crops, int(ends[-1]), width)
        array = cast(Any, np.lib.format).open_memmap(folder / LOGITS, "r+" if done else "w+", np.float16, shape)
        chunks = [(crop, start) for crop in range(crops) for start in range(0, len(samples), CHUNK)][done:]
        for crop, start in progress.track(chunks, len(chunks), "teacher outputs"):
            rows = samples[start : start + CHUNK]
            array[crop, ends[start] : ends[start + len(rows)]] = _float16(
                logits_of(teacher, batches, rows, width, batch_size=BATCH, variant=crop)
            )
            array.flush()
            done += 1
            write_atomically(folder / RESUME, json.dumps({**facts, "chunks": done}))
        place(teacher, torch.device("cpu"), channels_last=False)
        del array
        np.save(folder / SAMPLES, np.stack([samples, counts]))
        write_atomically(folder / FACTS, json.dumps(facts))
        (folder / RESUME).unlink(missing_ok=True)
        return cls.open(folder)


def _chunks_done(folder: Path, facts: dict[str, Any]) -> int:
    """Chunks that an earlier attempt at the same cache finished."""
    try:
        record = json.loads((folder / RESUME).read_text(encoding="utf-8"))
        chunks = int(record.pop("chunks"))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return 0  # none, or one that nothing can be made of
    return chunks if record == facts and (folder / LOGITS).is_file() else 0


def _float16(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = float(np.abs(logits).max(initial=0.0))
    if not largest <= float(np.finfo(np.float16).max):
        raise ModelError(
            "the teacher's outputs cannot be cached in float16",
            received=f"a logit of magnitude {largest:g}",
            accepted="finite logits up to 65504",
            hint="use teacher_outputs: recomputed, or a teacher that is trained",
        )
    return logits.astype(np.float16)
