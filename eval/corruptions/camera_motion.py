"""Motion of the camera during exposure: near things smear farther than distant ones.

Kar et al. 2022, arXiv 2203.01441; camera paths, frames and constants of the authors'
create_motion.py (after Niklaus et al. 2019, arXiv 1909.05483). Departure: each frame is read
backwards from the one picture at the depth of the pixel it lands on, borders repeated, where
theirs moves a cloud of points and has a network paint what comes into view.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float32, UInt8
from torch import Tensor

from eval.corruptions.draws import Draws
from eval.corruptions.pixels import intensities

Picture = UInt8[Tensor, "3 height width"]
DepthMap = Float32[Tensor, "height width"]

#: Frames of the whole path, and how many of them each severity averages.
_NUM_FRAMES = 60
_XY_FRAMES = (20, 30, 40, 50, 60)
_Z_FRAMES = (20, 25, 30, 35, 38)
#: Shifts of the nearest pixel at the end of the path, in pixels of a frame of 512.
_UNIT = 512.0
_XY_SIDEWAYS = (50.0, 75.0)
_XY_UPWARDS, _Z_SHIFT = 75.0, 30.0
#: What is left of the nearest pixel's distance at the end of the path.
_Z_CLOSER = (0.5, 0.6)


def xy_motion_blur(image: Picture, depth: DepthMap, severity: int, draws: Draws) -> Picture:
    """The camera moves sideways, and up or down."""
    turn, sideways, upwards = draws.uniform(3, stream=0)[0].tolist()
    low, high = _XY_SIDEWAYS
    right = (low + (high - low) * sideways) * (1 if turn < 0.5 else -1)
    shift = (right, _XY_UPWARDS * (2 * upwards - 1))
    return moved(image, depth, shift=shift, closer=1.0, num_frames=_XY_FRAMES[severity - 1])


def z_motion_blur(image: Picture, depth: DepthMap, severity: int, draws: Draws) -> Picture:
    """The camera moves forward, and a little to the side."""
    closer, right, down = draws.uniform(3, stream=0)[0].tolist()
    shift = (_Z_SHIFT * (2 * right - 1), _Z_SHIFT * (2 * down - 1))
    left_over = _Z_CLOSER[0] + (_Z_CLOSER[1] - _Z_CLOSER[0]) * closer
    return moved(image, depth, shift=shift, closer=left_over, num_frames=_Z_FRAMES[severity - 1])


def moved(
    image: Picture,
    depth: DepthMap,
    *,
    shift: tuple[float, float],
    closer: float,
    num_frames: int,
) -> Picture:
    """Average of the first frames of a path of 60.

    A pixel at depth z, after the camera went forward by m and sideways so far that the nearest
    depth n moves by ``shift``, came from z' / z times its place, less shift * n' / z; z' = z - m.

    Args:
        shift: of the nearest pixel at the end of the path, right and down, in pixels of a
            frame of 512 on each side.
        closer: share of the nearest pixel's distance that is left at the end; 1 stays.
        num_frames: 1 to 60.
    """
    height, width = depth.shape
    values = intensities(image[None])
    right = torch.arange(width, device=depth.device) - (width - 1) / 2
    down = (torch.arange(height, device=depth.device) - (height - 1) / 2)[:, None]
    pixels = (shift[0] * width / _UNIT, shift[1] * height / _UNIT)
    nearest = depth.min()
    total = torch.zeros_like(values)
    for frame in range(num_frames):
        share = frame / (_NUM_FRAMES - 1)
        left_over = 1 - share * (1 - closer)
        scale = 1 - nearest * (1 - left_over) / depth
        slide = share * left_over * nearest / depth
        places = [
            (scale * place + slide * move) / side * 2
            for place, move, side in zip((right, down), pixels, (width, height), strict=True)
        ]
        grid = torch.stack(places, dim=-1)[None]
        read = F.grid_sample(values, grid, padding_mode="border", align_corners=False)
        total += read.mul_(255).floor_()
    return (total / num_frames).byte()[0]
