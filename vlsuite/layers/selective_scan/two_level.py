"""A span of time of the scan, forward and back, in plain torch: rows of steps, then rows.

A step depends on the one before, so a loop over time would be as slow as the number of its calls.
Two levels instead: a span is cut into rows of c steps. All rows take their steps together, c calls;
what they hand on is carried from row to row, k calls; then the rows take their steps again from the
right states. Every factor is exp(dt A) of a step or of a whole row, so nothing overflows.

c = steps of a row, k = rows of the span, b = batch, n = states, d = channels
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """Inputs of a span, in the type of the states.

    Attributes:
        x: [c k b d]; dt, the finished step, likewise.
        B: [c k b n]; C likewise.
        A: [n d].
    """

    x: Tensor
    dt: Tensor
    B: Tensor
    C: Tensor
    A: Tensor


class States(NamedTuple):
    """States of a span.

    Attributes:
        decay: [c k b n d], exp(dt A).
        behind: [c k b n d], the state behind every step.
        row_decay: [k b n d], of all steps of a row.
        row_starts: [k b n d], the state before every row.
        end: [b n d].
    """

    decay: Tensor
    behind: Tensor
    row_decay: Tensor
    row_starts: Tensor
    end: Tensor


class SpanGradients(NamedTuple):
    """Gradients of the inputs of a span and of the state before it, in its layout."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    start: Tensor


def states_of(span: Span, start: Tensor) -> States:
    """The states behind every step, from the state [b n d] before the span."""
    c, k = span.x.shape[:2]
    decay = torch.mul(span.dt[..., None, :], span.A).exp_()
    behind = torch.mul((span.dt * span.x)[..., None, :], span.B[..., None])
    last = behind[0]
    for i in range(1, c):
        last = torch.addcmul(behind[i], decay[i], last)
    row_decay = torch.mul(span.dt.sum(0)[..., None, :], span.A).exp_()
    row_starts = torch.empty_like(row_decay)
    state = start
    for j in range(k):
        row_starts[j] = state
        state = torch.addcmul(last[j], row_decay[j], state)
    before = row_starts
    for i in range(c):
        before = torch.addcmul(behind[i], decay[i], before, out=behind[i])
    return States(decay, behind, row_decay, row_starts, state)


def outputs_of(span: Span, states: States) -> Tensor:
    """y without D x: [c k b d]."""
    return (span.C[..., None, :] @ states.behind).squeeze(-2)


def gradients_of(span: Span, states: States, dy: Tensor, dend: Tensor) -> SpanGradients:
    """Back through a span; ``states.decay`` is used up.

    With g[t] = dy[t] C[t] + a[t+1] g[t+1], the adjoint of the state behind step t:
    dC = <dy, h[t]>, dB = <g, dt x>, d(dt x) = <g, B>, dA = g a h[t-1] dt, and d(dt) from both.

    Args:
        dy: [c k b d].
        dend: [b n d], of the state behind the span.
    """
    c, k = span.x.shape[:2]
    decay = states.decay
    g = torch.mul(dy[..., None, :], span.C[..., None])
    first = g[c - 1]
    for i in range(c - 2, -1, -1):
        first = torch.addcmul(g[i], decay[i + 1], first)
    row_gives = decay[0] * first
    handed = torch.empty_like(row_gives)
    for j in range(k - 1, -1, -1):
        handed[j] = dend
        dend = torch.addcmul(row_gives[j], states.row_decay[j], dend)
    after = g[c - 1].add_(handed)
    for i in range(c - 2, -1, -1):
        after = torch.addcmul(g[i], decay[i + 1], after, out=g[i])
    dC = (states.behind @ dy[..., None]).squeeze(-1)
    dB = (g @ (span.dt * span.x)[..., None]).squeeze(-1)
    by_B = (span.B[..., None, :] @ g).squeeze(-2)
    decay.mul_(g)
    decay[1:].mul_(states.behind[:-1])
    decay[0].mul_(states.row_starts)
    by_A = torch.zeros_like(span.dt)
    for j in range(span.A.shape[0]):
        by_A.addcmul_(decay[..., j, :], span.A[j])
    dA = torch.zeros_like(states.row_decay)
    for i in range(c):
        dA.addcmul_(decay[i], span.dt[i][..., None, :])
    return SpanGradients(
        x=span.dt * by_B,
        dt=by_A.addcmul_(span.x, by_B),
        A=dA.sum((0, 1)),
        B=dB,
        C=dC,
        start=dend,
    )
