"""Frozen in Time's video tower from its published equations, in float64 loops; an oracle.

Bain et al. 2021, arXiv 2104.00650, section 3.1. One query, one key at a time; nothing here comes
from the package but the weights.
"""

import math
from typing import Any

import torch
from torch import Tensor


def video_feature(tower: Any, frames: Tensor, *, log_frames_bias: bool = False) -> Tensor:
    """What the tower gives for one clip: the class token behind the last norm.

    Args:
        tower: a ``VideoTower`` with a class token; its weights are read by name.
        frames: [f, 3, height, width].
    """
    weights = {name: value.detach().double() for name, value in tower.state_dict().items()}
    width = weights["times"].shape[1]
    where = weights["positions"].reshape(-1, width)
    patches = []
    for f, frame in enumerate(frames.double()):
        for n, pixels in enumerate(_patches(frame, weights["patch_embed.weight"].shape[-1])):
            kernel = weights["patch_embed.weight"].reshape(width, -1)
            bias = weights.get("patch_embed.bias", torch.zeros(width, dtype=torch.float64))
            patches.append(kernel @ pixels + bias + where[1 + n] + weights["times"][f])
    tokens = [weights["class_embed"].reshape(width) + where[0], *patches]
    stack = torch.stack(tokens)
    if "norm_pre.weight" in weights:
        stack = _norm(stack, weights, "norm_pre", tower.norm_pre.eps)
    for number, block in enumerate(tower.blocks):
        stack = _block(stack, weights, f"blocks.{number}", block, len(frames), log_frames_bias)
    return _norm(stack[:1], weights, "pooling.norm", tower.pooling.norm.eps)[0]


def _patches(frame: Tensor, side: int) -> list[Tensor]:
    rows, columns = frame.shape[1] // side, frame.shape[2] // side
    return [
        frame[:, r * side : (r + 1) * side, c * side : (c + 1) * side].reshape(-1)
        for r in range(rows)
        for c in range(columns)
    ]


def _block(x: Tensor, weights: Any, name: str, block: Any, num_frames: int, bias: bool) -> Tensor:
    """s = S(LN(x + T(LN(x)))); y = x + s; y + MLP(LN(y))."""
    t = _attention(
        _norm(x, weights, f"{name}.norm_time", block.norm_time.eps),
        weights, f"{name}.time", block.time.heads, num_frames, "time", bias,
    )  # fmt: skip
    s = _attention(
        _norm(x + t, weights, f"{name}.norm_space", block.norm_space.eps),
        weights, f"{name}.space", block.space.heads, num_frames, "space", bias,
    )  # fmt: skip
    y = x + s
    hidden = _norm(y, weights, f"{name}.norm_mlp", block.norm_mlp.eps)
    first, last = sorted({k.split(".")[3] for k in weights if k.startswith(f"{name}.mlp.")})
    hidden = hidden @ weights[f"{name}.mlp.{first}.weight"].T + weights[f"{name}.mlp.{first}.bias"]
    hidden = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
    return y + hidden @ weights[f"{name}.mlp.{last}.weight"].T + weights[f"{name}.mlp.{last}.bias"]


def _attention(
    x: Tensor, weights: Any, name: str, heads: int, num_frames: int, axis: str, bias: bool
) -> Tensor:
    projected = x @ weights[f"{name}.qkv.weight"].T + weights[f"{name}.qkv.bias"]
    q, k, v = projected.chunk(3, dim=-1)
    width = x.shape[1] // heads
    num_patches = (len(x) - 1) // num_frames
    out = torch.zeros_like(x)
    for token in range(len(x)):
        keys = _keys(token, num_frames, num_patches, axis)
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            logits = [float(q[token, own] @ k[key, own]) / math.sqrt(width) for key in keys]
            if bias and token == 0:
                logits[0] += math.log(num_frames)
            top = max(logits)
            shares = [math.exp(logit - top) for logit in logits]
            for key, share in zip(keys, shares, strict=True):
                out[token, own] += share / sum(shares) * v[key, own]
    return out @ weights[f"{name}.proj.weight"].T + weights[f"{name}.proj.bias"]


def _keys(token: int, num_frames: int, num_patches: int, axis: str) -> list[int]:
    """Which tokens a token attends to; 0 is the class token."""
    if token == 0:
        return list(range(1 + num_frames * num_patches))
    frame, place = divmod(token - 1, num_patches)
    if axis == "space":
        return [0, *(1 + frame * num_patches + n for n in range(num_patches))]
    return [0, *(1 + f * num_patches + place for f in range(num_frames))]


def _norm(x: Tensor, weights: Any, name: str, eps: float) -> Tensor:
    mean = x.mean(dim=1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + eps) * weights[f"{name}.weight"] + weights[
        f"{name}.bias"
    ]
