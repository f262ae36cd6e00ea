"""Elastic transform: a random affine map, then smooth random displacements.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definition as in their script. The affine map is
OpenCV's ``warpAffine`` as of its fixed-point code (imgwarp.cpp, 3.x and 4.x): places are read at
multiples of 1/32 pixel. OpenCV 5 reads in between and differs by up to 2 levels of 255.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Float64
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.operators import filter_both, gaussian_matrix
from eval.corruptions.pixels import DrawContext, Images, intensities, to_bytes
from eval.corruptions.severities import Elastic

#: OpenCV's coordinates have 10 fraction bits while they are added, 5 when they are used.
_SUM_BITS, _USED_BITS = 10, 5
_SMOOTHING_TRUNCATE = 3.0


class ElasticDraws(NamedTuple):
    """Uniform numbers on [-1, 1): shifts of the affine map's corners, and displacements.

    Attributes:
        corners: for three corners, along both axes.
        right: before smoothing.
        down: before smoothing.
    """

    corners: Float32[Tensor, "batch 3 2"]
    right: Float32[Tensor, "batch height width"]
    down: Float32[Tensor, "batch height width"]


def draw_elastic(draws: Draws, context: DrawContext, _: Elastic) -> ElasticDraws:
    """Numbers for the corners and for every pixel."""
    moves = draws.uniform(2, context.height, context.width, stream=1).mul_(2).sub_(1)
    return ElasticDraws(
        draws.uniform(3, 2, stream=0).mul_(2).sub_(1), right=moves[:, 0], down=moves[:, 1]
    )


def elastic_transform(images: Images, constants: Elastic, draws: ElasticDraws) -> Images:
    """Map three corners of a square to shifted ones, then move every pixel a little."""
    height, width = images.shape[-2:]
    maps = inverse_maps(draws.corners.cpu().numpy(), constants.affine, height, width)
    places = fixed_point_places(torch.from_numpy(maps).to(images.device), height, width)
    mapped = _read(intensities(images), places, border="mirror")
    return to_bytes(_read(mapped, _displaced(constants, draws), border="reflect"))


def inverse_maps(
    corners: Float32[np.ndarray, "batch 3 2"], reach: float, height: int, width: int
) -> Float64[np.ndarray, "batch 2 3"]:
    """For each picture the affine map from places in the result to places in the picture.

    The corners are right-angled around the middle, a third of the shorter side away from it;
    coordinates are (right, down), which the published script mixes up on frames that are not
    square, as we do.
    """
    middle = np.array([height // 2, width // 2])
    arm = min(height, width) // 3
    steps = np.array([[1, 1], [1, -1], [-1, -1]])
    before = (middle + arm * steps).astype(np.float32)
    after = before + (corners.astype(np.float64) * reach).astype(np.float32)
    known = np.concatenate([after.astype(np.float64), np.ones((len(corners), 3, 1))], axis=2)
    return np.linalg.solve(known, np.broadcast_to(before, after.shape)).swapaxes(1, 2)


def fixed_point_places(
    maps: Float64[Tensor, "batch 2 3"], height: int, width: int
) -> Float32[Tensor, "batch height width 2"]:
    """Where each pixel of the result reads, (right, down) in multiples of 1/32 pixel."""
    scaled = maps * float(1 << _SUM_BITS)
    across = torch.arange(width, device=maps.device, dtype=torch.float64)[None, :, None]
    along = torch.arange(height, device=maps.device, dtype=torch.float64)[None, :, None]
    by_column = (scaled[:, None, :, 0] * across).round().int()
    by_row = (scaled[:, None, :, 1] * along + scaled[:, None, :, 2]).round().int()
    shift = _SUM_BITS - _USED_BITS
    sums = by_column[:, None] + by_row.add_(1 << shift >> 1)[:, :, None]
    return (sums >> shift).float().div_(1 << _USED_BITS)


def _displaced(constants: Elastic, draws: ElasticDraws) -> Float32[Tensor, "batch height width 2"]:
    """Each pixel's own place plus smoothed displacements, (right, down)."""
    height, width = draws.right.shape[-2:]
    device = draws.right.device
    rows, columns = (
        gaussian_matrix(
            length, constants.sigma, border="reflect", truncate=_SMOOTHING_TRUNCATE, device=device
        )
        for length in (height, width)
    )
    moves = filter_both(torch.stack([draws.right, draws.down]), rows, columns)
    moves.mul_(constants.alpha)
    moves[0] += torch.arange(width, device=device)
    moves[1] += torch.arange(height, device=device)[:, None]
    return torch.stack([moves[0], moves[1]], dim=-1)


def _read(
    values: Float32[Tensor, "batch channels height width"],
    places: Float32[Tensor, "batch height width 2"],
    *,
    border: str,
) -> Float32[Tensor, "batch channels height width"]:
    """Interpolate linearly at ``places``, overwriting them; beyond the border all is mirrored.

    ``mirror`` mirrors about the middle of the last pixel, ``reflect`` about its outer edge.
    """
    keeps_corners = border == "mirror"
    sides = torch.tensor([values.shape[-1], values.shape[-2]], device=values.device)
    scale, offset = (2 / (sides - 1), 0.0) if keeps_corners else (2 / sides, 0.5)
    grid = places.add_(offset).mul_(scale).sub_(1)
    return F.grid_sample(
        values, grid, mode="bilinear", padding_mode="reflection", align_corners=keeps_corners
    )
