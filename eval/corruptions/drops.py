"""From a layer of liquid to the sheen of its drops, in whole numbers as OpenCV computes it.

Edges (Canny 1986), distance to the nearest edge (Borgefors 1986), equalised, embossed and
smoothed. Constants and rounding are those of OpenCV 4 (canny.cpp, distransform.cpp,
histogram.cpp, box_filter): every step is exact integer arithmetic, so its results are the same.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Tensor

Layer = Int64[Tensor, "batch height width"]
Mask = Bool[Tensor, "batch height width"]

_WEAK_EDGE, _STRONG_EDGE = 50, 150
#: tan(22.5 degrees) with 15 fraction bits, which decides between four directions of a gradient.
_TANGENT_BITS = 15
_TANGENT = 13573
#: Distances have 16 fraction bits; steps to a neighbour, a diagonal one, and a knight's move.
_DISTANCE_BITS = 16
_STRAIGHT, _DIAGONAL, _KNIGHT = (round(step * (1 << _DISTANCE_BITS)) for step in (1.0, 1.4, 2.1969))
_FARTHEST = 20
_EMBOSS = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def drops_of(liquid: Layer) -> Layer:
    """Sheen of a layer of liquid, both in levels 0 to 255."""
    distances = distances_to(edges(liquid))
    near = distances.clamp(max=_FARTHEST << _DISTANCE_BITS)
    # OpenCV multiplies by 1/9 in float64, rounds to float32, and the script cuts to bytes.
    mean = (_sum_of_nine(near).double() / (1 << _DISTANCE_BITS)) * (1 / 9)
    embossed = _emboss(equalize(mean.float().long()))
    return (_sum_of_nine(embossed).double() * (1 / 9)).round().long()


def edges(levels: Layer) -> Mask:
    """Canny's edges with thresholds 50 and 150 on the sum of absolute Sobel derivatives."""
    padded = F.pad(levels[:, None].double(), [1, 1, 1, 1], mode="replicate")[:, 0].long()
    smooth_rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    right = smooth_rows[..., 2:] - smooth_rows[..., :-2]
    smooth_columns = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    down = smooth_columns[:, 2:] - smooth_columns[:, :-2]
    strength = right.abs() + down.abs()
    ridge = _is_ridge(right, down, strength) & (strength > _WEAK_EDGE)
    return _grow(ridge & (strength > _STRONG_EDGE), ridge)


def distances_to(marks: Mask) -> Layer:
    """Chamfer distance to the nearest mark with 16 fraction bits, exact up to 20 pixels.

    A shortest path may take its straight, diagonal and knight's moves in any order, so it is
    enough to walk once along each of the sixteen directions; walks double in length.
    """
    far = (_FARTHEST + 1) << _DISTANCE_BITS
    distances = torch.where(marks, 0, far)
    for down, right, cost in _STEPS:
        steps_left = math.ceil((_FARTHEST << _DISTANCE_BITS) / cost)
        stride = 1
        while steps_left > 0:
            stride = min(stride, steps_left)
            distances = _walk(distances, down * stride, right * stride, cost * stride)
            steps_left -= stride
            stride *= 2
    return distances


def equalize(levels: Layer) -> Layer:
    """Spread levels evenly by their cumulated counts; the lowest present becomes 0."""
    flat = levels.flatten(1)
    counts = flat.new_zeros(flat.shape[0], 256).scatter_add_(1, flat, torch.ones_like(flat))
    is_lowest = (counts > 0) & (counts.cumsum(1) == counts)
    lowest = counts.where(is_lowest, 0).amax(dim=1, keepdim=True)
    others = flat.shape[1] - lowest
    scale = torch.full_like(others, 255, dtype=torch.float32) / others
    spread = ((counts.cumsum(1) - lowest).float() * scale).round().clamp(0, 255).long()
    spread = torch.where(others > 0, spread, torch.arange(256, device=levels.device))
    return spread.gather(1, flat).view_as(levels)


def _is_ridge(right: Layer, down: Layer, strength: Layer) -> Mask:
    """Whether a pixel's gradient is the largest along its direction; ties go up and left."""
    wide, tall = right.abs(), down.abs() << _TANGENT_BITS
    flat_limit = wide * _TANGENT
    steep_limit = flat_limit + (wide << (_TANGENT_BITS + 1))
    around = F.pad(strength, [1, 1, 1, 1])

    def at(dy: int, dx: int) -> Layer:
        height, width = strength.shape[-2:]
        return around[:, 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    flat = (strength > at(0, -1)) & (strength >= at(0, 1))
    steep = (strength > at(-1, 0)) & (strength >= at(1, 0))
    falling = (strength > at(-1, -1)) & (strength > at(1, 1))
    rising = (strength > at(-1, 1)) & (strength > at(1, -1))
    oblique = torch.where((right ^ down) < 0, rising, falling)
    return torch.where(tall < flat_limit, flat, torch.where(tall > steep_limit, steep, oblique))


def _grow(seeds: Mask, allowed: Mask) -> Mask:
    """Spread seeds to all allowed pixels they touch, corners included, until nothing changes."""
    grown = seeds
    while True:
        spread = F.max_pool2d(grown[:, None].float(), 3, stride=1, padding=1)[:, 0] > 0
        spread &= allowed
        if torch.equal(spread, grown):
            return grown
        grown = spread


def _walk(distances: Layer, down: int, right: int, cost: int) -> Layer:
    """The smaller of each distance and that of the pixel behind it plus ``cost``."""
    height, width = distances.shape[-2:]
    if abs(down) >= height or abs(right) >= width:
        return distances
    to_rows, from_rows = _shifted(down, height)
    to_columns, from_columns = _shifted(right, width)
    walked = distances.clone()
    ahead = walked[:, to_rows, to_columns]
    ahead.copy_(torch.minimum(ahead, distances[:, from_rows, from_columns] + cost))
    return walked


def _shifted(shift: int, length: int) -> tuple[slice, slice]:
    low, high = max(shift, 0), length + min(shift, 0)
    return slice(low, high), slice(low - shift, high - shift)


def _emboss(levels: Layer) -> Layer:
    padded = _mirrored(levels)
    height, width = levels.shape[-2:]
    total = torch.zeros_like(levels)
    for down, row in enumerate(_EMBOSS):
        for right, weight in enumerate(row):
            total += weight * padded[:, down : down + height, right : right + width]
    return total.clamp_(0, 255)


def _sum_of_nine(levels: Layer) -> Layer:
    padded = _mirrored(levels)
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def _mirrored(levels: Layer) -> Int64[Tensor, "batch padded_height padded_width"]:
    rows = torch.cat([levels[:, 1:2], levels, levels[:, -2:-1]], dim=1)
    return torch.cat([rows[..., 1:2], rows, rows[..., -2:-1]], dim=2)


def _steps() -> tuple[tuple[int, int, int], ...]:
    kinds = (((0, 1), _STRAIGHT), ((1, 1), _DIAGONAL), ((1, 2), _KNIGHT))
    found: dict[tuple[int, int], int] = {}
    for (small, large), cost in kinds:
        for down, right in ((small, large), (large, small)):
            for turn in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                found[(down * turn[0], right * turn[1])] = cost
    return tuple((down, right, cost) for (down, right), cost in found.items())


_STEPS = _steps()
