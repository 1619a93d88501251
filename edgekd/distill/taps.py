"""Taps: the outputs of named layers, caught by forward hooks."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, cast

from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle

from edgekd.distill.attention_layers import PACKED
from edgekd.distill.layer_names import Missing
from edgekd.errors import ModelError
from edgekd.models.modules import named_modules


def layers_of(model: nn.Module) -> dict[str, nn.Module]:
    """Every layer that can be tapped, by dotted name, with its module.

    These are the modules, and `in_proj` of each `nn.MultiheadAttention`: queries, keys and values of a sequence that
    attends to itself, side by side `(B, T, 3 H)`. The module keeps them to itself, so a tap computes them once more.
    """
    found: dict[str, nn.Module] = {}
    for name, module in named_modules(model):
        if name:
            found[name] = module
        if isinstance(module, nn.MultiheadAttention) and getattr(module, PACKED + "_weight") is not None:
            found[f"{name}.{PACKED}".removeprefix(".")] = module
    return found


class Taps:
    """Catches layer outputs while it is open.

        with Taps(model, ["layer2"], "student") as taps:
            logits = model(x)
            taps.values["layer2"]       # of the latest forward pass

    Attributes:
        values: output of each layer, by name; of a tuple or a `ModelOutput` of transformers, its first tensor.
        layers: the tapped names, each once.

    Args:
        model: the network.
        layers: names, as in `layers_of(model)`.
        role: `"student"` or `"teacher"`, for messages.

    Raises:
        ModelError: a layer does not exist (the message lists those that do), or does not put out a tensor first.
    """

    def __init__(self, model: nn.Module, layers: Iterable[str], role: Literal["student", "teacher"]) -> None:
        self.values: dict[str, Tensor] = {}
        self._role = role
        existing = layers_of(model)
        wanted = list(dict.fromkeys(layers))
        missing = [name for name in wanted if name not in existing]
        if missing:
            first = Missing(role, missing[0], list(existing))
            raise ModelError(
                first.told(),
                received=", ".join(missing),
                accepted=first.accepted,
            )
        self._modules = {name: existing[name] for name in wanted}
        self.layers = wanted
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Taps:
        for name, module in self._modules.items():
            if isinstance(module, nn.MultiheadAttention) and name.rpartition(".")[2] == PACKED:
                self._handles.append(module.register_forward_pre_hook(self._packed_hook(name), with_kwargs=True))
            else:
                self._handles.append(cast(Any, module).register_forward_hook(self._hook(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, name: str) -> Any:
        def catch(module: nn.Module, inputs: object, output: object) -> None:
            found = output if isinstance(output, Tensor) else _first(output)
            if not isinstance(found, Tensor):
                raise ModelError(
                    f"the {self._role}'s layer '{name}' cannot be tapped: it does not put out a tensor",
                    received=type(output).__name__,
                )
            self.values[name] = found

        return catch

    def _packed_hook(self, name: str) -> Any:
        def catch(module: nn.MultiheadAttention, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
            query, key, value = (*inputs, *(named[part] for part in ("query", "key", "value")[len(inputs) :]))[:3]
            if query is not key or key is not value:
                raise ModelError(
                    f"the {self._role}'s layer '{name}' cannot be tapped: it attends to another sequence than its own"
                )
            tokens = query if module.batch_first or query.ndim == 2 else query.transpose(0, 1)  # (B, T, H)
            self.values[name] = linear(tokens, cast(Tensor, module.in_proj_weight), module.in_proj_bias)

        return catch


def _first(output: object) -> object:
    """Attention layers put out `(context, weights)`, encoders of transformers a `ModelOutput`."""
    items: object = cast(Any, output).to_tuple() if hasattr(output, "to_tuple") else output
    return cast("tuple[object, ...]", items)[0] if isinstance(items, tuple) and items else None
