"""Near and far focus: blur that grows with the distance from the plane in focus.

Kar et al. 2022, arXiv 2203.01441; formulas and constants of the authors' create_dof.py. The
depths are cut into eight layers of equally many pixels; the picture is blurred for the depth of
each of the nine boundaries, and each pixel is mixed from the two boundaries around its depth.
"""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.operators import filter_both, gaussian_weights, taps_matrix
from eval.corruptions.pixels import intensities, to_bytes

Picture = UInt8[Tensor, "3 height width"]
DepthMap = Float32[Tensor, "height width"]

_NUM_LAYERS = 8
#: Focus lies on the first boundary, or on the last but one.
_NEAR, _FAR = 0, 7
#: Added to the severity: aperture over what turns a relative distance into pixels.
_NEAR_APERTURE, _FAR_APERTURE = 2.0, 0.5
#: Boundaries reach this much beyond the depths; a blur below the other is none.
_MARGIN, _SHARPEST = 1e-4, 0.1
#: Kernels are this many radii long.
_KERNEL_RADII = 3


def near_focus(image: Picture, depth: DepthMap, severity: int, _: Draws) -> Picture:
    """Focus on the nearest pixel."""
    return refocused(image, depth, focus=_NEAR, aperture=severity + _NEAR_APERTURE)


def far_focus(image: Picture, depth: DepthMap, severity: int, _: Draws) -> Picture:
    """Focus behind seven eighths of the pixels, with a smaller aperture."""
    return refocused(image, depth, focus=_FAR, aperture=severity + _FAR_APERTURE)


def refocused(image: Picture, depth: DepthMap, *, focus: int, aperture: float) -> Picture:
    """Blur each depth by its circle of confusion, aperture times |depth - focus| / depth.

    Args:
        depth: above 1e-4.
        focus: number of the boundary in focus, 0 to 8.
        aperture: standard deviation in pixels of the blur at twice the focus distance, times two.
    """
    shares = torch.linspace(0, 1, _NUM_LAYERS + 1, device=depth.device)
    boundaries = torch.quantile(depth.flatten(), shares)
    boundaries[0] -= _MARGIN
    boundaries[-1] += _MARGIN
    sigmas = aperture * (boundaries - boundaries[focus]).abs() / boundaries
    values = intensities(image[None])[0]
    mixed, total = torch.zeros_like(values), torch.zeros_like(depth)
    behind = torch.searchsorted(boundaries, depth)
    gaps = boundaries[behind] - boundaries[behind - 1]
    to_front = (depth - boundaries[behind - 1]) / gaps
    for number, sigma in enumerate(sigmas.tolist()):
        weight = torch.where(behind == number, 1 - (1 - to_front) ** 2, 0.0)
        weight = torch.where(behind - 1 == number, 1 - to_front**2, weight)
        mixed += weight * _blurred(values, sigma)
        total += weight
    return to_bytes(mixed / total)


def _blurred(
    values: Float32[Tensor, "3 height width"], sigma: float
) -> Float32[Tensor, "3 height width"]:
    if sigma < _SHARPEST:
        return values
    taps = gaussian_weights(sigma, (int(sigma * _KERNEL_RADII) | 1) // 2)
    rows, columns = (
        torch.from_numpy(taps_matrix(length, taps, border="nearest")).to(values)
        for length in values.shape[1:]
    )
    return filter_both(values, rows, columns)
