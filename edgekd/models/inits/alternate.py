"""Alternate layers of the teacher: Sanh et al. 2019 (DistilBERT).

    student block i <- teacher block floor(i * n_teacher / n_student)

Half the depth takes every second block; the first block, which changes the shape in a CNN stage, is always the first.
Embeddings, stem and head are copied where their shapes agree.

Sanh, Debut, Chaumond, Wolf: DistilBERT, a distilled version of BERT, section 3, https://arxiv.org/abs/1910.01108
"""

from __future__ import annotations

from collections.abc import Sequence

from edgekd.models.init import Init


class Alternate(Init):
    """Every second, or every n-th, block of the teacher."""

    def sources(self, stage: str, count: int, of: int) -> Sequence[int]:
        """The formula above."""
        return [index * of // count for index in range(count)]
