"""A temporal Mamba layer token by token, from the equations, with the weights of one of ours.

Mamba-1: Gu and Dao 2023, arXiv 2312.00752, algorithm 2 and figure 3 (B discretised as dt B, as in
its code). Mamba-2: Dao and Gu 2024, arXiv 2405.21060, section 7.1. Both directions: Li et al.
2024, arXiv 2403.06977, figure 3. Only vectors over channels are torch's; time is a Python loop.
"""

import torch
from torch import Tensor

from vlsuite.layers.mamba.temporal import TemporalMamba


def layer(module: TemporalMamba, clip: Tensor, *, merge: str) -> Tensor:
    """x + mixer(LN(x)) of one clip without padding, "l w"."""
    p = dict(module.named_parameters())
    d = module.out_proj.weight.shape[1]
    num = len(module.paths)
    if merge == "concatenation":
        d //= num
    rows = [_layer_norm(x, p["norm.weight"], p["norm.bias"]) for x in clip]
    projected = [p["in_proj.weight"] @ row for row in rows]
    outputs = []
    for number in range(num):
        own = {k.removeprefix(f"paths.{number}."): v for k, v in p.items() if "paths." in k}
        own = {k: v for k, v in own.items() if "paths." not in k}
        size = (len(projected[0]) - 2 * d) // num
        start = 2 * d + number * size
        given = [(row[:d], row[d : 2 * d], row[start : start + size]) for row in projected]
        given = given[::-1] if number else given
        path = _mamba1 if "x_proj.weight" in own else _mamba2
        y = path(own, given)
        outputs.append(y[::-1] if number else y)
    return torch.stack(
        [
            x + p["out_proj.weight"] @ _merged([y[t] for y in outputs], merge)
            for t, x in enumerate(clip)
        ]
    )


def _merged(parts: list[Tensor], merge: str) -> Tensor:
    if merge == "concatenation":
        return torch.cat(parts)
    total = sum(parts[1:], start=parts[0])
    return total / len(parts) if merge == "mean" else total


def _mamba1(p: dict[str, Tensor], rows: list[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    A = -p["dynamics.A_log"].exp()
    states, rank = A.shape[1], p["dt_proj.weight"].shape[1]
    h = torch.zeros_like(A)
    found = []
    for (z, _, _), x in zip(rows, _convolved(p, [x for _, x, _ in rows]), strict=True):
        low = p["x_proj.weight"] @ x
        dt = _softplus(p["dt_proj.weight"] @ low[:rank] + p["dynamics.dt_bias"])
        B, C = low[rank : rank + states], low[rank + states :]
        h = (dt[:, None] * A).exp() * h + (dt * x)[:, None] * B
        found.append((h @ C + p["dynamics.D"] * x) * _silu(z))
    return found


def _mamba2(p: dict[str, Tensor], rows: list[tuple[Tensor, Tensor, Tensor]]) -> list[Tensor]:
    A = -p["dynamics.A_log"].exp()
    heads, channels = len(A), len(p["norm.weight"])
    states = (p["conv.weight"].shape[0] - channels) // 2
    joined = _convolved(p, [torch.cat([x, own[: 2 * states]]) for _, x, own in rows])
    h = [joined[0].new_zeros(channels // heads, states) for _ in range(heads)]
    found = []
    for (z, _, own), row in zip(rows, joined, strict=True):
        x = row[:channels].reshape(heads, -1)
        B, C = row[channels : channels + states], row[channels + states :]
        dt = _softplus(own[2 * states :] + p["dynamics.dt_bias"])
        y = []
        for i in range(heads):
            h[i] = (dt[i] * A[i]).exp() * h[i] + dt[i] * torch.outer(x[i], B)
            y.append(h[i] @ C + p["dynamics.D"][i] * x[i])
        gated = torch.cat(y) * _silu(z)
        found.append(gated / (gated.square().mean() + 1e-5).sqrt() * p["norm.weight"])
    return found


def _convolved(p: dict[str, Tensor], rows: list[Tensor]) -> list[Tensor]:
    weight, bias = p["conv.weight"], p["conv.bias"]
    taps = weight.shape[1]
    found = []
    for t in range(len(rows)):
        total = bias
        for tap in range(taps):
            before = t - (taps - 1) + tap
            if before >= 0:
                total = total + weight[:, tap] * rows[before]
        found.append(_silu(total))
    return found


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt() * weight + bias


def _silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def _softplus(x: Tensor) -> Tensor:
    return (1 + x.exp()).log()
