"""The training view of a picture with boxes: scaled, cropped, mirrored, padded to a square.

Large-scale jitter (Ghiasi et al. 2021, arXiv 2012.07177, section 3.1): the picture is resized to a
random multiple of what fits into the square, then cropped or padded to it.

n = marked objects, m = cached regions
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor

from vlsuite.errors import ConfigError

#: Pixels that a region may stick out of the view: rounding, not a cut object.
_TOLERANCE = 0.5
#: Sides in pixels below which nothing is left of a box.
_SMALLEST = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewSettings:
    """How pictures are changed in training.

    Attributes:
        scale: range of sizes as multiples of what fits into the view; 0.1 to 2 published.
        flip_probability: of a mirrored view.
    """

    scale: tuple[float, ...] = (0.1, 2.0)
    flip_probability: float = 0.5

    def __post_init__(self) -> None:
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"model.view.scale={self.scale} must be two positive numbers, sorted")
        if not 0 <= self.flip_probability <= 1:
            raise ConfigError("model.view.flip_probability must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewMap:
    """Where a picture's pixels are in a view.

    Attributes:
        resized: height and width that the picture is resized to.
        share: resized over stored width and height.
        left, top: of the view in the resized picture, in pixels.
        size: height and width of what is seen, in pixels.
        is_flipped: whether what is seen is mirrored.
    """

    resized: tuple[int, int]
    share: tuple[float, float]
    left: int
    top: int
    size: tuple[int, int]
    is_flipped: bool

    def boxes(self, boxes: Float32[Tensor, "n 4"]) -> Float32[Tensor, "n 4"]:
        """Boxes of the picture in pixels of the view, not clipped."""
        moved = boxes * boxes.new_tensor([*self.share, *self.share])
        moved = moved - moved.new_tensor([self.left, self.top, self.left, self.top])
        if self.is_flipped:
            left, top, right, bottom = moved.unbind(1)
            width = self.size[1]
            moved = torch.stack([width - right, top, width - left, bottom], dim=1)
        return moved

    def pixels(self, picture: UInt8[Tensor, "c _rows _columns"]) -> UInt8[Tensor, "c _h _w"]:
        """What is seen of a picture of any number of channels."""
        mode = "bilinear" if picture.shape[0] == 3 else "nearest"
        resized = picture
        if self.resized != tuple(picture.shape[1:]):
            options = {"antialias": True} if mode == "bilinear" else {}
            resized = F.interpolate(picture[None], size=self.resized, mode=mode, **options)[0]
        seen = resized[:, self.top : self.top + self.size[0], self.left : self.left + self.size[1]]
        return seen.flip(2) if self.is_flipped else seen


class SeenBoxes(NamedTuple):
    """Boxes of a view.

    Attributes:
        boxes: clipped to it.
        is_seen: rows of which something is left.
    """

    boxes: Float[Tensor, "n 4"]
    is_seen: Bool[Tensor, " n"]


def drawn_view(
    size: tuple[int, int], view_size: int, settings: ViewSettings, rng: np.random.Generator
) -> ViewMap:
    """Draw a view.

    Args:
        size: height and width of the picture in pixels.
        view_size: side of the square in pixels.
    """
    low, high = settings.scale
    share = view_size * float(rng.uniform(low, high)) / max(size)
    resized = max(1, round(size[0] * share)), max(1, round(size[1] * share))
    top = int(rng.integers(max(0, resized[0] - view_size) + 1))
    left = int(rng.integers(max(0, resized[1] - view_size) + 1))
    return ViewMap(
        resized=resized,
        share=(resized[1] / size[1], resized[0] / size[0]),
        left=left,
        top=top,
        size=(min(resized[0], view_size), min(resized[1], view_size)),
        is_flipped=bool(rng.random() < settings.flip_probability),
    )


def seen_objects(view: ViewMap, boxes: Float32[Tensor, "n 4"]) -> SeenBoxes:
    """Marked objects: what is left of each in the view."""
    moved = view.boxes(boxes)
    low = moved.new_zeros(4)
    high = moved.new_tensor([view.size[1], view.size[0], view.size[1], view.size[0]])
    clipped = torch.minimum(torch.maximum(moved, low), high)
    sides = clipped[:, 2:] - clipped[:, :2]
    return SeenBoxes(clipped, (sides >= _SMALLEST).all(dim=1))


def seen_regions(view: ViewMap, boxes: Float32[Tensor, "m 4"]) -> SeenBoxes:
    """Cached regions: those that lie in the view whole, for the teacher saw them whole."""
    moved = view.boxes(boxes)
    clipped = seen_objects(view, boxes)
    is_whole = ((clipped.boxes - moved).abs() <= _TOLERANCE).all(dim=1)
    return SeenBoxes(clipped.boxes, clipped.is_seen & is_whole)
