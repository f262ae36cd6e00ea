"""Kept tokens to one feature a clip, read by a learned query: the place of STORM's language model.

Ours: the publication (arXiv 2503.04130) gives the tokens to a language model, which asks for what
it needs; here one query does, in a small transformer over the query and the tokens, each with a
sinusoidal embedding of its time. What is read costs in proportion to the tokens that are kept.

b = clips, n = 1 + tokens kept, w = width, h = heads
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlsuite.models.storm.reduction import KeptTokens

#: Longest and shortest wave of the embedding of time, in lengths of a clip.
_LONGEST, _SHORTEST = 2.0, 1 / 256


class Reader(nn.Module):
    """A transformer over a query and the kept tokens, and a linear map of what the query finds.

    Args:
        width: of a token.
        layers: at least 1; in the last one only the query asks.
        heads: that divide the width.
        embed_dim: of the feature.
        starts_at_zero: the last map is zero at first, so that the feature is.
    """

    def __init__(
        self, width: int, *, layers: int, heads: int, embed_dim: int, starts_at_zero: bool
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) * 0.02)
        self.norm_tokens = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ReaderBlock(width, heads) for _ in range(layers))
        self.norm_found = nn.LayerNorm(width)
        self.project = nn.Linear(width, embed_dim)
        if starts_at_zero:
            nn.init.zeros_(self.project.weight)
            nn.init.zeros_(self.project.bias)

    def forward(self, kept: KeptTokens) -> Float[Tensor, "clips embed_dim"]:
        """One feature a clip."""
        width = kept.tokens.shape[2]
        told = self.norm_tokens(kept.tokens)
        told = told + time_embedding(kept.times, width).to(told.dtype)
        query = repeat(self.query.to(told.dtype), "w -> b 1 w", b=len(told))
        rows = torch.cat([query, told], dim=1)
        seen = None if kept.is_there is None else F.pad(kept.is_there, (1, 0), value=True)
        for number, block in enumerate(self.blocks, start=1):
            rows = block(rows, seen, only_first=number == len(self.blocks))
        return self.project(self.norm_found(rows[:, 0]))


class ReaderBlock(nn.Module):
    """x + A(LN(x)), then x + MLP(LN(x)).

    Args:
        width: of a row.
        heads: that divide it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width)
        self.keys_values = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self,
        rows: Float[Tensor, "clips rows width"],
        seen: Bool[Tensor, "clips rows"] | None,
        *,
        only_first: bool,
    ) -> Float[Tensor, "clips out_rows width"]:
        """The block, of all rows or of the first alone.

        Args:
            seen: which rows are asked; None: all.
        """
        normed = self.norm(rows)
        asking = slice(0, 1) if only_first else slice(None)
        query = rearrange(self.queries(normed[:, asking]), "b n (h d) -> b h n d", h=self.heads)
        key, value = rearrange(
            self.keys_values(normed), "b n (two h d) -> two b h n d", two=2, h=self.heads
        )
        mask = None if seen is None else seen[:, None, None]
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        rows = rows[:, asking] + self.out(rearrange(found, "b h n d -> b n (h d)"))
        return rows + self.mlp(self.norm_mlp(rows))


def time_embedding(
    times: Float[Tensor, "clips tokens"], width: int
) -> Float[Tensor, "clips tokens width"]:
    """Sines and cosines of a time, by waves of two clips' lengths down to 1/256 of one.

    Args:
        times: 0 (begin of the clip) to 1 (end).
        width: of the embedding, even.
    """
    share = torch.linspace(0, 1, width // 2, device=times.device, dtype=torch.float32)
    waves = _LONGEST * (_SHORTEST / _LONGEST) ** share
    angles = 2 * math.pi * times[..., None].float() / waves
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
