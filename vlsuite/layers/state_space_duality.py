"""The scan of Mamba-2, whose decay is one number a head, as matrix products (SSD).

Dao and Gu 2024, arXiv 2405.21060, section 6 and listing 1. With a step dt_t and A < 0 of a head

    h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t^T,    y_t = h_t C_t + D x_t

Tokens are cut into chunks of q. Inside a chunk y = (C B^T * decay) (dt x), a product of q x q
matrices; between chunks only the state is carried, chunk by chunk. Nothing of size l x l exists,
and time and memory grow with l.

Plain torch is not a slow path here: the matrix products are what takes the time, on a CPU too. On
a CUDA device with mamba-ssm its Triton kernel is used (see ``chosen_ssd_path``).

Departures from listing 1: any length (the last chunk is filled up with steps of 0, which leave the
state alone), heads share B and C by groups without copies of them, and the states are carried from
chunk to chunk instead of by a matrix over all pairs of chunks, which would grow with the square of
l.

b = batch, l = length, h = heads, p = width of a head, g = groups of heads that share B and C,
n = state, c = chunks, q = tokens of a chunk, r = heads of a group
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from vlsuite.layers.chunk_decay import carry_states, decay_between
from vlsuite.layers.ssd_kernel import chosen_ssd_path, ssd_by_kernel


class SsdOutput(NamedTuple):
    """What a scan gives.

    Attributes:
        y: "b l h p", in the type of x.
        final_state: "b h p n" after the last token, fp32 (fp64 where x is).
    """

    y: Tensor
    final_state: Tensor


def ssd(
    x: Float[Tensor, "b l h p"],
    dt: Float[Tensor, "b l h"],
    A: Float[Tensor, " h"],
    B: Float[Tensor, "b l g n"],
    C: Float[Tensor, "b l g n"],
    D: Float[Tensor, " h"] | None = None,
    *,
    dt_bias: Float[Tensor, " h"] | None = None,
    softplus: bool = False,
    initial_state: Float[Tensor, "b h p n"] | None = None,
    chunk: int = 64,
) -> SsdOutput:
    """All outputs and the last state of the recurrence; see the module.

    Gradients go to every tensor given, and come through ``final_state`` too. Whatever the types of
    the inputs, steps, decays, products and state are fp32 (fp64 where x is). A step of exactly 0
    leaves the state as it was; under ``softplus`` a raw step of -1e4 is one.

    Args:
        dt: step of each token; raw where ``softplus`` is set.
        A: negative, one a head.
        B, C: head i uses those of group i // (h / g).
        D: share of x that is added to y.
        dt_bias: added to dt first.
        softplus: dt = log(1 + exp(dt + dt_bias)).
        initial_state: before the first token; None is zero.
        chunk: tokens of a chunk, of the torch form; memory of its q x q matrices grows with it.
            mamba-ssm's kernel has its own.
    Raises:
        ConfigError: ``VLSUITE_SCAN`` names a form that cannot be used here.
        ValueError: the groups do not divide the heads, or chunk is not positive.
    """
    heads, groups = x.shape[2], B.shape[2]
    if heads % groups or chunk < 1:
        raise ValueError(f"{groups} groups must divide {heads} heads, chunk={chunk} be positive")
    with torch.autocast(x.device.type, enabled=False):
        wide = torch.promote_types(x.dtype, torch.float32)
        if wide == torch.float32 and x.numel() and _form_on(x.device.type) == "mamba_ssm":
            return SsdOutput(
                *ssd_by_kernel(
                    x, dt, A, B, C, D,
                    dt_bias=dt_bias, softplus=softplus, initial_state=initial_state,
                )
            )  # fmt: skip
        steps = step_sizes(dt.to(wide), dt_bias, softplus=softplus)
        state = initial_state
        if state is None:
            state = x.new_zeros(x.shape[0], heads, x.shape[3], B.shape[3], dtype=wide)
        y, final = _in_chunks(
            x.to(wide), steps, A.to(wide), B.to(wide), C.to(wide), state.to(wide), chunk
        )
        if D is not None:
            y = y + D.to(wide)[:, None] * x
        return SsdOutput(y.to(x.dtype), final)


def ssd_step(
    x: Float[Tensor, "b h p"],
    dt: Float[Tensor, "b h"],
    A: Float[Tensor, " h"],
    B: Float[Tensor, "b g n"],
    C: Float[Tensor, "b g n"],
    D: Float[Tensor, " h"] | None = None,
    *,
    dt_bias: Float[Tensor, " h"] | None = None,
    softplus: bool = False,
    state: Float[Tensor, "b h p n"],
) -> SsdOutput:
    """One token more: its y, "b h p", and the state after it. Arguments as those of ``ssd``."""
    with torch.autocast(x.device.type, enabled=False):
        wide = torch.promote_types(x.dtype, torch.float32)
        steps = step_sizes(dt.to(wide), dt_bias, softplus=softplus)
        B, C = (
            repeat(part.to(wide), "b g n -> b (g r) n", r=x.shape[1] // part.shape[1])
            for part in (B, C)
        )
        decay = torch.exp(steps * A.to(wide))
        added = (steps[..., None] * x)[..., None] * B[:, :, None]
        state = decay[..., None, None] * state + added
        y = torch.einsum("bhpn,bhn->bhp", state, C)
        if D is not None:
            y = y + D.to(wide)[:, None] * x
        return SsdOutput(y.to(x.dtype), state)


def step_sizes(dt: Tensor, dt_bias: Tensor | None, *, softplus: bool) -> Tensor:
    """Steps in the type of dt, from raw ones where ``softplus`` is set."""
    if dt_bias is not None:
        dt = dt + dt_bias.to(dt.dtype)
    return F.softplus(dt) if softplus else dt


@torch.compiler.assume_constant_result  # torch.compile would follow it into imports
def _form_on(device: str) -> str:
    return chosen_ssd_path(device).name


def _in_chunks(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """y without D x, and the last state; all of one floating type."""
    length, groups, width = x.shape[1], B.shape[2], x.shape[3]
    size = min(chunk, max(1, length))
    missing = -length % size
    if missing:
        x, dt, B, C = (_filled_up(part, missing) for part in (x, dt, B, C))
    stepped = rearrange(x * dt[..., None], "b (c q) (g r) p -> b c g r q p", q=size, g=groups)
    exponents = rearrange(dt * A, "b (c q) (g r) -> b c g r q", q=size, g=groups)
    B, C = (rearrange(part, "b (c q) g n -> b c g q n", q=size) for part in (B, C))

    decay = decay_between(exponents)
    inside = ((C @ B.mT)[:, :, :, None] * decay) @ stepped

    to_end = decay[..., -1, :]
    at_end = rearrange(to_end[..., None] * stepped, "b c g r q p -> b c g (r p) q") @ B
    per_head = rearrange(at_end, "b c g (r p) n -> b c (g r) p n", p=width)
    from_start = torch.exp(exponents.cumsum(-1))
    through = rearrange(from_start[..., -1], "b c g r -> b c (g r)")
    entering, final = carry_states(through, per_head, state)

    entering = rearrange(entering, "b c (g r) p n -> b c g (r p) n", g=groups)
    carried = rearrange(C @ entering.mT, "b c g q (r p) -> b c g r q p", p=width)
    y = inside + from_start[..., None] * carried
    return rearrange(y, "b c g r q p -> b (c q) (g r) p")[:, :length], final


def _filled_up(rows: Tensor, missing: int) -> Tensor:
    """With rows of zeros after the last, along the second axis."""
    return F.pad(rows, (0, 0) * (rows.ndim - 2) + (0, missing))
