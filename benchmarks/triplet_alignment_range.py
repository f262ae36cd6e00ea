"""Is RDE's triplet alignment loss finite and right wherever it may be used?

Temperatures 0.002 to 0.1, batches of 1 to 4,096 pairs, fp32 and bf16 cosines, batches of
different identities, of some that agree, and of a single one. Every cell is compared with the
published equation (Qin et al. 2024, equation 5) in float64, where exp(S / tau) overflows only
below tau = 0.0015, and with the same equation in fp32, which is what its authors' code computes.
Pairs whose hinge float64 sees within 1e-5 of its corner are left out of the comparison of
gradients, for there rounding decides between two right answers.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from vlsuite.objectives.pairwise import Similarities
from vlsuite.objectives.triplet_alignment import TripletAlignment, triplet_alignment_losses

TAUS = (0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.03, 0.05, 0.1)
BATCHES = (1, 2, 8, 64, 512, 4096)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MARGIN = 0.1
_CORNER = 1e-5

#: Identity of each of n pairs.
IDENTITIES = {
    "different": torch.arange,
    "some agree": lambda n: torch.arange(n) // 3,
    "one": lambda n: torch.zeros(n, dtype=torch.int64),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One combination of settings."""

    tau: float
    batch: int
    dtype: str
    identities: str


class Measured(NamedTuple):
    """What one cell gave.

    Attributes:
        finite: loss and gradients of ours.
        published_finite: of the equation as it is written, in fp32.
        loss_error: of the mean loss, relative to the largest loss of a pair (or the margin).
        gradient_error: largest, relative to the largest entry of the gradient.
        num_left_out: pairs at the corner of their hinge.
    """

    finite: bool
    published_finite: bool
    loss_error: float
    gradient_error: float
    num_left_out: int


def cells(batches: tuple[int, ...]) -> Iterator[Cell]:
    """All combinations."""
    for batch in batches:
        for identities in IDENTITIES:
            for dtype in DTYPES:
                for tau in TAUS:
                    yield Cell(tau=tau, batch=batch, dtype=dtype, identities=identities)


def cosines_of(batch: int, *, seed: int, device: str) -> Tensor:
    """Own pairs around 0.5 and others around 0, some exactly 1 and -1, as fp32."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + batch)
    drawn = 0.3 * torch.randn(batch, batch, generator=generator) + 0.5 * torch.eye(batch)
    return drawn.clamp(-1, 1).to(device)


def published(cosines: Tensor, is_positive: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Losses of the equation as it is written, in the type given, and what the hinges cut.

    Rows without a negative, which the equation leaves undefined (log 0), have no loss.
    """
    has_negative = ~is_positive.all(dim=1)
    total, nearest = torch.zeros_like(cosines[0]), torch.full_like(cosines[0], math.inf)
    for rows in (cosines, cosines.T):
        powers = (rows / tau).exp()
        alpha = (powers * is_positive / (powers * is_positive).sum(1, keepdim=True)).detach()
        negatives = (powers * ~is_positive).sum(1)[has_negative]
        found = MARGIN - (alpha * rows).sum(1)[has_negative] + tau * negatives.log()
        total = total.index_add(0, has_negative.nonzero().squeeze(1), found.clamp(min=0))
        nearest[has_negative] = torch.minimum(nearest[has_negative], found.detach().abs())
    return total, nearest


