"""Blurs by one kernel: normal, out of focus and motion.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definitions as in their scripts (see
:mod:`eval.corruptions.severities`).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Complex64, Float, Float64
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.operators import (
    filter_both,
    gaussian_matrix,
    gaussian_weights,
    taps_matrix,
)
from eval.corruptions.pixels import DrawContext, Images, intensities, to_bytes
from eval.corruptions.severities import Defocus, GaussianBlur, Motion

#: Largest angle of motion against the horizontal, in degrees.
_MAX_ANGLE = 45.0
#: Half of ImageMagick's smallest step, in bytes.
HALF_QUANTUM = 0.5 / 257
#: Fourier transforms are quick at multiples of this length.
_FOURIER_MULTIPLE = 64


class Trail(NamedTuple):
    """One-sided motion kernel: where each tap reads, in pixels, and its weight; they add to 1."""

    down: tuple[int, ...]
    right: tuple[int, ...]
    weights: tuple[float, ...]


def draw_angles(draws: Draws, context: DrawContext, _: Motion) -> Float64[Tensor, " batch"]:
    """Degrees between -45 and 45."""
    return draws.uniform(stream=0).double().mul_(2 * _MAX_ANGLE).sub_(_MAX_ANGLE)


def gaussian_blur(images: Images, constants: GaussianBlur) -> Images:
    """Smooth with a normal of 4 sigmas to either side, borders repeated."""
    rows, columns = (
        gaussian_matrix(length, constants.sigma, device=images.device)
        for length in images.shape[-2:]
    )
    return to_bytes(filter_both(intensities(images), rows, columns))


def defocus_blur(images: Images, constants: Defocus) -> Images:
    """Average over a disk with a softened edge, borders mirrored without the last pixel."""
    kernel = disk(constants.radius, constants.alias_sigma)
    radius = kernel.shape[0] // 2
    padded = F.pad(intensities(images), [radius] * 4, mode="reflect")
    lengths = [-(-side // _FOURIER_MULTIPLE) * _FOURIER_MULTIPLE for side in padded.shape[-2:]]
    spectrum = _disk_spectrum(constants, *lengths, images.device)
    blurred = torch.fft.irfft2(torch.fft.rfft2(padded, s=lengths).mul_(spectrum), s=lengths)
    height, width = images.shape[-2:]
    return to_bytes(blurred[..., 2 * radius :, 2 * radius :][..., :height, :width])


def motion_blur(images: Images, constants: Motion, angles: Float64[Tensor, " batch"]) -> Images:
    """Average along a one-sided trail in a direction of its own for each picture.

    ImageMagick's ``-motion-blur`` (effect.c, ``MotionBlurImage``): taps at whole pixels, borders
    repeated. Version 6 with 16-bit quanta, compared with here, rounds to a quantum (1/257 of a
    byte) and cuts that to bytes.

    Args:
        angles: degrees; 0 reads pixels to the right, 90 pixels below.
    """
    values = images.float()
    blurred = torch.empty_like(values)
    for image, angle, target in zip(values, angles.tolist(), blurred, strict=True):
        target.copy_(blur_along(image, trail(constants, angle)))
    return blurred.add_(HALF_QUANTUM).byte()


def disk(radius: float, alias_sigma: float) -> Float64[np.ndarray, "side side"]:
    """A disk of sum 1 on a grid of 17 pixels, or of 2 radius + 1 where that is more.

    Its edge is softened by a normal of 3 taps, of 5 on the larger grid.
    """
    half, taps = (8, 3) if radius <= 8 else (int(radius), 5)
    places = np.arange(-half, half + 1)
    inside = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float64)
    softened = taps_matrix(len(places), gaussian_weights(alias_sigma, taps // 2), border="mirror")
    return softened @ (inside / inside.sum()) @ softened.T


@lru_cache(maxsize=16)
def _disk_spectrum(
    constants: Defocus, height: int, width: int, device: torch.device
) -> Complex64[Tensor, "rows half_columns"]:
    kernel = torch.from_numpy(disk(constants.radius, constants.alias_sigma)).float()
    return torch.fft.rfft2(kernel.to(device), s=(height, width))


def trail(constants: Motion, angle: float) -> Trail:
    """Taps 0 to 2 radius along ``angle`` in degrees, weights falling off as half a normal."""
    count = 2 * math.ceil(constants.radius) + 1
    weights = gaussian_weights(constants.sigma, count - 1)[count - 1 :]
    slope = math.radians(angle)
    down, right = (
        tuple(math.ceil(tap * direction - 0.5) for tap in range(count))
        for direction in (math.sin(slope), math.cos(slope))
    )
    return Trail(down, right, tuple((weights / weights.sum()).tolist()))


def blur_along(
    image: Float[Tensor, "channels height width"], path: Trail
) -> Float[Tensor, "channels height width"]:
    """Weighted sum of shifted copies of a picture, borders repeated."""
    height, width = image.shape[-2:]
    above, below = max(0, -min(path.down)), max(0, max(path.down))
    before, after = max(0, -min(path.right)), max(0, max(path.right))
    padded = F.pad(image[None], [before, after, above, below], mode="replicate")[0]
    total = torch.zeros_like(image)
    for down, right, weight in zip(*path, strict=True):
        top, left = above + down, before + right
        total.add_(padded[:, top : top + height, left : left + width], alpha=weight)
    return total
