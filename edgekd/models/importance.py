"""How much each unit (channel, neuron, head, hidden dimension) matters.

    magnitude    s_u = sum_{w makes u} |w|                       the L1 norm of the filter, or of the neuron's row
    taylor       s_u = mean_b (sum_{w reads u} w dL_b/dw)^2      first-order change of the loss when u is removed

Removing a unit is setting the weights that read it to zero; `sum w dL/dw` over these is also the derivative of the
loss by a gate on the unit: the gate form of Molchanov et al., and for an attention head, up to the square and the
averaging, the sensitivity of Michel et al. The mean is over batches b. Units that no weight reads (dimensions of
queries and keys) take the weights that make them.

Li, Kadav, Durdanovic, Samet, Graf 2017: Pruning Filters for Efficient ConvNets, https://arxiv.org/abs/1608.08710
Michel, Levy, Neubig 2019: Are Sixteen Heads Really Better than One?, https://arxiv.org/abs/1905.10650
Molchanov, Mallya, Tyree, Frosio, Kautz 2019: Importance Estimation for Neural Network Pruning,
https://arxiv.org/abs/1906.10771
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from edgekd.models.axes import Atom, Dims
from edgekd.models.modules import evaluating
from edgekd.models.widths import Axis, Widths

Importance = Literal["magnitude", "taylor"]
Batch = Callable[[nn.Module], Tensor]
"""A batch of training samples: the loss of a network on it."""


def importances(
    model: nn.Module, found: Widths, atoms: Iterable[Atom], importance: Importance, batches: Iterable[Batch]
) -> dict[Atom, Tensor]:
    """`(units,)` float64 scores of every atom that a weight makes or reads."""
    weights = {name: value for name, value in model.named_parameters() if name in found.tensors}
    chosen = [atom for atom in atoms if atom in found.made or atom in found.read]
    if importance == "magnitude":
        sizes = {name: value.detach().abs() for name, value in weights.items()}
        return {atom: _per_unit(atom, found.made.get(atom) or found.read[atom], sizes, found) for atom in chosen}
    total = {atom: torch.zeros(atom.size, dtype=torch.float64) for atom in chosen}
    count = 0
    with evaluating(model), torch.enable_grad():
        for loss in batches:
            gradients = torch.autograd.grad(loss(model), list(weights.values()))
            products = {n: w.detach() * g for (n, w), g in zip(weights.items(), gradients, strict=True)}
            for atom in chosen:
                axes = found.read.get(atom) or found.made[atom]
                total[atom] += _per_unit(atom, axes, products, found) ** 2
            count += 1
    return {atom: value / max(count, 1) for atom, value in total.items()}


def most_important(scores: Tensor, keep: int) -> Tensor:
    """Indices of the `keep` highest scores, ascending; of equal ones the first."""
    return scores.argsort(descending=True, stable=True)[:keep].sort().values


def _per_unit(atom: Atom, axes: Iterable[Axis], values: Mapping[str, Tensor], found: Widths) -> Tensor:
    total = torch.zeros(atom.size, dtype=torch.float64)
    for axis in axes:
        value = unfolded(values[axis.tensor], found.tensors[axis.tensor])
        total += value.double().sum([index for index in range(value.ndim) if index != axis.place])
    return total


def unfolded(tensor: Tensor, dims: Dims) -> Tensor:
    """The tensor with one dimension per atom."""
    return tensor.reshape([atom.size for factors in dims for atom in factors])
