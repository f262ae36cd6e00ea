"""What one direction of a mixer does between the shared projections: convolve, scan, gate.

Of the shared in projection both kinds take x and the gate z. Mamba-1 makes steps, B and C from the
convolved x; for Mamba-2 the in projection gives them too ("own"), for each direction its own.

b = batch, l = length, d = channels, h = heads, n = state
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.convolution import CausalConvolution
from vlsuite.layers.mamba.state_space import (
    StateSpace,
    initial_log_rates_of_channels,
    initial_log_rates_of_heads,
)
from vlsuite.layers.selective_scan.scan import scan_step, selective_scan
from vlsuite.layers.state_space_duality import ssd, ssd_step

#: Under softplus this raw step is exactly 0, in fp16 too: the state stays as it was.
_NO_STEP = -1e4


class MixerState(NamedTuple):
    """What is remembered of the tokens of a direction so far; its size does not grow.

    Attributes:
        tail: last rows before the convolution, "b conv-1 channels".
        scan: state of the scan, "b d n" of Mamba-1, "b h p n" of Mamba-2.
    """

    tail: Tensor
    scan: Tensor


class Projected(NamedTuple):
    """Rows of the in projection, in the order of a direction.

    Attributes:
        gate, x: "b l d".
        own: "b l own", of this direction alone; empty for Mamba-1.
        is_there: "b l", False at padding; None where there is none.
    """

    gate: Tensor
    x: Tensor
    own: Tensor
    is_there: Tensor | None


@runtime_checkable
class MixerPath(Protocol):
    """One direction; ``own_width`` of its rows are its own."""

    own_width: int

    def __call__(self, rows: Projected, state: MixerState | None) -> tuple[Tensor, MixerState]:
        """Gated outputs "b l d", and the state after them."""
        ...


def mixer_path(channels: int, width: int, config: MambaConfig) -> "Mamba1Path | Mamba2Path":
    """A new path of the kind that is configured; see ``MixerPath``."""
    if config.kind == "mamba1":
        return Mamba1Path(channels, width, states=config.states, conv=config.conv)
    return Mamba2Path(
        channels, heads=channels // config.head_width, states=config.states, conv=config.conv
    )


class Mamba1Path(nn.Module):
    """Gu and Dao 2023, arXiv 2312.00752, algorithm 2 and figure 3; y silu(z) comes out.

    Initialised as modules/mamba_simple.py of state-spaces/mamba. The rank of the step is
    width / 16, rounded up.
    """

    def __init__(self, channels: int, width: int, *, states: int, conv: int) -> None:
        super().__init__()
        self.own_width = 0
        self.rank, self.states = math.ceil(width / 16), states
        self.conv = CausalConvolution(channels, taps=conv)
        self.x_proj = nn.Linear(channels, self.rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(self.rank, channels, bias=False)
        nn.init.uniform_(self.dt_proj.weight, -(self.rank**-0.5), self.rank**-0.5)
        self.dynamics = StateSpace(initial_log_rates_of_channels(channels, states), channels)

    def forward(self, rows: Projected, state: MixerState | None) -> tuple[Tensor, MixerState]:
        """See ``MixerPath``."""
        convolved, tail = self.conv(_only_there(rows.x, rows.is_there), state and state.tail)
        x = F.silu(convolved)
        low, B, C = self.x_proj(x).split([self.rank, self.states, self.states], dim=-1)
        dt = _no_steps(self.dt_proj(low), rows.is_there)
        A, D, dt_bias = self.dynamics()
        if state is not None and x.shape[1] == 1:
            y, scan = scan_step(
                x[:, 0], dt[:, 0], A, B[:, 0], C[:, 0], D,
                dt_bias=dt_bias, softplus=True, state=state.scan,
            )  # fmt: skip
            y = y[:, None]
        else:
            y, scan = selective_scan(
                x, dt, A, B, C, D,
                dt_bias=dt_bias, softplus=True, initial_state=state and state.scan,
            )  # fmt: skip
        return y * F.silu(rows.gate), MixerState(tail, scan)


class Mamba2Path(nn.Module):
    """Dao and Gu 2024, arXiv 2405.21060, section 7.1; norm(y silu(z)) comes out.

    Initialised as modules/mamba2.py of state-spaces/mamba, with one group of B and C.
    """

    def __init__(self, channels: int, *, heads: int, states: int, conv: int) -> None:
        super().__init__()
        self.own_width = 2 * states + heads
        self.heads, self.states = heads, states
        self.conv = CausalConvolution(channels + 2 * states, taps=conv)
        self.dynamics = StateSpace(initial_log_rates_of_heads(heads), heads)
        self.norm = GatedNorm(channels)

    def forward(self, rows: Projected, state: MixerState | None) -> tuple[Tensor, MixerState]:
        """See ``MixerPath``."""
        own, dt = rows.own.split([2 * self.states, self.heads], dim=-1)
        joined = _only_there(torch.cat([rows.x, own], dim=-1), rows.is_there)
        convolved, tail = self.conv(joined, state and state.tail)
        channels = rows.x.shape[-1]
        x, B, C = F.silu(convolved).split([channels, self.states, self.states], dim=-1)
        x = rearrange(x, "b l (h p) -> b l h p", h=self.heads)
        B, C, dt = B[:, :, None], C[:, :, None], _no_steps(dt, rows.is_there)
        A, D, dt_bias = self.dynamics()
        if state is not None and x.shape[1] == 1:
            y, scan = ssd_step(
                x[:, 0], dt[:, 0], A, B[:, 0], C[:, 0], D,
                dt_bias=dt_bias, softplus=True, state=state.scan,
            )  # fmt: skip
            y = y[:, None]
        else:
            y, scan = ssd(
                x, dt, A, B, C, D,
                dt_bias=dt_bias, softplus=True, initial_state=state and state.scan,
            )  # fmt: skip
        y = rearrange(y, "b l h p -> b l (h p)")
        return self.norm(y, rows.gate), MixerState(tail, scan)


class GatedNorm(nn.Module):
    """RMS norm of y silu(z) over the channels; fp32 inside.

    Args:
        channels: of a token.
        eps: added to the mean square; 1e-5 as in Mamba-2.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(
        self, y: Float[Tensor, "b l d"], gate: Float[Tensor, "b l d"]
    ) -> Float[Tensor, "b l d"]:
        """In the type of y."""
        wide = torch.promote_types(y.dtype, torch.float32)
        gated = y.to(wide) * F.silu(gate.to(wide))
        return F.rms_norm(gated, gated.shape[-1:], self.weight.to(wide), self.eps).to(y.dtype)


def _only_there(rows: Tensor, is_there: Bool[Tensor, "b l"] | None) -> Tensor:
    return rows if is_there is None else rows.masked_fill(~is_there[..., None], 0.0)


def _no_steps(dt: Tensor, is_there: Bool[Tensor, "b l"] | None) -> Tensor:
    return dt if is_there is None else dt.masked_fill(~is_there[..., None], _NO_STEP)
