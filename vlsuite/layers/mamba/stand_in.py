"""A stand-in behind the signature of the temporal mixer, until it is there."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True, slots=True)
class MambaConfig:
    """Stand-in."""

    kind: Literal["mamba2", "mamba1"] = "mamba2"
    state: int | None = None
    head_width: int = 64
    expand: int = 2
    conv: int = 4
    directions: Literal["both", "forward"] = "both"
    merge: Literal["mean", "sum", "concatenation"] = "mean"


class TemporalMamba(nn.Module):
    """Stand-in: fixed decays a head, both directions."""

    def __init__(self, width: int, config: MambaConfig, *, zero_init: bool = True) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, 4 * width)
        self.out = nn.Linear(2 * width, width)
        self.decay = nn.Parameter(torch.logspace(-3, 0, 4))
        if zero_init:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(
        self, tokens: Tensor, *, is_there: Tensor | None = None, piece: int | None = None
    ) -> Tensor:
        """Stand-in."""
        value, gate = self.into(self.norm(tokens)).chunk(2, dim=-1)
        if is_there is not None:
            value = value * is_there[..., None]
        length = tokens.shape[1]
        steps = torch.arange(length)
        apart = (steps[:, None] - steps).to(value)
        decay = torch.exp(-self.decay[:, None, None] * apart.abs()) * (apart >= 0)
        heads = value.unflatten(-1, (2, 4, -1))
        forth = torch.einsum("hij,bjhd->bihd", decay, heads[:, :, 0])
        back = torch.einsum("hji,bjhd->bihd", decay, heads[:, :, 1])
        mixed = torch.cat([forth.flatten(2), back.flatten(2)], dim=-1)
        return tokens + self.out(mixed * nn.functional.silu(gate))
