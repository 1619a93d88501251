"""Drawing a stratified sample that avoids the test split: pure selection, no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekd.data.prepared import digest

# Third element of the seed, so that this stream is none of the split's, which are [seed, class].
_STREAM = 1


@dataclass(frozen=True)
class Candidate:
    """One sample that may enter the set.

    Attributes:
        load: its prepared pixels `(H, W, C)` or token ids; None when it is corrupt.
        label: class index, or None when the source is unlabelled or has other classes.
    """

    load: Callable[[], NDArray[Any] | None]
    label: int | None


@dataclass
class Drawn:
    """A set as drawn.

    Attributes:
        samples: prepared pixels `(H, W, C)` or token ids, each.
        labels: class index of each, or None.
        overlap_removed: candidates met and left out because the same pixels or tokens are in the test split.
    """

    samples: list[NDArray[Any]] = field(default_factory=list[NDArray[Any]])
    labels: list[int | None] = field(default_factory=list[int | None])
    overlap_removed: int = 0


def draw(candidates: Sequence[Candidate], samples: int, test_digests: set[bytes], seed: int) -> Drawn:
    """Draws a set, stratified by class, in an order that mixes the classes.

    A candidate whose pixels or tokens are in the test split, or that is corrupt, is replaced by the next of its class.

    Args:
        candidates: in an order that does not depend on the disk.
        samples: how many are wanted.
        test_digests: digests of the test split.
        seed: decides the draw.
    """
    groups: dict[int | None, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.label, []).append(candidate)
    labels = sorted(groups, key=lambda label: -1 if label is None else label)
    random = np.random.default_rng([seed, 0, _STREAM])
    shares = quotas([len(groups[label]) for label in labels], samples, random)
    drawn = Drawn()
    for label, share in zip(labels, shares, strict=True):
        order: list[int] = random.permutation(len(groups[label])).tolist()
        taken = _take((groups[label][index] for index in order), int(share), test_digests, drawn)
        drawn.samples.extend(taken)
        drawn.labels.extend([label] * len(taken))
    mixed = random.permutation(len(drawn.samples))
    drawn.samples = [drawn.samples[index] for index in mixed]
    drawn.labels = [drawn.labels[index] for index in mixed]
    return drawn


def _take(candidates: Iterator[Candidate], share: int, test: set[bytes], drawn: Drawn) -> list[NDArray[Any]]:
    taken: list[NDArray[Any]] = []
    while len(taken) < share:
        candidate = next(candidates, None)
        if candidate is None:
            break
        sample = candidate.load()
        if sample is None:
            continue
        if digest(sample) in test:
            drawn.overlap_removed += 1
        else:
            taken.append(sample)
    return taken


def quotas(sizes: Sequence[int], samples: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How many to take of each group: in proportion to its size, at least 1 each as far as `samples` reaches.

    Args:
        sizes: number of candidates of each group, all above 0.
        samples: how many are wanted in all; all are given when there are fewer.
        random: chooses the groups that are covered when there are fewer samples than groups.
    """
    total = np.asarray(sizes, dtype=np.int64)
    samples = min(samples, int(total.sum()))
    if samples < len(total):
        chosen = np.zeros(len(total), dtype=np.int64)
        chosen[random.permutation(len(total))[:samples]] = 1
        return chosen
    exact = samples * total / total.sum()
    shares = np.maximum(1, np.floor(exact)).astype(np.int64)
    while shares.sum() != samples:
        step = 1 if shares.sum() < samples else -1
        movable = shares < total if step > 0 else shares > 1
        lag = np.where(movable, step * (exact - shares), -np.inf)
        shares[int(np.argmax(lag))] += step
    return shares
