"""CIFAR ResNets with parameter-free shortcuts (He et al. 2015, section 4.2, option A).

A network of depth 6n + 2: a 3x3 convolution to 16 channels, three stages of n basic blocks with 16, 32 and 64 channels
(the second and third stage halve the resolution), global average pooling and one linear layer.

Where a stage changes the shape, the shortcut takes every second pixel and pads the missing channels with zeros, half
before and half after: no parameters, and in every export a strided slice and a pad.

The names of the tensors are those of the widely used checkpoints of akamaster/pytorch_resnet_cifar10.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue

from edgekd.backends import versions
from edgekd.errors import ModelError
from edgekd.models.source import ModelSource

if TYPE_CHECKING:
    from torch import nn


class CifarResnet(ModelSource):
    """ResNet for small images (32x32; any size of at least 4x4 works).

    Attributes:
        depth: number of weighted layers, 6n + 2.
    """

    depth: Literal[8, 14, 20, 32, 44, 56, 110] = 20

    def identity(self) -> dict[str, JsonValue]:
        """The installed torch: its initialisation decides the fresh weights."""
        return {"torch": versions("torch")["torch"]}

    def build(self, classes: int, channels: int) -> nn.Module:
        """A fresh network with He initialisation."""
        from edgekd.models.resnet_blocks import CifarResnetModule

        return CifarResnetModule((self.depth - 2) // 6, classes, channels)

    def pretrained(self, classes: int, channels: int) -> nn.Module:
        """Always refused: these networks are published as single files, not by a package."""
        raise ModelError(
            "CIFAR ResNets have no weights that a package could fetch",
            received="weights: pretrained",
            accepted="the path of a .safetensors or .pt file, or null to start from scratch",
            hint="github.com/akamaster/pytorch_resnet_cifar10 publishes CIFAR-10 checkpoints for depths 20 to 110",
        )

    @property
    def licence(self) -> str:
        """Licence of the architecture; it brings no weights."""
        return "BSD-2-Clause (architecture after akamaster/pytorch_resnet_cifar10)"
