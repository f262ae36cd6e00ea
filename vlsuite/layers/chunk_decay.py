"""Decays inside a chunk of a linear recurrence, and states from chunk to chunk, with gradients.

Both keep only what their gradients need. In fp32 or fp64 alone: differences of cumulated sums
have no correct digit in bf16.

c = chunks, q = tokens of a chunk, any = other axes
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def decay_between(exponents: Float[Tensor, "*any q"]) -> Float[Tensor, "*any q q"]:
    """How much of token j is left at token i: exp(sum of exponents j+1 to i), 0 where j > i.

    The exponential of the "stable segment sum" of Dao and Gu 2024, arXiv 2405.21060, listing 1:
    each column is summed from its own start, so that no two large sums are subtracted.
    """
    return _DecayBetween.apply(exponents)


def carry_states(
    through: Float[Tensor, "b c *heads"],
    added: Float[Tensor, "b c *heads p n"],
    state: Float[Tensor, "b *heads p n"],
) -> tuple[Float[Tensor, "b c *heads p n"], Float[Tensor, "b *heads p n"]]:
    """The state that enters each chunk, and the one after the last.

    state_{c+1} = through_c state_c + added_c.

    Args:
        through: share of the entering state that is left at the end of a chunk.
        added: what the tokens of a chunk leave at its end.
        state: that enters the first chunk.
    """
    return _CarryStates.apply(through, added, state)


class _DecayBetween(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, exponents: Tensor) -> Tensor:
        size = exponents.shape[-1]
        below = torch.ones(size, size, dtype=torch.bool, device=exponents.device).tril()
        sums = exponents[..., None].expand(*exponents.shape, size)
        sums = sums.masked_fill(~below.tril(-1), 0.0).cumsum(-2)
        decay = sums.masked_fill_(~below, -torch.inf).exp_()
        ctx.save_for_backward(decay)
        return decay

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """An exponent k stands in the sums of all pairs j < k <= i."""
        (decay,) = ctx.saved_tensors
        of_sums = grads[0] * decay
        later = of_sums.flip(-2).cumsum_(-2).flip(-2)
        return later.tril_(-1).sum(-1)


class _CarryStates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, through: Tensor, added: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        entering = torch.empty_like(added)
        for chunk in range(added.shape[1]):
            entering[:, chunk] = state
            state = torch.addcmul(added[:, chunk], through[:, chunk, ..., None, None], state)
        ctx.save_for_backward(through, entering)
        return entering, state.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        through, entering = ctx.saved_tensors
        of_entering, of_state = grads
        of_through, of_added = torch.empty_like(through), torch.empty_like(entering)
        for chunk in reversed(range(entering.shape[1])):
            of_added[:, chunk] = of_state
            of_through[:, chunk] = (of_state * entering[:, chunk]).sum((-2, -1))
            share = through[:, chunk, ..., None, None]
            of_state = torch.addcmul(of_entering[:, chunk], share, of_state)
        return of_through, of_added, of_state
