"""Which parameters are decayed."""

from __future__ import annotations

from torch import nn

from edgekd.distill.optimizer import parameter_groups


def test_biases_and_norms_are_free_of_decay() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LayerNorm((2, 5)), nn.Linear(5, 2))
    decayed, free = parameter_groups([model], 0.1)
    assert {id(p) for p in decayed["params"]} == {id(model[0].weight), id(model[4].weight)}
    assert {id(p) for p in free["params"]} == {
        id(p) for p in (model[0].bias, *model[1].parameters(), *model[3].parameters(), model[4].bias)
    }
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)


def test_frozen_and_shared_parameters() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    frozen = nn.Linear(3, 3).requires_grad_(False)
    groups = parameter_groups([nn.Sequential(first, second), frozen], 0.1)
    assert [len(group["params"]) for group in groups] == [1]
