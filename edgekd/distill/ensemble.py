"""Several teachers (multi-teacher, CA-MKD) read as one: a weighted mean of their logits, sample by sample.

With logits z_m of M teachers and shares w_m >= 0 that sum to 1:

    z = sum_m w_m * z_m

softmax(z / T) is the normalised geometric mean of the teachers' softmax(z_m / T), at every temperature T at once: one
of the two means that Hinton et al. 2015 name for ensembles (https://arxiv.org/abs/1503.02531), and the one that leaves
logits that every loss can read at its own temperature. The shares are given, or follow each teacher's confidence in the
label y (`confidence`), with c_m = -log softmax(z_m)_y:

    w_m = (1 - exp(c_m) / sum_j exp(c_j)) / (M - 1)            w_m = 1 / M without a label

Zhang, Chen, Wang 2022, CA-MKD, https://arxiv.org/abs/2201.00007: its weights, where the paper weighs the divergences
from the single teachers by them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekd.distill.loss import IGNORED

if TYPE_CHECKING:
    from edgekd.distill.settings import Augment
    from edgekd.distill.teacher_cache import TeacherCache


def mixed(logits: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """`(M, B, K)` logits and `(M,)` or `(M, B)` shares to `(B, K)` logits of the ensemble."""
    wide = shares[:, None, None] if shares.ndim == 1 else shares[:, :, None]
    return (wide * logits).sum(axis=0)


def shares_of(weights: Sequence[float]) -> NDArray[np.float32]:
    """`(M,)` shares in proportion to the weights."""
    return (np.asarray(weights, np.float64) / sum(weights)).astype(np.float32)


def confidence(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """`(M, B)` shares of `(M, B, K)` logits: a teacher counts less where it is wrong; M at least 2.

    All count the same where the label `(B,)` is `IGNORED`.
    """
    known = labels != IGNORED
    wide = logits.astype(np.float64)
    top = wide.max(axis=2)
    own = np.take_along_axis(wide, np.where(known, labels, 0)[None, :, None], axis=2)[:, :, 0]
    cross_entropy = top + np.log(np.exp(wide - top[:, :, None]).sum(axis=2)) - own  # (M, B)
    relative = np.exp(cross_entropy - cross_entropy.max(axis=0))
    shares = (1 - relative / relative.sum(axis=0)) / (len(logits) - 1)
    return np.where(known, shares, 1 / len(logits)).astype(np.float32)


@dataclass(frozen=True)
class EnsembleCache:
    """The cached outputs of several teachers, read like those of one.

    Attributes:
        members: one cache per teacher, of the same samples and crops.
        shares: `(M,)`, or `(M, N)` for each sample of the data set; None: by confidence in the labels.
        labels: `(N,)` of the whole data set.
    """

    members: Sequence[TeacherCache]
    shares: NDArray[np.float32] | None
    labels: NDArray[np.int64]

    @property
    def crops(self) -> int:
        """Variants per sample."""
        return self.members[0].crops

    @property
    def width(self) -> int:
        """Number of classes."""
        return self.members[0].width

    @property
    def facts(self) -> dict[str, Any]:
        """What was cached, and how it is mixed."""
        shares = None if self.shares is None else hashlib.sha256(self.shares.tobytes()).hexdigest()
        return {"members": [member.facts for member in self.members], "shares": shares}

    def logits(self, indices: NDArray[np.int64], variant: int = 0) -> NDArray[np.float32]:
        """`(B, K)` float32 logits of the ensemble for these samples in variant `variant mod crops`."""
        each = np.stack([member.logits(indices, variant) for member in self.members])  # (M, B, K)
        if self.shares is None:
            return mixed(each, confidence(each, self.labels[indices]))
        return mixed(each, self.shares if self.shares.ndim == 1 else self.shares[:, indices])

    def check(self, augment: Augment, seed: int, train: NDArray[np.int64], classes: int) -> None:
        """See `TeacherCache.check`."""
        for member in self.members:
            member.check(augment, seed, train, classes)
