"""`nn.MultiheadAttention` with as many heads as its weights hold, so that heads can be removed.

Torch's own computes with the width that it was built for. This one computes

    softmax(Q K^T / sqrt(d)) V,   [Q K V] = x W_in^T + b_in   (B, T, 3 H d)

of a sequence that attends to itself, with the same parameters under the same names; H comes with the module, d from the
weights.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from edgekd.errors import ModelError


class OpenAttention(nn.MultiheadAttention):
    """Self-attention over `(B, T, C)`, or `(T, B, C)` unless `batch_first`, without masks."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, None]:
        """The formula above, in the input's layout; the weights of the attention are never put out.

        Raises:
            ModelError: it attends to another sequence than its own, or not to all of it.
        """
        own = key is query and value is query
        if not own or is_causal or key_padding_mask is not None or attn_mask is not None:
            raise ModelError(
                "heads of nn.MultiheadAttention can be removed where a sequence attends to all of itself",
                received="a mask" if own else "another sequence",
                hint="leave student.prune.heads out",
            )
        tokens = query if self.batch_first else query.transpose(0, 1)  # (B, T, C)
        batch, length, _ = tokens.shape
        qkv: Tensor = linear(tokens, cast(Tensor, self.in_proj_weight), self.in_proj_bias)  # (B, T, 3 H d)
        parts = qkv.reshape(batch, length, 3, cast(int, self.num_heads), -1).permute(2, 0, 3, 1, 4)  # (3, B, H, T, d)
        context = scaled_dot_product_attention(*parts.unbind(0), dropout_p=self.dropout if self.training else 0.0)
        found = self.out_proj(context.transpose(1, 2).reshape(batch, length, -1))  # (B, T, C)
        return found if self.batch_first else found.transpose(0, 1), None


def opened(module: nn.Module) -> None:
    """Makes a module an `OpenAttention`, in place, if it is an attention of torch's with one matrix for all three."""
    own = {name for name, _ in module.named_parameters(recurse=False)}
    if type(module) is nn.MultiheadAttention and own == {"in_proj_weight", "in_proj_bias"} and not module.add_zero_attn:
        module.__class__ = OpenAttention
        # nn.TransformerEncoderLayer around it would otherwise compute with the weights by itself, past `forward`.
        vars(module)["_qkv_same_embed_dim"] = False
