"""What a scan learns for itself: decay, share of the input, bias of the step."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.layers.full_precision import FullPrecision

#: Steps of new layers are drawn log-uniformly between these, and never below the floor.
_STEPS, _STEP_FLOOR = (1e-3, 0.1), 1e-4

#: -A of a new head of Mamba-2 is uniform between these.
_DECAY_RATES = (1.0, 16.0)


class Dynamics(NamedTuple):
    """Arguments of a scan, fp32 or fp64.

    Attributes:
        A: negative; "d n" of Mamba-1, " h" of Mamba-2.
        D, dt_bias: " d" of Mamba-1, " h" of Mamba-2.
    """

    A: Tensor
    D: Tensor
    dt_bias: Tensor


class StateSpace(FullPrecision):
    """A = -exp(A_log), D and the step bias of one direction; fp32 whatever the model is in.

    Args:
        log_rates: log(-A) at first.
        steps: how many step biases; D is as long.
    """

    def __init__(self, log_rates: Float[Tensor, "steps *states"], steps: int) -> None:
        super().__init__()
        self.A_log = nn.Parameter(log_rates)
        self.D = nn.Parameter(torch.ones(steps))
        self.dt_bias = nn.Parameter(initial_dt_bias(steps))

    def forward(self) -> Dynamics:
        """What a scan takes, as tensors of their own."""
        A_log, D, dt_bias = (
            part.to(torch.promote_types(part.dtype, torch.float32), copy=True)
            for part in (self.A_log, self.D, self.dt_bias)
        )
        return Dynamics(-torch.exp(A_log), D, dt_bias)


def initial_dt_bias(steps: int) -> Float[Tensor, " steps"]:
    """Inverse softplus of steps that are log-uniform in [1e-3, 0.1], at least 1e-4.

    As modules/mamba_simple.py and modules/mamba2.py of state-spaces/mamba.
    """
    low, high = (math.log(bound) for bound in _STEPS)
    step = torch.exp(torch.rand(steps) * (high - low) + low).clamp(min=_STEP_FLOOR)
    return step + torch.log(-torch.expm1(-step))


def initial_log_rates_of_channels(channels: int, states: int) -> Float[Tensor, "channels states"]:
    """log of 1 to n for every channel ("S4D-real"; Mamba-1)."""
    return torch.arange(1, states + 1, dtype=torch.float32).log().repeat(channels, 1)


def initial_log_rates_of_heads(heads: int) -> Float[Tensor, " heads"]:
    """log of a uniform draw in [1, 16] (Mamba-2)."""
    return torch.empty(heads).uniform_(*_DECAY_RATES).log()
