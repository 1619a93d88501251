"""Importance scores against the formulas written out on one small network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from edgekd.models.axes import Atom
from edgekd.models.importance import importances, most_important
from edgekd.models.widths import Widths, widths

from .networks import batch, text, tokens


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def batches() -> list[tuple[list[Tensor], Tensor]]:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    return [([x], torch.randint(0, 3, (5,), generator=generator)) for x in inputs]


def hidden(model: nn.Module) -> tuple[Widths, Atom]:
    found = widths(model, [torch.randn(2, 4, dtype=torch.float64)])
    return found, found.tensors["0.weight"][0][0]


def test_magnitude_is_the_l1_norm_of_what_makes_a_unit() -> None:
    model = network()
    found, atom = hidden(model)
    scores = importances(model, found, [atom], "magnitude", [])[atom]
    expected = [sum(map(abs, model[0].weight[unit].tolist())) for unit in range(6)]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))


def test_taylor_is_the_squared_derivative_by_a_gate() -> None:
    model = network()
    found, atom = hidden(model)
    scores = importances(model, found, [atom], "taylor", [batch(*pair) for pair in batches()])[atom]
    expected = torch.zeros(6, dtype=torch.float64)
    for (x,), labels in batches():
        gate = torch.ones(6, dtype=torch.float64, requires_grad=True)
        loss = cross_entropy(model[2](model[1](model[0](x)) * gate), labels)
        (gradient,) = torch.autograd.grad(loss, gate)
        expected += gradient**2 / 2
    torch.testing.assert_close(scores, expected)


def test_taylor_of_a_unit_that_is_not_read_is_zero() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight[:, 3] = 0
        model[0].weight[3] *= 100
    found, atom = hidden(model)
    taylor = importances(model, found, [atom], "taylor", [batch(*pair) for pair in batches()])[atom]
    magnitude = importances(model, found, [atom], "magnitude", [])[atom]
    assert taylor[3] == 0 and (taylor > 0).sum() == 5 and magnitude.argmax() == 3
    assert most_important(taylor, 5).tolist() == [0, 1, 2, 4, 5]


def test_heads_by_gates_on_their_outputs() -> None:
    """Michel et al.: the derivative by a gate on each head, taken with a hook before the output projection."""
    model, inputs, labels = text(num_hidden_layers=1), tokens(), torch.tensor([0, 2])
    found = widths(model, inputs)
    projection = "net.bert.encoder.layer.0.attention.output.dense"
    head = found.tensors[f"{projection}.weight"][1][0]
    assert (head.size, found.tensors[f"{projection}.weight"][1][1].size) == (4, 4)
    scores = importances(model, found, [head], "taylor", [batch(inputs, labels)])[head]
    gate = torch.ones(4, requires_grad=True)
    hook = model.get_submodule(projection).register_forward_pre_hook(lambda _, x: (x[0] * gate.repeat_interleave(4),))
    (gradient,) = torch.autograd.grad(cross_entropy(model(*inputs), labels), gate)
    hook.remove()
    torch.testing.assert_close(scores, gradient.double() ** 2, rtol=1e-3, atol=1e-10)


def test_equal_scores_keep_the_first() -> None:
    assert most_important(torch.tensor([1.0, 2.0, 1.0, 1.0]), 3).tolist() == [0, 1, 2]


def test_the_model_is_left_as_it_was() -> None:
    model = network().train()
    found, atom = hidden(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    importances(model, found, [atom], "taylor", [batch(*pair) for pair in batches()])
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
