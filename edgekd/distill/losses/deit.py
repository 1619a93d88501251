"""DeiT, a distillation token of vision transformers, with a head of its own: Touvron et al. 2021.

The student has two heads: z on the class token, learning from the labels y, and z_d on the distillation token, learning
from the teacher's logits t:

    hard:  loss = (1 - alpha) * CE(z, y) + alpha * CE(z_d, argmax t)
    soft:  loss = (1 - alpha) * CE(z, y) + alpha * T^2 * mean over the batch of KL(softmax(t / T) || softmax(z_d / T))

alpha = 1/2 for `hard` (the paper's choice); its soft variant has alpha = 0.1 and T = 3. At inference the two heads are
averaged, which is what timm's distilled transformers (`deit_tiny_distilled_patch16_224`, ...) put out, in training too
unless their `distilled_training` is set. So this loss holds the cross-entropy with the labels: no `ce` beside it.

Touvron et al. 2021, Training data-efficient image transformers & distillation through attention,
https://arxiv.org/abs/2012.12877, equations 2 and 3
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from edgekd.distill.loss import IGNORED, Loss, Outputs, Shapes
from edgekd.distill.ramp import Temperature, value_at
from edgekd.distill.require import teacher_logits
from edgekd.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


class Deit(Loss):
    """A head for the labels and one for the teacher, averaged at inference: Touvron et al. 2021.

    Attributes:
        variant: `hard` learns the teacher's class, `soft` its probabilities.
        alpha: share of the distillation head's term.
        temperature: softens both distributions of the soft variant.
        head: the student's module that puts out the class token's logits.
        head_dist: the student's module that puts out the distillation token's logits.
    """

    compares_classes: ClassVar[bool] = True
    learns_labels: ClassVar[bool] = True
    variant: Literal["hard", "soft"] = "hard"
    alpha: float = Field(default=0.5, ge=0, le=1)
    temperature: Temperature = 3.0
    head: str = "head"
    head_dist: str = "head_dist"

    def softening(self) -> Temperature | None:
        """The temperature of the soft variant; the hard one has none."""
        return self.temperature if self.variant == "soft" else None

    def taps(self) -> tuple[list[str], list[str]]:
        """The two heads of the student; the teacher is asked for its logits only."""
        return [self.head, self.head_dist], []

    def build(self, shapes: Shapes) -> None:
        """Nothing to learn; checks that the heads classify."""
        for name in (self.head, self.head_dist):
            if shapes.student[name][1:] != (shapes.classes,):
                raise ModelError(
                    "the loss 'deit' needs a student with two heads that classify",
                    where=name,
                    received=shapes.student[name],
                    accepted=f"(B, {shapes.classes}), as of timm's deit_*_distilled_* models",
                )

    def __call__(self, outputs: Outputs) -> Tensor:
        """The formula above."""
        from torch.nn.functional import cross_entropy, kl_div, log_softmax

        temperature = value_at(self.temperature, outputs.progress)
        teacher = teacher_logits(outputs, "deit")
        head, head_dist = outputs.student_taps[self.head], outputs.student_taps[self.head_dist]  # (B, K)
        labelled = (outputs.labels != IGNORED).sum().clamp_min(1)
        truth = cross_entropy(head, outputs.labels, ignore_index=IGNORED, reduction="sum") / labelled
        if self.variant == "hard":
            taught = cross_entropy(head_dist, teacher.argmax(1))
        else:
            target = log_softmax(teacher / temperature, dim=1)
            student = log_softmax(head_dist / temperature, dim=1)
            taught = kl_div(student, target, reduction="batchmean", log_target=True) * temperature**2
        return (1 - self.alpha) * truth + self.alpha * taught
