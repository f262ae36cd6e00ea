"""Noise on every value: normal, Poisson, salt and pepper, and normal in proportion.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definitions as in their scripts (see
:mod:`eval.corruptions.severities`). Every value of every channel is damaged on its own.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from scipy.stats import poisson
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.pixels import DrawContext, Images, intensities, to_bytes
from eval.corruptions.severities import Impulse, Noise, Shot

Numbers = Float32[Tensor, "batch 3 height width"]

#: Uniform numbers are whole multiples of one part in so many.
_STEPS = 1 << 24
#: Bits of a uniform number that name its bin in :class:`_PoissonTable`.
_BIN_BITS = 10
_BIN_SHIFT = 24 - _BIN_BITS


class SaltAndPepper(NamedTuple):
    """Uniform numbers: which values are hit (the small ones), and which of them turn white."""

    hits: Numbers
    shades: Numbers


class _PoissonTable(NamedTuple):
    """Poisson distributions for each of the 256 byte values, on the scale of uniform numbers.

    Attributes:
        edges: 256 rows; the number of edges of a row below a uniform number is its count.
        edges_per_row: columns of ``edges``.
        first_counts: 256 rows of bins; the count of the smallest number of each bin.
    """

    edges: Tensor
    edges_per_row: int
    first_counts: Tensor


def draw_normal(draws: Draws, context: DrawContext, _: Noise) -> Numbers:
    """Standard normal numbers."""
    return draws.normal(3, context.height, context.width, stream=0)


def draw_uniform(draws: Draws, context: DrawContext, _: Shot) -> Numbers:
    """Uniform numbers on [0, 1)."""
    return draws.uniform(3, context.height, context.width, stream=0)


def draw_salt_and_pepper(draws: Draws, context: DrawContext, _: Impulse) -> SaltAndPepper:
    """Two uniform numbers for each value."""
    numbers = draws.uniform(2, 3, context.height, context.width, stream=0)
    return SaltAndPepper(numbers[:, 0], numbers[:, 1])


def gaussian_noise(images: Images, constants: Noise, normals: Numbers) -> Images:
    """Add normal noise of one strength everywhere."""
    return to_bytes(intensities(images).add_(normals, alpha=constants.sigma))


def speckle_noise(images: Images, constants: Noise, normals: Numbers) -> Images:
    """Add normal noise in proportion to the intensity."""
    values = intensities(images)
    return to_bytes(values.addcmul_(values, normals, value=constants.sigma))


def impulse_noise(images: Images, constants: Impulse, draws: SaltAndPepper) -> Images:
    """Turn a share of the values black or white, half each, as skimage's ``s&p`` noise does.

    A value is hit where its number is at most the share, and white where the other is at most
    one half.
    """
    share = math.floor(constants.share * _STEPS) / _STEPS
    shades = (draws.shades <= 0.5).byte().mul_(255)
    return torch.where(draws.hits <= share, shades, images)


def shot_noise(images: Images, constants: Shot, uniforms: Numbers) -> Images:
    """Replace each intensity by a Poisson count of photons.

    Counts come from inverting the distribution: the number of ``n`` whose cumulative
    probability lies below the uniform number. Exact for the uniform numbers of
    :class:`eval.corruptions.draws.Draws`, which are multiples of 2**-24; others are cut to one.
    """
    table = _poisson_table(constants.photons, images.device)
    steps = (uniforms.flatten() * _STEPS).int()
    values = images.flatten().int()
    bins = (values << _BIN_BITS).add_(steps >> _BIN_SHIFT)
    counts = table.first_counts.index_select(0, bins)
    first_edges = values * table.edges_per_row
    counts += steps > table.edges.index_select(0, first_edges + counts)
    _count_on(counts, steps, values, table)
    return to_bytes(counts.float().div_(constants.photons)).view_as(images)


def _count_on(counts: Tensor, steps: Tensor, values: Tensor, table: _PoissonTable) -> None:
    """Count anew the few numbers that lie beyond a further edge of their bin."""
    at_edge = table.edges.index_select(0, values * table.edges_per_row + counts)
    places = (steps > at_edge).nonzero().squeeze(1)
    rows = table.edges.view(256, -1).index_select(0, values.index_select(0, places))
    counted = (steps.index_select(0, places)[:, None] > rows).sum(dim=1)
    counts.index_copy_(0, places, counted.to(counts.dtype))


@lru_cache(maxsize=16)
def _poisson_table(photons: float, device: torch.device) -> _PoissonTable:
    means = np.arange(256)[:, None] / 255 * photons
    last = int(poisson.isf(2.0**-26, photons)) + 1
    cumulative = poisson.cdf(np.arange(last + 1), means)
    cumulative[:, -1] = 1.0
    edges = np.floor(cumulative * _STEPS).astype(np.int32)
    starts = np.arange(1 << _BIN_BITS) << _BIN_SHIFT
    first_counts = np.stack([np.searchsorted(row, starts, side="left") for row in edges])
    return _PoissonTable(
        edges=torch.from_numpy(edges.ravel()).to(device),
        edges_per_row=edges.shape[1],
        first_counts=torch.from_numpy(first_counts.astype(np.int32).ravel()).to(device),
    )
