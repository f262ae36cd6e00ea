"""Spatter: drops of water or mud on the lens.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definition as in their script, which leans on
OpenCV for water. Its steps (edges, distances, equalisation) are in
:mod:`eval.corruptions.drops`.
"""

import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.drops import drops_of
from eval.corruptions.operators import filter_both, gaussian_matrix
from eval.corruptions.pixels import DrawContext, Images, intensities, to_bytes
from eval.corruptions.severities import Spatter

#: Pale turquoise and brown, red to blue.
_WATER = (175 / 255, 238 / 255, 238 / 255)
_MUD = (63 / 255, 42 / 255, 20 / 255)
#: Mud thinner than this does not show.
_THINNEST_MUD = 0.8


def draw_spatter(
    draws: Draws, context: DrawContext, _: Spatter
) -> Float64[Tensor, "batch height width"]:
    """Standard normal numbers of the liquid."""
    return draws.normal(context.height, context.width, stream=0).double()


def spatter(
    images: Images, constants: Spatter, normals: Float64[Tensor, "batch height width"]
) -> Images:
    """Add drops where smoothed noise passes the cut-off.

    The liquid is worked out in float64: what passes the cut-off must not depend on rounding.
    """
    noise = normals * constants.std + constants.mean
    liquid = _smooth(noise, constants.sigma)
    liquid = torch.where(liquid < constants.threshold, 0.0, liquid)
    cover = _mud if constants.is_mud else _water
    return to_bytes(cover(intensities(images), liquid, constants))


def _water(
    values: Float32[Tensor, "batch 3 height width"],
    liquid: Float64[Tensor, "batch height width"],
    constants: Spatter,
) -> Float32[Tensor, "batch 3 height width"]:
    """Lighten where there is liquid, most along the drops' edges.

    A frame without a drop stays as it is, where the published script divides by zero.
    """
    level = liquid.mul(255).long().bitwise_and_(255)
    sheen = (level * drops_of(level)).float()
    strongest = sheen.amax(dim=(1, 2), keepdim=True)
    sheen = torch.where(strongest > 0, sheen / strongest, 0.0).mul_(constants.strength)
    return values.add_(sheen[:, None] * _color(_WATER, values.device))


def _mud(
    values: Float32[Tensor, "batch 3 height width"],
    liquid: Float64[Tensor, "batch height width"],
    constants: Spatter,
) -> Float32[Tensor, "batch 3 height width"]:
    """Cover with brown where smoothed drops are thick enough; float32 steps as published."""
    drops = (liquid > constants.threshold).double()
    thickness = _smooth(drops, constants.strength).float()
    thickness = torch.where(thickness < _THINNEST_MUD, 0.0, thickness)[:, None]
    return values.mul_(1 - thickness).add_(thickness * _color(_MUD, values.device))


def _smooth(
    layer: Float64[Tensor, "batch height width"], sigma: float
) -> Float64[Tensor, "batch height width"]:
    rows, columns = (
        gaussian_matrix(length, sigma, dtype=torch.float64, device=layer.device)
        for length in layer.shape[-2:]
    )
    return filter_both(layer, rows, columns)


def _color(color: tuple[float, float, float], device: torch.device) -> Float32[Tensor, "3 1 1"]:
    return torch.tensor(color, device=device).view(3, 1, 1)
