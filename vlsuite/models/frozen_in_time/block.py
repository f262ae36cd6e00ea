"""A transformer block that attends over time, then over space.

Bain et al. 2021, arXiv 2104.00650; with T and S attention over time and space and LN a norm of
each's own:

    s = S(LN(x + T(LN(x))));  y = x + s;  out = y + MLP(LN(y))

What T finds reaches the stream through S alone: the second residual starts at x, where that of
TimeSformer (arXiv 2102.05095) starts at x + T(...).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.layers.clip_layout import ClipLayout
from vlsuite.layers.space_time_attention import SpaceTimeAttention

TimeInit = Literal["identity", "drawn", "published"]


class SpaceTimeBlock(nn.Module):
    """A block of an image tower with attention over time put before it; see the module.

    Args:
        norm_time, time: new.
        norm_space, space, scale_space, norm_mlp, mlp, scale_mlp: of the image tower.
    """

    def __init__(
        self,
        *,
        norm_time: nn.Module,
        time: SpaceTimeAttention,
        norm_space: nn.Module,
        space: SpaceTimeAttention,
        scale_space: nn.Module,
        norm_mlp: nn.Module,
        mlp: nn.Module,
        scale_mlp: nn.Module,
    ) -> None:
        super().__init__()
        self.norm_time = norm_time
        self.time = time
        self.norm_space = norm_space
        self.space = space
        self.scale_space = scale_space
        self.norm_mlp = norm_mlp
        self.mlp = mlp
        self.scale_mlp = scale_mlp

    def forward(
        self, tokens: Float[Tensor, "tokens width"], layout: ClipLayout
    ) -> Float[Tensor, "tokens width"]:
        """One block; tokens as in ``space_time_attention``."""
        over_time = self.time(self.norm_time(tokens), layout)
        over_space = self.space(self.norm_space(tokens + over_time), layout)
        tokens = tokens + self.scale_space(over_space)
        return tokens + self.scale_mlp(self.mlp(self.norm_mlp(tokens)))


@torch.no_grad()
def initialise_time(time: SpaceTimeAttention, how: TimeInit, *, std: float = 0.02) -> None:
    """Draw the weights of attention over time.

    "identity": nothing is added to the stream, since the last matrix is zero; queries, keys and
    values are drawn, so the last matrix learns from the first step on and they from the second.
    "drawn" (ours): all matrices with the standard deviation width^-1/2, as open_clip draws them,
    for image towers that are random themselves: there is nothing to keep, and from zero the order
    of frames is learned late (see also ``from_image_tower``, for the embeddings of time).
    "published": the authors' ``time_init="zeros"``: queries, keys and values zero and the last
    matrix all ones. Nothing is added either, but queries and keys never move (the gradient of each
    is a multiple of the other) and all columns of the last matrix stay equal.

    Args:
        std: of the drawn weights.
    """
    if time.qkv.bias is not None:
        nn.init.zeros_(time.qkv.bias)
    nn.init.zeros_(time.proj.bias)
    if how == "published":
        nn.init.zeros_(time.qkv.weight)
        nn.init.ones_(time.proj.weight)
        return
    if how == "drawn":
        std = time.proj.in_features**-0.5
        nn.init.trunc_normal_(time.proj.weight, std=std)
    else:
        nn.init.zeros_(time.proj.weight)
    nn.init.trunc_normal_(time.qkv.weight, std=std)
