"""The selective scan from its equations, one step at a time in float64; an oracle.

Gu and Dao 2023, arXiv 2312.00752, equation 2, with the step of B as in their code:
h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] x[t], y[t] = C[t] h[t] + D x[t]. The way back is written out
as well, so that long series need no graph. Nothing here comes from the package.

b = batch, l = length, d = channels, n = states
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Inputs(NamedTuple):
    """Of a scan.

    Attributes:
        x: [b l d]; dt likewise.
        A: [d n].
        B: [b l n]; C likewise.
        D: [d]; dt_bias likewise.
        initial_state: [b d n].
    """

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    dt_bias: Tensor
    initial_state: Tensor


def made_up(
    batch: int, length: int, channels: int, states: int, *, seed: int = 0, slowest: float = 0.01
) -> Inputs:
    """Inputs in fp32 of the sizes that a Mamba has: steps around 0.1, A down to -states."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    decay = torch.arange(1, states + 1.0).expand(channels, states)
    return Inputs(
        x=normal(batch, length, channels),
        dt=0.5 * normal(batch, length, channels),
        A=-(decay * (0.5 + torch.rand(channels, states, generator=generator)) - 0.5 + slowest),
        B=normal(batch, length, states),
        C=normal(batch, length, states),
        D=normal(channels),
        dt_bias=0.3 * normal(channels) - 2.2,
        initial_state=normal(batch, channels, states),
    )


def steps_of(inputs: Inputs, *, softplus: bool) -> Tensor:
    """dt + dt_bias, or log(1 + exp(dt + dt_bias))."""
    raw = inputs.dt.double() + inputs.dt_bias.double()
    return raw.clamp(min=0) + torch.log1p(torch.exp(-raw.abs())) if softplus else raw


def scan(inputs: Inputs, *, softplus: bool) -> tuple[Tensor, Tensor]:
    """y [b l d] and the final state [b d n]."""
    dt = steps_of(inputs, softplus=softplus)
    x, A, B, C, D = (value.double() for value in (inputs.x, *inputs[2:6]))
    h = inputs.initial_state.double().clone()
    y = torch.empty_like(dt)
    for t in range(x.shape[1]):
        h = torch.exp(dt[:, t, :, None] * A) * h + (dt[:, t] * x[:, t])[:, :, None] * B[:, t, None]
        y[:, t] = (h * C[:, t, None]).sum(-1) + D * x[:, t]
    return y, h


def gradients(inputs: Inputs, dy: Tensor, dfinal: Tensor, *, softplus: bool) -> Inputs:
    """Gradients of <y, dy> + <final state, dfinal>, step by step from the last."""
    dt = steps_of(inputs, softplus=softplus)
    x, A, B, C, D = (value.double() for value in (inputs.x, *inputs[2:6]))
    states = [inputs.initial_state.double()]
    for t in range(x.shape[1]):
        decay = torch.exp(dt[:, t, :, None] * A)
        states.append(decay * states[-1] + (dt[:, t] * x[:, t])[:, :, None] * B[:, t, None])
    dx, ddt = torch.empty_like(dt), torch.empty_like(dt)
    dA, dB, dC, g = torch.zeros_like(A), torch.empty_like(B), torch.empty_like(C), dfinal.double()
    for t in reversed(range(x.shape[1])):
        given = dy[:, t].double()
        g = g + given[:, :, None] * C[:, t, None]
        dC[:, t] = (given[:, :, None] * states[t + 1]).sum(1)
        dB[:, t] = (g * (dt[:, t] * x[:, t])[:, :, None]).sum(1)
        into = (g * B[:, t, None]).sum(-1)
        decay = torch.exp(dt[:, t, :, None] * A)
        through = g * decay * states[t]
        dx[:, t] = dt[:, t] * into + D * given
        ddt[:, t] = x[:, t] * into + (through * A).sum(-1)
        dA += (through * dt[:, t, :, None]).sum(0)
        g = decay * g
        states.pop()
    if softplus:
        ddt = ddt * torch.sigmoid(inputs.dt.double() + inputs.dt_bias.double())
    dD = (dy.double() * x).sum((0, 1))
    return Inputs(dx, ddt, dA, dB, dC, dD, ddt.sum((0, 1)), g)


def largest_error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, as a share of the largest entry."""
    if not wanted.numel():
        return 0.0
    difference = (found.detach().double() - wanted).abs().max()
    return float(difference / wanted.abs().max())
