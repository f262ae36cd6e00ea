"""Stand-in for the selective scan until it is there."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class ScanOutput(NamedTuple):
    y: Tensor
    final_state: Tensor


def selective_scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None = None, *,
    dt_bias: Tensor | None = None, softplus: bool = False, initial_state: Tensor | None = None,
) -> ScanOutput:  # fmt: skip
    state = initial_state
    if state is None:
        wide = torch.promote_types(x.dtype, torch.float32)
        state = x.new_zeros(x.shape[0], *A.shape, dtype=wide)
    rows = []
    for t in range(x.shape[1]):
        y, state = scan_step(
            x[:, t], dt[:, t], A, B[:, t], C[:, t], D, dt_bias=dt_bias, softplus=softplus,
            state=state,
        )  # fmt: skip
        rows.append(y)
    return ScanOutput(torch.stack(rows, 1), state)


def scan_step(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor | None, *,
    dt_bias: Tensor | None, softplus: bool, state: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    kept = x.dtype
    x, dt, B, C = (part.to(state.dtype) for part in (x, dt, B, C))
    dt = dt if dt_bias is None else dt + dt_bias
    dt = F.softplus(dt) if softplus else dt
    state = torch.exp(dt[..., None] * A) * state + (dt * x)[..., None] * B[:, None]
    y = (state * C[:, None]).sum(-1)
    return (y if D is None else y + D * x).to(kept), state
