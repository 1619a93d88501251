"""Chosen layers of the teacher: Sajjad et al. 2020.

    student block i <- teacher block blocks[i]

Which blocks to keep is the recipe's choice: `[0, 1, 2]` drops the top, `[0, 3, 5]` keeps both ends.

Sajjad, Dalvi, Durrani, Nakov: On the Effect of Dropping Layers of Pre-trained Transformer Models,
https://arxiv.org/abs/2004.03844
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from edgekd.errors import ModelError, nearest
from edgekd.models.init import Init

Blocks = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class Subset(Init):
    """Explicitly chosen blocks of the teacher.

    Attributes:
        blocks_of: number of the teacher's block, from 0, for each student block: one list for every sequence of blocks
            that is shorter in the student,
            or a list per sequence, as in `{layer1: [0, 4, 8]}`.
    """

    blocks: Blocks | dict[str, Blocks]

    def check(self, stages: Mapping[str, tuple[int, int]]) -> None:
        """Refuses names, counts and numbers that these networks do not have."""
        known = ", ".join(f"{stage} ({count} blocks, {of} in the teacher)" for stage, (count, of) in stages.items())
        unknown = [stage for stage in self.blocks if stage not in stages] if isinstance(self.blocks, dict) else []
        wrong = [f"there is no sequence of blocks '{stage}'{nearest(stage, stages)}" for stage in unknown]
        for stage, (count, of) in stages.items():
            chosen = self.sources(stage, count, of)
            if len(chosen) != count or max(chosen) >= of:
                wrong.append(f"{list(chosen)} for the {count} student blocks of '{stage}'")
        if wrong or not stages:
            raise ModelError(
                "the chosen blocks do not fit the networks",
                where="student.init.subset.blocks",
                received="; ".join(wrong) or "networks without numbered blocks",
                accepted=f"one teacher block for each student block: {known or 'none'}",
            )

    def sources(self, stage: str, count: int, of: int) -> Sequence[int]:
        """The recipe's list; all blocks, in order, of a sequence that the list does not speak of."""
        if isinstance(self.blocks, dict):
            return self.blocks.get(stage, range(count))
        return self.blocks if len(self.blocks) == count or count != of else range(count)
