"""The networks in their training framework: what they are, how they were trained, what they are worth."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgekd.report.document.parts import Facts, Fraction, Part, Reasoned


class Accuracy(Facts):
    """Top-1 accuracy in [0, 1] over `samples` images, texts or labelled tokens.

    Attributes:
        split: which split was scored.
        arithmetic: `fused`: the runtime's own kernels; `reference`: graph fusion off, because the artifact was made
            for another instruction set. None for a network in its training framework.
        runtime: what ran the file, when that is not the runtime it was made for.
    """

    value: Fraction
    samples: int = Field(gt=0)
    split: str = "test"
    arithmetic: Literal["fused", "reference"] | None = None
    runtime: str | None = None


class WorstClass(Part):
    """A class that is often missed: its recall, and the class that is mostly chosen instead."""

    name: str
    recall: Fraction
    samples: int
    mistaken_for: str | None = None


class Quality(Facts):
    """What accuracy alone does not show.

    Attributes:
        macro_f1: mean of the classes' F1: rare classes count as much as frequent ones.
        balanced_accuracy: mean of the classes' recall; None in reports of earlier versions.
        classes_met: how many classes have samples in the test split.
        never_found: classes whose samples are all missed.
        calibration_error: expected calibration error over 15 bins; None where the outputs are no probabilities.
        worst_classes: the ten classes of lowest recall.
        cosine_with_teacher: mean cosine of the embeddings with the teacher's; None where there are none to compare.
    """

    macro_f1: Fraction
    balanced_accuracy: Fraction | None = None
    classes_met: int = 0
    never_found: list[str] = Field(default=[])
    calibration_error: Fraction | None
    worst_classes: list[WorstClass]
    cosine_with_teacher: float | None = None


class Epoch(Facts):
    """One epoch of training."""

    epoch: int
    train_loss: float | None = None
    terms: dict[str, float] = Field(default={})
    validation_accuracy: float | None = None
    learning_rate: float | None = None
    seconds: float | None = None


class Network(Reasoned):
    """A network in its training framework.

    Attributes:
        macs: multiply-accumulate operations of one forward pass of one sample.
        macs_tokens: how many tokens that sample has; None for an image.
        size_bytes: its float32 checkpoint.
        agreement_with_teacher: share of the test split on which it answers as the teacher does.
        history: None when it was not trained in this run.
        steps: optimisation steps that it was trained for in this run.
    """

    role: str
    name: str
    parameters: int | None = None
    macs: int | None = None
    macs_tokens: int | None = None
    size_bytes: int | None = None
    accuracy: Accuracy | None = None
    agreement_with_teacher: Fraction | None = None
    quality: Quality | None = None
    history: list[Epoch] | None = None
    steps: int | None = None


class Forgetting(Part):
    """Test accuracy on an old task, before and after a student learnt the new one."""

    role: str
    samples: int
    before: Fraction | None
    after: Fraction | None


class Temperature(Part):
    """The teacher's soft labels at one temperature: mean entropy in bits, mean probability of the first choice."""

    temperature: float = Field(gt=0)
    entropy_bits: float = Field(ge=0)
    top1_probability: Fraction
