"""Cross-entropy with the hard labels, smoothed or not: Szegedy et al. 2015.

With q = softmax(z), K classes and smoothing e, the target puts 1 - e on the label y and spreads e evenly:

    loss = mean over the batch of  -(1 - e) * log q_y  -  e / K * sum_k log q_k

The mean is over the samples that have a label; where none has (all are -100), the loss is 0.

Label smoothing: Szegedy et al. 2015, https://arxiv.org/abs/1512.00567, section 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from edgekd.distill.loss import IGNORED, Loss, Outputs

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss):
    """Cross-entropy between the student and the labels, smoothed or not: Szegedy et al. 2015.

    Attributes:
        label_smoothing: share of the target that is spread over all classes.
    """

    compares_classes: ClassVar[bool] = True
    learns_labels: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import cross_entropy

        total = cross_entropy(
            outputs.student,
            outputs.labels,
            label_smoothing=self.label_smoothing,
            ignore_index=IGNORED,
            reduction="sum",
        )
        return total / (outputs.labels != IGNORED).sum().clamp(min=1)
