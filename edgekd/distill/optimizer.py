"""The contract of an optimiser, and which parameters it may decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from edgekd.family import Family, Method

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer as TorchOptimizer


class Optimizer(Method):
    """Builds a torch optimiser from parameter groups.

    Attributes:
        weight_decay: pull on weights; never applied to biases and normalisation parameters.
    """

    weight_decay: float = Field(default=0.0, ge=0)

    def build(self, groups: list[dict[str, Any]]) -> TorchOptimizer:
        """The optimiser for groups made by `parameter_groups`; the peak learning rate is its own field."""
        raise NotImplementedError


OPTIMIZERS = Family("edgekd.distill.optimizers", Optimizer)


def parameter_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: weights that are decayed, and biases and normalisation parameters that are not.

    Decay pulls towards zero, which means "less signal" for a weight matrix and nothing sensible for an offset or for
    the scale of a normalised activation (He et al. 2018, Bag of Tricks, https://arxiv.org/abs/1812.01187, section 3.1).
    """
    from torch import nn

    norms = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)  # pyright: ignore[reportPrivateUsage]
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    seen: set[int] = set()
    for root in modules:
        for module in root.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad or id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                plain = parameter.ndim <= 1 or name == "bias" or isinstance(module, norms)
                (free if plain else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]
