"""Robust inference by crop selection: the picture itself says where it is cut.

Shifman and Weiss 2024, arXiv 2404.07153: a model that always sees the central crop sees other
pixels after the smallest movement of the camera. If the crop is chosen by a score of its own
pixels, the same crop is found again after the movement, unless the best one has left the picture
or a better one has come in. Their code was not available; this is a reconstruction, and its score
is ours.

With S x S pictures and n x n crops there are K = S - n + 1 places a side. For scores that favour no
place, one-pixel shifts of the picture change the choice with probability 2 / (K + 1) along an axis,
and at least one of the eight does with probability 1 - ((K - 2) / (K + 2))^2: more room, fewer
changes. Sums over a whole window do far worse: they vary so slowly from one window to the next that
the best one mostly lies at the border. The score here is therefore local and band-pass, and prefers
local maxima: see ``window_scores``.

b = batch, S = size of the pictures, n = size of the crops, K = places a side
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from eval.errors import EvaluationError

#: Order of the binomial blur, and the share of the crop it may take at most.
LARGEST_ORDER = 32
_ORDER_SHARE = 2
SMALLEST_CROP = 10

#: Bits kept of blurred values, so that products of their differences fit 64.
_BITS = 26
_ORDER_AT_A_TIME = 16
_NOT_A_MAXIMUM = 2**61


class RicsCrops(NamedTuple):
    """The chosen crops.

    Attributes:
        crops: as cut out, unchanged.
        corners: row and column of each upper left corner.
    """

    crops: UInt8[Tensor, "batch 3 crop crop"]
    corners: Int64[Tensor, "batch 2"]


@dataclass(frozen=True, slots=True)
class Rics:
    """Cuts the crop that a picture's own pixels choose; goes in front of any model.

    Args:
        crop_size: n, what the model takes.
        is_circular: choose among all S x S windows of the picture wrapped around.
    """

    crop_size: int
    is_circular: bool = False

    def __call__(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> UInt8[Tensor, "batch 3 crop crop"]:
        """Crops of pictures that are larger than them."""
        return rics_crops(images, crop_size=self.crop_size, is_circular=self.is_circular).crops


def rics_crops(
    images: UInt8[Tensor, "batch 3 height width"], *, crop_size: int, is_circular: bool = False
) -> RicsCrops:
    """The window with the highest score, of equal ones the first in reading order.

    Args:
        images: larger than the crops; the more room, the fewer changes.
        crop_size: n.
        is_circular: windows wrap around the border, S x S of them; a circular shift then never
            changes the crop (but for pictures with two exactly equal best windows).
    Raises:
        EvaluationError: the crops are larger than the pictures, or too small for the score.
    """
    height, width = images.shape[-2:]
    if not SMALLEST_CROP <= crop_size <= min(height, width):
        raise EvaluationError(
            f"crops of {crop_size} pixels cannot be chosen from pictures of {width} x {height}; "
            f"choose between {SMALLEST_CROP} and the shorter side"
        )
    seen = _wrapped(images, crop_size) if is_circular else images
    scores = window_scores(seen, crop_size=crop_size)
    places = scores.shape[-1]
    best = _first_best(scores.flatten(1))
    corners = torch.stack([best // places, best % places], dim=1)
    steps = torch.arange(crop_size, device=images.device)
    rows = (corners[:, :1] + steps) % height
    columns = (corners[:, 1:] + steps) % width
    numbers = torch.arange(len(images), device=images.device)[:, None, None]
    crops = images.movedim(1, -1)[numbers, rows[:, :, None], columns[:, None, :]]
    return RicsCrops(crops.movedim(-1, 1).contiguous(), corners)


def window_scores(
    images: UInt8[Tensor, "batch 3 height width"], *, crop_size: int
) -> Int64[Tensor, "batch places_down places_across"]:
    """How much each window looks as if a spot lay in its middle.

    The score is the determinant of the Hessian (Lindeberg 1998) of the luminance R + 2 G + B at
    the middle of the window, after a binomial blur of order min(32, n / 2). It answers to spots
    and not to edges, along which neighbouring windows would look alike. Windows whose middle is no
    local maximum come after all that are: without that rule the border of the picture, where
    climbing ends, holds more of the best windows than its share.

    All sums are of integers inside the window, so equal windows have equal scores, bit for bit,
    wherever they lie.

    Returns:
        One number for each upper left corner.
    """
    order = min(LARGEST_ORDER, crop_size // _ORDER_SHARE // 2 * 2)
    red, green, blue = images.long().unbind(dim=1)
    response = _hessian_determinant(_blurred(red + 2 * green + blue, order))
    around = response[..., 1:-1, 1:-1]
    ranked = torch.where(around >= _highest_around(response), around, around - _NOT_A_MAXIMUM)
    down, across = (side - crop_size + 1 for side in images.shape[-2:])
    first = (ranked.shape[-1] - across) // 2
    return ranked[..., first : first + down, first : first + across]


def _blurred(values: Tensor, order: int) -> Tensor:
    """Binomial blur without padding, each side ``order`` shorter."""
    bits = 10  # R + 2 G + B is at most 1020
    for start in range(0, order, _ORDER_AT_A_TIME):
        stage = min(_ORDER_AT_A_TIME, order - start)
        for _ in range(stage):
            values = values[..., 1:] + values[..., :-1]
            values = values[..., 1:, :] + values[..., :-1, :]
        bits += 2 * stage
        values = values >> max(0, bits - _BITS)
        bits = min(bits, _BITS)
    return values


def _hessian_determinant(values: Tensor) -> Tensor:
    """Sixteen times the determinant of the second differences; one shorter at each end."""
    middle = 2 * values[..., 1:-1, 1:-1]
    across = values[..., 1:-1, 2:] - middle + values[..., 1:-1, :-2]
    down = values[..., 2:, 1:-1] - middle + values[..., :-2, 1:-1]
    mixed = (
        values[..., 2:, 2:] - values[..., 2:, :-2] - values[..., :-2, 2:] + values[..., :-2, :-2]
    )
    return 16 * across * down - mixed * mixed


def _highest_around(values: Tensor) -> Tensor:
    """Largest of each 3 x 3 neighbourhood; one shorter at each end."""
    values = torch.maximum(torch.maximum(values[..., :-2], values[..., 1:-1]), values[..., 2:])
    return torch.maximum(
        torch.maximum(values[..., :-2, :], values[..., 1:-1, :]), values[..., 2:, :]
    )


def _first_best(scores: Int64[Tensor, "batch windows"]) -> Int64[Tensor, " batch"]:
    """argmax gives no promise on ties, the smallest number does."""
    numbers = torch.arange(scores.shape[1], device=scores.device)
    is_best = scores == scores.amax(dim=1, keepdim=True)
    return torch.where(is_best, numbers, scores.shape[1]).amin(dim=1)


def _wrapped(images: Tensor, crop_size: int) -> Tensor:
    height, width = images.shape[-2:]
    rows = torch.arange(height + crop_size - 1, device=images.device) % height
    columns = torch.arange(width + crop_size - 1, device=images.device) % width
    return images[:, :, rows][..., columns]
