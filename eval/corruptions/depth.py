"""3D Common Corruptions from a picture and its depth map: the part that needs no mesh or video.

Kar, Yeo, Atanov and Zamir 2022, arXiv 2203.01441; constants and formulas read in the authors'
scripts (EPFL-VILAB/3DCommonCorruptions, create_3dcc). How close each is:

- ``fog_3d``, ``near_focus``, ``far_focus``, ``color_quant``, ``iso_noise``, ``low_light``: their
  formulas, given the same depth and draws.
- ``flash``: their formula; they take the shading from a network or a mesh, we from the depth.
- ``xy_motion_blur``, ``z_motion_blur``: their camera paths and frames; they draw a cloud of
  points and paint what comes into view with a network, we read each frame from the one picture.
- ``bit_error``, ``h265_abr`` and ``h265_crf`` need a video encoder and are left out.

None has been compared with the published ImageNet-3DCC files.
"""

import difflib
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from eval.corruptions.camera_motion import xy_motion_blur, z_motion_blur
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.focus import far_focus, near_focus
from eval.corruptions.pixels import intensities, to_bytes
from eval.corruptions.sensor import color_quant, iso_noise, low_light
from eval.corruptions.severities import SEVERITIES
from eval.errors import EvaluationError

Picture = UInt8[Tensor, "3 height width"]
DepthMap = Float32[Tensor, "height width"]

#: Depth of the farthest pixel after scaling: the ceiling of the published script for ImageNet.
FARTHEST = 0.5
#: Depth of the nearest possible one, so that nothing divides by zero.
_NEAREST = 1e-3

_FOG = (4.0, 8.0, 12.0, 16.0, 20.0)
_FLASH = (2.4, 1.4, 0.9, 0.6, 0.4)


class _Kernel(NamedTuple):
    """``apply(picture, depth, severity, draws)``; depth is scaled, or None where not needed."""

    apply: Callable[..., Picture]
    needs_depth: bool


def corrupt_3d(
    image: Picture,
    depth: Float32[Tensor, "rows columns"] | None,
    corruption: str,
    severity: int,
    *,
    image_id: int,
    seed: int = 0,
) -> Picture:
    """Apply one of the 3D Common Corruptions to one picture.

    Args:
        depth: distance from the camera for each pixel, in any unit, positive and finite; scaled
            so that the farthest pixel lies at 0.5. None for those that need no depth.
        corruption: one of :data:`CORRUPTIONS_3D`.
        severity: 1 to 5.
    Raises:
        EvaluationError: unknown name or severity; a depth map that is missing, of another size
            than the picture, or not positive and finite.
    """
    if corruption not in _KERNELS:
        close = difflib.get_close_matches(corruption, CORRUPTIONS_3D, n=3, cutoff=0.4)
        label = "closest" if close else "known"
        shown = ", ".join(close or CORRUPTIONS_3D)
        raise EvaluationError(f"unknown 3D corruption '{corruption}'; {label}: {shown}")
    if severity not in SEVERITIES:
        raise EvaluationError(f"unknown severity {severity} of {corruption}; it goes from 1 to 5")
    kernel = _KERNELS[corruption]
    scaled = _scaled(depth, image, corruption) if kernel.needs_depth else None
    draws = Draws(keys_of([image_id], corruption, severity, seed=seed, device=image.device))
    return kernel.apply(image, scaled, severity, draws)


def describe_3d(corruption: str, severity: int) -> dict[str, Any]:
    """What a result file says about a 3D corruption."""
    return {
        "corruption": corruption,
        "severity": severity,
        "needs_depth": corruption in NEEDS_DEPTH,
        "farthest_depth": FARTHEST,
        "source": "memory",
    }


def fog_3d(image: Picture, depth: DepthMap, severity: int, _: Draws) -> Picture:
    """Light lost exponentially with depth, replaced by the picture's mean."""
    values = intensities(image[None])[0]
    transmission = torch.exp(-_FOG[severity - 1] * depth)
    return to_bytes(values * transmission + values.mean() * (1 - transmission))


def flash(image: Picture, depth: DepthMap, severity: int, _: Draws) -> Picture:
    """Brighten what faces the camera."""
    values = intensities(image[None])[0]
    return to_bytes(values + values * shading(depth) / _FLASH[severity - 1])


def shading(depth: DepthMap) -> Float[Tensor, "height width"]:
    """Cosine between each surface's normal and the direction to the camera, 0 to 1.

    The surface is that of the depth map under a pinhole camera whose focal length is the
    picture's width, which is our assumption.
    """
    height, width = depth.shape
    down = torch.arange(height, device=depth.device).sub(height / 2 - 0.5).div(width)[:, None]
    right = torch.arange(width, device=depth.device).sub(width / 2 - 0.5).div(width)
    ones = torch.ones_like(depth)
    points = torch.stack([right * ones, down * ones, ones]) * depth
    along = [torch.gradient(points, dim=axis)[0] for axis in (2, 1)]
    normals = torch.linalg.cross(*along, dim=0)
    lengths = normals.norm(dim=0) * points.norm(dim=0)
    return ((normals * points).sum(dim=0).abs() / lengths.clamp(min=1e-12)).clamp(0, 1)


def _scaled(
    depth: Float32[Tensor, "rows columns"] | None, image: Picture, corruption: str
) -> DepthMap:
    if depth is None:
        raise EvaluationError(
            f"{corruption} needs a depth map for each picture; add one as depth.npy or depth.png, "
            f"or choose from {', '.join(sorted(set(CORRUPTIONS_3D) - NEEDS_DEPTH))}"
        )
    if depth.shape != image.shape[1:]:
        raise EvaluationError(
            f"a depth map of {tuple(depth.shape)} came with a picture of {tuple(image.shape[1:])} "
            f"pixels; give both in one size"
        )
    if not bool(torch.isfinite(depth).all()) or float(depth.max()) <= 0:
        raise EvaluationError("a depth map has values that are not positive distances; mend it")
    return (depth / depth.max() * FARTHEST).clamp(min=_NEAREST)


_KERNELS: dict[str, _Kernel] = {
    "near_focus": _Kernel(near_focus, True),
    "far_focus": _Kernel(far_focus, True),
    "fog_3d": _Kernel(fog_3d, True),
    "flash": _Kernel(flash, True),
    "color_quant": _Kernel(color_quant, False),
    "low_light": _Kernel(low_light, False),
    "xy_motion_blur": _Kernel(xy_motion_blur, True),
    "z_motion_blur": _Kernel(z_motion_blur, True),
    "iso_noise": _Kernel(iso_noise, False),
}

CORRUPTIONS_3D = tuple(_KERNELS)
NEEDS_DEPTH = frozenset(name for name, kernel in _KERNELS.items() if kernel.needs_depth)