def measure(cell: Cell, *, seed: int, device: str) -> Measured:
    """Ours, the reference and the published form on the same cosines."""
    cosines = cosines_of(cell.batch, seed=seed, device=device).to(DTYPES[cell.dtype])
    who = IDENTITIES[cell.identities](cell.batch).to(device)
    is_positive = who[:, None] == who[None, :]

    exact = cosines.double().requires_grad_()
    reference, nearest = published(exact, is_positive, cell.tau)
    counts = (nearest > _CORNER).double()
    expected = _gradient(reference, counts, exact)

    ours = cosines.clone().requires_grad_()
    scores = Similarities(ours, ours.T, torch.arange(cell.batch, device=device), is_positive)
    losses = triplet_alignment_losses(scores, TripletAlignment(MARGIN, cell.tau))
    gradient = _gradient(losses, torch.ones_like(counts), ours)
    finite = bool(torch.isfinite(losses).all() and torch.isfinite(gradient).all())
    wide = cosines.float().requires_grad_()  # bf16 gradients would be rounded, not wrong
    scores = Similarities(wide, wide.T, scores.own, is_positive)
    losses = triplet_alignment_losses(scores, TripletAlignment(MARGIN, cell.tau))
    compared = _gradient(losses, counts, wide)

    plain = cosines.float().requires_grad_()
    written, _ = published(plain, is_positive, cell.tau)
    written_gradient = _gradient(written, torch.ones_like(counts), plain)
    return Measured(
        finite=finite,
        published_finite=bool(
            torch.isfinite(written).all() and torch.isfinite(written_gradient).all()
        ),
        loss_error=_relative(losses.mean() - reference.mean(), max(MARGIN, _largest(reference))),
        gradient_error=_relative(compared - expected, _largest(expected) or 1.0),
        num_left_out=int((counts == 0).sum()),
    )


def _gradient(losses: Tensor, counts: Tensor, leaf: Tensor) -> Tensor:
    total = (losses * counts.to(losses.dtype)).mean()
    if not total.requires_grad:
        return torch.zeros_like(leaf)
    return torch.autograd.grad(total, leaf)[0]


def _relative(difference: Tensor, scale: float) -> float:
    return _largest(difference) / scale


def _largest(values: Tensor) -> float:
    return float(values.detach().abs().max())


def print_table(found: dict[Cell, Measured]) -> None:
    """One line a temperature and type, over all batches and identities."""
    print(f"{'tau':>7} {'type':<5} {'cells':>6} {'finite':>7} {'published form':>15}", end="")
    print(f" {'loss error':>11} {'gradient error':>15}")
    for tau in TAUS:
        for dtype in DTYPES:
            group = [m for c, m in found.items() if c.tau == tau and c.dtype == dtype]
            finite, published_finite = (
                sum(getattr(m, name) for m in group) for name in ("finite", "published_finite")
            )
            loss = max(m.loss_error for m in group)
            gradient = max(m.gradient_error for m in group)
            print(
                f"{tau:>7} {dtype:<5} {len(group):>6} {finite:>7} {published_finite:>15}"
                f" {loss:>11.1e} {gradient:>15.1e}"
            )


def main() -> None:
    args = _parse()
    torch.set_num_threads(args.threads)
    batches = tuple(b for b in BATCHES if b <= (512 if args.quick else max(BATCHES)))
    started, found = time.monotonic(), {}
    for cell in cells(batches):
        found[cell] = measure(cell, seed=args.seed, device=args.device)
    print_table(found)
    print(f"\n{len(found)} cells in {time.monotonic() - started:.0f} s")
    errors = {name: max(getattr(m, name) for m in found.values()) for name in _ERRORS}
    figures = {
        "finite": all(m.finite for m in found.values()),
        "max_rel_err_float64": max(errors.values()),
        **{f"max_{name}": value for name, value in errors.items()},
        "published_not_finite_share": sum(not m.published_finite for m in found.values())
        / len(found),
        "cells": len(found),
        "pairs_at_the_corner": sum(m.num_left_out for m in found.values()),
    }
    config = {
        "taus": TAUS,
        "batches": batches,
        "margin": MARGIN,
        "seed": args.seed,
        "device": args.device,
    }
    finish(
        "triplet_alignment_range", figures, environment.describe(), config=config, save=args.save
    )


_ERRORS = ("loss_error", "gradient_error")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.triplet_alignment_range",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--quick", action="store_true", help="batches up to 512")
    parser.add_argument("--seed", type=int, default=0, help="of the cosines")
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
