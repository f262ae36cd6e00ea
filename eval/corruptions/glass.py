"""Glass blur: pixels trade places with near ones, between two smoothings; bit-exact, in parallel.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definition as in their scripts. What their loop
means to be a swap of two pixels copies one of them, because both sides of a NumPy assignment are
views of one array; the published pictures were made so, and so are ours.

The loop visits pixels from the lower right to the upper left, and each takes what then stands
at a nearby place: the new pixel where that place has been visited, else the old one. Read as a
pointer from each pixel to its source, every chain of new pixels ends in an old one, and all
chains are followed at once by doubling pointers.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.operators import gaussian_radius, gaussian_weights
from eval.corruptions.pixels import DrawContext, Images, to_bytes
from eval.corruptions.severities import Glass


class Shifts(NamedTuple):
    """Where each pixel looks in each sweep, -max_shift to max_shift - 1, in image coordinates."""

    down: Int64[Tensor, "batch sweeps height width"]
    right: Int64[Tensor, "batch sweeps height width"]


class _Visited(NamedTuple):
    """Pixels of a frame that a sweep replaces, row after row; ``is_visited`` as 0 and 1 too."""

    is_visited: Bool[Tensor, " pixels"]
    ones: Int64[Tensor, " pixels"]
    places: Int64[Tensor, " pixels"]


def draw_shifts(draws: Draws, context: DrawContext, constants: Glass) -> Shifts:
    """Shifts for every pixel; those the sweeps do not visit go unused."""
    choices = 2 * constants.max_shift
    shape = (constants.sweeps, context.height, context.width)
    pairs = draws.uniform(*shape, stream=0).mul_(choices**2).floor_()
    down = (pairs / choices).floor_()
    right = pairs.sub_(down, alpha=choices)
    return Shifts(*(shift.sub_(constants.max_shift).to(torch.int64) for shift in (down, right)))


def glass_blur(images: Images, constants: Glass, shifts: Shifts) -> Images:
    """Smooth, cut to bytes, shuffle, smooth again."""
    smoothed = to_bytes(_smooth(_unit(images), constants.sigma))
    shuffled = shuffle(smoothed, constants.max_shift, shifts)
    return to_bytes(_smooth(_unit(shuffled), constants.sigma))


def shuffle(images: Images, max_shift: int, shifts: Shifts) -> Images:
    """Every sweep of the published loop in turn; pixels are gathered once, at the end."""
    height, width = images.shape[-2:]
    visited = _visited(height, width, max_shift, images.device)
    moves = torch.add(shifts.right, shifts.down, alpha=width).flatten(2)
    sources = _sources(moves[:, 0], visited)
    for sweep in range(1, moves.shape[1]):
        sources = sources.gather(1, _sources(moves[:, sweep], visited))
    channels = images.flatten(2).unbind(1)
    pairs = [zip(channel, sources, strict=True) for channel in channels]
    shown = [torch.stack([pixels.index_select(0, at) for pixels, at in pair]) for pair in pairs]
    return torch.stack(shown, dim=1).view_as(images)


def _sources(
    moves: Int64[Tensor, "batch pixels"], visited: _Visited
) -> Int64[Tensor, "batch pixels"]:
    """The old pixel that each new one shows after one sweep.

    First every pixel points at the place it looks at. Pointers at new pixels then take over what
    those point at, until all point at old ones; each round doubles how far they have followed.
    """
    sources = (moves * visited.ones).add_(visited.places)
    is_open = (sources > visited.places) & _at(visited.is_visited, sources)
    first = torch.arange(len(moves), device=moves.device)[:, None] * moves.shape[1]
    flat, flat_open = (sources + first).flatten(), is_open.flatten()
    places = flat_open.nonzero().squeeze(1)
    while places.numel():
        targets = flat.index_select(0, places)
        still_open = flat_open.index_select(0, targets)
        flat.index_copy_(0, places, flat.index_select(0, targets))
        flat_open.index_copy_(0, places, still_open)
        places = places.masked_select(still_open)
    return flat.view_as(moves).sub_(first)


def _at(values: Bool[Tensor, " pixels"], places: Tensor) -> Tensor:
    """``values[places]`` for any shape of places; on a CPU several times as fast."""
    return values.index_select(0, places.flatten()).view_as(places)


@lru_cache(maxsize=16)
def _visited(height: int, width: int, max_shift: int, device: torch.device) -> _Visited:
    """Rows and columns max_shift + 1 to length - max_shift, as in the published loop."""
    down = torch.arange(height, device=device)[:, None]
    right = torch.arange(width, device=device)
    inside = (down > max_shift) & (down <= height - max_shift)
    inside = (inside & (right > max_shift) & (right <= width - max_shift)).flatten()
    return _Visited(inside, inside.long(), torch.arange(height * width, device=device))


def _unit(images: Images) -> Float64[Tensor, "batch 3 height width"]:
    return images.double().div_(255)


def _smooth(
    values: Float64[Tensor, "batch 3 height width"], sigma: float
) -> Float64[Tensor, "batch 3 height width"]:
    """skimage.filters.gaussian, rounding included: rows first, taps added from the outside in.

    The result is cut to bytes, so in plain areas the last bit of a sum decides about a level.
    """
    radius = gaussian_radius(sigma, 4.0)
    weights = gaussian_weights(sigma, radius).tolist()
    for axis, padding in ((2, [0, 0, radius, radius]), (3, [radius, radius, 0, 0])):
        length = values.shape[axis]
        padded = F.pad(values, padding, mode="replicate")
        total = padded.narrow(axis, radius, length) * weights[radius]
        for tap in range(radius):
            pair = padded.narrow(axis, tap, length) + padded.narrow(axis, 2 * radius - tap, length)
            total += pair.mul_(weights[tap])
        values = total
    return values
