"""Snow, frost and fog.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definitions as in their scripts (see
:mod:`eval.corruptions.severities`).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float32, Float64, UInt8
from torch import Tensor

from eval.corruptions.blur import HALF_QUANTUM, blur_along, trail
from eval.corruptions.draws import Draws
from eval.corruptions.frost import textures
from eval.corruptions.operators import crop_of_zoom, filter_both, zoom_matrix
from eval.corruptions.pixels import DrawContext, Images, intensities, to_bytes
from eval.corruptions.severities import Fog, Frost, Motion, Snow

#: Luma of ITU-R BT.601, as in OpenCV.
_LUMA = (0.299, 0.587, 0.114)
#: Snow falls at 90 degrees, give or take so much.
_SNOW_ANGLE_RANGE = 45.0
#: Half range of the roughness of fog at the largest scale, before it is squared.
_FOG_ROUGHNESS = 100.0


class SnowDraws(NamedTuple):
    """Standard normal numbers of the flakes, and the direction of their trails in degrees."""

    normals: Float64[Tensor, "batch height width"]
    angles: Float64[Tensor, " batch"]


class FogDraws(NamedTuple):
    """Uniform numbers on [-1, 1) for each scale of the map, from one cell to half its side.

    Cells of one scale: the middles, the places above and below them, those beside them.
    """

    scales: tuple[Float32[Tensor, "batch 3 cells cells"], ...]


def draw_snow(draws: Draws, context: DrawContext, _: Snow) -> SnowDraws:
    """Flakes for the whole frame; their zoom uses its middle. Angles are -135 to -45."""
    normals = draws.normal(context.height, context.width, stream=0).double()
    turn = draws.uniform(stream=1).double().mul_(2).sub_(1)
    return SnowDraws(normals, turn.mul_(_SNOW_ANGLE_RANGE).sub_(90))


def draw_frost(
    draws: Draws, context: DrawContext, _: Frost
) -> UInt8[Tensor, "batch 3 height width"]:
    """A crop of one of the frost pictures for each image (see :mod:`eval.corruptions.frost`)."""
    device = draws.keys.device
    sides = (context.height, context.width)
    pictures = textures(context.frost_dir, context.constants, sides, device)
    crops = []
    for which, down, right in draws.uniform(3, stream=0).tolist():
        picture = pictures[int(which * len(pictures))]
        top = int(down * (picture.shape[1] - context.height))
        left = int(right * (picture.shape[2] - context.width))
        crops.append(picture[:, top : top + context.height, left : left + context.width])
    return torch.stack(crops)


def draw_fog(draws: Draws, context: DrawContext, _: Fog) -> FogDraws:
    """Numbers for a map whose side is the power of two that covers the frame."""
    levels = (max(context.height, context.width) - 1).bit_length()
    return FogDraws(
        tuple(
            draws.uniform(3, 1 << level, 1 << level, stream=level).mul_(2).sub_(1)
            for level in range(levels)
        )
    )


def snow(images: Images, constants: Snow, draws: SnowDraws) -> Images:
    """Whiten the picture and lay flakes with trails on it, and the same flakes turned around.

    The flakes are worked out in float64: which of them pass the cut-off must not depend on
    rounding.
    """
    flakes = torch.stack(
        [
            blur_along(layer, trail(Motion(constants.radius, constants.sigma), angle))
            for layer, angle in zip(
                _flakes(draws.normals, constants), draws.angles.tolist(), strict=True
            )
        ]
    )
    layer = flakes.add_(HALF_QUANTUM).floor_().float().div_(255)
    values = intensities(images)
    luma = torch.tensor(_LUMA, device=images.device).view(3, 1, 1)
    gray = (values * luma).sum(dim=1, keepdim=True).mul_(1.5).add_(0.5)
    whitened = torch.maximum(values, gray).mul_(1 - constants.blend)
    whitened.add_(values, alpha=constants.blend)
    return to_bytes(whitened.add_(layer).add_(layer.flip(-2, -1)))


def frost(images: Images, constants: Frost, crops: UInt8[Tensor, "batch 3 height width"]) -> Images:
    """Weighted sum of the picture and a crop of frost, cut off at white."""
    mixed = images.float().mul_(constants.image_weight)
    return mixed.add_(crops, alpha=constants.frost_weight).clamp_(0, 255).byte()


def fog(images: Images, constants: Fog, draws: FogDraws) -> Images:
    """Add a cloudy map, then scale down so that the brightest value stays what it was."""
    height, width = images.shape[-2:]
    clouds = plasma(draws, constants.decay)[:, None, :height, :width]
    values = intensities(images)
    brightest = values.amax(dim=(1, 2, 3), keepdim=True)
    values = values.add(clouds, alpha=constants.strength)
    return to_bytes(values.mul_(brightest / (brightest + constants.strength)))


def plasma(draws: FogDraws, decay: float) -> Float32[Tensor, "batch side side"]:
    """A cloudy map on [0, 1] by diamonds and squares (Fournier, Fussell and Carpenter 1982).

    Wraps around at the borders; each scale adds a mean of four neighbours and noise whose range
    is the square of a roughness that falls by ``decay``, as the published script has it.
    """
    first = draws.scales[0]
    heights = first.new_zeros(first.shape[0], 1, 1)
    roughness = _FOG_ROUGHNESS
    for noise in draws.scales:
        heights = _refine(heights, noise * roughness**2)
        roughness /= decay
    heights -= heights.amin(dim=(1, 2), keepdim=True)
    return heights.div_(heights.amax(dim=(1, 2), keepdim=True))


def _refine(
    corners: Float32[Tensor, "batch cells cells"], noise: Float32[Tensor, "batch 3 cells cells"]
) -> Float32[Tensor, "batch fine fine"]:
    """Twice as many points a side: between four corners, then between corners and middles."""
    across = corners + corners.roll(-1, dims=1)
    middles = (across + across.roll(-1, dims=2)).div_(4).add_(noise[:, 0])
    in_rows = middles + middles.roll(1, dims=1) + corners + corners.roll(-1, dims=2)
    in_columns = middles + middles.roll(1, dims=2) + corners + corners.roll(-1, dims=1)
    batch, cells, _ = corners.shape
    fine = corners.new_empty(batch, cells, 2, cells, 2)
    fine[:, :, 0, :, 0] = corners
    fine[:, :, 1, :, 1] = middles
    fine[:, :, 0, :, 1] = in_rows.div_(4).add_(noise[:, 1])
    fine[:, :, 1, :, 0] = in_columns.div_(4).add_(noise[:, 2])
    return fine.view(batch, 2 * cells, 2 * cells)


def _flakes(
    normals: Float64[Tensor, "batch height width"], constants: Snow
) -> Float64[Tensor, "batch 1 height width"]:
    """Zoomed field of flakes in whole levels of 0 to 255."""
    height, width = normals.shape[-2:]
    zoom, options = constants.zoom, {"dtype": torch.float64, "device": normals.device}
    part = normals[:, crop_of_zoom(height, zoom)[0], crop_of_zoom(width, zoom)[0]]
    field = filter_both(
        part * constants.std + constants.mean,
        zoom_matrix(height, zoom, **options),
        zoom_matrix(width, zoom, **options),
    )
    field = torch.where(field < constants.threshold, 0.0, field)
    return field.clamp_(0, 1).mul_(255).floor_()[:, None]
